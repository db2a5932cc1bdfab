/// The memory a load takes: one number, or one for each context it could have.
package struct LoadSize: Sendable, Hashable {
    /// An automatic context is at least this, or the trained length where that is less…
    package static let leastContext = 2048
    /// …and models nobody uses are unloaded for its sake only as long as it is below this.
    package static let comfortableContext = 8192
    /// A slot more is made only where each then has this, or the trained length: a conversation of a coding agent.
    package static let roomyContext = 32_768

    private indirect enum Kind: Sendable, Hashable {
        case fixed
        /// The context is fitted to what is free.
        case fitted(Parts, comfortable: Int64)
        /// The context was asked for; the parts say which one would fit where this one does not.
        case asked(Parts, Int)
    }

    /// What a load gets.
    struct Fit: Sendable, Hashable {
        /// Tokens of each slot's window; nil: that is not known.
        var context: Int?
        /// Nil: as many as were asked for.
        var slots: Int?
        var bytes: Int64
    }

    /// Bytes below which nothing can be loaded.
    package let least: Int64
    private let kind: Kind

    /// A load of which no more is known.
    package init(bytes: Int64) {
        least = bytes
        kind = .fixed
    }

    /// - Parameters:
    ///   - load: its context does not matter.
    ///   - context: nil: as much as fits.
    ///   - mayHaveFewerSlots: nobody chose how many there are.
    ///   - draft: the model that writes drafts for it, whose context is as long.
    ///   - beside: bytes of what else comes with it, whatever the context.
    package init(
        _ facts: ModelFacts, _ load: MemoryEstimate.Load, context: Int?, mayHaveFewerSlots: Bool = false,
        draft: ModelFacts? = nil, beside: Int64 = 0
    ) {
        let parts = Parts(
            facts: facts, load: load, mayHaveFewerSlots: mayHaveFewerSlots, draft: draft, beside: beside)
        if let context {
            least = parts.bytes(context)
            kind = .asked(parts, context)
        } else if let trained = facts.trainedContext {
            least = parts.bytes(min(trained, Self.leastContext))
            kind = .fitted(parts, comfortable: parts.bytes(min(trained, Self.comfortableContext)))
        } else {
            // Nobody knows how far such a model looks back.
            least = parts.bytes(Self.comfortableContext)
            kind = .asked(parts, Self.comfortableContext)
        }
    }

    private init(_ kind: Kind, least: Int64) {
        self.kind = kind
        self.least = least
    }

    /// The same with so many bytes more, whatever the context.
    func grown(by bytes: Int64) -> LoadSize {
        func grown(_ parts: Parts) -> Parts {
            var parts = parts
            parts.beside = Parts.sum(parts.beside, bytes)
            return parts
        }
        let kind: Kind =
            switch self.kind {
            case .fixed: .fixed
            case .asked(let parts, let context): .asked(grown(parts), context)
            case .fitted(let parts, let comfortable):
                .fitted(grown(parts), comfortable: Parts.sum(comfortable, bytes))
            }
        return LoadSize(kind, least: Parts.sum(least, bytes))
    }

    /// Bytes for whose sake models that nobody uses are unloaded.
    package var comfortable: Int64 {
        if case .fitted(_, let comfortable) = kind { comfortable } else { least }
    }

    /// Bytes that have to be free before it is loaded, of which at most `room` ever can be; nil: it cannot be loaded.
    func needed(in room: Int64) -> Int64? {
        guard least <= room else { return nil }
        switch kind {
        case .fixed, .asked: return least
        case .fitted(let parts, let comfortable):
            guard comfortable > room else { return comfortable }
            return min(room, parts.bytes(parts.largestContext(fitting: room) ?? Self.leastContext))
        }
    }

    /// What it gets where so many bytes are free, which are as many as it needs. A context that is fitted takes at most
    /// half of what is free beyond the comfortable one, and leaves room for the largest of the others that finds room
    /// beside that: else the first model loaded would leave nothing to the second, and each would unload the other.
    ///
    /// - Parameter others: what each of the models needs that may be wanted beside it; bytes.
    func fitted(to free: Int64, beside others: [Int64] = []) -> Fit {
        switch kind {
        case .fixed: return Fit(bytes: least)
        case .asked(let parts, let context):
            let slots = parts.slots.last { parts.bytes(context, $0) <= free } ?? parts.fewest
            return Fit(
                context: Int(MemoryEstimate.padded(Int64(context))), slots: slots, bytes: parts.bytes(context, slots))
        case .fitted(let parts, let comfortable):
            var most = free
            if free > comfortable {
                let more = free - comfortable
                most = min(comfortable + more / 2, free - (others.filter { $0 <= more }.max() ?? 0))
            }
            let trained = parts.facts.trainedContext ?? Self.leastContext
            func context(_ slots: Int) -> Int? { parts.largestContext(fitting: most, slots) }
            let slots =
                parts.slots.last { context($0) ?? 0 >= min(trained, Self.roomyContext) } ?? parts.fewest
            let largest = context(slots) ?? min(trained, Self.leastContext)
            return Fit(context: largest, slots: slots, bytes: parts.bytes(largest, slots))
        }
    }

    /// The largest context with which it would fit, where that is less than it asks for.
    func contextFitting(_ room: Int64) -> Int? {
        guard case .asked(let parts, let asked) = kind, let context = parts.largestContext(fitting: room),
            context < asked
        else { return nil }
        return context
    }
}

/// What is loaded together.
private struct Parts: Sendable, Hashable {
    var facts: ModelFacts
    /// Its context does not matter.
    var load: MemoryEstimate.Load
    /// Its slots are the most there may be.
    var mayHaveFewerSlots: Bool
    var draft: ModelFacts?
    var beside: Int64

    /// How many there may be, the fewest first.
    var slots: ClosedRange<Int> { fewest...max(1, load.slots) }
    var fewest: Int { mayHaveFewerSlots ? 1 : max(1, load.slots) }

    /// - Parameter slots: nil: the fewest.
    func bytes(_ context: Int, _ slots: Int? = nil) -> Int64 {
        Self.sum(MemoryEstimate(facts, with(context, slots)).total, more(context, slots))
    }

    func largestContext(fitting bytes: Int64, _ slots: Int? = nil) -> Int? {
        MemoryEstimate.largestContext(facts, fitting: bytes, with(0, slots)) { more($0, slots) }
    }

    private func with(_ context: Int, _ slots: Int?) -> MemoryEstimate.Load {
        var load = load
        (load.context, load.slots) = (context, slots ?? fewest)
        return load
    }

    /// Bytes besides those of the model.
    private func more(_ context: Int, _ slots: Int?) -> Int64 {
        guard let draft else { return beside }
        var load = with(context, slots)
        // The types that are set are those of the model's own cache.
        (load.keys, load.values) = (.f16, .f16)
        return Self.sum(MemoryEstimate(draft, load).total - MemoryEstimate.overhead, beside)
    }

    /// Of numbers that are not negative.
    static func sum(_ bytes: Int64, _ more: Int64) -> Int64 {
        let (sum, overflow) = bytes.addingReportingOverflow(more)
        return overflow ? .max : sum
    }
}
