package import MartletWire
import NIOCore

extension LMStudioRequest {
    /// Reads a request of a client, expanded where it continues a stored response. What `NativeForm.extended` has is read
    /// wherever it stands: whether it may is checked before.
    ///
    /// - Parameter seal: how reasoning was sealed in items of Responses.
    /// - Throws: `invalidRequest` with the path of a member that cannot be what it should be;
    ///   `previousResponseNotFound` when it still names a response to continue from.
    package static func read(
        _ document: JSONDocument, seal: ReasoningSeal = .plain
    ) throws(GatewayError) -> CanonicalRequest {
        if let id = try state(document).previousID { throw .previousResponseNotFound(id) }
        do throws(DialectError) {
            var reader = try LMStudioRequestReader(document, seal: seal)
            var request = try reader.request()
            request.origin.bytes = document.bytes.readableBytes
            return request
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    /// What it asks of whoever keeps conversations.
    package static func state(_ document: JSONDocument) throws(GatewayError) -> ResponsesState {
        do throws(DialectError) {
            var members = try RequestMembers(document)
            var state = ResponsesState()
            state.previousID = try members.string("previous_response_id")
            state.isStored = try members.bool("store") ?? true
            state.streams = try members.bool("stream") ?? false
            return state
        } catch {
            throw GatewayError(refusing: error)
        }
    }
}

extension LMStudioRequest {
    /// The MCP servers it names, before it is known what it continues from.
    static func integrations(_ document: JSONDocument) throws(GatewayError) -> [Integration] {
        do throws(DialectError) {
            var reader = try LMStudioRequestReader(document, seal: .plain)
            return try reader.readIntegrations()
        } catch {
            throw GatewayError(refusing: error)
        }
    }
}

/// Reads the top level of a request of LM Studio's own API; its items are read as those of Responses.
struct LMStudioRequestReader {
    private let document: JSONDocument
    private let seal: ReasoningSeal
    private var members: RequestMembers
    private var settings = Settings()

    init(_ document: JSONDocument, seal: ReasoningSeal) throws(DialectError) {
        self.document = document
        self.seal = seal
        members = try RequestMembers(document)
    }

    mutating func request() throws(DialectError) -> CanonicalRequest {
        let model = try members.string("model")
        try readSettings()
        let word = try readReasoning()
        try readExtensions()
        var tools =
            try members.read("tools") { (walk) throws(DialectError) in try ChatTools.table(&walk) } ?? ToolTable()
        let choice = try members.read("tool_choice") { (walk) throws(DialectError) in try ChatTools.choice(&walk) }
        settings.toolChoice = choice?.choice
        if let allowed = choice?.allowed { tools.tools.removeAll { !allowed.contains($0.name) } }
        let conversation = try readConversation()
        _ = try members.present(Self.elsewhere)
        var request = CanonicalRequest(
            model: model ?? "", items: conversation.items, tools: tools, settings: settings, raw: members.rest,
            origin: RequestOrigin(dialect: .lmstudio), unread: conversation.unread, echo: .unsaid)
        request.integrations = try readIntegrations()
        // For an upstream that speaks this API itself.
        if let word { request.raw.members.append(.init(name: "reasoning", value: .rawString(word))) }
        if let length = try members.int("context_length") {
            request.raw.members.append(.init(name: "context_length", value: ByteBuffer(string: "\(length)")))
        }
        return request
    }

    /// Read by others, or no upstream's affair.
    private static let elsewhere = ["input", "system_prompt", "store", "previous_response_id", "ttl"]

    private func readConversation() throws(DialectError) -> ResponsesItemReader {
        var reader = ResponsesItemReader(tools: ResponsesToolReader(), seal: seal)
        let items = ByteBuffer.rawArray(try LMStudioConversation.items(document))
        do {
            try RequestWalk.over(items) { (walk) throws(DialectError) in try reader.read(&walk) }
        } catch {
            throw error.inside("input")
        }
        return reader
    }

    private mutating func readSettings() throws(DialectError) {
        settings.streams = try members.bool("stream") ?? false
        settings.maxTokens = try members.limit("max_output_tokens")
        settings.temperature = try members.number("temperature", in: 0...2)
        settings.topP = try members.number("top_p", in: 0...1)
        settings.topK = try members.number("top_k")
        settings.minP = try members.number("min_p", in: 0...1)
        settings.repeatPenalty = try members.number("repeat_penalty")
    }

    /// - Returns: the word.
    private mutating func readReasoning() throws(DialectError) -> String? {
        settings.effortTurnsOn = true
        guard let word = try members.string("reasoning") else { return nil }
        switch word {
        case "off": settings.thinking = .off
        // Where there is nothing to switch on, it is an effort like others.
        case "on": settings.effort = .medium
        default: settings.take(effort: word)
        }
        return word
    }

    private enum IntegrationField: String, RequestField {
        case type, id, headers
        case label = "server_label"
        case url = "server_url"
        case allowedTools = "allowed_tools"
    }

    mutating func readIntegrations() throws(DialectError) -> [Integration] {
        try members.read("integrations") { (walk) throws(DialectError) in
            var list: [Integration] = []
            try walk.array { (walk, _) throws(DialectError) in list.append(try Self.integration(&walk)) }
            return list
        } ?? []
    }

    /// The id of a plugin, or what it is and which of its tools.
    private static func integration(_ walk: inout RequestWalk) throws(DialectError) -> Integration {
        if try walk.kind() == .string { return Integration(.installed(label: label(of: try walk.string()))) }
        var id: String?
        var (label, url, headers) = ("", "", [String: String]())
        var allowed: [String]?
        try walk.object(IntegrationField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: _ = try walk.string()
            case .id: id = try walk.string()
            case .label: label = try walk.string()
            case .url: url = try walk.string()
            case .headers: headers = try Self.headers(&walk)
            case .allowedTools:
                var names: [String] = []
                try walk.array { (walk, _) throws(DialectError) in names.append(try walk.string()) }
                allowed = names
            }
        }
        if let id { return Integration(.installed(label: self.label(of: id)), allowedTools: allowed) }
        return Integration(.ephemeral(label: label, url: url, headers: headers), allowedTools: allowed)
    }

    private static func headers(_ walk: inout RequestWalk) throws(DialectError) -> [String: String] {
        guard try walk.kind() == .object, let given = try? RawObject(walk.skip()) else {
            throw DialectError(.unexpected, "an object of strings was expected")
        }
        var headers: [String: String] = [:]
        for member in given.members {
            guard let value = member.value.rawString else {
                throw DialectError(.unexpected, at: String(member.name.prefix(64)), "a string was expected")
            }
            headers[member.name] = value.unescaped()
        }
        return headers
    }

    /// `mcp/files` is the server `files`.
    private static func label(of id: String) -> String { id.hasPrefix("mcp/") ? String(id.dropFirst(4)) : id }

    private mutating func readExtensions() throws(DialectError) {
        settings.seed = try members.number("seed")
        settings.stops =
            try members.read("stop") { (walk) throws(DialectError) in
                try walk.kind() == .string ? [walk.string()].filter { !$0.isEmpty } : walk.stops()
            } ?? []
        settings.parallelCalls = try members.bool("parallel_tool_calls")
        settings.format = try members.read("response_format") { (walk) throws(DialectError) in
            try ChatRequestReader.format(&walk)
        }
    }
}
