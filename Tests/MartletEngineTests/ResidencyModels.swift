import MartletEngine
import MartletTestSupport

/// The models of a ``ResidencyWorld``.
enum ResidencyModels {
    /// A hundredth of the memory. Bytes.
    static let unit: Int64 = 12 << 20

    /// Five that take so many units; one whose context is fitted, and one whose slots are: 14 units at least, and more than
    /// there are at most.
    static let all: [(name: String, size: LoadSize)] = {
        let fixed = [("a", 30), ("b", 50), ("c", 70), ("d", 99), ("e", 101)].map {
            ($0.0, LoadSize(bytes: $0.1 * unit))
        }
        guard let facts = try? Scratch().facts(.model("llama", layers: 8, [("ARCH.context_length", .uint32(131_072))]))
        else { return [] }
        var load = MemoryEstimate.Load(context: 0)
        load.slots = 4
        return fixed + [
            ("f", LoadSize(facts, load, context: nil, mayHaveFewerSlots: true)),
            ("g", LoadSize(facts, load, context: 4096, mayHaveFewerSlots: true)),
        ]
    }()
}
