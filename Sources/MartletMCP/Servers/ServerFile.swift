package import MartletWire

/// `mcp.json`: the servers that this machine's owner has named, in LM Studio's (and Cursor's) notation.
package struct ServerFile: Sendable {
    private let file: HomeFile

    /// - Parameter home: martlet's, or another program's that has a file of this kind.
    package init(home: String, limits: MCPLimits = MCPLimits()) {
        file = HomeFile(path: home + "/mcp.json", limits: limits)
    }

    var stamp: HomeFile.Stamp? { file.stamp }

    /// Its servers in its order. None where there is no file. Entries that cannot be used are among them.
    /// - Throws: `fileSystem`.
    package func entries() throws(MCPError) -> [ServerEntry] {
        var entries: [ServerEntry] = []
        for (name, json) in try members() {
            var entry = ServerEntry(name: name, json)
            if let other = entries.first(where: { $0.label == entry.label }) {
                entry.access = .failure(
                    MCPError(
                        .badEntry, "\(name) and \(other.name) of mcp.json have the same id, \(entry.id): rename one"))
            }
            entries.append(entry)
        }
        return entries
    }

    /// Each server's entry as it is written.
    package func members() throws(MCPError) -> JSONObject { try Self.members(of: try file.read()) }

    /// The servers that the text of such a file names, by their labels.
    /// - Throws: `fileSystem`.
    package static func labels(in text: String) throws(MCPError) -> [String] {
        let json: JSON
        do throws(JSONError) {
            json = try JSON(parsing: text)
        } catch {
            throw MCPError(.fileSystem, "mcp.json is not JSON: \(error.sentence)")
        }
        return try members(of: json).keys.map(ServerEntry.label)
    }

    private static func members(of json: JSON?) throws(MCPError) -> JSONObject {
        guard let servers = json?["mcpServers"] else { return [:] }
        guard let members = servers.object else {
            throw MCPError(.fileSystem, "\"mcpServers\" of mcp.json is no object")
        }
        return members
    }

    /// Writes an entry; all else in the file stays as it is.
    /// - Throws: `fileSystem`; `badEntry` when the name, or one with the same id, is taken.
    package func add(_ name: String, _ entry: JSON) throws(MCPError) {
        try file.locked { () throws(MCPError) in
            try check(isFree: name)
            var members = try members()
            members[name] = entry
            try write(members)
        }
    }

    /// - Throws: `badEntry` when the name, or one with the same id, is taken.
    package func check(isFree name: String) throws(MCPError) {
        guard let other = try members().keys.first(where: { ServerEntry.label($0) == ServerEntry.label(name) }) else {
            return
        }
        throw MCPError(.badEntry, "mcp.json has a server \(other) already: martlet mcp rm \(other) removes it")
    }

    /// - Returns: the name that was removed; nil when there is none of it.
    package func remove(_ name: String) throws(MCPError) -> String? {
        try file.locked { () throws(MCPError) -> String? in
            var members = try members()
            let found = members.keys.first { $0 == name } ?? members.keys.first { ServerEntry.label($0) == label(name) }
            guard let found else { return nil }
            members.remove(found)
            try write(members)
            return found
        }
    }

    private func label(_ name: String) -> String {
        ServerEntry.label(name.hasPrefix("mcp/") ? String(name.dropFirst(4)) : name)
    }

    private func write(_ members: JSONObject) throws(MCPError) {
        var json = try file.read() ?? [:]
        json["mcpServers"] = .object(members)
        try file.replace(with: json)
    }
}
