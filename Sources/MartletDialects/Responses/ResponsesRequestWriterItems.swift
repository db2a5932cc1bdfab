import MartletWire
import NIOCore

extension ResponsesRequestWriter {
    mutating func writeInput(_ turns: Turns) throws(GatewayError) {
        out.key("input")
        out.openArray()
        try write(turns.turns)
        out.closeArray()
    }

    // MARK: - The assistant's turns

    mutating func writeAssistant(_ items: [Item], isLast: Bool) throws(GatewayError) {
        let said = items.lastIndex { Self.says($0) }
        if isLast, let said, !items.contains(where: { $0.clientCall != nil }) {
            guard flags.prefill else { throw .noPrefill }
            draft.context.prefill = items[...said].flatMap(\.texts).reduce(EscapedText(), +)
        }
        for (place, item) in items.enumerated() {
            switch item {
            case .message(_, let parts): writeAssistant(parts)
            // The API refuses reasoning that led to nothing.
            case .reasoning(let reasoning): if let said, place < said { write(reasoning) }
            case .toolCall(let call): write(call)
            case .toolResult(let result):
                let found = TextBuilder.paragraphs(result.parts.flatMap { words(for: $0) })
                if !found.isEmpty { writeAssistant([Part(.text(found))]) }
            case .instruction, .toolChange: break
            case .opaque(_, let name): draft.notes.note("content.\(name)")
            }
        }
    }

    /// An item that reasoning can have led to.
    private static func says(_ item: Item) -> Bool {
        item.clientCall != nil || item.texts.contains { !$0.isEmpty }
    }

    /// Fragments of one text stay parts of their own, which nothing joins or separates.
    private mutating func writeAssistant(_ parts: [Part]) {
        var said: [(text: EscapedText, isRefusal: Bool)] = []
        for part in parts {
            switch part.content {
            case .text(let text): said.append((text, false))
            case .refusal(let text): said.append((text, true))
            default: said += words(for: part).map { ($0, false) }
            }
        }
        said.removeAll { $0.text.isEmpty }
        guard !said.isEmpty else { return }
        open("assistant")
        for (text, isRefusal) in said {
            out.openObject()
            out.key("type")
            if isRefusal {
                out.value("refusal")
                out.key("refusal")
            } else {
                out.value("output_text")
                out.key("text")
            }
            out.value(text)
            out.closeObject()
        }
        close()
    }

    /// What the upstream sealed goes back as it was, and its summary with it. Where it takes reasoning as text it gets
    /// that, and else none: what another model thought means nothing to it.
    private mutating func write(_ reasoning: Reasoning) {
        let blobs = reasoning.blobs.map { OpaqueBlob(marked: $0.text) ?? $0 }
        let sealed = blobs.last { $0.origin == .responses && $0.kind == .encrypted }
        if sealsReasoning {
            guard let sealed else { return }
            openReasoning()
            out.key("summary")
            write(reasoning.text, as: "summary_text")
            out.key("encrypted_content")
            out.value(sealed.text)
            out.closeObject()
        } else if flags.reasoningIn != .none, !reasoning.text.isEmpty {
            openReasoning()
            out.key("id")
            out.value("rs_" + Digest.hex(reasoning.text.unescaped(), digits: 48))
            out.key("summary")
            out.value(json: ByteBuffer(string: "[]"))
            out.key("content")
            write(reasoning.text, as: "reasoning_text")
            out.closeObject()
        }
    }

    private mutating func openReasoning() {
        out.openObject()
        out.key("type")
        out.value("reasoning")
    }

    private mutating func write(_ text: EscapedText, as type: String) {
        out.openArray()
        if !text.isEmpty {
            out.openObject()
            out.key("type")
            out.value(type)
            out.key("text")
            out.value(text)
            out.closeObject()
        }
        out.closeArray()
    }

    private mutating func write(_ call: ToolCall) {
        guard call.kind != .server else { return writeAssistant([Part(.text(call.trace))]) }
        out.openObject()
        out.key("type")
        out.value("function_call")
        out.key("call_id")
        out.value(flags.callIDs.fit(call.id))
        out.key("name")
        out.value(draft.context.toolNames.upstream(call.name))
        out.key("arguments")
        out.value(call.functionArguments)
        out.closeObject()
    }

    // MARK: - Everything between

    mutating func writeUser(_ parts: [UpstreamPart]) { write(parts, as: "user") }

    mutating func writeSystem(_ texts: [EscapedText]) {
        write(texts.map { .text($0) }, as: flags.developerRole ? "developer" : "system")
    }

    private mutating func write(_ parts: [UpstreamPart], as role: String) {
        let parts = parts.filter { !$0.isEmpty }
        guard !parts.isEmpty else { return }
        open(role)
        for part in parts { write(part) }
        close()
    }

    private mutating func open(_ role: String) {
        out.openObject()
        out.key("type")
        out.value("message")
        out.key("role")
        out.value(role)
        out.key("content")
        out.openArray()
    }

    private mutating func close() {
        out.closeArray()
        out.closeObject()
    }

    mutating func write(_ answer: Turns.Answer, _ attached: inout AttachedMedia) {
        let id = flags.callIDs.fit(answer.call.id)
        out.openObject()
        out.key("type")
        out.value("function_call_output")
        out.key("call_id")
        out.value(id)
        out.key("output")
        writeContent(of: answer, id, &attached)
        out.closeObject()
    }
}
