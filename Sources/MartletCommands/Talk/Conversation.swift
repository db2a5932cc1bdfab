package import MartletWire

/// A talk with a model as a terminal holds it: what is asked for, and what has been said.
package struct Conversation: Sendable, Hashable {
    private struct Turn: Sendable, Hashable {
        var question: String
        var answer: String
    }

    /// Nil: the server's default model.
    package var model: String?
    package var system: String?
    /// Tokens. Nil: left to the server.
    package var maxTokens: Int?
    package var temperature: Double?
    /// `off`, `low`, `medium`, `high` or `on`; nil: left to the model.
    package var reasoning: String?
    /// Seconds that a model stays, if this talk loads it; nil: left to the server.
    package var ttl: Int?
    /// Whether another turn may follow, so that the server shall keep this one.
    package var goesOn = false
    private var turns: [Turn] = []
    /// What the server's own memory of the talk is called; nil: it has none, or not all.
    private var kept: String?

    package init(model: String? = nil) { self.model = model }

    package var isEmpty: Bool { turns.isEmpty }

    /// Whether LM Studio's own chat will do, which takes no earlier turns, but can go on from what the server has kept,
    /// and no temperature above 1.
    package var fitsNative: Bool { ttl == nil && temperature ?? 0 <= 1 && (turns.isEmpty || kept != nil) }

    // MARK: Requests

    /// Of `POST /api/v1/chat`, which tells how far loading and reading are.
    package func nativeBody(_ question: String) -> JSON {
        var body: JSON = ["model": .string(model ?? "local-model"), "input": .string(question)]
        if let kept {
            // The system text is part of what is kept.
            body["previous_response_id"] = .string(kept)
        } else if let system {
            body["system_prompt"] = .string(system)
        }
        if let temperature { body["temperature"] = .double(temperature) }
        if let maxTokens { body["max_output_tokens"] = .int(maxTokens) }
        if let reasoning { body["reasoning"] = .string(reasoning) }
        body["store"] = .bool(goesOn)
        body["stream"] = true
        return body
    }

    /// Of `POST /v1/chat/completions`, with all that was said.
    package func chatBody(_ question: String) -> JSON {
        var messages: [JSON] = []
        func add(_ role: String, _ text: String) {
            messages.append(["role": .string(role), "content": .string(text)])
        }
        if let system { add("system", system) }
        for turn in turns {
            add("user", turn.question)
            add("assistant", turn.answer)
        }
        add("user", question)
        var body: JSON = .object([:])
        if let model { body["model"] = .string(model) }
        body["messages"] = .array(messages)
        if let maxTokens { body["max_tokens"] = .int(maxTokens) }
        if let temperature { body["temperature"] = .double(temperature) }
        if let reasoning {
            body["reasoning_effort"] = .string(reasoning == "off" ? "none" : reasoning == "on" ? "medium" : reasoning)
        }
        if let ttl { body["ttl"] = .int(ttl) }
        body["stream"] = true
        return body
    }

    /// Why a server refused a question, without a name that nobody typed.
    /// - Parameter flag: what names a model.
    package func refusal(_ message: String, flag: String) -> String {
        guard model == nil else { return message }
        return message.replacing("\"local-model\" is none of the models", with: "no model is named (\(flag))")
    }

    // MARK: What was said

    /// - Parameter kept: what the server calls its memory of all this; nil: it has none.
    package mutating func add(_ question: String, _ answer: String, kept: String?) {
        turns.append(Turn(question: question, answer: answer))
        self.kept = kept
    }

    /// The next turn sends all that was said, for the server's memory of it does not fit any more.
    package mutating func forgetKept() { kept = nil }

    /// Begins anew, with the same model and system text.
    package mutating func clear() {
        turns = []
        kept = nil
    }
}
