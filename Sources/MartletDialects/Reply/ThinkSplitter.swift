import MartletWire
import NIOCore

/// Takes thinking in tags out of the text: only at its start, and only once. A tail that may become a tag is held back.
struct ThinkSplitter: ReplyStage {
    private enum State: Sendable {
        /// Nothing has been decided.
        case start
        /// In thinking; the tag that ends it.
        case inside
        /// Behind the closing tag: line ends are dropped until the text begins.
        case behind
        case done
    }

    /// Bytes of white space that may come before an opening tag; behind more of it the text has begun.
    private static let longestStart = 1024

    /// What thinking may stand in. Clients' own prompts ask for `<thinking>`, too, and read it in the text.
    enum Tags: Sendable { case think, all }

    private let opening: [[UInt8]]
    private let closing: [[UInt8]]
    private let startsInside: Bool
    private var state = State.start
    /// The upstream's text block.
    private var block: BlockID?
    private var held: [UInt8] = []
    /// What is open for the client in its place.
    private var shown: (id: BlockID, kind: BlockKind)?
    /// New numbers by old ones: there may be a block more than the upstream has opened.
    private var numbers: [BlockID: BlockID] = [:]
    private var next: [Int: Int] = [:]
    private var isRenumbered = false
    /// A tag has been found: what the upstream sends is no longer what the client gets.
    private(set) var hasSplit = false

    /// - Parameter startsInside: the prompt ended with an opening tag.
    init(_ tags: Tags = .all, startsInside: Bool = false) {
        let names = tags == .all ? ["think>", "thinking>"] : ["think>"]
        opening = names.map { Array("<\($0)".utf8) }
        closing = names.map { Array("</\($0)".utf8) }
        self.startsInside = startsInside
    }

    /// The beginning of a text waits for what follows.
    var holds: Bool { !hasSplit && !held.isEmpty }

    /// The text has begun without a tag: from here on nothing changes.
    var isOver: Bool {
        guard case .done = state else { return false }
        return !hasSplit && !isRenumbered
    }

    mutating func passes(_ block: BlockID, _ text: UnsafeRawBufferPointer) -> Bool {
        block != self.block && !isRenumbered
    }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        switch event {
        case .opened(let opened, .text) where state != .done && opened.choice == 0: block = opened
        case .opened(let opened, let kind):
            let id = number(opened.choice)
            renumber(opened, to: id)
            events.append(.opened(id, kind))
        case .delta(let grown, let text):
            if grown == block {
                held += text.unescaped().utf8
                split(into: &events)
                if case .done = state, let shown {
                    renumber(grown, to: shown.id)
                    block = nil
                }
            } else {
                events.append(.delta(numbers[grown] ?? grown, text))
            }
        case .blob(let block, let blob): events.append(.blob(numbers[block] ?? block, blob))
        case .closed(let closed) where closed == block:
            flush(into: &events)
            block = nil
        case .closed(let closed): events.append(.closed(numbers[closed] ?? closed))
        default: events.append(event)
        }
    }

    private mutating func split(into events: inout [ReplyEvent]) {
        if case .start = state {
            let text = held.drop { Self.isSpace($0) }
            if held.count - text.count > Self.longestStart {
                begin()
            } else if text.isEmpty {
                return
            } else if let tag = opening.first(where: { text.starts(with: $0) }) {
                state = .inside
                hasSplit = true
                held = Array(text.dropFirst(tag.count))
            } else if opening.contains(where: { $0.starts(with: text) }) {
                return
            } else {
                begin()
            }
        }
        if case .inside = state { splitInside(into: &events) }
        if case .behind = state {
            held = Array(held.drop { $0 == 0x0A || $0 == 0x0D })
            if !held.isEmpty { state = .done }
        }
        if case .done = state {
            emit(held[...], as: .text, into: &events)
            held = []
        }
    }

    private mutating func splitInside(into events: inout [ReplyEvent]) {
        if shown == nil { held = Array(held.drop { $0 == 0x0A || $0 == 0x0D }) }
        for start in held.indices where held[start] == UInt8(ascii: "<") {
            let rest = held[start...]
            if let tag = closing.first(where: { rest.starts(with: $0) }) {
                emit(held[..<start], as: .reasoning, into: &events)
                close(into: &events)
                held = Array(rest.dropFirst(tag.count))
                state = .behind
                return
            }
            if closing.contains(where: { $0.starts(with: rest) }) {
                emit(held[..<start], as: .reasoning, into: &events)
                held = Array(rest)
                return
            }
        }
        emit(held[...], as: .reasoning, into: &events)
        held = []
    }

    /// The upstream's text block has ended: what was held back is what it looked like. Another text is none of it.
    private mutating func flush(into events: inout [ReplyEvent]) {
        switch state {
        case .start:
            begin()
            emit(held[...], as: startsInside ? .reasoning : .text, into: &events)
        case .inside: emit(held[...], as: .reasoning, into: &events)
        case .behind, .done: break
        }
        held = []
        state = .done
        close(into: &events)
    }

    private mutating func emit(_ bytes: ArraySlice<UInt8>, as kind: BlockKind, into events: inout [ReplyEvent]) {
        guard !bytes.isEmpty else { return }
        if shown?.kind != kind {
            close(into: &events)
            let id = number(0)
            shown = (id, kind)
            events.append(.opened(id, kind))
        }
        guard let shown else { return }
        events.append(.delta(shown.id, EscapedText(escaping: String(decoding: bytes, as: UTF8.self))))
    }

    private mutating func close(into events: inout [ReplyEvent]) {
        if let shown { events.append(.closed(shown.id)) }
        shown = nil
    }

    /// The text begins without a tag.
    private mutating func begin() {
        state = startsInside ? .inside : .done
        hasSplit = startsInside
    }

    private mutating func renumber(_ block: BlockID, to id: BlockID) {
        if block != id { isRenumbered = true }
        numbers[block] = id
    }

    private mutating func number(_ choice: Int) -> BlockID {
        defer { next[choice, default: 0] += 1 }
        return BlockID(choice: choice, index: next[choice, default: 0])
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }
}
