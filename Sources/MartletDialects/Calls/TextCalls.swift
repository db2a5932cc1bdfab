import MartletWire
import NIOCore

/// Takes calls out of text in which the upstream left them, of a reply's first choice.
///
/// Text goes on in the deltas in which it came; only where a marker may begin within one it is cut. A reply in which
/// there is no call keeps its blocks as they are.
struct TextCalls: ReplyStage {
    private var desk: CallDesk
    private var current: CallChannel?
    /// Thinking that ended with a call: what follows decides.
    private var before: CallChannel?
    /// What is open for the client in the upstream's block's place.
    private var shown: (id: BlockID, kind: CallScanner.Kind)?
    /// New numbers by old ones, once they differ.
    private var numbers: [BlockID: BlockID] = [:]
    private var next = 0
    private var isRenumbered = false
    private var calls = 0
    private var hasText = false
    /// A marker has been seen: what the upstream sends is no longer what the client gets.
    private(set) var isCommitted = false

    /// - Parameter readsWhole: an object or list that is all of the text may be a call.
    init(_ tools: OfferedTools, readsWhole: Bool) { desk = CallDesk(tools: tools, readsWhole: readsWhole) }

    var tally: CallTally { desk.tally }
    /// Something waits for what follows.
    var holds: Bool { before != nil || current.map { $0.isClosed || $0.scanner.holds } == true }
    mutating func passes(_ block: BlockID, _ text: UnsafeRawBufferPointer) -> Bool {
        guard block.choice == 0 else { return true }
        guard !isRenumbered, before == nil else { return false }
        guard let channel = current, channel.block == block else { return true }
        guard shown?.id == block else { return false }
        return current?.scanner.skim(text) ?? false
    }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        switch event {
        case .opened(let block, let kind) where block.choice == 0: open(block, kind, into: &events)
        case .delta(let block, let text) where block == current?.block: grow(text, into: &events)
        case .delta(let block, let text): events.append(.delta(number(block), text))
        case .blob(let block, let blob) where block == current?.block:
            show(kindOfCurrent, of: block, into: &events)
            if let shown { events.append(.blob(shown.id, blob)) }
        case .blob(let block, let blob): events.append(.blob(number(block), blob))
        case .closed(let block) where block == current?.block:
            current?.isClosed = true
            // How the call in it ends depends on how the reply does.
            if current?.scanner.holds == false { closeCurrent(isNatural: true, into: &events) }
        case .closed(let block): events.append(.closed(number(block)))
        case .finished(choice: 0, let reason, let stop): finish(reason, stop, into: &events)
        case .ended:
            settle(isNatural: true, into: &events)
            events.append(event)
        default: events.append(event)
        }
    }

    private mutating func finish(_ reason: FinishReason, _ stop: EscapedText?, into events: inout [ReplyEvent]) {
        let isNatural = reason == .stop || reason == .toolCalls
        settle(isNatural: isNatural, into: &events)
        let isCall = calls > 0 && reason == .stop
        events.append(.finished(choice: 0, isCall ? .toolCalls : reason, matchedStop: isCall ? nil : stop))
    }

    /// Nothing follows.
    private mutating func settle(isNatural: Bool, into events: inout [ReplyEvent]) {
        closeCurrent(isNatural: isNatural, into: &events)
        decideThoughts(asCalls: isNatural, into: &events)
        hide(into: &events)
    }

    // MARK: - Blocks

    private mutating func open(_ block: BlockID, _ kind: BlockKind, into events: inout [ReplyEvent]) {
        closeCurrent(isNatural: true, into: &events)
        switch kind {
        case .text:
            current = CallChannel(block: block, scanner: CallScanner(.text, isFirst: !hasText && calls == 0))
        case .reasoning:
            decideThoughts(asCalls: false, into: &events)
            current = CallChannel(block: block, scanner: CallScanner(.reasoning, isFirst: false))
        case .refusal, .toolCall, .opaque:
            decideThoughts(asCalls: false, into: &events)
            hide(into: &events)
            hasText = true
            let id = newNumber(0)
            renumber(block, to: id)
            events.append(.opened(id, kind))
        }
    }

    private var kindOfCurrent: CallScanner.Kind { current?.scanner.base ?? .text }

    private mutating func grow(_ text: EscapedText, into events: inout [ReplyEvent]) {
        guard var channel = current else { return }
        current = nil  // so that what it holds has one owner while it grows
        let bytes = text.unescaped().utf8
        channel.add(text, bytes.count)
        var pieces: [CallScanner.Piece] = []
        channel.scanner.feed(bytes, &desk, into: &pieces)
        if channel.scanner.isCollecting || channel.scanner.hasThoughts { isCommitted = true }
        give(pieces, &channel, into: &events)
        current = channel
    }

    private mutating func closeCurrent(isNatural: Bool, into events: inout [ReplyEvent]) {
        guard var channel = current else { return }
        current = nil
        let wasBlank = channel.scanner.isBlank
        var pieces: [CallScanner.Piece] = []
        channel.scanner.end(isNatural: isNatural, &desk, into: &pieces)
        // White space behind a call that ended thinking is no answer.
        if before != nil, isNatural, wasBlank, channel.scanner.isBlank { pieces = [] }
        give(pieces, &channel, into: &events)
        if channel.scanner.hasThoughts {
            isCommitted = true
            decideThoughts(asCalls: false, into: &events)
            before = channel
        } else if before == nil {
            hide(into: &events)
        }
    }

    /// What is known of calls that ended thinking: the reply ended with them, or went on.
    private mutating func decideThoughts(asCalls: Bool, into events: inout [ReplyEvent]) {
        guard var channel = before else { return }
        before = nil
        var pieces: [CallScanner.Piece] = []
        channel.scanner.settle(asCalls: asCalls, &desk, into: &pieces)
        give(pieces, &channel, into: &events)
        hide(into: &events)
    }

    // MARK: - Giving

    private mutating func give(
        _ pieces: [CallScanner.Piece], _ channel: inout CallChannel, into events: inout [ReplyEvent]
    ) {
        for piece in pieces {
            switch piece {
            case .text(let kind, let count):
                decideThoughts(asCalls: false, into: &events)
                if kind == .text { hasText = true }
                show(kind, of: channel.block, into: &events)
                guard let shown else { return }
                channel.take(count) { events.append(.delta(shown.id, $0)) }
            case .call(let call, let count):
                decideThoughts(asCalls: false, into: &events)
                channel.take(count) { _ in }
                give(call, into: &events)
            case .dropped(let count):
                isCommitted = true
                channel.take(count) { _ in }
            }
        }
    }

    private mutating func give(_ call: ParsedCall, into events: inout [ReplyEvent]) {
        hide(into: &events)
        calls += 1
        isCommitted = true
        isRenumbered = true
        let id = newNumber(0)
        events.append(.opened(id, .toolCall(ToolCallHead(id: call.id, name: call.name))))
        events.append(.delta(id, EscapedText(escaping: String(buffer: call.arguments))))
        events.append(.closed(id))
    }

    private mutating func show(_ kind: CallScanner.Kind, of block: BlockID, into events: inout [ReplyEvent]) {
        guard shown?.kind != kind else { return }
        hide(into: &events)
        let id = newNumber(block.choice)
        shown = (id, kind)
        if block != id { isRenumbered = true }
        events.append(.opened(id, kind == .text ? .text : .reasoning))
    }

    private mutating func hide(into events: inout [ReplyEvent]) {
        if let shown { events.append(.closed(shown.id)) }
        shown = nil
    }

    // MARK: - Numbers

    private mutating func newNumber(_ choice: Int) -> BlockID {
        defer { next += 1 }
        return BlockID(choice: choice, index: next)
    }

    private mutating func renumber(_ block: BlockID, to id: BlockID) {
        if block != id { isRenumbered = true }
        numbers[block] = id
    }

    private func number(_ block: BlockID) -> BlockID { numbers[block] ?? block }
}
