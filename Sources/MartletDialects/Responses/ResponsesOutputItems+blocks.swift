import MartletWire
import NIOCore

extension ResponsesOutputItems {
    /// Whether reasoning of that list is what has been read so far.
    mutating func takes(_ block: ResponsesBlock, _ place: Int) -> Bool {
        guard items[place].kind == .reasoning else { return true }
        if items[place].source == nil { items[place].source = block }
        return items[place].source == block
    }

    mutating func complete(
        _ part: PartKey, _ text: EscapedText, _ place: Int, _ events: inout [ReplyEvent]
    ) {
        let item = items[place]
        guard !item.said.contains(part), !item.isUnnumbered || item.said.isEmpty else { return }
        _ = say(text, part, place, into: &events)
    }

    mutating func say(
        _ text: EscapedText, _ part: PartKey, _ place: Int, into events: inout [ReplyEvent]
    ) -> Bool {
        let isReasoning = items[place].kind == .reasoning
        if let current = open, current.place != place || !isReasoning && current.part != part {
            closeOpen(into: &events)
        }
        items[place].said.insert(part)
        var whole = true
        if open == nil {
            let kind: BlockKind = isReasoning ? .reasoning : part.isRefusal ? .refusal : .text
            let block = takeBlock()
            open = Open(place: place, part: part, block: block)
            events.append(.opened(block, kind))
            whole = false
        } else if let current = open, current.part != part {
            // The next paragraph of a summary.
            open?.part = part
            events.append(.delta(current.block, EscapedText(escaping: "\n\n")))
            whole = false
        }
        guard var current = open else { return false }
        if !current.half.isEmpty { whole = false }
        let joined = current.half.take(text)
        open = current
        if !current.half.isEmpty { whole = false }
        if !joined.isEmpty { events.append(.delta(current.block, joined)) }
        return whole
    }

    mutating func closeOpen(into events: inout [ReplyEvent]) {
        guard var closing = open else { return }
        if let rest = closing.half.end() { events.append(.delta(closing.block, rest)) }
        events.append(.closed(closing.block))
        open = nil
    }

    /// A fragment that was not read but known.
    mutating func note(_ delta: KnownDelta, of frame: SSEFrame) {
        guard open?.block != delta.block, let place = items.lastIndex(where: { $0.block == delta.block }) else {
            return
        }
        items[place].balance.take(delta.text(of: frame))
    }

    /// - Returns: whether the fragment went out.
    mutating func argue(_ place: Int, _ text: EscapedText, into events: inout [ReplyEvent]) -> Bool {
        guard !text.isEmpty else { return false }
        items[place].balance.take(text)
        guard let block = items[place].block else {
            items[place].waiting.append(text)
            return false
        }
        events.append(.delta(block, text))
        return true
    }

    mutating func openCall(_ place: Int, _ name: String, into events: inout [ReplyEvent]) {
        let item = items[place]
        guard item.kind == .function || item.kind == .custom, item.block == nil, !name.isEmpty else { return }
        closeOpen(into: &events)
        hasCalls = true
        let block = takeBlock()
        let head = ToolCallHead(
            id: item.callID.isEmpty ? item.id : item.callID, name: name,
            kind: item.kind == .custom ? .custom : .function)
        events.append(.opened(block, .toolCall(head)))
        for text in item.waiting { events.append(.delta(block, text)) }
        items[place].block = block
        items[place].waiting = []
    }

    mutating func takeBlock() -> BlockID {
        defer { nextBlock += 1 }
        return BlockID(choice: 0, index: nextBlock)
    }

    // MARK: - Ends

    mutating func finish(
        _ place: Int, _ item: ResponsesOutputItem, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) {
        guard !items[place].isDone else { return }
        name(place, item, of: data)
        switch item.kind {
        case .message:
            for (index, part) in item.content.enumerated() {
                guard let text = part.text, !text.isEmpty else { continue }
                complete(PartKey(index: index, isRefusal: part.isRefusal), data.escaped(text), place, &events)
            }
            if open?.place == place { closeOpen(into: &events) }
        case .reasoning: finishReasoning(place, item, of: data, into: &events)
        case .function, .custom:
            openCall(place, data.unescaped(item.name), into: &events)
            if items[place].balance.isEmpty {
                let value = item.argumentValue.map { EscapedText(escaping: String(buffer: data.part($0))) }
                _ = argue(place, item.arguments.map { data.escaped($0) } ?? value ?? EscapedText(), into: &events)
            }
            if let block = items[place].block { events.append(.closed(block)) }
        case .other: break
        }
        items[place].isDone = true
    }

    mutating func finishReasoning(
        _ place: Int, _ item: ResponsesOutputItem, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) {
        let source = items[place].source ?? (item.content.contains { $0.text != nil } ? .thoughts : .summary)
        if takes(source, place) {
            for (index, part) in (source == .summary ? item.summary : item.content).enumerated() {
                guard let text = part.text, !text.isEmpty else { continue }
                complete(PartKey(index: index, isRefusal: false), data.escaped(text), place, &events)
            }
        }
        if let sealed = item.sealed, !sealed.isEmpty, open?.place == place || items[place].said.isEmpty {
            if open?.place != place {
                closeOpen(into: &events)
                let block = takeBlock()
                open = Open(place: place, part: PartKey(index: 0, isRefusal: false), block: block)
                events.append(.opened(block, .reasoning))
            }
            if let rest = open?.half.end(), let block = open?.block { events.append(.delta(block, rest)) }
            if let block = open?.block {
                let text = EscapedText(data.copy(sealed))
                events.append(.blob(block, OpaqueBlob(origin: .responses, kind: .encrypted, text: text)))
            }
        }
        if open?.place == place { closeOpen(into: &events) }
    }

    /// Something the API has run itself, as it stands when it is done. Once.
    mutating func addOpaque(
        _ item: ResponsesOutputItem, index: Int?, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        let id = data.unescaped(item.id)
        let isKnown = items.contains { $0.kind == .other && (id.isEmpty ? $0.index == index : $0.id == id) }
        guard !isKnown else { return }
        closeOpen(into: &events)
        let place = try add(.other, index: index)
        items[place].id = id
        items[place].isDone = true
        let block = takeBlock()
        let json = (try? JSON(parsing: data.part(item.range))) ?? .null
        events.append(.opened(block, .opaque(.responses, json)))
        events.append(.closed(block))
    }
}
