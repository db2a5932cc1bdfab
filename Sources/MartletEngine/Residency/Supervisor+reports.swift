import Logging

extension Supervisor {
    /// What is loaded, loading or stopping, or comes back when it is used, in the order of the names.
    package func residents() -> [ResidentModel] {
        let now = ContinuousClock.now
        let shown = Dictionary(shownNames().map { ($0.id, $0.shown) }, uniquingKeysWith: { first, _ in first })
        let models = Set(residency.instances.map(\.demand.model))
        let serving = Set(models.flatMap(residency.servers(of:)).map { residency.instances[$0].id })
        let living = residency.instances.compactMap { instance -> ResidentModel? in
            guard let resident = engines[instance.id] else { return nil }
            let isIdle = instance.phase == .ready && instance.users == 0
            let settings = instance.demand.settings
            // llama.cpp makes windows a little longer, but who makes vectors takes no more than a batch.
            let context = resident.launch.kind == .llm ? instance.context : settings.contextTokens ?? instance.context
            let waiting = if case .loading(let waiters) = instance.phase { waiters.count } else { 0 }
            return ResidentModel(
                instance: shown[instance.id] ?? instance.id, isNamed: instance.isNamed,
                isAside: !serving.contains(instance.id), model: resident.launch.model,
                state: Self.state(instance.phase),
                process: resident.process, since: now - resident.since, socketPath: resident.launch.socketPath,
                load: settings, context: context, users: instance.users,
                idle: isIdle ? now - instance.lastUsed : nil, bytes: instance.bytes, measured: resident.measured,
                isExplicit: instance.isExplicit, isPinned: instance.isPinned, waiting: waiting,
                loadTime: resident.loadTime, progress: resident.progress?.fraction,
                isReturn: instance.isReturn)
        }
        let crashed = residency.crashed.compactMap { crashed -> ResidentModel? in
            guard !residency.instances.contains(where: { $0.id == crashed.id }),
                let model = known[crashed.demand.model]?.model
            else { return nil }
            return ResidentModel(
                instance: shown[crashed.id] ?? crashed.id, isNamed: crashed.isNamed, isAside: crashed.isNamed,
                model: model, state: .crashed,
                since: now - crashed.at, socketPath: "",
                load: crashed.demand.settings, context: crashed.context, users: 0, idle: now - crashed.lastUsed,
                bytes: 0, isExplicit: crashed.isExplicit, isPinned: crashed.isPinned, waiting: 0)
        }
        return (living + crashed).sorted { $0.instance < $1.instance }
    }

    /// An instance called after the model that is ready. Those whose file is gone are unloaded: the name is free for another.
    func ready(_ model: String) -> Residency.Instance? {
        let ready = residency.instances.filter { $0.serves(model) && $0.phase == .ready }
        let gone = ready.filter { instance in
            engines[instance.id].map { !Disk.exists($0.launch.model.path) } ?? false
        }.map(\.id)
        for id in gone { apply(.unload(id, .whenIdle)) }
        return residency.servers(of: model).lazy.map { self.residency.instances[$0] }.first { $0.phase == .ready }
    }

    private static func state(_ phase: Residency.Instance.Phase) -> ResidentModel.State {
        switch phase {
        case .loading: .loading
        case .ready: .ready
        case .draining: .draining
        case .stopping: .stopping
        }
    }

    /// Tokens of the window that each model would have if it were loaded for a request now, by the model's id. Those
    /// whose context is configured are not among them.
    ///
    /// The engine is looked for where that has not been done; who asks waits for it ``engineIsFoundWithin`` at most.
    /// - Returns: nothing where there is no engine.
    package func expectedContexts() async -> [String: Int] {
        guard let binary = await binary(within: Self.engineIsFoundWithin) else { return [:] }
        let requests = await LoadRequest.all(in: store, settings, for: binary, budget: residency.limits.budget)
        let open = requests.filter { $0.kind == .llm && $0.demand.settings.contextTokens == nil }
        return Dictionary(
            open.compactMap { request in
                residency.expectedContext(of: request.demand).map { (request.model.id, $0) }
            }, uniquingKeysWith: { first, _ in first })
    }

    /// The engine to use, if it is found within that time. It is looked for once only: what failed is not run again
    /// for everybody who asks.
    private func binary(within time: Duration) async -> EngineBinary? {
        if found == nil, look == .notYet {
            look = .underWay
            Task {
                _ = try? await currentBinary()
                look = .done
            }
        }
        let start = ContinuousClock.now
        while found == nil, look == .underWay, ContinuousClock.now - start < time, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
        return found
    }

    /// One that was installed by us is found in milliseconds, another has to be asked who it is.
    private static let engineIsFoundWithin: Duration = .milliseconds(300)

    /// Bytes that all engines together may take; nil until there is an engine.
    package func memoryBudget() -> Int64? { hasBudget ? residency.limits.budget : nil }

    /// Requests and orders that wait for room in memory.
    package var waitingForRoom: Int { residency.waitingForRoom }

    /// Loads that wait for room in memory, in the order they came.
    package var waitingLoads: [Residency.WaitingLoad] { residency.waitingLoads }

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

    /// Unloads these instances, and waits until they are gone, so long at most; whether they are. What is loaded under
    /// their names meanwhile are others.
    package func unload(
        _ instances: [String], _ how: Residency.Unloading, within time: Duration
    ) async -> Bool {
        let ids = unloadable().filter { instances.contains($0.shown) }.map(\.id)
        let sockets = Set(ids.compactMap { engines[$0]?.launch.socketPath })
        for id in ids { apply(.unload(id, how)) }
        let start = ContinuousClock.now
        while engines.values.contains(where: { sockets.contains($0.launch.socketPath) }) {
            guard ContinuousClock.now - start < time, !Task.isCancelled else { return false }
            try? await Task.sleep(for: Self.lookInterval)
        }
        return true
    }

    /// A dead engine has been collected by then, unless the machine stands still.
    private static let endIsKnownWithin: Duration = .seconds(2)
    private static let lookInterval: Duration = .milliseconds(20)
}

/// Whether the engine has been looked for before anything is loaded.
enum EngineLook { case notYet, underWay, done }
