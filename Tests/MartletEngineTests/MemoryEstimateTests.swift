import MartletEngine
import MartletTestSupport
import Testing

@Suite("The memory a model takes")
struct MemoryEstimateTests {
    private let scratch = Scratch()

    private func load(_ context: Int, slots: Int = 1, _ type: TensorType = .f16)
        -> MemoryEstimate.Load
    {
        var load = MemoryEstimate.Load(context: context)
        (load.slots, load.keys, load.values) = (slots, type, type)
        return load
    }

    /// Llama 3.1 8B: 32 layers, 8 heads of 128 for keys and values.
    private func llama() throws -> ModelFacts {
        try scratch.facts(
            .model(
                "llama", layers: 32,
                [
                    ("ARCH.embedding_length", .uint32(4096)), ("ARCH.feed_forward_length", .uint32(14_336)),
                    ("ARCH.attention.head_count", .uint32(32)), ("ARCH.attention.head_count_kv", .uint32(8)),
                    ("ARCH.context_length", .uint32(131_072)), ("ARCH.vocab_size", .uint32(128_256)),
                ], tensors: [.init("w.weight", .q4_k, [4096, 1_960_000])]))
    }

    @Test(
        "The cache is what llama.cpp says that it makes",
        arguments: [
            (4096, 1, TensorType.f16, 512), (4096, 4, .f16, 2048),
            (4096, 1, .q8_0, 272), (4096, 1, .q4_0, 144), (4096, 1, .f32, 1024),
            (4096, 1, .bf16, 512), (131_072, 1, .f16, 16_384), (3841, 1, .f16, 512),
            (1, 1, .f16, 32), (131_072, 1, .q5_1, 6144),
        ])
    func cache(context: Int, slots: Int, type: TensorType, mebibytes: Int64) throws {
        let estimate = MemoryEstimate(try llama(), load(context, slots: slots, type))
        #expect(estimate.cache == mebibytes << 20)
        #expect(estimate.weights == 4096 * 1_960_000 / 256 * 144)
        #expect(estimate.projector == 0 && estimate.states == 0)
        #expect(estimate.total == estimate.weights + estimate.cache + estimate.compute)
    }

