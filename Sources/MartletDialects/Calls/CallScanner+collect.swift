import MartletWire

/// What follows a marker, until it is known what it is.
extension CallScanner {
    /// - Returns: whether looking goes on.
    mutating func collect(
        _ given: Collection, _ desk: inout CallDesk, isEnd: Bool, isNatural: Bool, into pieces: inout [Piece]
    ) -> Bool {
        var collection = given
        let start = collection.start
        let size = held.count - start
        if size > CallLimits.call {
            return fail(family(of: collection), .tooLong, end: start + CallLimits.call, &desk, into: &pieces)
        }
        if !isEnd, size > CallLimits.head, collection.hasBeenRead {
            let mayEnd = collection.end.mayEnd(collection.opening, held, from: start + collection.length)
            if mayEnd { collection.attempts += 1 }
            state = .collecting(collection)
            guard mayEnd, collection.attempts <= CallLimits.attempts else { return false }
        }
        collection.hasBeenRead = true
        state = .collecting(collection)
        let reading = CallGrammar.read(
            collection.opening, held, from: start, length: collection.length, isEnd: isEnd && isNatural, &desk)
        switch reading {
        case .more:
            guard isEnd else { return false }
            return fail(family(of: collection), .cutOff, end: held.count, &desk, into: &pieces)
        case .calls(let calls, let end) where desk.tally.calls + thoughts.count + calls.count > CallLimits.calls:
            return fail(calls.first?.family ?? .hermes, .tooMany, end: end, &desk, into: &pieces)
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
