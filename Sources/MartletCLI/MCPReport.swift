import MartletCommands
import MartletMCP
import MartletWire

/// What is known of a server and its tools.
struct MCPReport: Sendable {
    struct Tool: Sendable {
        var name: String
        var description: String?
        /// `approved`, `new`, `changed`, `unapproved` (nothing of the server is), `unusable`.
        var state: String
        var reason: String?
    }

    let entry: ServerEntry
    let tools: Result<[Tool], MCPError>

    init(_ entry: ServerEntry, _ listed: Result<[ListedTool], MCPError>, _ pins: Pins) {
        self.entry = entry
        tools = listed.map { listed in
            listed.map { listed in
                let tool = listed.tool
                let state =
                    switch pins.verdict(on: tool, of: entry.id) {
                    case .approved: "approved"
                    case .new: "new"
                    case .changed: "changed"
                    case .unseen: "unapproved"
                    }
                return Tool(
                    name: Printable.text(tool.name, limit: 128), description: tool.description,
                    state: listed.fault == nil ? state : "unusable", reason: listed.fault)
            }
        }
    }

    /// Of all servers, which are asked at the same time.
    static func all(
        _ entries: [ServerEntry], _ pins: Pins,
        asking tools: @escaping @Sendable (ServerAccess, String) async throws(MCPError) -> [ListedTool]
    ) async -> [MCPReport] {
        await withTaskGroup(of: (Int, MCPReport).self) { group in
            for (place, entry) in entries.enumerated() {
                group.addTask {
                    do throws(MCPError) {
                        let listed = try await tools(try entry.access.get(), entry.label)
                        return (place, MCPReport(entry, .success(listed), pins))
                    } catch {
                        return (place, MCPReport(entry, .failure(error), pins))
                    }
                }
            }
            let found = await group.reduce(into: [Int: MCPReport]()) { $0[$1.0] = $1.1 }
            return entries.indices.compactMap { found[$0] }
        }
    }

    var count: String {
        guard case .success(let tools) = tools else { return "" }
        return tools.count == 1 ? "1 tool" : "\(tools.count) tools"
    }

    private var kind: String {
        switch entry.access {
        case .success(.program): "stdio"
        case .success(.remote): "http"
        case .failure: "-"
        }
    }

    // MARK: For people

    static func lines(_ reports: [MCPReport]) -> [String] {
        let table = TextTable(["ID", "KIND", "STATE"], reports.map { [$0.entry.id, $0.kind, $0.state] })
        var lines: [String] = [table.lines[0]]
        for (report, line) in zip(reports, table.lines.dropFirst()) { lines += [line] + report.notes }
        return lines
    }

    private var state: String {
        guard case .success(let tools) = tools else { return entry.isDisabled ? "disabled" : "failed" }
        let blocked = tools.count { $0.state == "new" || $0.state == "changed" }
        let unusable = tools.count { $0.state == "unusable" }
        let parts: [String?] = [
            count, blocked > 0 ? "\(blocked) blocked" : nil, unusable > 0 ? "\(unusable) unusable" : nil,
            tools.contains { $0.state == "unapproved" } ? "pinned at first use" : nil,
        ]
        return parts.compactMap(\.self).joined(separator: ", ")
    }

    /// What has to be known beyond the table.
    private var notes: [String] {
        var notes: [String] = []
        switch tools {
        case .failure(let error): notes += [error.message] + error.lastWords.map { "  \($0)" }
        case .success(let tools):
            let blocked = tools.filter { $0.state == "new" || $0.state == "changed" }
            notes += blocked.map { "\($0.name) is \($0.state) and blocked" }
            if !blocked.isEmpty { notes.append("see it with: martlet mcp approve \(entry.label)") }
            notes += tools.compactMap { tool in tool.reason.map { "\(tool.name) cannot be used: \($0)" } }
        }
        if !entry.ignored.isEmpty {
            let names = entry.ignored.map { Printable.text($0, limit: 60) }.joined(separator: ", ")
            notes.append("of its entry this means nothing here: \(names)")
        }
        return notes.map { "  \($0)" }
    }

    /// Each tool and how it begins to describe itself.
    var toolLines: [String] {
        guard case .success(let tools) = tools else { return [] }
        return tools.map { tool in
            let words = tool.description.map { Printable.text($0, limit: 80) } ?? ""
            return "  \(tool.name)  \(tool.reason ?? words)"
        }
    }

    // MARK: For programs

    /// Values of headers and variables are left out: they may be keys.
    var json: JSON {
        var json: JSON = ["id": .string(entry.id), "name": .string(entry.name), "kind": .string(kind)]
        switch entry.access {
        case .success(.program(let program, let arguments, let environment, _)):
            json["command"] = .array(([program] + arguments).map(JSON.string))
            json["env"] = .array(environment.keys.sorted().map(JSON.string))
        case .success(.remote(let url, let headers)):
            json["url"] = .string(url.identity)
            json["headers"] = .array(headers.map { .string($0.name) })
        case .failure: break
        }
        switch tools {
        case .failure(let error):
            json["status"] = .string(entry.isDisabled ? "disabled" : entry.access.isUsable ? "failed" : "unusable")
            json["error"] = ["code": .string("\(error.code)"), "message": .string(error.message)]
            json["last_words"] = .array(error.lastWords.map(JSON.string))
        case .success(let tools):
            json["status"] = "ok"
            json["tools"] = .array(tools.map(Self.json))
        }
        json["ignored"] = .array(entry.ignored.map(JSON.string))
        return json
    }

    private static func json(_ tool: Tool) -> JSON {
        var json: JSON = ["name": .string(tool.name), "state": .string(tool.state)]
        json["description"] = tool.description.map(JSON.string)
        json["reason"] = tool.reason.map(JSON.string)
        return json
    }
}

extension Result<ServerAccess, MCPError> {
    fileprivate var isUsable: Bool { if case .success = self { true } else { false } }
}
