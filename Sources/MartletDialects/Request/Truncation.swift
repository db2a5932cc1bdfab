/// Shortens a conversation that does not fit, by whole turns from its oldest on (`truncation: auto` of Responses).
package enum Truncation {
    /// The items without so many of the oldest turns that the rest fits. Instructions and changes of the tools stay, a
    /// result never stands without its call, and the last turn stays whatever it costs.
    ///
    /// - Parameters:
    ///   - limit: tokens the items may cost together.
    ///   - tokens: of one item, as counted for the model; an estimate would drop turns that fit.
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

extension Item {
    /// Never part of what is dropped.
    fileprivate var stays: Bool {
        switch self {
        case .instruction, .toolChange: true
        case .message, .reasoning, .toolCall, .toolResult, .opaque: false
        }
    }
}
