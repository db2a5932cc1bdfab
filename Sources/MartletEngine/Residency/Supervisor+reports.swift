extension Supervisor {
    /// What is loaded, loading or stopping, in the order of the names.
    package func residents() -> [ResidentModel] {
        let now = ContinuousClock.now
        return residency.instances.sorted { $0.id < $1.id }.compactMap { instance in
            guard let resident = engines[instance.id] else { return nil }
            let isIdle = instance.phase == .ready && instance.users == 0
            return ResidentModel(
                instance: instance.id, model: resident.launch.model, state: Self.state(instance.phase),
                process: resident.process, since: now - resident.since, socketPath: resident.launch.socketPath,
                load: instance.demand.settings, context: instance.context, users: instance.users,
                idle: isIdle ? now - instance.lastUsed : nil, bytes: instance.bytes, measured: resident.measured,
                isExplicit: instance.isExplicit, isPinned: instance.isPinned)
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

    /// Why the model's engine ended last, for whoever lost a connection to it; nil once it is loaded again.
    package func lastFailure(of model: String) -> EngineError? { residency.lastFailure(of: id(of: model)) }

    /// Why the model's engine ended, asked right after a connection to it broke. Waits until the end is known, two
    /// seconds at most; nil when the engine answers, or was told to stop.
    package func lastWords(of model: String) async -> EngineError? {
        let id = id(of: model)
        let start = ContinuousClock.now
        repeat {
            if let failure = residency.lastFailure(of: id) { return failure }
            let ready = residency.instances.filter { $0.demand.model == id && !$0.isLoading && $0.phase != .stopping }
            guard !ready.isEmpty else { return nil }
            var answering = 0
            for instance in ready {
                guard let path = engines[instance.id]?.launch.socketPath else { continue }
                if await probe(path) == .ready { answering += 1 }
            }
            if answering == ready.count { return nil }
            try? await Task.sleep(for: Self.lookInterval)
        } while ContinuousClock.now - start < Self.endIsKnownWithin && !Task.isCancelled
        return nil
    }

    /// The model of that name, or of the instance of that name.
    private func id(of name: String) -> String {
        residency.instances.first { $0.id == name }?.demand.model ?? store.find(name)?.id ?? name
    }

    /// A dead engine has been collected by then, unless the machine stands still.
    private static let endIsKnownWithin: Duration = .seconds(2)
    private static let lookInterval: Duration = .milliseconds(20)
}
