/// The memory a load takes: one number, or one for each context it could have.
package struct LoadSize: Sendable, Hashable {
    /// An automatic context is at least this, or the trained length where that is less…
    package static let leastContext = 2048
    /// …and models nobody uses are unloaded for its sake only as long as it is below this.
    package static let comfortableContext = 8192

    private indirect enum Kind: Sendable, Hashable {
        case fixed
        /// The context is fitted to what is free.
        case fitted(ModelFacts, MemoryEstimate.Load, comfortable: Int64)
        /// The context was asked for; the facts say which one would fit where this one does not.
        case asked(ModelFacts, MemoryEstimate.Load)
    }

    /// Bytes below which nothing can be loaded.
    package let least: Int64
    private let kind: Kind
    /// Bytes of what is loaded beside it, in `least` and in `comfortable`.
    private let beside: Int64

    /// A load of which no more is known.
    package init(bytes: Int64) {
        least = bytes
        kind = .fixed
        beside = 0
    }

    /// - Parameters:
    ///   - load: its context does not matter.
    ///   - context: nil: as much as fits.
    ///   - beside: bytes of a further model, whatever the context.
    package init(_ facts: ModelFacts, _ load: MemoryEstimate.Load, context: Int?, beside: Int64 = 0) {
        var load = load
        self.beside = beside
        func bytes(_ context: Int) -> Int64 {
            load.context = context
            return Self.sum(MemoryEstimate(facts, load).total, beside)
        }
        if let context {
            least = bytes(context)
            kind = .asked(facts, load)
        } else if let trained = facts.trainedContext {
            least = bytes(min(trained, Self.leastContext))
            kind = .fitted(facts, load, comfortable: bytes(min(trained, Self.comfortableContext)))
        } else {
            // Nobody knows how far such a model looks back.
            least = bytes(Self.comfortableContext)
            kind = .asked(facts, load)
        }
    }

    /// Bytes that have to be free before it is loaded, of which at most `room` ever can be; nil: it cannot be loaded.
    func needed(in room: Int64) -> Int64? {
        guard least <= room else { return nil }
        switch kind {
        case .fixed, .asked: return least
        case .fitted(let facts, var load, let comfortable):
            guard comfortable > room else { return comfortable }
            load.context = MemoryEstimate.largestContext(facts, fitting: room - beside, load) ?? Self.leastContext
            return min(room, Self.sum(MemoryEstimate(facts, load).total, beside))
        }
    }

    /// The context it gets and the bytes it takes where so many are free, which are as many as it needs. A context that
    /// is fitted takes at most half of what is free beyond the comfortable one: else the first model loaded would leave
    /// nothing to the second, and each would unload the other.
    func fitted(to free: Int64) -> (context: Int?, bytes: Int64) {
        switch kind {
        case .fixed: return (nil, least)
        case .asked(_, let load): return (load.context, least)
        case .fitted(let facts, var load, let comfortable):
            let most = free > comfortable ? comfortable + (free - comfortable) / 2 : free
            load.context =
                MemoryEstimate.largestContext(facts, fitting: most - beside, load)
                ?? min(facts.trainedContext ?? Self.leastContext, Self.leastContext)
            return (load.context, Self.sum(MemoryEstimate(facts, load).total, beside))
        }
    }

    /// The largest context with which it would fit, where that is less than it asks for.
    func contextFitting(_ room: Int64) -> Int? {
        guard case .asked(let facts, let load) = kind,
            let context = MemoryEstimate.largestContext(facts, fitting: room - beside, load), context < load.context
        else { return nil }
        return context
    }

    /// Of numbers that are not negative.
    private static func sum(_ bytes: Int64, _ more: Int64) -> Int64 {
        let (sum, overflow) = bytes.addingReportingOverflow(more)
        return overflow ? .max : sum
    }
}
