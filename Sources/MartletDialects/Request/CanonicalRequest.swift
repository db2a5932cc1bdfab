package import NIOCore

/// What is asked of a model, in no dialect's words.
///
/// A flat list of items: none ever has to be split or moved, and message dialects are written by grouping neighbours.
/// It is made for one exchange and never stored.
package struct CanonicalRequest: Sendable, Hashable {
    /// As the client spelled it; empty when it named none.
    package var model: String
    package var items: [Item]
    package var tools: ToolTable
    package var settings: Settings
    /// MCP servers whose tools are run here.
    package var integrations: [Integration] = []
    /// Labels of MCP servers whose tools the conversation has been told.
    package var listedServers: Set<String> = []
    /// A call to one of these servers is demanded.
    package var servedChoice: ServedChoice?
    /// Members we do not read, for upstreams of the same family.
    package var raw: RawMembers
    package var origin: RequestOrigin
    /// Names of members that were read and have no canonical form, in the order of their appearance. Reported as
    /// dropped by every writer.
    package var unread: [String]
    /// Of a client of Responses: what its reply repeats.
    package var echo: ResponsesEcho?
    /// Of a client of Responses: it wants a summary of the conversation and nothing else (`compaction_trigger`).
    package var isCompaction = false

    package init(
        model: String, items: [Item] = [], tools: ToolTable = ToolTable(), settings: Settings = Settings(),
        raw: RawMembers = RawMembers(), origin: RequestOrigin, unread: [String] = [],
        echo: ResponsesEcho? = nil
    ) {
        self.model = model
        self.items = items
        self.tools = tools
        self.settings = settings
        self.raw = raw
        self.origin = origin
        self.unread = unread
        self.echo = echo
    }

    /// The model's name for a lookup: without a suffix such as `[1m]`, by which agents ask for a long context.
    package static func lookupName(_ model: String) -> String {
        guard model.hasSuffix("]"), let open = model.lastIndex(of: "["), open > model.startIndex else { return model }
        let inside = model[model.index(after: open)...].dropLast()
        let isSize = inside.utf8.count >= 2 && inside.utf8.dropLast().allSatisfy { (0x30...0x39).contains($0) }
        guard isSize, inside.last == "m" || inside.last == "k" else { return model }
        return String(model[..<open])
    }
}

extension CanonicalRequest {
    /// The client's word for how much to think.
    var effortName: String {
        switch origin.dialect {
        case .chat, .completions: "reasoning_effort"
        case .anthropic: "output_config.effort"
        case .responses: "reasoning.effort"
        case .lmstudio: "reasoning"
        }
    }
}

/// A server of which a tool is to be called, and which; nil: any.
package struct ServedChoice: Sendable, Hashable {
    package var server: String
    package var tool: String?
}

/// Where a request came from.
package struct RequestOrigin: Sendable, Hashable {
    package var dialect: DialectID
    /// Of the dialect, as the client's headers say; nil when they do not.
    package var version: String?
    package var betas: [String]
    /// Bytes of the body it was read from.
    package var bytes: Int

    package init(dialect: DialectID, version: String? = nil, betas: [String] = [], bytes: Int = 0) {
        self.dialect = dialect
        self.version = version
        self.betas = betas
        self.bytes = bytes
    }
}

/// Members of an object as they stood, in their order.
package struct RawMembers: Sendable, Hashable {
    package struct Member: Sendable, Hashable {
        package var name: String
        /// JSON text.
        package var value: ByteBuffer

        package init(name: String, value: ByteBuffer) {
            self.name = name
            self.value = value
        }
    }

    package var members: [Member]

    package init(_ members: [Member] = []) { self.members = members }

    package subscript(name: String) -> ByteBuffer? { members.first { $0.name == name }?.value }
}
