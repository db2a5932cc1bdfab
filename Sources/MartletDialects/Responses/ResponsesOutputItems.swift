import MartletWire
import NIOCore

/// The items of one Response as far as they have been read, and the blocks they have become.
///
/// A message's parts and a reasoning item are blocks, of which one is open at a time; calls stay open until they are
/// done. What deltas have said is not said again by the events that repeat it.
struct ResponsesOutputItems: Sendable {
    /// No Response has more items than this.
    private static let limit = 4096

    struct Item: Sendable {
        let kind: ResponsesOutputItem.Kind
        var index: Int?
        var id = ""
        var callID = ""
        /// The id its deltas go by, where that is another one.
        var deltaID: String?
        /// An event has announced it: deltas alone have not brought it into being.
        var isAnnounced = false
        var isDone = false
        /// Of a call; opened once its name is known.
        var block: BlockID?
        /// Fragments that came before the name.
        var waiting: [EscapedText] = []
        var balance = ArgumentBalance()
        /// Parts that have been said, wholly or in pieces.
        var said: Set<PartKey> = []
        /// Its deltas do not say which part they belong to.
        var isUnnumbered = false
        /// Where reasoning is read from: servers that fill both lists fill them with the same text.
        var source: ResponsesBlock?
        var isSealed = false
    }

    struct PartKey: Hashable, Sendable {
        var index: Int
        var isRefusal: Bool
    }

    /// The block of text or reasoning that is open.
    struct Open: Sendable {
        var place: Int
        var part: PartKey
        var block: BlockID
        var half = SurrogateJoin()
    }

    var items: [Item] = []
    var open: Open?
    var nextBlock = 0
    var hasCalls = false

    /// Every call's arguments are one whole value, or none.
    var areCallsWhole: Bool {
        items.allSatisfy { $0.kind != .function || $0.balance.isEmpty || $0.balance.isComplete }
    }

    // MARK: - Events

    mutating func announce(
        _ item: ResponsesOutputItem, at index: Int?, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        let id = data.unescaped(item.id)
        let isKnown = items.contains { $0.kind == item.kind && !id.isEmpty && $0.id == id }
        guard item.kind != .other, !isKnown else { return }
        let place = try add(item.kind, index: index)
        name(place, item, of: data)
        items[place].isAnnounced = true
        openCall(place, data.unescaped(item.name), into: &events)
    }

    /// - Returns: whether the text went out as it stands.
    mutating func grow(
        _ block: ResponsesBlock, isRefusal: Bool, _ event: ResponsesEvent, of data: ByteBuffer,
        into events: inout [ReplyEvent]
    ) throws(DialectError) -> Bool {
        guard let range = event.delta, !range.isEmpty else { return false }
        let place = try placed(event, block, data)
        if items[place].isDone { return false }
        switch block {
        case .function, .custom: return argue(place, data.escaped(range), into: &events)
        case .text, .thoughts, .summary, .part:
            guard takes(block, place) else { return false }
            if event.partIndex == nil { items[place].isUnnumbered = true }
            let part = PartKey(index: event.partIndex ?? 0, isRefusal: isRefusal)
            return say(data.escaped(range), part, place, into: &events)
        }
    }

    /// All of a part or of a call's arguments, of which deltas have said everything, or nothing.
    mutating func complete(
        _ block: ResponsesBlock, isRefusal: Bool, _ event: ResponsesEvent, of data: ByteBuffer,
        into events: inout [ReplyEvent]
    ) throws(DialectError) {
        guard let text = event.part.map({ $0.text }) ?? event.whole, !text.isEmpty else { return }
        let place = try placed(event, block, data)
        if items[place].isDone { return }
        switch block {
        case .function, .custom:
            if items[place].balance.isEmpty { _ = argue(place, data.escaped(text), into: &events) }
        case .text, .thoughts, .summary, .part:
            guard items[place].kind == .message || takes(block == .part ? .thoughts : block, place) else { return }
            let isRefusal = isRefusal || event.part?.isRefusal == true
            complete(PartKey(index: event.partIndex ?? 0, isRefusal: isRefusal), data.escaped(text), place, &events)
        }
    }

