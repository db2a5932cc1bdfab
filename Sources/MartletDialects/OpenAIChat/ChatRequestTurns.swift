import MartletWire
import NIOCore

/// Reads `messages`.
struct ChatRequestTurns {
    private(set) var items: [Item] = []
    /// What has no place in a conversation of another dialect.
    private(set) var unread: [String] = []
    /// Anything but system text has been said.
    private var hasBegun = false
    /// Calls so far, for those without an id: a pure function of their place.
    private var calls = 0
    /// The id of the last `function_call`, which its result does not repeat.
    private var functionCallID = ""

    static func read(_ walk: inout RequestWalk) throws(DialectError) -> ChatRequestTurns {
        var turns = ChatRequestTurns()
        try walk.array { (walk, index) throws(DialectError) in
            guard index < RequestLimits.messages else {
                throw DialectError(.unexpected, "more than \(RequestLimits.messages) messages")
            }
            try turns.add(try Message.read(&walk))
        }
        return turns
    }

    private mutating func add(_ message: Message) throws(DialectError) {
        if message.isNamed, message.role != "tool", message.role != "function" { unread.append("messages.name") }
        if message.isSpoken { unread.append("messages.audio") }
        switch message.role {
        case "system", "developer":
            let parts = message.parts.asInstruction(omitting: &unread)
            guard !parts.isEmpty else { return }
            items.append(
                .instruction(
                    Instruction(
                        voice: message.role == "system" ? .system : .developer,
                        scope: hasBegun ? .positional : .leading, parts: parts)))
            return
        case "user":
            if !message.parts.isEmpty { items.append(.message(.user, message.parts)) }
        case "assistant": addAssistant(message)
        case "tool":
            guard let id = message.callID else {
                throw DialectError(.unexpected, at: "tool_call_id", "the id of a call is required")
            }
            items.append(.toolResult(ToolResult(callID: id, parts: message.parts)))
        case "function": items.append(.toolResult(ToolResult(callID: functionCallID, parts: message.parts)))
        case let role?: throw ChatRequestTurns.unknownRole(role)
        case nil: throw DialectError(.unexpected, at: "role", "a role is required")
        }
        hasBegun = true
    }

    static func unknownRole(_ role: String) -> DialectError {
        DialectError(
            .unexpected, at: "role", "\"\(role.prefix(64))\" is not a role; use system, user, assistant or tool")
    }

    private mutating func addAssistant(_ message: Message) {
        if !message.thinking.isEmpty {
            items += message.thinking.map { .reasoning($0) }
        } else if let text = message.reasoning, !text.isEmpty {
            items.append(.reasoning(Reasoning(text: text)))
        }
        var parts = message.parts
        if let refusal = message.refusal, !refusal.isEmpty { parts.append(Part(.refusal(refusal))) }
        if !parts.isEmpty { items.append(.message(.assistant, parts)) }
        items += message.calls.unknown.map { .opaque(.chat, name: "tool_calls.\($0)") }
        for var call in message.calls.known {
            if call.id.isEmpty { call.id = "call_\(calls)" }
            calls += 1
            items.append(.toolCall(call))
        }
        if var call = message.functionCall {
            call.id = "call_\(calls)"
            calls += 1
            functionCallID = call.id
            items.append(.toolCall(call))
        }
    }
}

extension ChatRequestTurns {
    /// One message, before its role is looked at.
    fileprivate struct Message {
        var role: String?
        var parts: [Part] = []
        var callID: String?
        var refusal: EscapedText?
        var reasoning: EscapedText?
        var thinking: [Reasoning] = []
        var calls = ChatRequestCalls.Calls()
        var functionCall: ToolCall?
        /// It says who of several speaks.
        var isNamed = false
        /// It is an answer in speech that the API keeps.
        var isSpoken = false

        private enum Field: String, RequestField {
            case role, content, refusal, reasoning, name, audio
            case callID = "tool_call_id"
            case calls = "tool_calls"
            case functionCall = "function_call"
            case reasoningContent = "reasoning_content"
            case thinking = "thinking_blocks"
        }

        static func read(_ walk: inout RequestWalk) throws(DialectError) -> Message {
            var message = Message()
            try walk.object(Field.self) { (walk, field) throws(DialectError) in
                if try walk.takeNull() { return }
                switch field {
                case .role: message.role = try walk.string()
                case .content: message.parts = try ChatRequestContent.parts(&walk)
                case .refusal: message.refusal = try walk.escapedIfAny()
                case .callID: message.callID = try walk.string()
                case .calls: message.calls = try ChatRequestCalls.list(&walk)
                case .functionCall: message.functionCall = try ChatRequestCalls.function(&walk)
                case .reasoningContent: message.reasoning = try walk.escapedIfAny() ?? message.reasoning
                case .reasoning:
                    // A mirror of the other field; that one comes first.
                    let mirror = try walk.escapedIfAny()
                    message.reasoning = message.reasoning ?? mirror
                case .name: message.isNamed = try walk.stringIfAny()?.isEmpty == false
                case .audio:
                    _ = try walk.skip()
                    message.isSpoken = true
                case .thinking: message.thinking = try ChatRequestCalls.thinking(&walk)
                }
            }
            return message
        }
    }
}
