/// What is asked of the ``Supervisor``, made into what ``Residency`` decides on. Reads files.
struct LoadRequest: Sendable {
    var model: InstalledModel
    var kind: ModelFacts.Kind
    var demand: Residency.Demand
    var draft: InstalledModel?
    /// Why the draft model of all models is not used.
    var unusableDraft: EngineError?

    /// Who makes vectors looks at a whole input at once, so its batch is as long as its window; this is the most of both
    /// that is chosen for it.
    private static let encoderWindow = 2048

    /// - Parameters:
    ///   - settings: of the request or command, and which of them it is.
    ///   - binary: the engine that will load it.
    ///   - budget: bytes of all engines together.
    @concurrent static func make(
        _ model: InstalledModel, _ settings: LoadSettings, _ origin: SettingOrigin, isExplicit: Bool,
        in store: ModelStore, _ engine: EngineSettings, for binary: EngineBinary, budget: Int64
    ) async -> Result<LoadRequest, EngineError> {
        do throws(EngineError) {
            var request = try make(
                model, settings, origin, isExplicit: isExplicit, in: store, engine, binary, budget)
            for other in store.models() where other.id != model.id && other.id != request.draft?.id {
                // One that cannot be loaded needs no room.
                guard
                    let wanted = try? make(
                        other, LoadSettings(), origin, isExplicit: false, in: store, engine, binary, budget)
                else { continue }
                request.demand.others[other.id] = wanted.demand.size.comfortable
            }
            return .success(request)
        } catch {
            return .failure(error)
        }
    }

    /// What a request would ask for, of each model that can be loaded. Reads headers that have not been read yet.
    @concurrent static func all(
        in store: ModelStore, _ engine: EngineSettings, for binary: EngineBinary, budget: Int64
    ) async -> [LoadRequest] {
        var requests = store.models().compactMap { model in
            try? make(model, LoadSettings(), .request, isExplicit: false, in: store, engine, binary, budget)
        }
        let comfortable = Dictionary(
            requests.map { ($0.model.id, $0.demand.size.comfortable) }, uniquingKeysWith: { first, _ in first })
        for index in requests.indices {
            let own = [requests[index].model.id, requests[index].draft?.id]
            requests[index].demand.others = comfortable.filter { !own.contains($0.key) }
        }
        return requests
    }

    private static func make(
        _ model: InstalledModel, _ settings: LoadSettings, _ origin: SettingOrigin, isExplicit: Bool,
        in store: ModelStore, _ engine: EngineSettings, _ binary: EngineBinary, _ budget: Int64
    ) throws(EngineError) -> LoadRequest {
        try settings.check()
        let facts = try store.facts(of: model)
        var model = model
        // What is no projector, in spite of its name, would keep the engine from loading the model.
        if facts.senses == ModelFacts.Senses() { model.projector = nil }
        let configured = engine.configured(model.id, isExplicit: isExplicit)
        var load = configured
        load.apply(settings, from: origin)
        try Self.check(facts.kind, model.id)
        try load.fit(facts, of: model.id, configured: configured)
        guard load.experts == nil || binary.overridesHeader else {
            throw EngineError(
                .badSetting,
                "num_experts cannot be set with this engine (\(binary.version)): it needs a llama-server "
                    + "with --override-kv. Get one with: martlet engine install --source")
        }
        Self.fitEncoder(&load, facts)
        var unusable: EngineError?
        let draft = try DraftModel.find(&load, for: model, facts, in: store) { unusable = $0 }
        if load.batch == nil { load.batch = Chosen(LaunchPlan.defaultBatch(on: binary), .builtIn) }
        fitPromptCache(&load, facts, binary, budget)
        let checkpoints = fitCheckpoints(&load, facts, binary, budget)
        // Both lie in RAM, also where the engine computes elsewhere.
        let kept = binary.deviceMemory == nil ? (load.promptCache?.value ?? 0) + checkpoints : 0
        let size = LoadSize(
            facts, estimate(load, binary), context: load.contextTokens,
            mayHaveFewerSlots: load.parallel.origin == .builtIn, draft: draft?.facts, beside: kept)
        return LoadRequest(
            model: model, kind: facts.kind,
            demand: Residency.Demand(model.id, size: size, ttl: load.ttl, settings: load),
            draft: draft?.model, unusableDraft: unusable)
    }

    @concurrent static func find(_ name: String, in store: ModelStore) async throws(EngineError) -> InstalledModel {
        try installed(name, in: store)
    }

