import Logging

extension Supervisor {
    /// What is loaded, loading or stopping, in the order of the names.
    package func residents() -> [ResidentModel] {
        let now = ContinuousClock.now
        return residency.instances.sorted { $0.id < $1.id }.compactMap { instance in
            guard let resident = engines[instance.id] else { return nil }
            let isIdle = instance.phase == .ready && instance.users == 0
            let waiting = if case .loading(let waiters) = instance.phase { waiters.count } else { 0 }
            return ResidentModel(
                instance: instance.id, model: resident.launch.model, state: Self.state(instance.phase),
                process: resident.process, since: now - resident.since, socketPath: resident.launch.socketPath,
                load: instance.demand.settings, context: instance.context, users: instance.users,
                idle: isIdle ? now - instance.lastUsed : nil, bytes: instance.bytes, measured: resident.measured,
                isExplicit: instance.isExplicit, isPinned: instance.isPinned, waiting: waiting,
                loadTime: resident.loadTime, progress: resident.progress?.fraction)
        }
    }

    private static func state(_ phase: Residency.Instance.Phase) -> ResidentModel.State {
        switch phase {
        case .loading: .loading
        case .ready: .ready
        case .draining: .draining
        case .stopping: .stopping
        }
    }

    /// Bytes that all engines together may take; nil until there is an engine.
    package func memoryBudget() -> Int64? { hasBudget ? residency.limits.budget : nil }

    /// Requests and orders that wait for room in memory.
    package var waitingForRoom: Int { residency.waitingForRoom }

    /// Why an engine ended, asked right after a connection to it broke. Waits until the end is known, two seconds at
    /// most; nil when the engine answers, or was told to stop while nobody used it.
    /// - Parameter socketPath: of the lease with which it was used.
    package func lastWords(at socketPath: String) async -> EngineError? {
        let start = ContinuousClock.now
        repeat {
            if let ending = endings.first(where: { $0.socketPath == socketPath }) { return ending.failure }
            guard let used = engines.first(where: { $0.value.launch.socketPath == socketPath }) else { return nil }
            if used.value.isCutOff { return Self.cutOff(used.key) }
            if await probe(socketPath) == .ready { return nil }
            try? await Task.sleep(for: Self.lookInterval)
        } while ContinuousClock.now - start < Self.endIsKnownWithin && !Task.isCancelled
        return nil
    }

    func warnOfDraft(_ error: EngineError, for model: String) {
        logger.warning(
            "loaded without the draft model of the configuration",
            metadata: ["model": "\(model)", "error": "\(error.message)"])
    }

    static func cutOff(_ id: String) -> EngineError {
        EngineError(.cancelled, "\(id) was unloaded before its reply was complete.")
    }

    /// Waits until the instance is gone, so long at most; whether it is.
    package func gone(_ instance: String, within time: Duration) async -> Bool {
        let start = ContinuousClock.now
        while residency.instances.contains(where: { $0.id == instance }) {
            guard ContinuousClock.now - start < time, !Task.isCancelled else { return false }
            try? await Task.sleep(for: Self.lookInterval)
        }
        return true
    }

    /// A dead engine has been collected by then, unless the machine stands still.
    private static let endIsKnownWithin: Duration = .seconds(2)
    private static let lookInterval: Duration = .milliseconds(20)
}
