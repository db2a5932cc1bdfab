import MartletWire

/// Looks for calls in one block of a reply. Bytes go in as they come; out comes what becomes of them, in their order.
///
/// Where a marker counts is in `CallMarker.Place`. Behind the marker the text is held until it is known to be a call,
/// or not to be one; then it is text again, as it came. In thinking a call counts only when nothing follows it: a model
/// that thinks on, or answers, has only considered it; one that stops there waits for the result.
struct CallScanner: Sendable {
    typealias Kind = CallGrammar.ReasonedKind

    /// What becomes of so many of the bytes that wait.
    enum Piece: Sendable {
        case text(Kind, Int)
        case call(ParsedCall, Int)
        case dropped(Int)
    }

    enum State: Sendable {
        case looking
        case collecting(Collection)
    }

    struct Collection: Sendable {
        var opening: CallMarker.Opening
        /// Length of the marker.
        var length: Int
        /// Where it stands in what is held.
        var start: Int
        var attempts = 0
        var hasBeenRead = false
        var end = CallEnd()
    }

    /// A call in thinking, and where it stands in what is held.
    struct Thought: Sendable {
        var call: ParsedCall?
        var range: Range<Int>
    }

    /// Bytes that were neither given out nor dropped.
    var held: [UInt8] = []
    /// Of these, looked at.
    var at = 0
    var state = State.looking
    var line = LineState()
    /// Nothing visible has come.
    var isBlank = true
    var isBehindCall = false
    /// A form without a marker may begin here.
    private let isFirst: Bool
    let base: Kind
    /// In a message of Harmony's.
    var message: Kind?
    var isThinking: Bool
    var thoughts: [Thought] = []

    /// - Parameters:
    ///   - kind: of the block.
    ///   - isFirst: nothing to be seen came before it.
    init(_ kind: Kind, isFirst: Bool) {
        base = kind
        isThinking = kind == .reasoning
        self.isFirst = isFirst
    }

    /// Bytes wait.
    var holds: Bool { !held.isEmpty }
    /// A marker is complete, and what follows it is being read.
    var isCollecting: Bool { if case .collecting = state { true } else { false } }
    var hasThoughts: Bool { !thoughts.isEmpty }

    /// Whether a delta, still escaped, is text and nothing else. Then it counts as taken, as often as it is asked.
    mutating func skim(_ text: UnsafeRawBufferPointer) -> Bool {
        guard held.isEmpty, !isBlank, !isBehindCall, message == nil else { return false }
        // The tag that ends thinking counts in code too, which is skimmed with less care.
        guard !isThinking || base == .reasoning || !line.isFenced else { return false }
        return line.skim(text)
    }

    mutating func feed(_ bytes: some Sequence<UInt8>, _ desk: inout CallDesk, into pieces: inout [Piece]) {
        held += bytes
        advance(&desk, isEnd: false, isNatural: false, into: &pieces)
    }

    /// The block has ended. What waits is decided, but for thoughts.
    /// - Parameter isNatural: by itself, and not at a limit.
    mutating func end(isNatural: Bool, _ desk: inout CallDesk, into pieces: inout [Piece]) {
        advance(&desk, isEnd: true, isNatural: isNatural, into: &pieces)
        guard thoughts.isEmpty else { return }
        give(held.count, into: &pieces)
    }

    /// Decides on calls in thinking, when it is known what follows them.
    mutating func settle(asCalls: Bool, _ desk: inout CallDesk, into pieces: inout [Piece]) {
        guard asCalls else {
            forget(&desk)
            return give(held.count, into: &pieces)
        }
        let thoughts = thoughts
        self.thoughts = []
        var done = 0
        for thought in thoughts {
            keep(done..<thought.range.lowerBound, into: &pieces)
            if let call = thought.call {
                desk.tally.find(call)
                pieces.append(.call(call, thought.range.count))
            } else {
                pieces.append(.dropped(thought.range.count))
            }
            done = thought.range.upperBound
        }
        keep(done..<held.count, into: &pieces)
        held = []
        at = 0
    }

    /// What stands between calls: text unless it is white space.
    private func keep(_ range: Range<Int>, into pieces: inout [Piece]) {
        guard !range.isEmpty else { return }
        let isSpace = held[range].allSatisfy(NearJSON.isSpace)
        pieces.append(isSpace ? .dropped(range.count) : .text(kind, range.count))
    }

    private var kind: Kind { message ?? base }

    mutating func give(_ count: Int, into pieces: inout [Piece]) {
        guard count > 0 else { return }
        pieces.append(.text(kind, count))
        remove(count)
    }

    mutating func drop(_ count: Int, into pieces: inout [Piece]) {
        guard count > 0 else { return }
        pieces.append(.dropped(count))
        remove(count)
    }

    mutating func remove(_ count: Int) {
        held.removeFirst(count)
        at = max(0, at - count)
    }
}

