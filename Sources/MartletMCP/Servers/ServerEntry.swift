package import MartletWire

/// One server of `mcp.json`, in LM Studio's notation.
package struct ServerEntry: Sendable, Hashable {
    /// As the file has it.
    package var name: String
    /// Or why it cannot be used.
    package var access: Result<ServerAccess, MCPError>
    /// Members of the entry that mean nothing here.
    package var ignored: [String]
    /// Whoever wrote the entry has switched the server off.
    package var isDisabled: Bool

    /// Another server of the file has a name of the same label.
    package var isTwin = false

    /// Its name as ids have it; as the file has it where that tells it from another.
    package var label: String { isTwin ? name : Self.label(name) }
    /// What requests call it.
    package var id: String { "mcp/" + label }

    /// A name in kebab case, as LM Studio makes it: `Oracle_Stream` is `oracle-stream`. Empty when it has neither letters
    /// nor digits.
    package static func label(_ name: String) -> String {
        var label = ""
        var wasLower = false
        for character in name {
            guard character.isASCII, character.isLetter || character.isNumber else {
                if !label.isEmpty, label.last != "-" { label.append("-") }
                wasLower = false
                continue
            }
            if character.isUppercase, wasLower { label.append("-") }
            label += character.lowercased()
            wasLower = character.isLowercase || character.isNumber
        }
        while label.last == "-" { label.removeLast() }
        return label
    }

    /// Which of the names of `mcp.json` is meant by one that stands there, by a label or by an id.
    /// - Throws: `badEntry` for the label of several that is none of their names.
    package static func meant(by wanted: String, among names: [String]) throws(MCPError) -> String? {
        let bare = bare(wanted)
        if names.contains(bare) { return bare }
        let found = names.filter { label($0) == label(bare) }
        guard found.count > 1 else { return found.first }
        throw MCPError(
            .badEntry,
            "\(Printable.text(wanted, limit: 100)) may be each of "
                + "\(found.map { Printable.text($0, limit: 100) }.joined(separator: ", ")) of mcp.json: say one of these "
                + "names as it is, or rename one")
    }

    /// The server that ``meant(by:among:)`` finds.
    /// - Throws: `badEntry`, as that does.
    package static func find(_ wanted: String, among entries: [ServerEntry]) throws(MCPError) -> ServerEntry? {
        let name = try meant(by: wanted, among: entries.map(\.name))
        return entries.first { $0.name == name }
    }

    /// Without the `mcp/` of ids.
    package static func bare(_ name: String) -> String { name.hasPrefix("mcp/") ? String(name.dropFirst(4)) : name }

    // MARK: The file's form

    /// Members that clients of MCP write for themselves mean nothing here and are passed over, but told.
    package init(name: String, _ json: JSON) {
        self.name = name
        isDisabled = json["disabled"]?.bool == true
        ignored = (json.object?.keys ?? []).filter { !Self.known.contains($0) }
        do throws(MCPError) {
            access = .success(try Reader(name: name, json: json).read())
        } catch {
            access = .failure(error)
        }
    }

    private static let known = ["command", "args", "env", "cwd", "url", "headers", "type", "disabled", "auth"]

}

/// Reads an entry.
private struct Reader {
    let name: String
    let json: JSON

    func read() throws(MCPError) -> ServerAccess {
        guard json.object != nil else { throw bad("is no object") }
        guard !ServerEntry.label(name).isEmpty else { throw bad("has a name without letters or digits") }
        if json["disabled"]?.bool == true { throw bad("is switched off by \"disabled\"") }
        if let auth = json["auth"], !auth.isNull {
            throw bad("wants to sign in by OAuth (\"auth\"), which is not built: put a token into its \"headers\"")
        }
        if json["type"]?.string == "sse" {
            throw bad(
                "is of the type \"sse\", the older transport, which is not spoken: has it an address that takes \"http\"?"
            )
        }
        switch (json["command"], json["url"]) {
        case (let command?, nil): return try program(command)
        case (nil, let url?):
            guard let text = url.string, let url = ServerURL(text) else {
                throw bad("has a \"url\" that is no address of the web")
            }
            return .remote(url, try ServerHeader.all(pairs("headers")))
        default: throw bad("needs either a \"command\" or a \"url\"")
        }
    }

    private func program(_ command: JSON) throws(MCPError) -> ServerAccess {
        guard let program = command.string, !program.isEmpty, !program.contains("\0") else {
            throw bad("has a \"command\" that is no text")
        }
        var arguments: [String] = []
        for argument in json["args"]?.array ?? [] {
            guard let text = argument.string, !text.contains("\0") else { throw bad("has \"args\" that are no texts") }
            arguments.append(text)
        }
        if let args = json["args"], args.array == nil, !args.isNull { throw bad("has \"args\" that are no list") }
        let environment = try pairs("env")
        guard environment.allSatisfy({ !$0.0.isEmpty && !$0.0.contains("=") && !($0.0 + $0.1).contains("\0") }) else {
            throw bad("has a variable in \"env\" that no environment can hold")
        }
        let folder = json["cwd"]?.string
        guard folder?.hasPrefix("/") ?? true else { throw bad("has a \"cwd\" that is no whole path") }
        return .program(
            program, arguments: arguments, environment: Dictionary(environment) { $1 }, folder: folder)
    }

    private func pairs(_ member: String) throws(MCPError) -> [(String, String)] {
        guard let value = json[member], !value.isNull else { return [] }
        guard let members = value.object else { throw bad("has \"\(member)\" that are no object") }
        var pairs: [(String, String)] = []
        for (name, value) in members {
            guard let text = value.string ?? (value.array == nil && value.object == nil ? value.text : nil) else {
                throw bad("has a value in \"\(member)\" that is no text")
            }
            pairs.append((name, text))
        }
        return pairs
    }

    private func bad(_ what: String) -> MCPError {
        MCPError(.badEntry, "the MCP server \(Printable.text(name, limit: 100)) of mcp.json \(what)")
    }
}
