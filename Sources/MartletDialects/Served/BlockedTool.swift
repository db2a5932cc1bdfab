/// A tool of an MCP server that a request asks for and that may not be run.
package struct BlockedTool: Sendable, Hashable {
    /// The server's, as the request names it.
    package var label: String
    package var name: String
    /// A sentence that names both and says what to do.
    package var reason: String

    package init(label: String, name: String, reason: String) {
        self.label = label
        self.name = name
        self.reason = reason
    }
}

extension ServedTools {
    /// What its client is told of tools it does not get: `LABEL.NAME`, each fit for a header's value.
    package var blockedNames: [String] {
        guard !isHidden else { return [] }
        var notes = DropNotes(isStrict: false)
        for tool in blocked { notes.note("\(tool.label).\(tool.name)") }
        return notes.names
    }

    /// - Throws: `mcpDenied` if there are such tools, in the words of the first.
    func refuseBlocked(where isMeant: (BlockedTool) -> Bool) throws(GatewayError) {
        let meant = blocked.filter(isMeant)
        guard let first = meant.first else { return }
        let others = meant.dropFirst().map(\.name)
        let more = others.isEmpty ? "" : "; blocked are also \(others.prefix(20).joined(separator: ", "))"
        throw GatewayError(
            code: .mcpDenied, message: "tool_choice demands a call, and \(first.reason)\(more)", param: "tool_choice")
    }
}
