import MartletWire
import NIOCore

/// Ends the visible text at a stop string, for upstreams that do not do it themselves. A tail that may become one is
/// held back; the match that is complete first counts, as it would where tokens are sampled.
struct StopMatcher: ReplyStage {
    private let stops: [[UInt8]]
    private let firsts: Set<UInt8>
    private var block: BlockID?
    private var held: [UInt8] = []
    private var hasMatched = false

    init(_ stops: [String]) {
        self.stops = stops.filter { !$0.isEmpty }.map { Array($0.utf8) }
        firsts = Set(self.stops.compactMap(\.first))
    }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        guard !hasMatched else { return }
        switch event {
        case .opened(let opened, .text):
            block = opened
            events.append(event)
        case .delta(let grown, let text) where grown == block: match(grown, text, into: &events)
        case .closed(let closed) where closed == block:
            block = nil
            emit(closed, held[...], into: &events)
            held = []
            events.append(event)
        default: events.append(event)
        }
    }

    private mutating func match(_ block: BlockID, _ text: EscapedText, into events: inout [ReplyEvent]) {
        if held.isEmpty,
            !text.bytes.readableBytesView.contains(where: { $0 == UInt8(ascii: "\\") || firsts.contains($0) })
        {
            return events.append(.delta(block, text))
        }
        let known = held.count
        held += text.unescaped().utf8
        for end in known..<held.count {
            // Several may end here: the longest began first.
            let ending = stops.filter { held[...end].ends(with: $0) }.max { $0.count < $1.count }
            guard let ending else { continue }
            hasMatched = true
            emit(block, held[...(end - ending.count)], into: &events)
            events.append(.closed(block))
            let stop = EscapedText(escaping: String(decoding: ending, as: UTF8.self))
            events.append(.finished(choice: block.choice, .stop, matchedStop: stop))
            events.append(.ended)
            return
        }
        let longest = min(held.count, (stops.map(\.count).max() ?? 1) - 1)
        let tail = (0...longest).reversed().first { count in
            stops.contains { $0.count > count && held.ends(with: $0.prefix(count)) }
        }
        let safe = held.count - (tail ?? 0)
        emit(block, held[..<safe], into: &events)
        held.removeFirst(safe)
    }

    private func emit(_ block: BlockID, _ bytes: ArraySlice<UInt8>, into events: inout [ReplyEvent]) {
        guard !bytes.isEmpty else { return }
        events.append(.delta(block, EscapedText(escaping: String(decoding: bytes, as: UTF8.self))))
    }
}

extension BidirectionalCollection where Element: Equatable {
    fileprivate func ends(with tail: some BidirectionalCollection<Element>) -> Bool {
        reversed().starts(with: tail.reversed())
    }
}
