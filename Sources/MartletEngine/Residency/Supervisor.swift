package import Logging

/// Runs the engines: performs what ``Residency`` decides, each engine in a child task of ``run()``.
package actor Supervisor {
    /// Finds the engine to use; asked at the first load and again after a failed launch.
    package typealias BinarySource = @Sendable () async throws(EngineError) -> EngineBinary

    private struct Launch: Sendable {
        var model: InstalledModel
        var socketPath: String
        var stop: StopSignal
    }

    private struct Waiter {
        var model: String
        var continuation: CheckedContinuation<Result<String, EngineError>, Never>
        var onProgress: @Sendable (String) -> Void
    }

    private struct Resident {
        var model: InstalledModel
        var socketPath: String
        var stop: StopSignal
        var state = ResidentModel.State.loading
        var process: Int32?
        var since = ContinuousClock.now
    }

    private let store: ModelStore
    private let binary: BinarySource
    private let home: String
    private let settings: EngineSettings
    private let probe: LlamaServer.Prober
    private let logger: Logger
    private let launches: AsyncStream<Launch>
    private let launcher: AsyncStream<Launch>.Continuation

    private var residency: Residency
    private var residentModels: [String: Resident] = [:]
    private var waiters: [Residency.Ticket: Waiter] = [:]
    private var known: [String: InstalledModel] = [:]
    private var folder: SocketFolder?
    private var found: EngineBinary?
    private var lastTicket: UInt64 = 0
    private var lastSocket: UInt64 = 0

    package init(
        store: ModelStore, binary: @escaping BinarySource, home: String, settings: EngineSettings = EngineSettings(),
        probe: @escaping LlamaServer.Prober, logger: Logger
    ) {
        self.store = store
        self.binary = binary
        self.home = home
        self.settings = settings
        self.probe = probe
        self.logger = logger
        residency = Residency(limits: settings.limits)
        // Every launch not yet taken is a resident, so the bound is never met.
        (launches, launcher) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(settings.limits.residents))
    }

    /// Keeps the engines until it is cancelled; returns when every one of them is gone. Run it once.
    ///
    /// Requests made before it runs wait for it.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await launch in launches {
                group.addTask { await self.perform(launch) }
            }
            // Cancelled: the children, cancelled with us, take their engines down while the group waits for them.
            apply(.shutdown)
        }
        folder = nil
    }

    /// Makes the model ready and returns the path of its engine's socket; joins a load under way.
    ///
    /// Cancelling the last request that waits for a load stops that load.
    /// - Parameter onProgress: sentences for whoever waits, about one a second while the model loads.
    /// - Throws: `noSuchModel`, `notInstalled`, `loadFailed`, `loadTimedOut`,
    ///   `backingOff`, `atCapacity`, `cancelled`, …
    package func ready(
        _ model: String, onProgress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(EngineError) -> String {
        guard let installed = store.find(model) else { throw noSuchModel(model) }
        known[installed.id] = installed
        lastTicket += 1
        let ticket = Residency.Ticket(lastTicket)
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                waiters[ticket] = Waiter(model: installed.id, continuation: continuation, onProgress: onProgress)
                apply(.requested(installed.id, ticket))
            }
        } onCancel: {
            // The handler may not wait; this runs once the actor is free, so after the ticket is known.
            Task { await self.cancel(ticket) }
        }.get()
    }

    /// Stops the model's engine, if there is one. Requests under way in it are cut off.
    package func unload(_ model: String) {
        apply(.unloadRequested(store.find(model)?.id ?? model))
    }

    /// What is loaded, loading or stopping, by model id.
    package func residents() -> [ResidentModel] {
        let now = ContinuousClock.now
        return residentModels.values.sorted { $0.model.id < $1.model.id }.map {
            ResidentModel(
                model: $0.model, state: $0.state, process: $0.process, since: now - $0.since,
                socketPath: $0.socketPath)
        }
    }

    /// Why the model's engine ended last, for whoever lost a connection to it; nil once it is loaded again.
    package func lastFailure(of model: String) -> EngineError? {
        residency.lastFailure(of: store.find(model)?.id ?? model)
    }

    /// Why the model's engine ended, asked right after a connection to it broke. Waits until the end is known, two
    /// seconds at most; nil when the engine answers, or was told to stop.
    package func lastWords(of model: String) async -> EngineError? {
        let id = store.find(model)?.id ?? model
        let start = ContinuousClock.now
        repeat {
            if let failure = residency.lastFailure(of: id) { return failure }
            guard let resident = residentModels[id], resident.state == .ready else { return nil }
            if await probe(resident.socketPath) == .ready { return nil }
            try? await Task.sleep(for: Self.lookInterval)
        } while ContinuousClock.now - start < Self.endIsKnownWithin && !Task.isCancelled
        return nil
    }

    /// A dead engine has been collected by then, unless the machine stands still.
    private static let endIsKnownWithin: Duration = .seconds(2)
    private static let lookInterval: Duration = .milliseconds(20)

    // MARK: - Performing

    private func apply(_ event: Residency.Event) {
        for action in residency.take(event, now: .now) {
            switch action {
            case .launch(let model): launch(model)
            case .stop(let model):
                residentModels[model]?.state = .stopping
                residentModels[model]?.since = .now
                residentModels[model]?.stop.fire()
            case .grant(let ticket, let model):
                let path = residentModels[model]?.socketPath ?? ""
                waiters.removeValue(forKey: ticket)?.continuation.resume(returning: .success(path))
            case .refuse(let ticket, let error):
                waiters.removeValue(forKey: ticket)?.continuation.resume(returning: .failure(error))
            }
        }
    }

    private func cancel(_ ticket: Residency.Ticket) {
        guard let waiter = waiters.removeValue(forKey: ticket) else { return }
        let error = EngineError(.cancelled, "the request for \(waiter.model) was cancelled while it was loading.")
        waiter.continuation.resume(returning: .failure(error))
        apply(.cancelled(ticket))
    }

    private func launch(_ id: String) {
        let folder: SocketFolder
        do throws(EngineError) {
            folder = try socketFolder()
        } catch {
            return apply(.exited(id, error))
        }
        guard let model = known[id] else { return apply(.exited(id, noSuchModel(id))) }
        lastSocket += 1
        let launch = Launch(model: model, socketPath: folder.socketPath(lastSocket), stop: StopSignal())
        residentModels[id] = Resident(model: model, socketPath: launch.socketPath, stop: launch.stop)
        launcher.yield(launch)
    }

    private func socketFolder() throws(EngineError) -> SocketFolder {
        if let folder { return folder }
        let made = try SocketFolder(home: home)
        folder = made
        return made
    }

    /// One engine from start to end.
    private func perform(_ launch: Launch) async {
        let model = launch.model
        var failure: EngineError?
        do throws(EngineError) {
            let binary = try await currentBinary()
            let plan = LaunchPlan(
                binary: binary, model: model, socketPath: launch.socketPath, contextTokens: settings.contextTokens,
                parallel: settings.parallel, threads: settings.threads, batch: settings.batch,
                extra: settings.extra, loadTimeout: settings.loadTimeout, grace: settings.grace)
            tell(model.id, "loading \(model.id) (\(Self.size(model.bytes))) on \(binary.backend)")
            try await run(plan, until: launch.stop)
        } catch {
            failure = error
        }
        if failure?.code == .launchFailed { found = nil }
        if let failure {
            logger.warning(
                "engine failed",
                metadata: [
                    "model": "\(model.id)", "code": "\(failure.code)", "reason": "\(failure.message)",
                    "tail": .array(failure.logTail.suffix(5).map { "\($0)" }),
                ])
        } else {
            logger.debug("engine stopped", metadata: ["model": "\(model.id)"])
        }
        residentModels[model.id] = nil
        apply(.exited(model.id, failure))
    }

    private func run(_ plan: LaunchPlan, until stop: StopSignal) async throws(EngineError) {
        let probe = self.probe
        let result = await withTaskGroup(of: Result<Void, EngineError>.self) { group in
            group.addTask {
                do throws(EngineError) {
                    try await LlamaServer.run(plan, probe: probe) { await self.note($0, of: plan.model.id) }
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                await stop.wait()
                return .success(())
            }
            var result = await group.next() ?? .success(())
            group.cancelAll()
            for await other in group {
                if case .failure = other { result = other }
            }
            return result
        }
        try result.get()
    }

    private func note(_ event: LlamaServer.Event, of model: String) {
        switch event {
        case .started(let process):
            residentModels[model]?.process = process
            logger.debug("engine started", metadata: ["model": "\(model)", "process": "\(process)"])
        case .loading(let elapsed):
            tell(model, "loading \(model): \(elapsed.components.seconds) s so far")
        case .ready(let elapsed):
            guard residentModels[model]?.state == .loading else { return }
            residentModels[model]?.state = .ready
            residentModels[model]?.since = .now
            let milliseconds = elapsed / Duration.milliseconds(1)
            logger.debug("engine ready", metadata: ["model": "\(model)", "ms": "\(Int64(milliseconds))"])
            apply(.ready(model))
        }
    }

    private func currentBinary() async throws(EngineError) -> EngineBinary {
        if let found { return found }
        let binary = try await self.binary()
        found = binary
        return binary
    }

    private func tell(_ model: String, _ sentence: String) {
        for waiter in waiters.values where waiter.model == model { waiter.onProgress(sentence) }
    }

    private func noSuchModel(_ id: String) -> EngineError {
        let ids = store.models().map(\.id)
        let there = ids.isEmpty ? "none is" : "installed: \(ids.prefix(5).joined(separator: ", "))"
        return EngineError(.noSuchModel, "model \"\(id)\" is not installed; \(there).")
    }

    private static func size(_ bytes: Int64) -> String {
        let units = ["bytes", "kB", "MB", "GB", "TB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        let tenths = Int64((value * 10).rounded())
        return unit == 0 ? "\(bytes) bytes" : "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
