package import MartletWire
package import NIOCore

/// An MCP server whose tools a request wants, and that are run here instead of by its client.
package struct Integration: Sendable, Hashable {
    package enum Source: Sendable, Hashable {
        /// One that is configured here, by its label.
        case installed(label: String)
        /// One that the request brings along. The headers go to it and to nobody else.
        case ephemeral(label: String, url: String, headers: [String: String])
    }

    package var source: Source
    /// Names of its tools; nil: all of them.
    package var allowedTools: [String]?
    /// Names of tools that are withheld, whether it has them or not.
    package var deniedTools: Set<String>

    package init(_ source: Source, allowedTools: [String]? = nil, deniedTools: Set<String> = []) {
        self.source = source
        self.allowedTools = allowedTools
        self.deniedTools = deniedTools
    }

    /// - Parameter tool: one that the server has.
    package func offers(_ tool: String) -> Bool {
        !deniedTools.contains(tool) && (allowedTools?.contains(tool) ?? true)
    }

    package var label: String {
        switch source {
        case .installed(let label), .ephemeral(let label, _, _): label
        }
    }

    package var provider: ToolProvider {
        switch source {
        case .installed(let label): .plugin(id: "mcp/\(label)")
        case .ephemeral(let label, _, _): .ephemeral(label: label)
        }
    }
}

/// Whose tool a call was made to, as clients are told.
package enum ToolProvider: Sendable, Hashable {
    /// A configured server: `mcp/` and its label.
    case plugin(id: String)
    /// One the request brought along.
    case ephemeral(label: String)

    /// The server's label.
    package var label: String {
        switch self {
        case .plugin(let id): id.hasPrefix("mcp/") ? String(id.dropFirst(4)) : id
        case .ephemeral(let label): label
        }
    }
}

/// A tool of an MCP server, as that server describes it.
package struct ServedTool: Sendable, Hashable {
    package var integration: Integration
    /// The server's own name for it.
    package var name: String
    package var description: EscapedText?
    /// JSON text; nil when the server gives none.
    package var schema: ByteBuffer?

    package init(
        _ integration: Integration, name: String, description: EscapedText? = nil, schema: ByteBuffer? = nil
    ) {
        self.integration = integration
        self.name = name
        self.description = description
        self.schema = schema
    }
}

/// What became of a call that was run here.
package struct ToolRun: Sendable, Hashable {
    package enum Outcome: Sendable, Hashable {
        /// The JSON text of an array of MCP content.
        case output(String)
        /// The server could not be reached, gave up, or says itself that the call went wrong.
        case failed(String)
        /// Nobody offers a tool of that name.
        case invalidName(String)
        /// The arguments are no JSON, or not what the tool's schema asks for.
        case invalidArguments(String)
    }

    /// Nil where nobody offers a tool of that name.
    package var provider: ToolProvider?
    package var outcome: Outcome

    package init(_ outcome: Outcome, by provider: ToolProvider?) {
        self.provider = provider
        self.outcome = outcome
    }

    /// Why there is no output; nil when there is one.
    package var reason: String? {
        switch outcome {
        case .output: nil
        case .failed(let reason), .invalidName(let reason), .invalidArguments(let reason): reason
        }
    }
}
