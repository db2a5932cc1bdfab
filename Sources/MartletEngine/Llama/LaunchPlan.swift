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
    /// Further flags, passed as they are, after ours.
    package var extra: [String]
    /// From start to ready.
    package var loadTimeout: Duration
    /// Between SIGTERM and SIGKILL.
    package var grace: Duration

    package init(
        binary: EngineBinary, model: InstalledModel, socketPath: String, contextTokens: Int? = nil, parallel: Int = 4,
        threads: Int? = nil, extra: [String] = [], loadTimeout: Duration = .seconds(600), grace: Duration = .seconds(5)
    ) {
        self.binary = binary
        self.model = model
        self.socketPath = socketPath
        self.contextTokens = contextTokens
        self.parallel = parallel
        self.threads = threads
        self.extra = extra
        self.loadTimeout = loadTimeout
        self.grace = grace
    }

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
        return arguments + extra
    }
}
