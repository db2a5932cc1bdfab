/// Tokens, as the upstream counted them. `nil` is "not reported", never zero. `input` is the whole prompt, tokens read
/// from and written to a cache included; `output` includes reasoning.
package struct Usage: Sendable, Hashable {
    package var input: Int?
    package var cacheRead: Int?
    package var cacheWrite: Int?
    package var output: Int?
    package var reasoning: Int?

    package init(
        input: Int? = nil, cacheRead: Int? = nil, cacheWrite: Int? = nil, output: Int? = nil, reasoning: Int? = nil
    ) {
        self.input = input
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
        self.output = output
        self.reasoning = reasoning
    }

    package var isEmpty: Bool { self == Usage() }

    /// Takes over what a later report says; what it does not mention stays.
    package mutating func update(with later: Usage) {
        input = later.input ?? input
        cacheRead = later.cacheRead ?? cacheRead
        cacheWrite = later.cacheWrite ?? cacheWrite
        output = later.output ?? output
        reasoning = later.reasoning ?? reasoning
    }
}
