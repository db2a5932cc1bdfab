import MartletEngine
import MartletTestSupport
import Testing

@Suite("How a model is loaded, and who says so")
struct LoadSettingsTests {
    private let scratch = Scratch()

    private func facts(trained: UInt32 = 32_768) throws -> ModelFacts {
        try scratch.facts(.model("llama", [("ARCH.context_length", .uint32(trained))]))
    }

    private func settings(_ change: (inout LoadSettings) -> Void) -> LoadSettings {
        var settings = LoadSettings()
        change(&settings)
        return settings
    }

    @Test("Each value comes from the last who said something, and keeps its origin")
    func merges() {
        var load = EffectiveLoad()
        load.apply(settings { ($0.parallel, $0.context, $0.threads) = (2, .tokens(1000), 3) }, from: .configuration)
        load.apply(
            settings { ($0.context, $0.keyCache, $0.draftModel) = (.auto, .q8_0, "small") }, from: .modelSettings)
        load.apply(settings { ($0.parallel, $0.keepAlive) = (8, .always) }, from: .request)
        #expect(load.parallel == Chosen(8, .request))
        #expect(load.context == Chosen(.auto, .modelSettings))
        #expect(load.threads == Chosen(3, .configuration))
        #expect(load.keyCache == Chosen(.q8_0, .modelSettings))
        #expect(load.draftModel == Chosen("small", .modelSettings))
        #expect(load.keepAlive == Chosen(.always, .request) && load.ttl == nil)
        #expect(load.batch == nil && load.gpuLayers == nil && load.flashAttention == nil && load.valueCache == nil)
    }

    @Test("Without a word of anybody what is loaded on demand goes after an idle hour, what is loaded explicitly stays")
    func keepAlive() {
        #expect(EffectiveLoad().ttl == .seconds(3600))
        #expect(EffectiveLoad(isExplicit: true).ttl == nil)
    }

    @Test("A context for all models is cut to what one was trained for; one set for it is used or refused")
    func context() throws {
        let facts = try facts(trained: 4096)
        var load = EffectiveLoad()
        load.apply(settings { $0.context = .tokens(8192) }, from: .configuration)
        try load.fit(facts, of: "a")
        #expect(load.context == Chosen(.tokens(4096), .model))
        for origin in [SettingOrigin.modelSettings, .request, .command] {
            var load = EffectiveLoad()
            load.apply(settings { $0.context = .tokens(8192) }, from: origin)
            let error = fault { () throws(EngineError) in try load.fit(facts, of: "a") }
            #expect(error?.message == "a context of 8192 tokens is more than a was trained for: ask for 4096 at most.")
            #expect(error?.setting == "context_length")
            load.apply(settings { $0.context = .tokens(4096) }, from: origin)
            try load.fit(facts, of: "a")
            #expect(load.context == Chosen(.tokens(4096), origin))
        }
    }

