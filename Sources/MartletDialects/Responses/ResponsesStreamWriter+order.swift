import MartletWire
import NIOCore

/// The order of items, and how they end.
extension ResponsesStreamWriter {
    /// Of the item before one that begins nothing may come any more but its end.
    mutating func endBefore(_ place: Int, into out: inout ByteBuffer) {
        cool()
        if !items[place - 1].isCall, items[place - 1].done == nil {
            endText(place - 1, into: &out)
            endItem(place - 1, into: &out)
        } else if items[place - 1].isClosed {
            complete(place - 1, into: &out)
        }
    }

    /// Whether what stands before it has to be told first, or what it is shows only at its end.
    mutating func hasToWait(_ place: Int) -> Bool {
        if place > 0, items[place - 1].isHeld || items[place - 1].isGrowing() { return true }
        return items[place].isBuiltin && !items[place].isClosed
    }

    /// Puts items into the stream when the calls before them have their arguments.
    /// - Parameter all: whether they have them or not.
    mutating func release(all: Bool, into out: inout ByteBuffer) {
        // The held ones are the last.
        guard items.last?.isHeld == true, let first = items.firstIndex(where: \.isHeld) else { return }
        for place in first..<items.count {
            guard all || !hasToWait(place) else { return }
            items[place].isHeld = false
            items[place].settleForm()
            let text = EscapedText(items[place].text)
            announce(place, hasText: items[place].isCall || !text.isEmpty, into: &out)
            if !text.isEmpty { writeDelta(text, of: place, into: &out) }
        }
    }

    /// Says what is done: what the upstream has closed, and text and reasoning that something else follows.
    /// - Parameter all: nothing will follow at all.
    mutating func settle(all: Bool, into out: inout ByteBuffer) {
        if all { keepPromise(into: &out) }
        cool()
        if all {
            for place in items.indices {
                items[place].isClosed = true
                if !items[place].isHeld { complete(place, into: &out) }
            }
            release(all: true, into: &out)
        }
        var settled: [Int] = []
        for place in items.indices where items[place].done == nil && !items[place].isHeld {
            guard all || !items[place].awaitsRun && (items[place].isClosed || !items[place].isCall) else { continue }
            settled.append(place)
        }
        for place in settled { endText(place, into: &out) }
        for place in settled { endItem(place, into: &out) }
    }

    /// Writes what is left of an item's text.
    private mutating func complete(_ place: Int, into out: inout ByteBuffer) {
        guard !items[place].isComplete else { return }
        items[place].isComplete = true
        items[place].isClosed = true
        if items[place].input != nil {
            var rest = ByteBuffer()
            items[place].input?.end(into: &rest)
            add(EscapedText(rest), to: place, into: &out)
        } else if let half = items[place].join.end() {
            add(half, to: place, into: &out)
        }
        if items[place].isFunction, items[place].text.readableBytes == 0,
            place < items.count - 1 || status(place) == .completed
        {
            // Clients parse the arguments whatever they are.
            add(EscapedText(escaping: "{}"), to: place, into: &out)
        }
    }

    /// A call has been run: it is done, unless one before it is not even told.
    mutating func ran(_ block: BlockID, _ run: ToolRun, into out: inout ByteBuffer) {
        guard let place = items.lastIndex(where: { $0.block == block }) else { return }
        cool()
        items[place].isClosed = true
        items[place].run = run
        release(all: false, into: &out)
        guard !items[place].isHeld else { return }
        endText(place, into: &out)
        let item = items[place]
        if !isWhole {
            let names = ResponsesEventNames(item.kind, isOpenResponses: isOpenResponses)
            let word = run.reason == nil ? "completed" : "failed"
            writeEvent("mcp_call.\(word)", into: &out) { $0.writeString(item.place(names)) }
        }
        endItem(place, into: &out)
    }

    private func status(_ place: Int) -> ResponsesItem.Status {
        items[place].status(finish, isLast: place == items.count - 1)
    }

    private mutating func endText(_ place: Int, into out: inout ByteBuffer) {
        complete(place, into: &out)
        let status = status(place)
        items[place].done = items[place].json(
            status, sealed: items[place].sealed(seal, keepsReasoning: echo.sealsReasoning))
        guard !isWhole else { return }
        let item = items[place]
        let names = ResponsesEventNames(item.kind, isOpenResponses: isOpenResponses)
        guard let text = names.text, item.isCall || item.text.readableBytes > 0 else { return }
        writeEvent("\(text).done", into: &out) {
            $0.writeString(item.place(names))
            item.writeDone(names, into: &$0)
        }
        writePartEvent("done", item, names, isEmpty: false, into: &out)
    }

    private mutating func endItem(_ place: Int, into out: inout ByteBuffer) {
        guard !isWhole, let json = items[place].done else { return }
        writeEvent("output_item.done", into: &out) {
            $0.writeString(",\"output_index\":\(place),\"item\":")
            $0.writeImmutableBuffer(json)
        }
    }
}
