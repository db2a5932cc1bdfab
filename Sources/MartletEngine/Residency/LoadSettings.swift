/// How a model is to be loaded, as far as one place says so: a file, a request, a command. Nil: that place does not say.
package struct LoadSettings: Sendable, Hashable {
    package enum Context: Sendable, Hashable {
        /// As much as fits into memory, at most what the model was trained for.
        case auto
        /// Tokens of each slot's window.
        case tokens(Int)
    }

    package enum FlashAttention: String, Sendable, Hashable, CaseIterable { case on, off, auto }

    package enum KeepAlive: Sendable, Hashable {
        /// Unloaded after being idle for so long.
        case idle(Duration)
        case always
    }

    package var context: Context?
    /// Requests worked on at once, 1 to 256.
    package var parallel: Int?
    /// Layers that a GPU computes; more than there are is all of them. 0 to 10,000.
    package var gpuLayers: Int?
    package var flashAttention: FlashAttention?
    /// Types of the KV cache, of ``cacheTypes``.
    package var keyCache: TensorType?
    package var valueCache: TensorType?
    /// Tokens of a prompt worked on in one go, 32 to 65,536.
    package var batch: Int?
    /// 1 to 4096.
    package var threads: Int?
    /// An installed model that writes drafts.
    package var draftModel: String?
    /// Whether the KV cache lies in the memory of the GPU that computes.
    package var cacheOnGPU: Bool?
    /// Bytes of RAM for what was computed for prompts that are no longer worked on; 0: none. At most 1 TiB.
    package var promptCache: Int64?
    package var keepAlive: KeepAlive?
    /// Experts that work on a token, of a model that has them: 1 to as many as there are.
    package var experts: Int?
    /// Neither evicted nor unloaded by its idle time.
    package var isPinned: Bool?

    package init() {}

    /// Layers by their number or in a word: `all` or `max`, `off`.
    package static func gpuLayers(_ text: String) -> Int? {
        switch text {
        case "all", "max": gpuLayersRange.upperBound
        case "off": 0
        default: Int(text).flatMap { gpuLayersRange.contains($0) ? $0 : nil }
        }
    }

    /// What ``gpuLayers(_:)`` takes, for sentences.
    package static let gpuLayersWords =
        "all, max, off, or a whole number from \(gpuLayersRange.lowerBound) to \(gpuLayersRange.upperBound)"

    package static let parallelRange = 1...256
    package static let gpuLayersRange = 0...10_000
    package static let batchRange = 32...65_536
    package static let threadsRange = 1...4096
    package static let promptCacheRange = 0...1 << 40

    /// What llama.cpp makes KV caches of (`kv_cache_types` in its arg.cpp).
    package static let cacheTypes: [TensorType] = [.f32, .f16, .bf16, .q8_0, .q4_0, .q4_1, .iq4_nl, .q5_0, .q5_1]

    /// - Throws: `badSetting` when a value is beyond its range.
    package func check() throws(EngineError) {
        if case .tokens(let tokens) = context { try Self.check("context_length", tokens, 1...Int(Int32.max)) }
        try Self.check("parallel", parallel, Self.parallelRange)
        try Self.check("gpu_layers", gpuLayers, Self.gpuLayersRange)
        try Self.check("batch", batch, Self.batchRange)
        try Self.check("threads", threads, Self.threadsRange)
        try Self.check("prompt_cache", promptCache.map { Int(clamping: $0) }, Self.promptCacheRange)
        for (name, type) in [("cache_type_k", keyCache), ("cache_type_v", valueCache)] {
            guard let type, !Self.cacheTypes.contains(type) else { continue }
            let names = Self.cacheTypes.map { $0.name.lowercased() }.joined(separator: ", ")
            throw EngineError(.badSetting, "\(name) cannot be \(type.name.lowercased()): choose one of \(names).")
        }
        if case .idle(let time) = keepAlive, time < .zero {
            throw EngineError(.badSetting, "ttl is \(time.components.seconds) s: it cannot be below zero.")
        }
    }

    private static func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws(EngineError) {
        guard let value, !range.contains(value) else { return }
        throw EngineError(
            .badSetting, "\(name) is \(value): it has to be from \(range.lowerBound) to \(range.upperBound).",
            setting: name)
    }
}

/// A value, and who chose it.
package struct Chosen<Value: Sendable & Hashable>: Sendable, Hashable {
    package var value: Value
    package var origin: SettingOrigin

    package init(_ value: Value, _ origin: SettingOrigin) {
        self.value = value
        self.origin = origin
    }
}