    @Test("How many experts work on a token can be set where there are experts, from one to all of them")
    func experts() throws {
        var facts = try facts(trained: 4096)
        var load = EffectiveLoad()
        load.apply(settings { $0.experts = 4 }, from: .request)
        #expect(
            fault { () throws(EngineError) in try load.fit(facts, of: "a") }?.message
                == "num_experts cannot be set: a has no experts.")
        (facts.experts, facts.architecture) = (ModelFacts.Experts(count: 8, used: 2), "qwen3moe")
        try load.fit(facts, of: "a")
        #expect(load.experts == Chosen(.init(used: 4, architecture: "qwen3moe"), .request))
        for used in [0, 9] {
            load.apply(settings { $0.experts = used }, from: .request)
            #expect(
                fault { () throws(EngineError) in try load.fit(facts, of: "a") }?.message
                    == "num_experts is \(used): a has 8, so it has to be from 1 to 8.")
        }
    }

    @Test("Values that cannot be are refused with what they may be")
    func ranges() {
        let cases: [(settings: LoadSettings, words: String)] = [
            (settings { $0.parallel = 0 }, "parallel is 0: it has to be from 1 to 256."),
            (settings { $0.context = .tokens(0) }, "context_length is 0"),
            (settings { $0.gpuLayers = -1 }, "gpu_layers is -1"), (settings { $0.batch = 16 }, "batch is 16"),
            (settings { $0.threads = 5000 }, "threads is 5000"),
            (settings { $0.valueCache = .q6_k }, "cache_type_v cannot be q6_k: choose one of f32, f16, bf16"),
            (settings { $0.keepAlive = .idle(.seconds(-1)) }, "ttl is -1 s: it cannot be below zero."),
        ]
        for (settings, words) in cases {
            let error = fault(settings.check)
            #expect(error?.code == .badSetting)
            #expect(error?.message.hasPrefix(words) == true, "\(error?.message ?? "accepted")")
        }
        #expect(fault(LoadSettings().check) == nil)
    }

    @Test(
        "Layers are numbers or words",
        arguments: [("all", 10_000), ("max", 10_000), ("off", 0), ("12", 12), ("0", 0)])
    func layers(text: String, layers: Int) {
        #expect(LoadSettings.gpuLayers(text) == layers)
        for wrong in ["auto", "-1", "10001", "1.5", ""] { #expect(LoadSettings.gpuLayers(wrong) == nil, "\(wrong)") }
    }

    @Test(
        "What the configuration alone has wrong is the server's fault, with the key; what a request says goes before it"
    )
    func configured() async throws {
        let store = ModelStore(root: "\(scratch.path)/models")
        try GGUFWriter.model("llama", [("ARCH.context_length", .uint32(4096))])
            .write(to: scratch.file("models/me/one/one.gguf"))
        let model = try #require(store.find("one"))
        func fault(_ engine: EngineSettings, _ own: LoadSettings = LoadSettings()) async -> EngineError? {
            await Result { () async throws(EngineError) in
                try await LoadEstimate.make(model, own, in: store, engine, for: Fixture.fakeEngine())
            }.error
        }
        var engine = EngineSettings()
        engine.ofModel = { [long = settings { $0.context = .tokens(8192) }] _ in long }
        let words = "a context of 8192 tokens is more than one was trained for: ask for 4096 at most."
        #expect(
            await fault(engine)
                == EngineError(.badConfiguration, "engine.settings.one.context cannot be used: \(words)"))
        #expect(await fault(engine, settings { $0.context = .tokens(1024) }) == nil)
        #expect(await fault(engine, settings { $0.context = .tokens(9000) })?.code == .badSetting)
        #expect(engine.faults(in: store) == ["engine.settings.one.context cannot be used: \(words)"])
        engine.ofModel = { _ in nil }
        engine.load = settings { ($0.flashAttention, $0.valueCache) = (.off, .q8_0) }
        #expect(await fault(engine)?.message.hasPrefix("engine.cache_type_v cannot be used: ") == true)
        #expect(await fault(engine, settings { $0.flashAttention = .on }) == nil)
        engine.memory = .bytes(1 << 20)
        #expect(engine.faults(in: store).count == 2)
        #expect(
            engine.faults(in: store).last?.hasPrefix("engine.memory is 1.0 MB, into which these can never be") == true)
    }

    @Test("Who makes vectors takes no input that is longer than its batch, and is said to")
    func encoder() async throws {
        let supervised = try Supervised(models: [])
        try GGUFWriter.model("bert", [("ARCH.context_length", .uint32(512)), ("ARCH.pooling_type", .uint32(1))])
            .write(to: supervised.scratch.file("models/me/vectors/vectors.gguf"))
        for (asked, batch, told) in [(300, nil, 300), (nil, 32, 32), (nil, nil, 512)] as [(Int?, Int?, Int)] {
            let wanted = settings { ($0.context, $0.batch) = (asked.map { .tokens($0) }, batch) }
            let name = try await supervised.supervisor.load("vectors", settings: wanted, from: .request)
            let resident = await supervised.supervisor.residents().first { $0.instance == name }
            #expect(resident?.context == told, "\(String(describing: resident?.load.context))")
            _ = await supervised.supervisor.unload([name], .now, within: .seconds(60))
        }
        await supervised.stop()
    }

    @Test("A quantised cache of values needs flash attention")
    func flash() throws {
        let facts = try facts()
        var load = EffectiveLoad()
        load.apply(settings { ($0.flashAttention, $0.valueCache) = (.off, .q8_0) }, from: .request)
        #expect(fault { () throws(EngineError) in try load.fit(facts, of: "a") }?.code == .badSetting)
        load.apply(settings { $0.valueCache = .f16 }, from: .request)
        try load.fit(facts, of: "a")
    }
}