// MARK: - Looking

extension CallScanner {
    private mutating func advance(
        _ desk: inout CallDesk, isEnd: Bool, isNatural: Bool, into pieces: inout [Piece]
    ) {
        while true {
            let goesOn: Bool
            switch state {
            case .looking: goesOn = look(&desk, isEnd: isEnd, into: &pieces)
            case .collecting(let collection):
                goesOn = collect(collection, &desk, isEnd: isEnd, isNatural: isNatural, into: &pieces)
            }
            if !goesOn { return }
        }
    }

    /// - Returns: whether something began.
    private mutating func look(_ desk: inout CallDesk, isEnd: Bool, into pieces: inout [Piece]) -> Bool {
        if desk.isOff { at = held.count }
        while at < held.count {
            let match = desk.isOff ? .none : match(&desk)
            switch match {
            case .partial where !isEnd:
                flush(&desk, into: &pieces)
                return false
            case .full(let opening, let length):
                if begin(opening, length, &desk, into: &pieces) { return true }
            case .partial, .none:
                let byte = held[at]
                if !NearJSON.isSpace(byte) { see(&desk, into: &pieces) }
                line.step(byte)
                at += 1
            }
        }
        flush(&desk, into: &pieces)
        return false
    }

    /// Something visible that is no marker.
    mutating func see(_ desk: inout CallDesk, into pieces: inout [Piece]) {
        forget(&desk)
        if isBehindCall {
            drop(at, into: &pieces)
            isBehindCall = false
        }
        isBlank = false
    }

    /// Calls in thinking were no more than that.
    mutating func forget(_ desk: inout CallDesk) {
        for thought in thoughts { if let call = thought.call { desk.tally.miss(call.family, .thought) } }
        thoughts = []
    }

    /// Gives out what has been looked at and need not wait.
    private mutating func flush(_ desk: inout CallDesk, into pieces: inout [Piece]) {
        if at > CallLimits.call { forget(&desk) }
        guard thoughts.isEmpty else { return }
        if isBehindCall {
            drop(at, into: &pieces)
        } else if !isBlank {
            give(at, into: &pieces)
        } else if at > CallLimits.space {
            isBlank = false
            give(at, into: &pieces)
        }
    }

    private func match(_ desk: inout CallDesk) -> CallMarker.Match {
        let byte = held[at]
        guard byte == UInt8(ascii: "<") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") else { return .none }
        let rest = held[at...]
        if isThinking, base == .text {
            // The tag ends thinking whatever was open in it.
            let match = CallMarker.match(CallMarker.thinkEnds, rest) { _ in true }
            if match != .none { return match }
        }
        guard !line.isFenced else { return .none }
        if message != nil { return CallMarker.match(CallMarker.harmony, rest) { _ in true } }
        if isBehindCall || !thoughts.isEmpty {
            let match = CallMarker.match(CallMarker.remnants, rest) { _ in true }
            if match != .none { return match }
        }
        let isStart = line.isStart || isBehindCall
        let isPlain = line.isPlain || isBehindCall
        let match = CallMarker.match(CallMarker.all, rest) { place in
            switch place {
            case .line: isStart
            case .anywhere: isPlain
            case .beginning: isBlank && base == .text && !isThinking && !isBehindCall
            case .behindCall: false
            }
        }
        guard case .none = match, isBlank, isFirst, base == .text, !isThinking, !isBehindCall, desk.readsWhole else {
            return match
        }
        return WholeProbe.match(rest, &desk.tools)
    }

    /// - Returns: whether there is more to be read before looking goes on.
    private mutating func begin(
        _ opening: CallMarker.Opening, _ length: Int, _ desk: inout CallDesk, into pieces: inout [Piece]
    ) -> Bool {
        switch opening {
        case .thinkBegin:
            pass(length)
            isBlank = false
            isThinking = true
            line.restart()
        case .thinkEnd:
            pass(length)
            isBlank = false
            isThinking = base == .reasoning
            line = LineState()
        case .messageEnd:
            flush(&desk, into: &pieces)
            message = nil
            leave(length, into: &pieces)
        case .remnant:
            if thoughts.isEmpty {
                leave(length, into: &pieces)
            } else {
                thoughts.append(Thought(call: nil, range: at..<at + length))
                at += length
            }
        default:
            flush(&desk, into: &pieces)
            state = .collecting(Collection(opening: opening, length: length, start: at))
            return true
        }
        return false
    }

    /// Steps over text that is part of the reply and no marker of a call.
    private mutating func pass(_ length: Int) {
        for byte in held[at..<at + length] { line.step(byte) }
        at += length
    }

    /// Drops a token; what follows is at a beginning.
    private mutating func leave(_ length: Int, into pieces: inout [Piece]) {
        drop(at + length, into: &pieces)
        isBehindCall = true
        line.restart()
    }
}
