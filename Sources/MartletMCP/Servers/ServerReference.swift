/// A server that is to be used.
package enum ServerReference: Sendable, Hashable {
    /// One of `mcp.json`, by its name there, its label or its id.
    case installed(String)
    /// One that a request names.
    /// - Parameters:
    ///   - label: what the request calls it.
    ///   - owner: whose request it is; others do not share its session.
    case ephemeral(label: String, ServerURL, [ServerHeader], owner: String)

    /// Its name in sentences.
    package var shown: String {
        switch self {
        case .installed(let name): Printable.text(name, limit: 100)
        case .ephemeral(let label, _, _, _): Printable.text(label, limit: 100)
        }
    }
}

/// A tool of a server and whether it may be used.
package struct CheckedTool: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        case usable
        /// It waits for `martlet mcp approve`.
        case new
        case changed(from: MCPTool)
        /// It can never be used; the sentence says why.
        case unusable(String)
    }

    package var tool: MCPTool
    package var state: State
}