    mutating func finish(
        _ item: ResponsesOutputItem, at index: Int?, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        if item.kind == .other { return try addOpaque(item, index: index, of: data, into: &events) }
        // One that goes by another id than its deltas; of calls several may be open.
        let open = items.lastIndex { $0.kind == item.kind && !$0.isDone && $0.block == nil }
        if let known = find(item, of: data) ?? match(item, at: index) ?? open {
            finish(known, item, of: data, into: &events)
        } else {
            finish(try add(item.kind, index: index), item, of: data, into: &events)
        }
    }

    /// The items of the whole Response: those that have not been said are said now.
    mutating func finish(
        _ output: [ResponsesOutputItem], of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        var places: [Int?] = output.map { find($0, of: data) }
        for (index, item) in output.enumerated() where places[index] == nil && item.kind != .other {
            let isFree = { (place: Int) in !places.contains(place) }
            places[index] =
                match(item, at: index).flatMap { isFree($0) ? $0 : nil }
                ?? items.indices.first { items[$0].kind == item.kind && !item.isCall && isFree($0) }
        }
        for (index, item) in output.enumerated() {
            if let place = places[index] {
                finish(place, item, of: data, into: &events)
            } else if item.kind == .other {
                try addOpaque(item, index: index, of: data, into: &events)
            } else {
                finish(try add(item.kind, index: index), item, of: data, into: &events)
            }
        }
    }

    mutating func closeAll(into events: inout [ReplyEvent]) {
        closeOpen(into: &events)
        for place in items.indices where !items[place].isDone {
            items[place].isDone = true
            if let block = items[place].block { events.append(.closed(block)) }
        }
    }

    // MARK: - Which item

    mutating func add(_ kind: ResponsesOutputItem.Kind, index: Int?) throws(DialectError) -> Int {
        guard items.count < Self.limit else {
            throw DialectError(.unexpected, at: "output", "more than \(Self.limit) items")
        }
        items.append(Item(kind: kind, index: index))
        return items.count - 1
    }

    mutating func placed(
        _ event: ResponsesEvent, _ block: ResponsesBlock, _ data: ByteBuffer
    ) throws(DialectError) -> Int {
        if let place = place(of: event, block, data) { return place }
        // An item that nothing has announced.
        let place = try add(block.kind, index: event.outputIndex)
        items[place].id = data.unescaped(event.itemID)
        items[place].deltaID = items[place].id
        return place
    }

    mutating func name(_ place: Int, _ item: ResponsesOutputItem, of data: ByteBuffer) {
        let id = data.unescaped(item.id)
        if !id.isEmpty { items[place].id = id }
        let callID = data.unescaped(item.callID)
        if !callID.isEmpty { items[place].callID = callID }
    }

    /// Goes by the item's id, or its call's, which some servers use for both; then by its number; then it is the open
    /// one of its kind, unless the ids of two tell that it is another.
    private mutating func place(of event: ResponsesEvent, _ block: ResponsesBlock, _ data: ByteBuffer) -> Int? {
        let id = data.unescaped(event.itemID)
        func fits(_ item: Item) -> Bool {
            item.kind == block.kind || block == .part && item.kind == .reasoning
        }
        if !id.isEmpty {
            let known = items.lastIndex { fits($0) && ($0.id == id || $0.callID == id || $0.deltaID == id) }
            if let known { return known }
        }
        if let index = event.outputIndex, let known = items.lastIndex(where: { fits($0) && $0.index == index }) {
            return known
        }
        guard let last = items.lastIndex(where: { fits($0) && !$0.isDone }) else { return nil }
        if id.isEmpty { return last }
        guard items[last].isAnnounced, items[last].deltaID == nil else { return nil }
        items[last].deltaID = id
        return last
    }

    private func find(_ item: ResponsesOutputItem, of data: ByteBuffer) -> Int? {
        let ids = [data.unescaped(item.id), data.unescaped(item.callID)].filter { !$0.isEmpty }
        return items.firstIndex { known in
            known.kind == item.kind
                && ids.contains { $0 == known.id || $0 == known.callID || $0 == known.deltaID }
        }
    }

    private func match(_ item: ResponsesOutputItem, at index: Int?) -> Int? {
        guard let index else { return nil }
        return items.firstIndex { $0.kind == item.kind && $0.index == index }
    }
}

extension ResponsesOutputItem {
    fileprivate var isCall: Bool { kind == .function || kind == .custom }
}
