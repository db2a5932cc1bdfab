import MartletWire
import NIOCore

/// Reads `messages` and `system`.
enum AnthropicTurns {
    private enum MessageField: String, RequestField {
        case role, content
        case output = "output_config"
        case clearAt = "clear_at"
    }

    private struct Message {
        var role: String?
        var blocks: [AnthropicBlock] = []
        var effort: String?
        var clearsAtNextUserTurn = false
    }

    /// What all messages come to.
    struct Conversation {
        var items: [Item] = []
        /// The word of the last system message that asks for one.
        var effort: String?
        /// Names of what system messages hold beside texts.
        var unread: [String] = []
    }

    static func read(_ walk: inout RequestWalk) throws(DialectError) -> Conversation {
        var read = Conversation()
        try walk.array { (walk, index) throws(DialectError) in
            guard index < RequestLimits.messages else {
                throw DialectError(.unexpected, "more than \(RequestLimits.messages) messages")
            }
            let message = try message(&walk)
            switch message.role {
            case "user": add(message.blocks, of: .user, to: &read.items)
            case "assistant": add(message.blocks, of: .assistant, to: &read.items)
            case "system":
                addInstruction(message, to: &read)
                read.effort = message.effort ?? read.effort
            case let role?:
                throw DialectError(
                    .unexpected, at: "role", "\"\(role.prefix(64))\" is not a role; use user or assistant")
            case nil: throw DialectError(.unexpected, at: "role", "a role is required")
            }
        }
        markServed(&read.items)
        return read
    }

    /// What came of calls to MCP servers, which were run for the client, is told as it was then.
    private static func markServed(_ items: inout [Item]) {
        var calls: [String: ToolCall] = [:]
        for place in items.indices {
            switch items[place] {
            case .toolCall(let call) where call.server != nil: calls[call.id] = call
            case .toolResult(var result) where result.kind == .server(name: "mcp_tool_result"):
                result.kind = .client
                if !result.isError {
                    let call = calls[result.callID]
                    result.parts = ToolContent.parts(result.parts, of: call?.name, at: call?.server)
                }
                items[place] = .toolResult(result)
            default: break
            }
        }
    }

    private static func message(_ walk: inout RequestWalk) throws(DialectError) -> Message {
        var message = Message()
        var hasContent = false
        try walk.object(MessageField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .role: message.role = try walk.string()
            case .content:
                if try walk.takeNull() { return }
                hasContent = true
                message.blocks = try AnthropicBlock.list(&walk)
            case .output: message.effort = try effort(&walk)
            case .clearAt: message.clearsAtNextUserTurn = try walk.stringIfAny() == "next_user_message"
            }
        }
        guard hasContent || message.role != "user" else {
            throw DialectError(.unexpected, at: "content", "a string or a list of blocks is required")
        }
        return message
    }

    private enum OutputField: String, RequestField { case effort }

    private static func effort(_ walk: inout RequestWalk) throws(DialectError) -> String? {
        var effort: String?
        guard try walk.kind() == .object else {
            _ = try walk.skip()
            return nil
        }
        try walk.object(OutputField.self) { (walk, _) throws(DialectError) in
            effort = try walk.stringIfAny()
        }
        return effort
    }

    /// Blocks become items where they are more than parts of a message.
    private static func add(_ blocks: [AnthropicBlock], of role: Role, to items: inout [Item]) {
        var parts: [Part] = []
        func flush() {
            if !parts.isEmpty { items.append(.message(role, parts)) }
            parts = []
        }
        for block in blocks {
            switch block {
            case .part(let part): parts.append(part)
            case .item(let item):
                flush()
                items.append(item)
            }
        }
        flush()
    }

    private static func addInstruction(_ message: Message, to read: inout Conversation) {
        let parts = message.blocks.compactMap(\.part).asInstruction(omitting: &read.unread)
        if !parts.isEmpty {
            read.items.append(
                .instruction(
                    Instruction(
                        voice: .system, scope: .positional, parts: parts,
                        clearsAtNextUserTurn: message.clearsAtNextUserTurn)))
        }
        for case .item(let item) in message.blocks {
            if case .toolChange = item { read.items.append(item) }
        }
    }
}
