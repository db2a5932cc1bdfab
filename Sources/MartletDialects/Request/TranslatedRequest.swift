import MartletWire
package import NIOCore

/// What a request is written for.
package struct WriteTarget: Sendable, Hashable {
    /// What the request leaves open and the configuration does not.
    package struct Defaults: Sendable, Hashable {
        package var temperature: Double?
        package var topP: Double?
        /// Tokens. For dialects that demand a limit it also stands for the model's own maximum.
        package var maxTokens: Int?
        package var effort: Effort?

        package init(
            temperature: Double? = nil, topP: Double? = nil, maxTokens: Int? = nil, effort: Effort? = nil
        ) {
            self.temperature = temperature
            self.topP = topP
            self.maxTokens = maxTokens
            self.effort = effort
        }
    }

    /// The upstream's name for the model.
    package var model: String
    package var capabilities: Capabilities
    /// The upstream is to stream, whatever the client asked for.
    package var streams: Bool
    /// Tokens; nil: unknown.
    package var contextWindow: Int?
    /// The most tokens the model gives in one reply; nil: unknown.
    package var replyLimit: Int?
    package var defaults: Defaults
    /// Set where the prompt is too long: its tokens, for each that is estimated.
    package var promptScale: Double?
    /// What cannot be honoured at best effort is refused and not dropped.
    package var isStrict: Bool
    /// The client's name of the one tool that is shown without its schema.
    package var bareTool: String?

    package init(
        model: String, capabilities: Capabilities, streams: Bool, contextWindow: Int? = nil,
        replyLimit: Int? = nil, defaults: Defaults = Defaults(), promptScale: Double? = nil, isStrict: Bool = false,
        bareTool: String? = nil
    ) {
        self.model = model
        self.capabilities = capabilities
        self.streams = streams
        self.contextWindow = contextWindow
        self.replyLimit = replyLimit
        self.defaults = defaults
        self.promptScale = promptScale
        self.isStrict = isStrict
        self.bareTool = bareTool
    }

    /// Tokens that a prompt leaves of a known window.
    /// - Parameter estimate: of the prompt. It is high: a floor keeps a long conversation from getting no reply at all.
    func room(beside estimate: Int) -> Int? {
        contextWindow.map { window in max(window - estimate, min(1024, max(1, window / 8))) }
    }

    /// For the schema of a tool's arguments.
    func profile(of tool: Tool) -> SchemaProfile { tool.name == bareTool ? .bare : capabilities.schemaProfile }
}

/// A request in an upstream's dialect.
package struct TranslatedRequest: Sendable, Hashable {
    package var body: ByteBuffer
    /// Names of what had no counterpart, each once, in the order of their appearance; fit for a header's value.
    package var dropped: [String]
    package var context: ReplyContext
    /// Set: nothing is sent, the gateway answers this itself.
    package var answer: LocalAnswer?

    package init(body: ByteBuffer, dropped: [String], context: ReplyContext, answer: LocalAnswer? = nil) {
        self.body = body
        self.dropped = dropped
        self.context = context
        self.answer = answer
    }
}

/// A reply that needs no model.
package enum LocalAnswer: Sendable, Hashable {
    /// `max_tokens: 0`: the cache was to be prepared; an empty reply.
    case nothing
    /// Only tools were offered, or forced, that the API runs itself and nobody here does.
    case unavailable(tool: String, type: String)
}

extension CanonicalRequest {
    /// Set where no model is needed.
    var localAnswer: LocalAnswer? {
        if settings.maxTokens == 0 { return .nothing }
        var hosted: Tool?
        if case .tool(let name) = settings.toolChoice {
            hosted = tools[name].flatMap { $0.isServer ? $0 : nil }
        } else if tools.isServerOnly, settings.toolChoice != .never {
            hosted = tools.tools.first
        }
        guard let hosted, case .server(let type) = hosted.kind else { return nil }
        return .unavailable(tool: hosted.name, type: type)
    }
}

extension LocalAnswer {
    /// The reply, as events for any stream writer or fold.
    ///
    /// - Parameters:
    ///   - id: of the reply.
    ///   - callID: of the call that was not made; `srvtoolu_` and what follows.
    ///   - input: tokens of the prompt, as estimated.
    package func events(id: String, callID: String, model: String, input: Int) -> [ReplyEvent] {
        var events: [ReplyEvent] = [.started(id: id, model: model)]
        var output = 0
        if case .unavailable(let tool, let type) = self {
            let sentence = "The tool \(tool) is not available here."
            for (index, block) in [call(tool, callID), result(type, callID)].enumerated() {
                let place = BlockID(choice: 0, index: index)
                events += [.opened(place, .opaque(.anthropic, block)), .closed(place)]
            }
            let place = BlockID(choice: 0, index: 2)
            events += [
                .opened(place, .text), .delta(place, EscapedText(escaping: sentence)), .closed(place),
            ]
            output = sentence.utf8.count / 3
        }
        events += [
            .usage(Usage(input: input, output: output)), .finished(choice: 0, .stop, matchedStop: nil), .ended,
        ]
        return events
    }

    private func call(_ tool: String, _ id: String) -> JSON {
        ["type": "server_tool_use", "id": .string(id), "name": .string(tool), "input": [:]]
    }

    private func result(_ type: String, _ id: String) -> JSON {
        let kinds = ["web_search", "web_fetch", "code_execution"]
        let kind = kinds.first(where: type.hasPrefix) ?? "web_search"
        return [
            "type": "\(kind)_tool_result", "tool_use_id": .string(id),
            "content": ["type": "\(kind)_tool_result_error", "error_code": "unavailable"],
        ]
    }
}
