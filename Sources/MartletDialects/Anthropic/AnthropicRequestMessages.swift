import MartletWire
import NIOCore

extension AnthropicRequestWriter {
    mutating func writeMessages(_ turns: Turns) throws(GatewayError) {
        out.key("messages")
        out.openArray()
        let start = out.bytes.writerIndex
        for (place, turn) in turns.turns.enumerated() {
            switch turn {
            case .assistant(let items): try writeAssistant(items, isLast: place == turns.turns.count - 1)
            case .gap(let gap): try writeGap(gap)
            }
        }
        guard out.bytes.writerIndex > start else { throw .nothingSaid }
        out.closeArray()
    }

    // MARK: - The assistant's turns

    private mutating func writeAssistant(_ items: [Item], isLast: Bool) throws(GatewayError) {
        var items = items
        let hasCalls = items.contains { $0.clientCall != nil }
        let texts = items.flatMap(\.texts)
        guard hasCalls || texts.contains(where: { !$0.isEmpty }) || items.contains(where: Self.isGenuine) else {
            return
        }
        if isLast, !hasCalls {
            guard flags.prefill else { throw .noPrefill }
            let text = texts.reduce(EscapedText(), +).trimmedAtEnd
            guard !text.isEmpty else { return }
            draft.context.prefill = text
            items = [.message(.assistant, [Part(.text(text))])]
        }
        open("assistant")
        for item in items { try write(item) }
        close()
    }

    private static func isGenuine(_ item: Item) -> Bool {
        if case .reasoning(let reasoning) = item { return reasoning.isGenuine }
        return false
    }

    private mutating func write(_ item: Item) throws(GatewayError) {
        switch item {
        case .message(_, let parts): for part in parts { try write(part) }
        case .reasoning(let reasoning): write(reasoning)
        case .toolCall(let call): write(call)
        case .toolResult: draft.notes.note("content.tool_result")
        case .instruction, .toolChange: break
        case .opaque(_, let name): draft.notes.note("content.\(name)")
        }
    }

    /// Only what Anthropic signed itself: it refuses any other, and its own must come back as it was.
    private mutating func write(_ reasoning: Reasoning) {
        guard reasoning.isGenuine else { return }
        for blob in reasoning.blobs where blob.origin == .anthropic {
            out.openObject()
            out.key("type")
            if blob.kind == .redacted {
                out.value("redacted_thinking")
                out.key("data")
                out.value(blob.text)
            } else {
                out.value("thinking")
                out.key("thinking")
                out.value(reasoning.text)
                out.key("signature")
                out.value(blob.text)
            }
            out.closeObject()
        }
    }

    private mutating func write(_ call: ToolCall) {
        out.openObject()
        out.key("type")
        out.value("tool_use")
        out.key("id")
        out.value(flags.callIDs.fit(call.id))
        out.key("name")
        out.value(draft.context.toolNames.upstream(call.name))
        out.key("input")
        if call.kind == .custom, case .text(let input) = call.arguments {
            out.value(json: WrappedTool.arguments(input))
        } else {
            out.value(json: call.arguments.object)
        }
        out.closeObject()
    }

    // MARK: - Everything between

    private mutating func writeGap(_ gap: Turns.Gap) throws(GatewayError) {
        var parts: [Part] = []
        var last: [Part] = []
        for piece in gap.pieces {
            switch piece {
            case .user(let more):
                // A system message may stand only at the end of a turn.
                if !last.isEmpty { parts.append(Turns.reminder(last)) }
                last = []
                parts += more
            case .system(let more): last += more
            }
        }
        parts.removeAll { isNothing($0) }
        if parts.isEmpty, gap.answers.isEmpty, !last.isEmpty {
            parts.append(Turns.reminder(last))
            last = []
        }
        if !parts.isEmpty || !gap.answers.isEmpty {
            open("user")
            for answer in gap.answers { try write(answer) }
            for part in parts { try write(part) }
            close()
        }
        if !last.isEmpty {
            open("system")
            for part in last { try write(part) }
            close()
        }
    }

    /// A part of which nothing would be written: a message of no blocks is refused.
    private mutating func isNothing(_ part: Part) -> Bool {
        switch part.content {
        case .text(let text), .refusal(let text): return text.isEmpty
        case .document(let document):
            if case .text(let text) = document.body { return text.isEmpty }
            return false
        case .opaque(_, let name):
            draft.notes.note("content.\(name)")
            return true
        case .image, .audio, .searchResult, .toolReference: return false
        }
    }

    private mutating func write(_ answer: Turns.Answer) throws(GatewayError) {
        out.openObject()
        out.key("type")
        out.value("tool_result")
        out.key("tool_use_id")
        out.value(flags.callIDs.fit(answer.call.id))
        if let result = answer.result {
            var parts = result.parts
            parts.removeAll { isNothing($0) }
            if parts.count == 1, let text = parts[0].text, parts[0].cacheControl == nil {
                out.key("content")
                out.value(text)
            } else if !parts.isEmpty {
                out.key("content")
                out.openArray()
                for part in parts { try write(part) }
                out.closeArray()
            }
            if result.isError {
                out.key("is_error")
                out.value(true)
            }
            write(cacheControl: result.cacheControl)
        } else {
            out.key("content")
            out.value(Turns.Answer.interrupted)
        }
        out.closeObject()
    }

    private mutating func open(_ role: String) {
        out.openObject()
        out.key("role")
        out.value(role)
        out.key("content")
        out.openArray()
    }

    private mutating func close() {
        out.closeArray()
        out.closeObject()
    }
}

extension CallArguments {
    /// As an object, which the API insists on: nothing is `{}`, what is no object is wrapped.
    var object: ByteBuffer {
        var text: ByteBuffer
        switch self {
        case .json(let json): text = json
        case .text(let escaped): text = ByteBuffer(string: escaped.unescaped())
        }
        if text.readableBytesView.allSatisfy({ [0x20, 0x09, 0x0A, 0x0D].contains($0) }) {
            return ByteBuffer(string: "{}")
        }
        guard let document = try? JSONDocument(checking: text) else {
            return Self.wrapped("_raw", .rawString(String(buffer: text)))
        }
        switch document.root {
        case .object: return document.slice(document.range)
        case .null: return ByteBuffer(string: "{}")
        case .string:
            // Encoded twice, by clients that quote what is quoted already.
            if let inner = text.rawString?.unescaped(), !inner.isEmpty,
                let twice = try? JSONDocument(checking: ByteBuffer(string: inner)), twice.root == .object
            {
                return twice.slice(twice.range)
            }
            return Self.wrapped("value", document.slice(document.range))
        case .array, .number, .bool: return Self.wrapped("value", document.slice(document.range))
        }
    }

    private static func wrapped(_ name: String, _ value: ByteBuffer) -> ByteBuffer {
        var object = ByteBuffer(string: "{\"\(name)\":")
        object.writeImmutableBuffer(value)
        object.writeString("}")
        return object
    }
}

extension EscapedText {
    /// Without white space at its end, which the API refuses there.
    var trimmedAtEnd: EscapedText {
        let text = unescaped()
        guard let end = text.lastIndex(where: { !$0.isWhitespace }) else { return EscapedText() }
        return text.index(after: end) == text.endIndex ? self : EscapedText(escaping: String(text[...end]))
    }
}
