/// The memory that a loaded model takes, as far as its header tells; bytes throughout.
///
///     total = weights + projector + cache + states + compute
///
/// - `weights`, `projector`: the tensors of the files; llama.cpp maps or copies them as they are.
/// - `cache`: for each layer, cells × (keys + values), in rows of the cache's types (`llama_kv_cache` in
///   llama-kv-cache.cpp). Cells are the context, padded to 256 (llama-context.cpp), for each slot; a layer with a
///   window has window + batch of them at most, also padded (llama-kv-cache-iswa.cpp).
/// - `states`: 4 × elements of a layer's state, for each slot (llama-memory-recurrent.cpp).
/// - `compute`: a guess. The engine works on a batch at a time and keeps, at 4 bytes each, its logits if it writes
///   text, its widest layers and the mask of what each of its tokens may look back on; plus ``overhead`` for the
///   process. Without flash attention also how much each head looks at each cell (`kq` in llama-graph.cpp), at 4 bytes
///   and at 2 once more for the product with the values (measured on a CPU). llama.cpp chooses flash attention by
///   itself where it can, so it is assumed where nobody switches it off.
///
/// Sums that go beyond `Int64` stay at its end.
package struct MemoryEstimate: Sendable, Hashable {
    /// What is asked of the engine.
    package struct Load: Sendable, Hashable {
        /// Tokens of each slot's window.
        package var context: Int
        /// Requests the engine works on at once. Default 1.
        package var slots = 1
        /// Types of the cache (`--cache-type-k`, `--cache-type-v`). Default f16, as llama.cpp's.
        package var keys = TensorType.f16
        package var values = TensorType.f16
        /// Tokens of a prompt worked on in one go (`--ubatch-size`). Default 512, as llama.cpp's.
        package var batch = 512
        /// Default true.
        package var hasFlashAttention = true

        package init(context: Int) { self.context = context }
    }

    package var weights: Int64
    package var projector: Int64
    package var cache: Int64
    package var states: Int64
    package var compute: Int64

    package var total: Int64 { Sum(weights).plus(projector).plus(cache).plus(states).plus(compute).bytes }

    /// What a llama-server takes without a model: 45 MB on Linux (resident, less weights and cache), rounded up.
    static let overhead: Int64 = 64 << 20

    /// llama.cpp pads contexts and windows to this many cells.
    private static let padding = 256

    package init(_ facts: ModelFacts, _ load: Load) {
        weights = facts.weightBytes
        projector = facts.projectorBytes
        let slots = max(1, load.slots)
        let batch = max(1, load.batch)
        let cells = Self.cells(max(1, load.context), load)
        var cache = Sum(0)
        var states = Sum(0)
        for layer in facts.layers {
            let kept = layer.window.map { window in
                min(cells, Self.cells(window, batch: batch, of: load))
            }
            let row = Sum(Self.row(layer.keys, load.keys)).plus(Self.row(layer.values, load.values))
            cache = cache.plus(row.times(kept ?? cells).bytes)
            states = states.plus(Sum(4).times(Int64(layer.state)).times(Int64(slots)).bytes)
        }
        self.cache = cache.bytes
        self.states = states.bytes
        let logits = facts.kind == .llm ? Int64(facts.vocabulary) : 0
        let width = Sum(logits).plus(Sum(4).times(Int64(facts.embeddingLength)).bytes)
            .plus(Sum(3).times(Int64(facts.feedForwardLength)).bytes)
        let seen = facts.layers.isEmpty ? 0 : cells / Int64(slots)
        let scores = load.hasFlashAttention ? Sum(0) : Sum(seen).times(Int64(facts.heads)).times(6)
        compute =
            width.plus(seen).times(4).plus(scores.bytes).times(Int64(batch)).plus(Self.overhead).bytes
    }

    /// Bytes that llama-server copies when it keeps a checkpoint of one slot's sequence: what layers with a window, and
    /// states, hold of it (`common_prompt_checkpoint` in its server). 0 where every layer looks back on all.
    package static func checkpoint(_ facts: ModelFacts, _ load: Load) -> Int64 {
        var one = load
        one.slots = 1
        let cells = Self.cells(max(1, one.context), one)
        var bytes = Sum(0)
        for layer in facts.layers {
            bytes = bytes.plus(Sum(4).times(Int64(layer.state)).bytes)
            guard let window = layer.window else { continue }
            let row = Sum(Self.row(layer.keys, load.keys)).plus(Self.row(layer.values, load.values))
            let kept = min(cells, Self.cells(window, batch: max(1, load.batch), of: one))
            bytes = bytes.plus(row.times(kept).bytes)
        }
        return bytes.bytes
    }

    /// The most tokens of context with which a model takes no more than `bytes`, by the same formula: a multiple of 256
    /// or the trained context, and never above that.
    ///
    /// - Parameters:
    ///   - load: its context does not matter.
    ///   - beside: bytes that are taken beside it with a context, which never are less with more of it.
    /// - Returns: nil when not even 256 fit, or it is not known what the model was trained for.
    package static func largestContext(
        _ facts: ModelFacts, fitting bytes: Int64, _ load: Load, beside: (Int) -> Int64 = { _ in 0 }
    ) -> Int? {
        guard let trained = facts.trainedContext else { return nil }
        func fits(_ context: Int) -> Bool {
            var load = load
            load.context = context
            return Sum(MemoryEstimate(facts, load).total).plus(beside(context)).bytes <= bytes
        }
        if fits(trained) { return trained }
        // More context never takes less; so `low` fits and `high` does not.
        var (low, high) = (0, (trained + padding - 1) / padding)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if fits(middle * padding) { low = middle } else { high = middle }
        }
        return low > 0 ? low * padding : nil
    }

    /// Cells of a layer that looks back on all.
    private static func cells(_ context: Int, _ load: Load) -> Int64 {
        Sum(padded(Int64(context))).times(Int64(max(1, load.slots))).bytes
    }

    /// Cells of a layer with a window, at most.
    private static func cells(_ window: Int, batch: Int, of load: Load) -> Int64 {
        Sum(padded(Sum(Int64(window)).plus(Int64(batch)).bytes)).times(Int64(max(1, load.slots))).bytes
    }

    /// As llama.cpp makes them.
    static func padded(_ cells: Int64) -> Int64 {
        cells > Int64.max - Int64(padding) ? cells : (cells + Int64(padding) - 1) / Int64(padding) * Int64(padding)
    }

    /// Bytes of so many elements, in whole blocks.
    private static func row(_ elements: Int, _ type: TensorType) -> Int64 {
        let block = type.block
        return Sum(Int64((UInt64(elements) + block.elements - 1) / block.elements)).times(Int64(block.bytes)).bytes
    }
}

/// Sums and products of numbers that are not negative, which stop at the end of what can be counted.
private struct Sum {
    let bytes: Int64

    init(_ bytes: Int64) { self.bytes = bytes }

    func plus(_ other: Int64) -> Sum {
        let (sum, overflow) = bytes.addingReportingOverflow(other)
        return Sum(overflow ? .max : sum)
    }

    func times(_ other: Int64) -> Sum {
        let (product, overflow) = bytes.multipliedReportingOverflow(by: other)
        return Sum(overflow ? .max : product)
    }
}
