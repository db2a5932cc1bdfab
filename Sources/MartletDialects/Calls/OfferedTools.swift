package import MartletWire
package import NIOCore

/// The tools a reply may call, with their schemas: only what was offered can become a call.
package struct OfferedTools: Sendable, Hashable {
    package struct Offer: Sendable, Hashable {
        /// As the upstream was told.
        package var name: String
        /// The client's name, where it is another.
        package var alias: String?
        /// JSON text; nil when the client gave none.
        package var schema: ByteBuffer?

        package init(name: String, alias: String? = nil, schema: ByteBuffer? = nil) {
            self.name = name
            self.alias = alias
            self.schema = schema
        }
    }

    private var offers: [Offer]
    /// `tools` of a Chat request, to be read when a reply needs them: most do not.
    private var unread: ByteBuffer?

    package init(_ offers: [Offer]) {
        self.offers = offers
        unread = nil
    }

    /// - Parameter tools: the JSON text of a Chat request's `tools`.
    package init(chat tools: ByteBuffer) {
        offers = []
        unread = tools
    }

    /// Of a request that is written for an upstream; nil when the reply may call nothing.
    init?(_ tools: [Tool], _ names: ToolNameMap, choice: ToolChoice?) {
        guard choice != .never, !tools.isEmpty else { return nil }
        self.init(
            tools.filter { !$0.isServer }.map { tool in
                let name = names.upstream(tool.name)
                return Offer(name: name, alias: name == tool.name ? nil : tool.name, schema: Self.schema(tool))
            })
    }

    private static func schema(_ tool: Tool) -> ByteBuffer? {
        switch tool.kind {
        case .typed(let type): TypedTools.form(type)?.schema.buffer
        case .custom: WrappedTool.schema
        case .function, .server: tool.schema
        }
    }

    package var isEmpty: Bool { offers.isEmpty && unread == nil }

    /// The offer a model's word for it means; nil for none.
    mutating func find(_ name: String) -> Offer? {
        read()
        if let offer = offers.first(where: { $0.name == name }) ?? offers.first(where: { $0.alias == name }) {
            return offer
        }
        guard name.hasPrefix("functions.") else { return nil }
        return find(String(name.dropFirst("functions.".count)))
    }

    /// Whether the text is how an offered name begins, or all of one.
    mutating func begins(_ text: some Collection<UInt8>) -> Bool {
        read()
        let prefix = "functions.".utf8
        if prefix.starts(with: text) || text.starts(with: prefix) && begins(Array(text.dropFirst(prefix.count))) {
            return true
        }
        return offers.contains { offer in
            offer.name.utf8.starts(with: text) || offer.alias?.utf8.starts(with: text) == true
        }
    }

    private mutating func read() {
        guard let text = unread else { return }
        unread = nil
        for tool in (try? text.rawElements()) ?? [] {
            guard let tool = try? RawObject(tool), let function = tool["function"], function.rawKind == .object,
                let form = try? RawObject(function), let name = form["name"]?.rawString?.unescaped()
            else { continue }
            offers.append(Offer(name: name, schema: form["parameters"]))
        }
    }
}

extension ChatRequest {
    /// What a reply to this request may call, for a relay; nil for nothing. The schemas
    /// are read when a reply needs them.
    package static func offeredTools(_ document: JSONDocument) throws(JSONError) -> OfferedTools? {
        guard let tools = try document.member("tools"), tools.kind == .array, tools.value.count > 2 else { return nil }
        if let choice = try document.member("tool_choice"), document.string(choice) == "none" { return nil }
        return OfferedTools(chat: document.slice(tools.value))
    }
}