@Suite("The memory a load needs and gets")
struct LoadSizeTests {
    private let scratch = Scratch()
    private let load = MemoryEstimate.Load(context: 0)

    private struct Got: Equatable {
        var context: Int?
        var slots: Int
        var bytes: Int64
    }

    private func facts() throws -> ModelFacts {
        try scratch.facts(.model("llama", layers: 8, [("ARCH.context_length", .uint32(131_072))]))
    }

    private func bytes(_ facts: ModelFacts, _ context: Int) -> Int64 {
        var load = load
        load.context = context
        return MemoryEstimate(facts, load).total
    }

    /// The context with which it is launched in a machine of so many bytes, beside what stays; nil: it is refused.
    private func launched(_ size: LoadSize, budget: Int64, beside: Int64 = 0) -> Residency.Launch? {
        var limits = Residency.Limits()
        limits.budget = budget
        var residency = Residency(limits: limits)
        if beside > 0 {
            _ = residency.take(.load(.init("kept", size: LoadSize(bytes: beside)), .init(1), as: nil), now: .now)
        }
        for case .launch(let launch) in residency.take(.requested(.init("a", size: size), .init(2)), now: .now) {
            return launch
        }
        return nil
    }

    @Test("An automatic context takes half of what is free beyond the comfortable one, the trained one at most")
    func fitted() throws {
        let facts = try facts()
        let size = LoadSize(facts, load, context: nil)
        let comfortable = bytes(facts, 8192)
        #expect(launched(size, budget: .max)?.context == 131_072)
        #expect(launched(size, budget: comfortable)?.context == 8192)
        let budget = comfortable + 2 * (bytes(facts, 20_480) - comfortable)
        let launch = try #require(launched(size, budget: budget))
        #expect(launch.context == 20_480)
        #expect(launch.bytes == bytes(facts, 20_480))
        #expect(launched(size, budget: budget + 1000, beside: 1000)?.context == 20_480)
    }

    @Test(
        "Where nobody chose the slots there are as many as have a roomy window each, or the window that was asked for")
    func slots() throws {
        let facts = try facts()
        var four = load
        four.slots = 4
        func fit(_ context: Int?, _ bytes: Int64, mayHaveFewerSlots: Bool = true) -> Got? {
            let size = LoadSize(facts, four, context: context, mayHaveFewerSlots: mayHaveFewerSlots)
            return launched(size, budget: bytes).map {
                .init(context: $0.context, slots: $0.demand.settings.parallel.value, bytes: $0.bytes)
            }
        }
        func bytes(_ context: Int, _ slots: Int) -> Int64 {
            var load = load
            (load.context, load.slots) = (context, slots)
            return MemoryEstimate(facts, load).total
        }
        func budget(_ context: Int, _ slots: Int) -> Int64 { 2 * bytes(context, slots) - bytes(8192, 1) }
        #expect(fit(nil, .max) == .init(context: 131_072, slots: 4, bytes: bytes(131_072, 4)))
        #expect(fit(nil, budget(32_768, 3)) == .init(context: 32_768, slots: 3, bytes: bytes(32_768, 3)))
        #expect(fit(nil, budget(32_768, 2) - 2)?.slots == 1)
        #expect(fit(nil, bytes(2048, 1)) == .init(context: 2048, slots: 1, bytes: bytes(2048, 1)))
        #expect(fit(nil, bytes(2048, 4) - 1, mayHaveFewerSlots: false) == nil)
        #expect(fit(16_384, bytes(16_384, 2)) == .init(context: 16_384, slots: 2, bytes: bytes(16_384, 2)))
        #expect(fit(1000, .max) == .init(context: 1024, slots: 4, bytes: bytes(1024, 4)))
        #expect(fit(16_384, bytes(16_384, 4) - 1, mayHaveFewerSlots: false) == nil)
    }

