import MartletWire
import NIOCore

/// A content block of a request: a part of its message, or an item of its own.
enum AnthropicBlock {
    case part(Part)
    case item(Item)

    var part: Part? {
        if case .part(let part) = self { return part }
        return nil
    }

    private enum Field: String, RequestField {
        case type, text, source, title, context, content, id, name, input, thinking, signature, data, tool
        case callID = "tool_use_id"
        case isError = "is_error"
        case toolName = "tool_name"
        case serverName = "server_name"
        case cacheControl = "cache_control"
    }

    /// What a block may hold, before its type is known.
    private struct Members {
        var type: String?
        var text: EscapedText?
        var source: ByteBuffer?
        var title: EscapedText?
        var context: EscapedText?
        var content: ByteBuffer?
        var id: String?
        var name: String?
        var input: ByteBuffer?
        var thinking: EscapedText?
        var signature: EscapedText?
        var data: EscapedText?
        var tool: ByteBuffer?
        var callID: String?
        var isError = false
        var toolName: String?
        var serverName: String?
        var cacheControl: ByteBuffer?
    }

    /// A string, which is one text, or a list of blocks.
    static func list(_ walk: inout RequestWalk) throws(DialectError) -> [AnthropicBlock] {
        if try walk.kind() == .string {
            let text = try walk.escaped()
            return [.part(Part(.text(text)))]
        }
        var blocks: [AnthropicBlock] = []
        try walk.array { (walk, _) throws(DialectError) in
            if try walk.kind() == .string {
                blocks.append(.part(Part(.text(try walk.escaped()))))
            } else {
                blocks.append(try block(members(&walk)))
            }
        }
        return blocks
    }

