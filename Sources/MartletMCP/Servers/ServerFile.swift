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
        let members = try members()
        let labels = members.keys.map(ServerEntry.label)
        return members.map { name, json in
            var entry = ServerEntry(name: name, json)
            entry.isTwin = labels.count { $0 == entry.label } > 1
            return entry
        }
    }

    /// Each server's entry as it is written.
    package func members() throws(MCPError) -> JSONObject { try Self.members(of: try file.read()) }

    /// The servers that the text of such a file names.
    /// - Throws: `fileSystem`.
    package static func names(in text: String) throws(MCPError) -> [String] {
        let json: JSON
        do throws(JSONError) {
            json = try JSON(parsing: text)
        } catch {
            throw MCPError(.fileSystem, "mcp.json is not JSON: \(error.sentence)")
        }
        return try Array(members(of: json).keys)
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

    /// - Returns: what was removed; nil when there is none of that name.
    /// - Throws: `fileSystem`; `badEntry` for a name that may be each of several.
    package func remove(_ name: String) throws(MCPError) -> ServerEntry? {
        try file.locked { () throws(MCPError) -> ServerEntry? in
            guard let found = try ServerEntry.find(name, among: entries()) else { return nil }
            var members = try members()
            members.remove(found.name)
            try write(members)
            return found
        }
    }

    private func write(_ members: JSONObject) throws(MCPError) {
        var json = try file.read() ?? [:]
        json["mcpServers"] = .object(members)
        try file.replace(with: json)
    }
}
