/// Shortens a conversation that does not fit, by whole turns from its oldest on (`truncation: auto` of Responses).
package enum Truncation {
    /// The items without so many of the oldest turns that the rest fits. Instructions and changes of the tools stay, a
    /// result never stands without its call, and the last turn stays whatever it costs.
    ///
    /// - Parameters:
    ///   - limit: tokens the items may cost together.
    ///   - tokens: of one item.
    package static func fit(_ items: [Item], limit: Int, tokens: (Item) -> Int) -> [Item] {
        let costs = items.map(tokens)
        var total = costs.reduce(0, +)
        guard total > limit else { return items }
        var dropped = 0
        for start in starts(of: items).dropFirst() {
            for place in dropped..<start where !items[place].stays { total -= costs[place] }
            dropped = start
            if total <= limit { break }
        }
        return items.enumerated().filter { $0.offset >= dropped || $0.element.stays }.map(\.element)
    }

    /// Where turns begin: with what the user says after something else was said, and no call before it waits for a
    /// result behind it.
    private static func starts(of items: [Item]) -> [Int] {
        var lastResults: [String: Int] = [:]
        for (place, item) in items.enumerated() {
            if case .toolResult(let result) = item { lastResults[result.callID] = place }
        }
        var starts: [Int] = []
        /// Up to here results are still to come.
        var answered = 0
        var isUser = false
        for (place, item) in items.enumerated() {
            switch item {
            case .message(.user, _):
                if !isUser, place >= answered || starts.isEmpty { starts.append(place) }
                isUser = true
            case .toolCall(let call):
                if starts.isEmpty { starts.append(place) }
                answered = max(answered, lastResults[call.id] ?? 0)
                isUser = false
            case .message, .reasoning, .toolResult:
                if starts.isEmpty { starts.append(place) }
                isUser = false
            case .instruction, .toolChange, .opaque: break
            }
        }
        return starts
    }
}

extension CanonicalRequest {
    /// Leaves the oldest turns out of a prompt that is too long, where the client allows that, so that the rest and its
    /// reply fit. Where nobody knows what fits, the wish is reported as dropped.
    mutating func truncate(for target: WriteTarget) {
        guard settings.truncates else { return }
        guard let window = target.contextWindow else { return unread.append("truncation") }
        guard let scale = target.promptScale else { return }
        func scaled(_ tokens: Int) -> Int { Int((Double(tokens) * scale).rounded(.up)) }
        var frame = self
        frame.items.removeAll { if case .toolChange = $0 { false } else { true } }
        // A reply may be cut to what is left, but there must be something left.
        let reply = min(settings.maxTokens ?? window / 8, window / 4)
        let limit = window - reply - scaled(TokenEstimate.of(frame))
        let kept = Truncation.fit(items, limit: limit) { scaled(TokenEstimate.of($0)) }
        guard kept.count < items.count else { return }
        items = kept + [.opaque(origin.dialect, name: "oldest_turns")]
    }
}

extension Item {
    /// Never part of what is dropped.
    fileprivate var stays: Bool {
        switch self {
        case .instruction, .toolChange: true
        case .message, .reasoning, .toolCall, .toolResult, .opaque: false
        }
    }
}
