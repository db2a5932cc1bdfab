/// How engines are run.
package struct EngineSettings: Sendable {
    /// How much memory all engines together may take.
    package enum Memory: Sendable, Hashable {
        /// Of the memory that engines compute in, 0 to 1.
        case share(Double)
        case bytes(Int64)

        package func budget(of total: Int64?) -> Int64 {
            switch self {
            case .bytes(let bytes): bytes
            // Where nobody says how much there is, the system's own bound has to do.
            case .share(let share): total.map { Int64(Double($0) * share) } ?? .max
            }
        }
    }

    /// For all models.
    package var load = LoadSettings()
    /// What is set for a model, by its id, in a file; asked at each load.
    package var ofModel: @Sendable (String) -> LoadSettings? = { _ in nil }
    /// Default 80 %.
    package var memory = Memory.share(0.8)
    /// Further llama-server flags.
    package var extra: [String] = []
    /// From start to ready. Default 10 minutes.
    package var loadTimeout: Duration = .seconds(600)
    /// Between SIGTERM and SIGKILL. Default 5 s.
    package var grace: Duration = .seconds(5)
    /// Their budget comes from `memory`.
    package var limits = Residency.Limits()

    package init() {}
}

/// An instance that is loaded, or about to be, or about to be gone, or comes back when it is used.
package struct ResidentModel: Sendable, Hashable {
    package enum State: String, Sendable, Hashable {
        case loading, ready, draining, stopping
        /// Its engine ended by itself; its next use loads it as it was.
        case crashed
    }

    /// The name it is asked for by: the model's id, or `id:2`, or what its owner called it; `id:NAME` where that has
    /// become the name of a model.
    package var instance: String
    /// Its owner gave it a name of its own, and requests for its model do not get it.
    package var isNamed = false
    /// Requests for its model do not get it: it has a name of its own, or cannot do what the model's first instance can.
    package var isAside = false
    package var model: InstalledModel
    package var state: State
    /// Nil where no process has been started.
    package var process: Int32?
    /// Time in its present state; draining counts as ready.
    package var since: Duration
    package var socketPath: String
    /// Each with its origin.
    package var load: EffectiveLoad
    /// Tokens it was given; nil: the engine chose.
    package var context: Int?
    /// Requests under way.
    package var users: Int
    /// Since its last request; nil while it has one, or is not ready.
    package var idle: Duration?
    /// What it counts for: as estimated, or as measured if that is more.
    package var bytes: Int64
    /// Resident when it became ready; nil: not known.
    package var measured: Int64?
    package var isExplicit: Bool
    package var isPinned: Bool
    /// Requests and orders that wait for it to be loaded.
    package var waiting: Int
    /// How long it loaded; nil: it still does.
    package var loadTime: Duration?
    /// How far it was with loading when that was heard last, 0 to 1; nil: its engine does not say.
    package var progress: Double?
    /// It is being loaded as it was when its engine crashed.
    package var isReturn = false
}

/// A use of an instance, from ``Supervisor/acquire(_:settings:onProgress:)`` to ``Supervisor/release(socketPath:)``.
package struct Lease: Sendable, Hashable {
    package var instance: String
    /// Where its engine listens; no other engine ever does.
    package var socketPath: String
}
