/// Everything that decides how one engine process is started.
package struct LaunchPlan: Sendable, Hashable {
    package var binary: EngineBinary
    package var model: InstalledModel
    /// Where the engine listens; ends in `.sock`, at most ``SocketFolder/pathLimit`` bytes.
    package var socketPath: String
    /// The window of each slot, in tokens; nil leaves it to the model and the memory there is.
    package var contextTokens: Int?
    /// Slots: requests the engine works on at once. At least 1.
    package var parallel: Int
    /// Threads that compute; nil leaves it to the engine.
    package var threads: Int?
    /// Tokens of a prompt that the engine works on in one go; nil is ``defaultBatch``.
    package var batch: Int?
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

    /// Between two batches, and only there, the engine notices that a client has left and lets other slots go on: a
    /// batch is how long a killed client keeps its slot. llama-server's own 2048 take seconds on a CPU. There
    /// nothing is gained above 256 tokens, where the arithmetic fills the cores already (measured: prompts of
    /// 13,000 tokens are read as fast by 256 as by 2048). On a GPU 512 are what llama-server computes at once
    /// anyway, and a fraction of a second.
    package var defaultBatch: Int { binary.backend == "CPU" ? 256 : 512 }

    /// The arguments of the process.
    ///
    /// llama-server splits `--ctx-size` evenly among the slots unless the cache is unified: a window that was asked for
    /// is promised to every slot, one that was not is shared.
    package var arguments: [String] {
        let slots = max(1, parallel)
        var arguments = binary.leading
        arguments += ["--model", model.path, "--alias", model.id, "--host", socketPath, "--parallel", String(slots)]
        if let contextTokens {
            arguments += ["--ctx-size", String(contextTokens * slots)]
        } else if binary.unifiedCache {
            arguments.append("--kv-unified")
        }
        if let threads { arguments += ["--threads", String(threads)] }
        let batch = String(batch ?? defaultBatch)
        arguments += ["--batch-size", batch, "--ubatch-size", batch]
        return arguments + extra
    }
}