    @Test("What is computed grows with the batch, the width and the window, and has logits only where text is written")
    func compute() throws {
        let facts = try llama()
        // 128,256 logits, 4 × 4096 and 3 × 14,336 elements and 8192 cells, at 4 bytes for each of 512 tokens.
        #expect(MemoryEstimate(facts, load(8192, slots: 3)).compute == (64 << 20) + 4 * 512 * (128_256 + 59_392 + 8192))
        var load = load(8192)
        load.batch = 256
        #expect(MemoryEstimate(facts, load).compute == (64 << 20) + 4 * 256 * (128_256 + 59_392 + 8192))
        load.hasFlashAttention = false
        // 32 heads look at each cell, at 6 bytes for each token.
        #expect(
            MemoryEstimate(facts, load).compute
                == (64 << 20) + 256 * (4 * (128_256 + 59_392 + 8192) + 6 * 32 * 8192))
        let encoder = try scratch.facts(.model("bert", [("ARCH.vocab_size", .uint32(30_522))]))
        #expect(MemoryEstimate(encoder, self.load(512)).compute == (64 << 20) + 4 * 512 * (16_384 + 512))
    }

    @Test("A layer with a window keeps that and a batch, however long the context is")
    func windows() throws {
        let facts = try scratch.facts(
            .model("gpt-oss", layers: 2, [("ARCH.attention.sliding_window", .uint32(128))]))
        // Of 2 × 1024 elements in 2 bytes, one layer keeps all cells, the other 128 + 512 padded to 768.
        #expect(MemoryEstimate(facts, load(32_768)).cache == 4096 * (32_768 + 768))
        #expect(MemoryEstimate(facts, load(512)).cache == 4096 * (512 + 512))
        #expect(MemoryEstimate(facts, load(32_768, slots: 4)).cache == 4096 * 4 * (32_768 + 768))
    }

    @Test("A checkpoint holds what layers with a window, and states, keep of one slot")
    func checkpoints() throws {
        let windowed = try scratch.facts(
            .model("gpt-oss", layers: 2, [("ARCH.attention.sliding_window", .uint32(128))]))
        #expect(MemoryEstimate.checkpoint(windowed, load(32_768, slots: 4)) == 4096 * 768)
        #expect(MemoryEstimate.checkpoint(try llama(), load(32_768)) == 0)
        let states = try scratch.facts(
            .model(
                "rwkv7", layers: 3, [("ARCH.wkv.head_size", .uint32(64)), ("ARCH.attention.head_count", .uint32(0))]))
        #expect(MemoryEstimate.checkpoint(states, load(256, slots: 2)) == 3 * 1024 * 66 * 4)
    }

    @Test("States do not grow with the context, but with the slots")
    func states() throws {
        let facts = try scratch.facts(
            .model(
                "rwkv7", layers: 3, [("ARCH.wkv.head_size", .uint32(64)), ("ARCH.attention.head_count", .uint32(0))]))
        for context in [256, 32_768] {
            let estimate = MemoryEstimate(facts, load(context, slots: 2))
            #expect(estimate.states == 3 * 1024 * 66 * 4 * 2)
            #expect(estimate.cache == 0)
        }
    }

    @Test("The largest context fits, and the next larger one does not")
    func largest() throws {
        let facts = try llama()
        let load = load(0, slots: 2)
        for gibibytes in 5...12 {
            let bytes = Int64(gibibytes) << 30
            let context = try #require(MemoryEstimate.largestContext(facts, fitting: bytes, load))
            #expect(context % 256 == 0 && context < 131_072)
            #expect(MemoryEstimate(facts, self.load(context, slots: 2)).total <= bytes)
            #expect(MemoryEstimate(facts, self.load(context + 256, slots: 2)).total > bytes)
        }
        #expect(MemoryEstimate.largestContext(facts, fitting: .max, load) == 131_072)
        #expect(MemoryEstimate.largestContext(facts, fitting: 4 << 30, load) == nil)
        #expect(MemoryEstimate.largestContext(facts, fitting: -1, load) == nil)
    }

    @Test("A trained context that is no multiple of 256 is not exceeded, and reached")
    func oddContext() throws {
        let facts = try scratch.facts(.model("llama", [("ARCH.context_length", .uint32(1000))]))
        #expect(MemoryEstimate.largestContext(facts, fitting: .max, load(0)) == 1000)
        let less = MemoryEstimate(facts, load(1000)).total - 1
        #expect(MemoryEstimate.largestContext(facts, fitting: less, load(0)) == 768)
        let unknown = try scratch.facts(.model("llama", [("ARCH.context_length", .uint32(0))]))
        #expect(MemoryEstimate.largestContext(unknown, fitting: .max, load(0)) == nil)
    }

    @Test("Numbers at the end of what is allowed stay at the end of what can be counted")
    func extremes() throws {
        let most = GGUFWriter.Value.uint32(1 << 24)
        let facts = try scratch.facts(
            .model(
                "llama", layers: 512,
                [
                    ("ARCH.attention.head_count", most), ("ARCH.attention.key_length", most),
                    ("ARCH.attention.value_length", most), ("ARCH.embedding_length", most),
                    ("ARCH.feed_forward_length", most), ("ARCH.vocab_size", most),
                    ("ARCH.context_length", .uint32(UInt32(Int32.max))),
                ]))
        let estimate = MemoryEstimate(facts, load(.max, slots: .max))
        #expect(estimate.total == .max && estimate.cache == .max)
        #expect(MemoryEstimate.largestContext(facts, fitting: 1 << 40, load(0)) == nil)
        #expect(MemoryEstimate(facts, load(-5, slots: -5)).total > 0)
    }
}
