import MartletWire

/// Looks for calls in one block of a reply. Bytes go in as they come; out comes what becomes of them, in their order.
///
/// Where a marker counts is in `CallMarker.Place`. Behind the marker the text is held until it is known to be a call, or
/// not to be one; then it is text again, as it came. In thinking a call counts only when nothing follows it: a model that
/// thinks on, or answers, has only considered it; one that stops there waits for the result.
struct CallScanner: Sendable {
    typealias Kind = CallGrammar.ReasonedKind

    /// What becomes of so many of the bytes that wait.
    enum Piece: Sendable {
        case text(Kind, Int)
        case call(ParsedCall, Int)
        case dropped(Int)
    }

    private enum State: Sendable {
        case looking
        case collecting(Collection)
    }

    private struct Collection: Sendable {
        var opening: CallMarker.Opening
        /// Length of the marker.
        var length: Int
        /// Where it stands in what is held.
        var start: Int
        var attempts = 0
        var end = CallEnd()
    }

    /// A call in thinking, and where it stands in what is held.
    private struct Thought: Sendable {
        var call: ParsedCall?
        var range: Range<Int>
    }

    /// Bytes that were neither given out nor dropped.
    private(set) var held: [UInt8] = []
    /// Of these, looked at.
    private var at = 0
    private var state = State.looking
    private var line = LineState()
    /// Nothing visible has come.
    private(set) var isBlank = true
    private var isBehindCall = false
    /// A form without a marker may begin here.
    private let isFirst: Bool
    let base: Kind
    /// In a message of Harmony's.
    private var message: Kind?
    private var isThinking: Bool
    private var thoughts: [Thought] = []

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
        guard held.isEmpty, !isBlank, !isBehindCall, message == nil, !isThinking || base == .reasoning else {
            return false
        }
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

    private mutating func give(_ count: Int, into pieces: inout [Piece]) {
        guard count > 0 else { return }
        pieces.append(.text(kind, count))
        remove(count)
    }

    private mutating func drop(_ count: Int, into pieces: inout [Piece]) {
        guard count > 0 else { return }
        pieces.append(.dropped(count))
        remove(count)
    }

    private mutating func remove(_ count: Int) {
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
    private mutating func see(_ desk: inout CallDesk, into pieces: inout [Piece]) {
        forget(&desk)
        if isBehindCall {
            drop(at, into: &pieces)
            isBehindCall = false
        }
        isBlank = false
    }

    /// Calls in thinking were no more than that.
    private mutating func forget(_ desk: inout CallDesk) {
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

// MARK: - Collecting

extension CallScanner {
    /// - Returns: whether looking goes on.
    private mutating func collect(
        _ given: Collection, _ desk: inout CallDesk, isEnd: Bool, isNatural: Bool, into pieces: inout [Piece]
    ) -> Bool {
        var collection = given
        let start = collection.start
        let size = held.count - start
        if isEnd, !isNatural { return fail(family(of: collection), .cutOff, end: held.count, &desk, into: &pieces) }
        if size > CallLimits.call {
            return fail(family(of: collection), .tooLong, end: held.count, &desk, into: &pieces)
        }
        if !isEnd, size > CallLimits.head {
            let mayEnd = collection.end.mayEnd(collection.opening, held, from: start + collection.length)
            if mayEnd { collection.attempts += 1 }
            state = .collecting(collection)
            guard mayEnd, collection.attempts <= CallLimits.attempts else { return false }
        }
        let reading = CallGrammar.read(
            collection.opening, held, from: start, length: collection.length, isEnd: isEnd, &desk)
        switch reading {
        case .more:
            guard isEnd else { return false }
            return fail(family(of: collection), .cutOff, end: held.count, &desk, into: &pieces)
        case .calls(let calls, let end): succeed(calls, start..<end, &desk, into: &pieces)
        case .message(let kind, let end):
            guard thoughts.isEmpty else {
                // A message behind a call: the model went on.
                at = start
                see(&desk, into: &pieces)
                give(start, into: &pieces)
                state = .collecting(Collection(opening: .channel, length: collection.length, start: 0))
                return true
            }
            drop(end, into: &pieces)
            at = 0
            message = kind
            isBlank = false
            isBehindCall = false
            line.restart()
            state = .looking
        case .broken(let family, let reason, let end): return fail(family, reason, end: end, &desk, into: &pieces)
        }
        return true
    }

    private mutating func succeed(
        _ calls: [ParsedCall], _ range: Range<Int>, _ desk: inout CallDesk, into pieces: inout [Piece]
    ) {
        state = .looking
        line.restart()
        if isThinking {
            for (place, call) in calls.enumerated() {
                let behind = range.upperBound..<range.upperBound
                thoughts.append(Thought(call: call, range: place == 0 ? range : behind))
            }
            at = range.upperBound
            return
        }
        // White space that is all there was before a call is part of its form.
        if isBlank || isBehindCall {
            drop(range.lowerBound, into: &pieces)
        } else {
            give(range.lowerBound, into: &pieces)
        }
        for (place, call) in calls.enumerated() {
            desk.tally.find(call)
            pieces.append(.call(call, place == 0 ? range.count : 0))
        }
        remove(range.count)
        at = 0
        isBlank = false
        isBehindCall = true
        message = nil
    }

    /// What looked like a call is text.
    private mutating func fail(
        _ family: CallFamily, _ reason: CallMiss, end: Int, _ desk: inout CallDesk, into pieces: inout [Piece]
    ) -> Bool {
        guard case .collecting(let collection) = state else { return false }
        desk.tally.miss(family, reason)
        state = .looking
        at = collection.start
        see(&desk, into: &pieces)
        // `see` may have dropped white space before the marker.
        let moved = collection.start - at
        for byte in held[at..<max(at, end - moved)] { line.step(byte) }
        at = max(at, end - moved)
        return true
    }

    private func family(of collection: Collection) -> CallFamily {
        switch collection.opening {
        case .tag: CallEnd.family(inTag: held[(collection.start + collection.length)...])
        case .function: .qwenXML
        case .request: .lmStudio
        case .mistral: .mistral
        case .python, .bare: .llama
        case .pythonic: .pythonic
        case .deepSeek: .deepSeek
        case .kimi: .kimi
        case .channel, .messageEnd, .thinkBegin, .thinkEnd, .remnant: .harmony
        }
    }
}