    @Test("An automatic context leaves room for the largest of the other models that finds room beside it")
    func others() throws {
        let facts = try facts()
        let size = LoadSize(facts, load, context: nil)
        let comfortable = bytes(facts, 8192)
        #expect(
            size.comfortable == comfortable
                && LoadSize(facts, load, context: 16_384).comfortable == bytes(facts, 16_384))
        func context(_ more: Int64, _ others: [String: Int64], loaded: [String] = []) -> Int? {
            var limits = Residency.Limits()
            limits.budget = comfortable + more
            var residency = Residency(limits: limits)
            for name in loaded {
                _ = residency.take(.requested(.init(name, size: LoadSize(bytes: 0)), .init(1)), now: .now)
            }
            var demand = Residency.Demand("a", size: size)
            demand.others = others
            for case .launch(let launch) in residency.take(.requested(demand, .init(2)), now: .now) {
                return launch.context
            }
            return nil
        }
        let more = 2 * (bytes(facts, 20_480) - comfortable)
        #expect(context(more, [:]) == 20_480)
        #expect(context(more, ["b": more]) == 8192)
        #expect(context(more, ["b": more - (bytes(facts, 12_288) - comfortable), "c": 1]) == 12_288)
        // What finds no room in any case, or is there already, needs none.
        #expect(context(more, ["b": more + 1]) == 20_480)
        #expect(context(more, ["b": more], loaded: ["b"]) == 20_480)
    }

    @Test("Where not even that much can be free it is what fits, down to the least; below that it is refused")
    func tight() throws {
        let facts = try facts()
        let size = LoadSize(facts, load, context: nil)
        #expect(size.least == bytes(facts, 2048))
        #expect(launched(size, budget: bytes(facts, 5120) + 1)?.context == 5120)
        #expect(launched(size, budget: bytes(facts, 2048))?.context == 2048)
        #expect(launched(size, budget: bytes(facts, 2048) - 1) == nil)
    }

    @Test("A context that was asked for is given or refused, never less; the refusal says which would fit")
    func asked() throws {
        let facts = try facts()
        let size = LoadSize(facts, load, context: 16_384)
        #expect(launched(size, budget: bytes(facts, 16_384))?.context == 16_384)
        var limits = Residency.Limits()
        limits.budget = bytes(facts, 16_384) - 1
        var residency = Residency(limits: limits)
        let actions = residency.take(.requested(.init("a", size: size), .init(1)), now: .now)
        guard case .refuse(_, let error)? = actions.first else {
            Issue.record("not refused: \(actions)")
            return
        }
        #expect(error.message.contains("Ask for a context of at most 16128 tokens, or raise engine.memory."))
        // What stays is not in the way of what could never fit: the context that would is that of all memory.
        let small = LoadSize(bytes: 1000)
        _ = residency.take(.load(.init("small", size: small), .init(2), as: nil), now: .now)
        guard
            case .refuse(_, let other)? = residency.take(.requested(.init("a", size: size), .init(3)), now: .now).first
        else {
            Issue.record("not refused")
            return
        }
        #expect(other.message == error.message)
    }

    @Test("Idle models are unloaded for a comfortable context, not for a longer one")
    func evictsForComfort() throws {
        let facts = try facts()
        let size = LoadSize(facts, load, context: nil)
        for (free, isEvicted) in [(bytes(facts, 8192), false), (bytes(facts, 8192) - 1, true)] {
            var limits = Residency.Limits()
            limits.budget = free + 1000
            limits.stay = .zero
            var residency = Residency(limits: limits)
            _ = residency.take(.requested(.init("idle", size: LoadSize(bytes: 1000)), .init(1)), now: .now)
            _ = residency.take(.ready("idle", bytes: nil), now: .now)
            _ = residency.take(.released("idle"), now: .now)
            let actions = residency.take(.requested(.init("a", size: size), .init(2)), now: .now)
            #expect(actions.contains(.stop("idle")) == isEvicted)
        }
    }
}
