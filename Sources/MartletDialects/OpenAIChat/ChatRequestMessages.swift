import MartletWire
import NIOCore

extension ChatRequestWriter {
    mutating func writeMessages(_ turns: Turns) throws(GatewayError) {
        out.key("messages")
        out.openArray()
        let start = out.bytes.writerIndex
        writeLeading(turns.leading)
        try write(turns.turns)
        guard out.bytes.writerIndex > start else { throw .nothingSaid }
        out.closeArray()
    }

    // MARK: - System text

    private mutating func writeLeading(_ instructions: [[Part]]) {
        var groups = instructions.map { $0.compactMap(\.text).filter { !$0.isBilling } }
        if flags.systemMany != .keep { groups = [groups.flatMap { $0 }] }
        if !draft.demands.isEmpty {
            if groups.isEmpty { groups.append([]) }
            groups[groups.count - 1] += draft.demands
        }
        for group in groups { writeSystem(group) }
    }

    mutating func writeSystem(_ texts: [EscapedText]) {
        guard texts.contains(where: { !$0.isEmpty }) else { return }
        out.openObject()
        out.key("role")
        out.value("system")
        out.key("content")
        out.paragraphs(texts)
        out.closeObject()
    }

    // MARK: - The assistant's turns

    private struct Spoken {
        var texts: [EscapedText] = []
        var reasoning: [EscapedText] = []
        var calls: [ToolCall] = []
        /// By id: calls whose result says which tool it came from.
        var serverCalls: [String: ToolCall] = [:]
    }

    mutating func writeAssistant(_ items: [Item], isLast: Bool) throws(GatewayError) {
        var spoken = Spoken()
        for item in items { collect(item, into: &spoken) }
        let hasText = spoken.texts.contains { !$0.isEmpty }
        if isLast, spoken.calls.isEmpty {
            guard hasText else { return }
            guard flags.prefill else { throw .noPrefill }
            draft.context.prefill = spoken.texts.reduce(EscapedText(), +)
        }
        out.openObject()
        out.key("role")
        out.value("assistant")
        writeReasoningAndText(spoken, hasText: hasText)
        writeCalls(spoken.calls)
        out.closeObject()
    }

    private mutating func collect(_ item: Item, into spoken: inout Spoken) {
        switch item {
        case .message(_, let parts):
            for part in parts {
                switch part.content {
                case .text(let text), .refusal(let text): spoken.texts.append(text)
                default: spoken.texts += words(for: part)
                }
            }
        case .reasoning(let reasoning):
            if !reasoning.text.isEmpty { spoken.reasoning.append(reasoning.text) }
        case .toolCall(let call):
            if call.kind == .server {
                spoken.serverCalls[call.id] = call
                spoken.texts.append(call.trace)
            } else {
                spoken.calls.append(call)
            }
        case .toolResult(let result):
            let found = TextBuilder.paragraphs(result.parts.flatMap { words(for: $0) })
            if !found.isEmpty { spoken.texts.append(EscapedText(escaping: "\n") + found + EscapedText(escaping: "\n")) }
        case .instruction, .toolChange, .opaque: break
        }
    }

    private mutating func writeReasoningAndText(_ spoken: Spoken, hasText: Bool) {
        if case .field(let name) = flags.reasoningIn, !spoken.reasoning.isEmpty {
            out.key(named: name)
            out.value { out in
                for (place, text) in spoken.reasoning.enumerated() {
                    if place > 0 { out.piece("\\n") }
                    out.piece(text)
                }
            }
        }
        let tagged = flags.reasoningIn == .thinkTags ? spoken.reasoning : []
        out.key("content")
        guard hasText || !tagged.isEmpty || spoken.calls.isEmpty || flags.contentMustBeString else {
            out.null()
            return
        }
        out.value { out in
            if !tagged.isEmpty {
                out.piece("<think>\\n")
                for (place, text) in tagged.enumerated() {
                    if place > 0 { out.piece("\\n") }
                    out.piece(text)
                }
                out.piece("\\n</think>\\n\\n")
            }
            // Fragments of one text: a separator would change the prompt.
            for text in spoken.texts { out.piece(text) }
        }
    }

    private mutating func writeCalls(_ calls: [ToolCall]) {
        guard !calls.isEmpty else { return }
        out.key("tool_calls")
        out.openArray()
        for call in calls {
            out.openObject()
            out.key("id")
            out.value(flags.callIDs.fit(call.id))
            out.key("type")
            out.value("function")
            out.key("function")
            out.openObject()
            out.key("name")
            out.value(draft.context.toolNames.upstream(call.name))
            out.key("arguments")
            out.value(call.functionArguments)
            out.closeObject()
            out.closeObject()
        }
        out.closeArray()
    }

    // MARK: - Everything between

    mutating func writeUser(_ parts: [UpstreamPart]) {
        let parts = parts.filter { !$0.isEmpty }
        guard !parts.isEmpty else { return }
        out.openObject()
        out.key("role")
        out.value("user")
        out.key("content")
        let texts = parts.compactMap(\.text)
        if texts.count == parts.count {
            out.paragraphs(texts)
        } else {
            out.openArray()
            for part in parts { write(part) }
            out.closeArray()
        }
        out.closeObject()
    }

    mutating func write(_ answer: Turns.Answer, _ attached: inout AttachedMedia) {
        let id = flags.callIDs.fit(answer.call.id)
        out.openObject()
        out.key("role")
        out.value("tool")
        out.key("tool_call_id")
        out.value(id)
        out.key("content")
        writeContent(of: answer, id, &attached)
        out.closeObject()
    }
}

extension CallArguments {
    /// As the content of a string.
    var escaped: EscapedText {
        switch self {
        case .json(let text): EscapedText(escaping: String(buffer: text))
        case .text(let text): text
        }
    }
}