/// Where an effective load setting comes from; later ones go before earlier ones.
package enum SettingOrigin: String, Sendable, Hashable, CaseIterable {
    /// Ours, where nobody says anything.
    case builtIn = "built-in"
    /// What the model was trained for, or made for, where the configuration sets more for all models.
    case model
    /// Set for all models.
    case configuration
    /// Set for this model in the configuration, under that key.
    case modelSettings = "engine.settings"
    case request
    case command
}

/// The load settings of one instance, each with its origin. Nil: left to the engine.
package struct EffectiveLoad: Sendable, Hashable {
    package var context = Chosen(LoadSettings.Context.auto, .builtIn)
    package var parallel = Chosen(4, .builtIn)
    package var gpuLayers: Chosen<Int>?
    package var flashAttention: Chosen<LoadSettings.FlashAttention>?
    package var keyCache: Chosen<TensorType>?
    package var valueCache: Chosen<TensorType>?
    package var batch: Chosen<Int>?
    package var threads: Chosen<Int>?
    package var draftModel: Chosen<String>?
    package var cacheOnGPU: Chosen<Bool>?
    package var promptCache: Chosen<Int64>?
    /// Copies of what layers that do not look back on all hold of a slot's sequence.
    package var checkpoints: Chosen<Int>?
    package var experts: Chosen<Experts>?
    package var keepAlive: Chosen<LoadSettings.KeepAlive>
    package var isPinned = Chosen(false, .builtIn)

    /// How many experts work on a token, in models of an architecture.
    package struct Experts: Sendable, Hashable {
        package var used: Int
        /// As its header names it; empty until that has been looked at.
        package var architecture: String

        package init(used: Int, architecture: String = "") {
            self.used = used
            self.architecture = architecture
        }
    }

    /// Default idle time of what is loaded on demand: 60 minutes, as LM Studio's.
    package static let onDemandTTL: Duration = .seconds(3600)

    /// - Parameter isExplicit: a model that was loaded because somebody said so stays.
    package init(isExplicit: Bool = false) {
        keepAlive = Chosen(isExplicit ? .always : .idle(Self.onDemandTTL), .builtIn)
    }

    /// What holds once those settings, of which none has been looked at yet, go before these.
    package mutating func apply(_ settings: LoadSettings, from origin: SettingOrigin) {
        func put<Value>(_ value: Value?, _ place: inout Chosen<Value>) {
            if let value { place = Chosen(value, origin) }
        }
        func put<Value>(_ value: Value?, _ place: inout Chosen<Value>?) {
            if let value { place = Chosen(value, origin) }
        }
        put(settings.context, &context)
        put(settings.parallel, &parallel)
        put(settings.gpuLayers, &gpuLayers)
        put(settings.flashAttention, &flashAttention)
        put(settings.keyCache, &keyCache)
        put(settings.valueCache, &valueCache)
        put(settings.batch, &batch)
        put(settings.threads, &threads)
        put(settings.draftModel, &draftModel)
        put(settings.cacheOnGPU, &cacheOnGPU)
        put(settings.promptCache, &promptCache)
        put(settings.experts.map { Experts(used: $0) }, &experts)
        put(settings.keepAlive, &keepAlive)
        put(settings.isPinned, &isPinned)
    }

    /// Fits them to a model.
    ///
    /// A context for all models is cut to what this one was trained for. One that was set for this model, or by this
    /// request, is never: it is used, or refused.
    /// - Throws: `badSetting` when they contradict each other or the model.
    package mutating func fit(_ facts: ModelFacts, of model: String) throws(EngineError) {
        if case .tokens(let tokens) = context.value, let trained = facts.trainedContext, tokens > trained {
            guard context.origin == .configuration else {
                throw EngineError(
                    .badSetting,
                    "a context of \(tokens) tokens is more than \(model) was trained for: ask for \(trained) at most.",
                    setting: "context_length")
            }
            context = Chosen(.tokens(trained), .model)
        }
        if let used = experts?.value.used {
            guard let known = facts.experts, let architecture = facts.architecture else {
                throw EngineError(.badSetting, "num_experts cannot be set: \(model) has no experts.")
            }
            guard 1...known.count ~= used else {
                throw EngineError(
                    .badSetting,
                    "num_experts is \(used): \(model) has \(known.count), so it has to be from 1 to "
                        + "\(known.count).")
            }
            experts?.value.architecture = architecture
        }
        if flashAttention?.value == .off, let type = valueCache?.value, !type.isPlain {
            throw EngineError(
                .badSetting,
                "cache_type_v \(type.name.lowercased()) needs flash attention: switch it on, or choose f16.",
                setting: "cache_type_v")
        }
    }

    package var ttl: Duration? {
        if case .idle(let time) = keepAlive.value { time } else { nil }
    }

    /// Nil: it is fitted.
    package var contextTokens: Int? {
        if case .tokens(let tokens) = context.value { tokens } else { nil }
    }
}
