/// How engines are run; the same for every model.
package struct EngineSettings: Sendable, Hashable {
    /// Slots per engine. Default 4.
    package var parallel = 4
    /// Tokens of each slot's context window; nil (the default) leaves it to the model.
    package var contextTokens: Int?
    /// Nil (the default) leaves it to the engine.
    package var threads: Int?
    /// Tokens of a prompt worked on in one go; nil (the default) is ``LaunchPlan/defaultBatch``.
    package var batch: Int?
    /// Further llama-server flags.
    package var extra: [String] = []
    /// From start to ready. Default 10 minutes.
    package var loadTimeout: Duration = .seconds(600)
    /// Between SIGTERM and SIGKILL. Default 5 s.
    package var grace: Duration = .seconds(5)
    package var limits = Residency.Limits()

    package init() {}
}

/// A model that is loaded, or about to be, or about to be gone.
package struct ResidentModel: Sendable, Hashable {
    package enum State: String, Sendable, Hashable { case loading, ready, stopping }

    package var model: InstalledModel
    package var state: State
    /// Nil until the process has started.
    package var process: Int32?
    /// Time in its present state.
    package var since: Duration
    package var socketPath: String
}
