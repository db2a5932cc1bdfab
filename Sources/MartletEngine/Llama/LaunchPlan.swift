/// Everything that decides how one engine process is started.
package struct LaunchPlan: Sendable, Hashable {
    package var binary: EngineBinary
    package var model: InstalledModel
    /// What the engine calls itself; nil: as the model.
    package var name: String?
    package var kind = ModelFacts.Kind.llm
    /// Where the engine listens; ends in `.sock`, at most ``SocketFolder/pathLimit`` bytes.
    package var socketPath: String
    /// The window of each slot, in tokens; nil leaves it to the model and the memory there is.
    package var contextTokens: Int?
    /// Slots: requests the engine works on at once. At least 1.
    package var parallel: Int
    /// Threads that compute; nil leaves it to the engine.
    package var threads: Int?
    /// Tokens of a prompt that the engine works on in one go; nil is ``defaultBatch(on:)``.
    package var batch: Int?
    /// Nil leaves each of these to the engine.
    package var gpuLayers: Int?
    package var flashAttention: LoadSettings.FlashAttention?
    package var keyCache: TensorType?
    package var valueCache: TensorType?
    package var cacheOnGPU: Bool?
    /// Bytes; nil leaves it to the engine.
    package var promptCache: Int64?
    /// Copies of a slot's sequence; nil leaves it to the engine.
    package var checkpoints: Int?
    /// Nil leaves it to the model's header.
    package var experts: EffectiveLoad.Experts?
    /// The model that writes drafts.
    package var draft: InstalledModel?
    /// Further flags, passed as they are, after ours.
    package var extra: [String]
    /// From start to ready.
    package var loadTimeout: Duration
    /// Between SIGTERM and SIGKILL.
    package var grace: Duration

    package init(
        binary: EngineBinary, model: InstalledModel, socketPath: String, contextTokens: Int? = nil, parallel: Int = 4,
        threads: Int? = nil, batch: Int? = nil, extra: [String] = [], loadTimeout: Duration = .seconds(600),
        grace: Duration = .seconds(5)
    ) {
        self.binary = binary
        self.model = model
        self.socketPath = socketPath
        self.contextTokens = contextTokens
        self.parallel = parallel
        self.threads = threads
        self.batch = batch
        self.extra = extra
        self.loadTimeout = loadTimeout
        self.grace = grace
    }

    /// An instance as it was admitted.
    init(
        _ launch: Residency.Launch, of model: InstalledModel, _ kind: ModelFacts.Kind, draft: InstalledModel?,
        on binary: EngineBinary, socketPath: String, _ settings: EngineSettings
    ) {
        let load = launch.demand.settings
        self.init(
            binary: binary, model: model, socketPath: socketPath, contextTokens: launch.context,
            parallel: load.parallel.value, threads: load.threads?.value, batch: load.batch?.value,
            extra: settings.extra, loadTimeout: settings.loadTimeout, grace: settings.grace)
        name = launch.instance
        self.kind = kind
        gpuLayers = load.gpuLayers?.value
        flashAttention = load.flashAttention?.value
        keyCache = load.keyCache?.value
        valueCache = load.valueCache?.value
        cacheOnGPU = load.cacheOnGPU?.value
        promptCache = load.promptCache?.value
        checkpoints = load.checkpoints?.value
        experts = load.experts?.value
        self.draft = draft
    }

    /// Between two batches, and only there, the engine notices that a client has left and lets other slots go on: a
    /// batch is how long a killed client keeps its slot. llama-server's own 2048 take seconds on a CPU. There
    /// nothing is gained above 256 tokens, where the arithmetic fills the cores already (measured: prompts of
    /// 13,000 tokens are read as fast by 256 as by 2048). On a GPU 512 are what llama-server computes at once
    /// anyway, and a fraction of a second.
    package static func defaultBatch(on binary: EngineBinary) -> Int { binary.backend == "CPU" ? 256 : 512 }

    /// Bytes of RAM for prompts that were worked on, at most, where nobody says so: some conversations of a coding agent.
    static let promptCache: Int64 = 2 << 30

    /// Copies of a slot's sequence, at most: llama-server's own number.
    static let checkpoints = 32

    /// The arguments of the process.
    ///
    /// llama-server splits `--ctx-size` evenly among the slots. It can also let them share one window (`--kv-unified`),
    /// but when requests at work fill that together all of them fail.
    package var arguments: [String] {
        let slots = max(1, parallel)
        var arguments = binary.leading
        arguments += ["--model", model.path, "--alias", name ?? model.id]
        arguments += ["--host", socketPath, "--parallel", String(slots)]
        if let contextTokens { arguments += ["--ctx-size", String(contextTokens * slots)] }
        if let threads { arguments += ["--threads", String(threads)] }
        let batch = String(batch ?? Self.defaultBatch(on: binary))
        arguments += ["--batch-size", batch, "--ubatch-size", batch]
        if let gpuLayers { arguments += ["--n-gpu-layers", String(gpuLayers)] }
        if let flashAttention { arguments += ["--flash-attn", flashAttention.rawValue] }
        if let keyCache { arguments += ["--cache-type-k", keyCache.name.lowercased()] }
        if let valueCache { arguments += ["--cache-type-v", valueCache.name.lowercased()] }
        if cacheOnGPU == false { arguments.append("--no-kv-offload") }
        if let promptCache { arguments += ["--cache-ram", String(promptCache >> 20)] }
        if let checkpoints { arguments += ["--ctx-checkpoints", String(checkpoints)] }
        if let experts {
            arguments += ["--override-kv", "\(experts.architecture).expert_used_count=int:\(experts.used)"]
        }
        if let draft { arguments += ["--model-draft", draft.path] }
        if let projector = model.projector { arguments += ["--mmproj", projector] }
        switch kind {
        case .embedding(let pooling):
            arguments.append("--embeddings")
            if pooling != .own { arguments += ["--pooling", pooling.rawValue] }
        case .reranker: arguments.append("--rerank")
        case .llm, .projector, .other: break
        }
        return arguments + extra
    }
}