    private static func members(_ walk: inout RequestWalk) throws(DialectError) -> Members {
        var members = Members()
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .type: members.type = try walk.string()
            case .text: members.text = try walk.escaped()
            case .source: members.source = try walk.skip()
            case .title: members.title = try walk.escapedIfAny()
            case .context: members.context = try walk.escapedIfAny()
            case .content: members.content = try walk.skip()
            case .id: members.id = try walk.stringIfAny()
            case .name: members.name = try walk.stringIfAny()
            case .input: members.input = try walk.skip()
            case .thinking: members.thinking = try walk.escapedIfAny()
            case .signature: members.signature = try walk.escapedIfAny()
            case .data: members.data = try walk.escapedIfAny()
            case .tool: members.tool = try walk.skip()
            case .callID: members.callID = try walk.stringIfAny()
            case .isError: members.isError = try walk.boolIfAny() ?? false
            case .toolName: members.toolName = try walk.stringIfAny()
            case .serverName: members.serverName = try walk.stringIfAny()
            case .cacheControl: members.cacheControl = try walk.skip()
            }
        }
        return members
    }

    private static func block(_ members: Members) throws(DialectError) -> AnthropicBlock {
        func part(_ content: Part.Content) -> AnthropicBlock {
            .part(Part(content, cacheControl: members.cacheControl))
        }
        guard let type = members.type else { throw DialectError(.unexpected, at: "type", "a block needs a type") }
        switch type {
        case "text": return part(.text(try required(members.text, "text")))
        case "image":
            guard let source = try AnthropicMedia.source(try required(members.source, "source", "an object")) else {
                return part(opaque(type))
            }
            return part(.image(Image(source: source)))
        case "document":
            guard let body = try AnthropicMedia.document(try required(members.source, "source", "an object")) else {
                return part(opaque(type))
            }
            return part(.document(Document(body: body, title: members.title, context: members.context)))
        case "search_result": return part(.searchResult(try searchResult(members)))
        case "tool_reference": return part(.toolReference(name: try required(members.toolName, "tool_name")))
        case "thinking":
            return .item(.reasoning(reasoning(members.thinking ?? EscapedText(), .signature, members.signature)))
        case "redacted_thinking": return .item(.reasoning(reasoning(EscapedText(), .redacted, members.data)))
        case "tool_use": return .item(.toolCall(try call(members, .function)))
        case "server_tool_use": return .item(.toolCall(try call(members, .server)))
        case "mcp_tool_use":
            var call = try call(members, .function)
            call.server = members.serverName ?? ""
            return .item(.toolCall(call))
        case "tool_result": return .item(.toolResult(try result(members, .client)))
        case "tool_addition": return try change(members, adds: true)
        case "tool_removal": return try change(members, adds: false)
        case _ where type.hasSuffix("_tool_result"):
            return .item(.toolResult(try result(members, .server(name: type))))
        default: return part(opaque(type))
        }
    }

    private static func opaque(_ type: String) -> Part.Content { .opaque(.anthropic, name: type) }

    private static func required<T>(
        _ value: T?, _ name: String, _ what: String = "a string"
    ) throws(DialectError) -> T {
        guard let value else { throw DialectError(.unexpected, at: name, "\(what) is required") }
        return value
    }

    private static func reasoning(
        _ text: EscapedText, _ kind: OpaqueBlob.Kind, _ blob: EscapedText?
    ) -> Reasoning {
        guard let blob, !blob.isEmpty else { return Reasoning(text: text) }
        return Reasoning(text: text, blobs: [OpaqueBlob(origin: .anthropic, kind: kind, text: blob)])
    }

    private static func call(_ members: Members, _ kind: ToolCall.Kind) throws(DialectError) -> ToolCall {
        ToolCall(
            id: try required(members.id, "id"), name: try required(members.name, "name"), kind: kind,
            arguments: .json(members.input ?? ByteBuffer(string: "{}")))
    }

    private static func result(_ members: Members, _ kind: ToolResult.Kind) throws(DialectError) -> ToolResult {
        var parts: [Part] = []
        if let content = members.content {
            do {
                parts = try RequestWalk.over(content) { (walk) throws(DialectError) in
                    if kind != .client { return try AnthropicMedia.serverContent(&walk) }
                    return try list(&walk).compactMap(\.part)
                }
            } catch {
                throw error.inside("content")
            }
        }
        return ToolResult(
            callID: try required(members.callID, "tool_use_id"), kind: kind, parts: parts,
            isError: members.isError, cacheControl: members.cacheControl)
    }

    private static func searchResult(_ members: Members) throws(DialectError) -> SearchResult {
        var texts: [EscapedText] = []
        if let content = members.content {
            texts = try RequestWalk.over(content) { (walk) throws(DialectError) in
                try list(&walk).compactMap { $0.part?.text }
            }
        }
        let source = try members.source.map { (source) throws(DialectError) in
            try RequestWalk.over(source) { (walk) throws(DialectError) in try walk.escapedIfAny() }
        }
        return SearchResult(
            title: members.title ?? EscapedText(), source: (source ?? nil) ?? EscapedText(), texts: texts)
    }

    private enum ChangeField: String, RequestField { case type, name, definition }

    private static func change(_ members: Members, adds: Bool) throws(DialectError) -> AnthropicBlock {
        guard let tool = members.tool else { return .part(Part(opaque(members.type ?? ""))) }
        do {
            return try RequestWalk.over(tool) { (walk) throws(DialectError) in
                var name: String?
                var definition: Tool?
                try walk.object(ChangeField.self) { (walk, field) throws(DialectError) in
                    switch field {
                    case .type: _ = try walk.skip()
                    case .name: name = try walk.stringIfAny()
                    case .definition: definition = try AnthropicTools.tool(&walk)
                    }
                }
                if adds, let definition { return .item(.toolChange(.add(definition))) }
                guard let name else { return .part(Part(opaque(members.type ?? ""))) }
                return .item(.toolChange(adds ? .activate(name: name) : .remove(name: name)))
            }
        } catch {
            throw error.inside("tool")
        }
    }
}
