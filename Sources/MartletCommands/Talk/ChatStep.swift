package import MartletWire

/// What a streamed answer tells, of LM Studio's own chat and of Chat Completions alike.
package enum ChatStep: Sendable, Hashable {
    /// There is no room for the model yet; why.
    case waiting(String)
    /// How far the model is loaded, 0 to 1.
    case loading(Double)
    case loaded(seconds: Double)
    /// How far the prompt is read, 0 to 1.
    case reading(Double)
    case reasoning(String)
    case text(String)
    /// A tool that the server runs.
    case tool(String)
    case failed(String)
    case ended(ChatEnd)

    /// An event of `POST /api/v1/chat`; nil: it tells nothing that is shown.
    package init?(native event: JSON) {
        switch event["type"]?.string {
        case "model_load.start": self = .loading(0)
        case "model_load.progress": self = .loading(event["progress"]?.double ?? 0)
        case "model_load.end": self = .loaded(seconds: event["load_time_seconds"]?.double ?? 0)
        case "prompt_processing.start": self = .reading(0)
        case "prompt_processing.progress": self = .reading(event["progress"]?.double ?? 0)
        case "prompt_processing.end": self = .reading(1)
        case "reasoning.delta": self = .reasoning(event["content"]?.string ?? "")
        case "message.delta": self = .text(event["content"]?.string ?? "")
        case "tool_call.arguments": self = .tool(event["tool"]?.string ?? "a tool")
        case "error": self = .failed(Self.message(event["error"]) ?? "the answer failed")
        case "chat.end": self = .ended(ChatEnd(native: event["result"] ?? .null))
        default: return nil
        }
    }

    /// What a chunk of Chat Completions tells.
    package static func steps(chunk: JSON) -> [ChatStep] {
        if let error = chunk["error"] { return [.failed(message(error) ?? "the answer failed")] }
        var steps: [ChatStep] = []
        if let choice = chunk["choices"]?[0] {
            let delta = choice["delta"]
            if let text = delta?["reasoning_content"]?.string, !text.isEmpty { steps.append(.reasoning(text)) }
            if let text = delta?["content"]?.string, !text.isEmpty { steps.append(.text(text)) }
            if let reason = choice["finish_reason"]?.string {
                var end = ChatEnd()
                end.isCut = reason == "length"
                steps.append(.ended(end))
            }
        }
        return steps
    }

    private static func message(_ error: JSON?) -> String? { error?["message"]?.string ?? error?.string }
}

/// What is known of an answer once it is whole.
package struct ChatEnd: Sendable, Hashable {
    /// What the server calls its memory of the talk.
    package var kept: String?
    /// The answer was cut at the limit of tokens.
    package var isCut = false
    package var outputTokens: Int?
    package var tokensPerSecond: Double?
    /// Seconds to the first token.
    package var firstToken: Double?

    package init() {}

    init(native result: JSON) {
        kept = result["response_id"]?.string
        let stats = result["stats"]
        outputTokens = stats?["total_output_tokens"]?.int
        tokensPerSecond = stats?["tokens_per_second"]?.double
        firstToken = stats?["time_to_first_token_seconds"]?.double
    }

    /// `12 tokens, 34.5 tokens/s, the first after 0.20 s`; nil: nothing is known.
    package var statistics: String? {
        let parts = [
            outputTokens.map { "\($0) \($0 == 1 ? "token" : "tokens")" },
            tokensPerSecond.map { "\(Shown.fixed($0, places: 1)) tokens/s" },
            firstToken.map { "the first after \(Shown.seconds($0))" },
        ].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