    static func installed(_ name: String, in store: ModelStore) throws(EngineError) -> InstalledModel {
        if let model = store.find(name) { return model }
        let ids = store.models().filter { model in
            (try? store.facts(of: model)).map { (try? check($0.kind, model.id)) != nil } ?? false
        }.map(\.id)
        let there = ids.isEmpty ? "none is" : "installed: \(ids.prefix(5).joined(separator: ", "))"
        throw EngineError(.noSuchModel, "model \"\(Shown.text(name))\" is not installed; \(there).")
    }

    private static func check(_ kind: ModelFacts.Kind, _ model: String) throws(EngineError) {
        switch kind {
        case .llm, .embedding, .reranker: break
        case .projector:
            throw EngineError(
                .unreadableModel, "\(model) cannot be loaded by itself: it is the eyes or ears of another model.")
        case .other(let reason): throw EngineError(.unreadableModel, "\(model) cannot be loaded: \(reason)")
        }
    }

    private static func fitEncoder(_ load: inout EffectiveLoad, _ facts: ModelFacts) {
        guard facts.kind != .llm else { return }
        if load.contextTokens == nil {
            load.context = Chosen(.tokens(min(facts.trainedContext ?? encoderWindow, encoderWindow)), .model)
        }
        if load.batch.map({ $0.origin == .configuration }) ?? true, let window = load.contextTokens {
            load.batch = Chosen(max(32, window), .model)
        }
        // It takes no input that is longer than its batch.
        if let batch = load.batch, let window = load.contextTokens, batch.value < window {
            load.context = Chosen(.tokens(batch.value), batch.origin)
        }
        // llama.cpp ends itself over a batch that is no multiple of the slots (mean pooling in its llama-graph.cpp).
        guard let batch = load.batch?.value, batch % load.parallel.value > 0 else { return }
        load.batch = Chosen((batch / load.parallel.value + 1) * load.parallel.value, .model)
    }

    /// llama-server keeps what it computed for prompts in up to 8 GiB of RAM by itself, which nobody counts. Here it gets
    /// room for the conversations of four times its slots, at most a sixteenth of all engines' memory.
    private static func fitPromptCache(
        _ load: inout EffectiveLoad, _ facts: ModelFacts, _ binary: EngineBinary, _ budget: Int64
    ) {
        guard binary.boundsPromptCache, facts.kind == .llm else { return load.promptCache = nil }
        guard load.promptCache == nil else { return }
        let memory = binary.deviceMemory == nil ? budget : EngineMemory.total() ?? 0
        var slots = estimate(load, binary)
        slots.context = load.contextTokens ?? LoadSize.comfortableContext
        let (enough, overflow) = MemoryEstimate(facts, slots).cache.multipliedReportingOverflow(by: 4)
        load.promptCache = Chosen(
            min(LaunchPlan.promptCache, memory / 16, overflow ? .max : enough), .builtIn)
    }

    /// llama-server keeps up to 32 checkpoints of each slot, from which it goes on where a conversation is continued
    /// elsewhere than at its end; only for models that do not look back on all. Here they get as much room as
    /// ``fitPromptCache(_:_:_:_:)`` gives at most, but one each in any case: without it such a prompt is read anew.
    /// - Returns: the bytes of all of them.
    private static func fitCheckpoints(
        _ load: inout EffectiveLoad, _ facts: ModelFacts, _ binary: EngineBinary, _ budget: Int64
    ) -> Int64 {
        var slot = estimate(load, binary)
        slot.context = load.contextTokens ?? LoadSize.comfortableContext
        let bytes = MemoryEstimate.checkpoint(facts, slot)
        guard binary.boundsCheckpoints, facts.kind == .llm, bytes > 0 else { return 0 }
        let (ofAll, overflow) = bytes.multipliedReportingOverflow(by: Int64(slot.slots))
        let memory = binary.deviceMemory == nil ? budget : EngineMemory.total() ?? 0
        let count = overflow ? 1 : max(1, min(Int64(LaunchPlan.checkpoints), memory / 16 / ofAll))
        load.checkpoints = Chosen(Int(count), .builtIn)
        return overflow ? .max / 4 : min(.max / 4, ofAll) * count
    }

    private static func estimate(_ load: EffectiveLoad, _ binary: EngineBinary) -> MemoryEstimate.Load {
        var estimate = MemoryEstimate.Load(context: LoadSize.comfortableContext)
        estimate.slots = load.parallel.value
        estimate.keys = load.keyCache?.value ?? .f16
        estimate.values = load.valueCache?.value ?? .f16
        estimate.hasFlashAttention = load.flashAttention?.value != .off
        estimate.batch = load.batch?.value ?? LaunchPlan.defaultBatch(on: binary)
        return estimate
    }
}
