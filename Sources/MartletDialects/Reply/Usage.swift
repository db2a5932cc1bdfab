/// Tokens, as the upstream counted them. `nil` is "not reported", never zero. `input` is the whole prompt, tokens read
/// from and written to a cache included; `output` includes reasoning. Beside them what it said of the time they took.
package struct Usage: Sendable, Hashable {
    package var input: Int?
    package var cacheRead: Int?
    package var cacheWrite: Int?
    package var output: Int?
    package var reasoning: Int?
    package var timings: Timings?

    package init(
        input: Int? = nil, cacheRead: Int? = nil, cacheWrite: Int? = nil, output: Int? = nil, reasoning: Int? = nil,
        timings: Timings? = nil
    ) {
        self.timings = timings
        self.input = input
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
        self.output = output
        self.reasoning = reasoning
    }

    /// It counts nothing.
    package var isEmpty: Bool { self == Usage(timings: timings) }

    /// Of two rounds of one reply.
    package func followed(by next: Usage) -> Usage {
        var both = self + next
        guard let first = timings, let second = next.timings else { return both }
        var joined = second
        joined.timeToFirstToken = first.timeToFirstToken
        joined.modelLoadTime = first.modelLoadTime ?? second.modelLoadTime
        if let before = first.generationTime, let behind = second.generationTime {
            joined.generationTime = before + behind
            if let output = both.output, before + behind > 0 {
                joined.tokensPerSecond = Double(output) / (before + behind)
            }
        }
        if let before = first.draft, let behind = second.draft {
            joined.draft = Timings.Draft(
                total: before.total + behind.total, accepted: before.accepted + behind.accepted)
        }
        both.timings = joined
        return both
    }

    /// Takes over what a later report says; what it does not mention stays.
    package mutating func update(with later: Usage) {
        input = later.input ?? input
        cacheRead = later.cacheRead ?? cacheRead
        cacheWrite = later.cacheWrite ?? cacheWrite
        output = later.output ?? output
        reasoning = later.reasoning ?? reasoning
        timings = later.timings?.filled(from: timings ?? Timings()) ?? timings
    }
}
