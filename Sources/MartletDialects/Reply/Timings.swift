/// How long a reply took, in seconds, and what of it was drafted. `nil` is "not reported", never zero.
package struct Timings: Sendable, Hashable {
    /// From the request to the first token. Of one that tells how long it read the prompt: that long.
    package var timeToFirstToken: Double?
    /// From the first token to the last.
    package var generationTime: Double?
    /// Of the reply.
    package var tokensPerSecond: Double?
    /// Of what was read of the prompt and did not come from a cache.
    package var promptTokensPerSecond: Double?
    /// The load that this request brought about; nil where the model was there.
    package var modelLoadTime: Double?
    package var draft: Draft?

    /// Tokens of a smaller model that the larger one has looked at.
    package struct Draft: Sendable, Hashable {
        package var total: Int
        package var accepted: Int

        package init(total: Int, accepted: Int) {
            self.total = total
            self.accepted = accepted
        }
    }

    package init(
        timeToFirstToken: Double? = nil, generationTime: Double? = nil, tokensPerSecond: Double? = nil,
        promptTokensPerSecond: Double? = nil, modelLoadTime: Double? = nil, draft: Draft? = nil
    ) {
        self.timeToFirstToken = timeToFirstToken
        self.generationTime = generationTime
        self.tokensPerSecond = tokensPerSecond
        self.promptTokensPerSecond = promptTokensPerSecond
        self.modelLoadTime = modelLoadTime
        self.draft = draft
    }

    var isEmpty: Bool { self == Timings() }

    /// These, and what they do not tell from the other.
    package func filled(from other: Timings) -> Timings {
        Timings(
            timeToFirstToken: timeToFirstToken ?? other.timeToFirstToken,
            generationTime: generationTime ?? other.generationTime,
            tokensPerSecond: tokensPerSecond ?? other.tokensPerSecond,
            promptTokensPerSecond: promptTokensPerSecond ?? other.promptTokensPerSecond,
            modelLoadTime: modelLoadTime ?? other.modelLoadTime, draft: draft ?? other.draft)
    }
}

/// Measures one reply for a client that is told how long it took. Who writes the reply notes its first token and asks at
/// the end; nothing is done for the tokens between.
package struct Stopwatch: Sendable {
    /// Nanoseconds, of a clock that only goes forward.
    private let now: @Sendable () -> UInt64
    private let start: @Sendable () -> UInt64?
    private let pauses: @Sendable () -> UInt64
    private var first: UInt64?
    /// There were pauses before the first token: more was generated before it, which its client does not get.
    private var hasPaused = false

    /// - Parameters:
    ///   - start: when the request was sent; nil while it waits for that, as for a model that is loaded.
    ///   - pauses: how long there was nothing to generate so far, as while tools were run.
    package init(
        since start: @escaping @Sendable () -> UInt64?, without pauses: @escaping @Sendable () -> UInt64 = { 0 },
        now: @escaping @Sendable () -> UInt64
    ) {
        self.pauses = pauses
        self.start = start
        self.now = now
    }

    /// Something of the reply is there; what comes later is of no interest.
    package mutating func noteToken() {
        guard first == nil else { return }
        first = now()
        hasPaused = pauses() > 0
    }

    /// What the upstream told of the reply that ends now, and as measured what it did not tell. Where no first token was
    /// noted, which is so for replies that come whole, all of the time is both.
    package func timings(of usage: Usage) -> Timings {
        let end = now()
        let told = usage.timings ?? Timings()
        let start = start() ?? end
        let first = told.timeToFirstToken ?? Self.seconds(start, self.first ?? end)
        let began = hasPaused ? start : self.first ?? start
        let generation = told.generationTime ?? Self.seconds(began + pauses(), end)
        var rate: Double?
        if let output = usage.output, generation > 0 { rate = Double(output) / generation }
        return told.filled(
            from: Timings(timeToFirstToken: first, generationTime: generation, tokensPerSecond: rate))
    }

    private static func seconds(_ from: UInt64, _ to: UInt64) -> Double {
        to > from ? Double(to - from) / 1e9 : 0
    }
}
