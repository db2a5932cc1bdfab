package import Logging
import MartletProcess
import MartletWire

/// Runs the engines: performs what ``Residency`` decides, each engine in a child task of ``run()``.
package actor Supervisor {
    /// Finds the engine to use; asked before the first load and again after a failed launch.
    package typealias BinarySource = @Sendable () async throws(EngineError) -> EngineBinary
    /// Is handed each line of each engine's log that may be shown, to be made if it is wanted; nil: it may not.
    package typealias LineReader = @Sendable (() -> EngineLine?) -> Void
    /// Bytes that an engine takes, by its process; nil: that cannot be said.
    package typealias Measure = @Sendable (_ process: Int32) -> Int64?

    struct Launch: Sendable {
        var plan: Residency.Launch
        var model: InstalledModel
        var kind: ModelFacts.Kind
        var draft: InstalledModel?
        var socketPath: String
        var stop: StopSignal
    }

    struct Waiter {
        /// A model's id, or an instance's.
        var name: String
        var continuation: CheckedContinuation<Result<Lease, EngineError>, Never>
        var onProgress: @Sendable (LoadProgress) -> Void
    }

    struct Resident {
        var launch: Launch
        var process: Int32?
        var measured: Int64?
        var since = ContinuousClock.now
        /// How far it is with loading.
        var progress: LoadProgress?
        /// How long it loaded; nil: it still does.
        var loadTime: Duration?
        /// It was told to stop while requests used it.
        var isCutOff = false
    }

    let store: ModelStore
    private let binary: BinarySource
    private let home: String
    let settings: EngineSettings
    let probe: LlamaServer.Prober
    private let measure: Measure
    private let onLine: LineReader
    let logger: Logger
    /// Which instances are ready has changed; for one reader.
    package nonisolated let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation
    private var readyNames: [String] = []
    private let launches: AsyncStream<Launch>
    private let launcher: AsyncStream<Launch>.Continuation

    var residency: Residency
    var engines: [String: Resident] = [:]
    var waiters: [Residency.Ticket: Waiter] = [:]
    /// What was asked for, by the model's id; as many as are installed.
    private(set) var known: [String: LoadRequest] = [:]
    private var folder: SocketFolder?
    var found: EngineBinary?
    var look = EngineLook.notYet
    var hasBudget = false
    var lastTicket: UInt64 = 0
    private var lastSocket: UInt64 = 0
    /// Of the last engines that ended: their sockets, and why unless they were told to.
    var endings: [(socketPath: String, failure: EngineError?)] = []
    private static let endingsKept = 64
    private var wakeAt: ContinuousClock.Instant?
    private var timerStart = StopSignal()

    /// - Parameter measure: asked when an engine is ready.
    package init(
        store: ModelStore, binary: @escaping BinarySource, home: String, settings: EngineSettings = EngineSettings(),
        probe: @escaping LlamaServer.Prober, measure: @escaping Measure = EngineMemory.resident(group:),
        onLine: @escaping LineReader = { _ in }, logger: Logger
    ) {
        self.store = store
        self.binary = binary
        self.home = home
        self.settings = settings
        self.probe = probe
        self.measure = measure
        self.onLine = onLine
        self.logger = logger
        residency = Residency(limits: settings.limits)
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        // Every launch not yet taken is a resident, so the bound is never met.
        (launches, launcher) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(settings.limits.residents))
    }

    /// Keeps the engines until it is cancelled; returns when every one of them is gone. Run it once.
    ///
    /// Requests made before it runs wait for it.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepTime() }
            for await launch in launches {
                group.addTask { await self.perform(launch) }
            }
            // Cancelled: the children, cancelled with us, take their engines down while the group waits for them.
            apply(.shutdown)
        }
        folder = nil
    }

    // MARK: - Using

    /// Waits until an instance of the model is ready, and counts one user of it until ``release(socketPath:)``; joins a load
    /// under way, or loads. The name of an instance gets that instance, which is not loaded for it; a model's names go
    /// before it (``instance(called:)``).
    ///
    /// Cancelling the last request that waits for a load stops that load.
    /// - Parameters:
    ///   - settings: of this request. They hold if it is the one that has to load.
    ///   - onProgress: for whoever waits, at least once a second while the model loads; not called where it is ready.
    /// - Throws: `noSuchModel`, `notInstalled`, `unreadableModel`, `badSetting`, `doesNotFit`, `loadFailed`,
    ///   `loadTimedOut`, `backingOff`, `atCapacity`, `cancelled`, …
    package func acquire(
        _ name: String, settings: LoadSettings = LoadSettings(),
        onProgress: @escaping @Sendable (LoadProgress) -> Void = { _ in }
    ) async throws(EngineError) -> Lease {
        if let id = await instance(called: name) {
            var lease = try await wait(for: name, onProgress) { .requestedInstance(id, $0) }
            lease.instance = name
            return lease
        }
        // Who is served at once needs no more of the disk than that the file is there.
        if let ready = ready(name) {
            return try await wait(for: name, onProgress) { .requested(ready.demand, $0) }
        }
        let request = try await request(for: name, settings, .request, isExplicit: false)
        return try await wait(for: request.model.id, onProgress) { .requested(request.demand, $0) }
    }

    /// Loads one more instance, which stays, and returns its name when it is ready.
    ///
    /// - Parameters:
    ///   - identifier: its name; nil: the model's id, or `id:2`, …
    ///   - origin: who says so.
    /// - Throws: as ``acquire(_:settings:onProgress:)``, and `nameTaken`.
    package func load(
        _ model: String, settings: LoadSettings = LoadSettings(), from origin: SettingOrigin = .command,
        as identifier: String? = nil, onProgress: @escaping @Sendable (LoadProgress) -> Void = { _ in }
    ) async throws(EngineError) -> String {
        let request = try await request(for: model, settings, origin, isExplicit: true)
        if let identifier, let other = store.find(identifier), other.id != request.model.id {
            throw EngineError(.nameTaken, "\(identifier) is the name of another model. Choose another identifier.")
        }
        return try await wait(for: request.model.id, onProgress) { .load(request.demand, $0, as: identifier) }.instance
    }

    /// Waits until an instance that is called after the model is ready, whichever there is, and returns its name. Where
    /// there is none, one is loaded, which stays. The name of another instance gets that one.
    /// - Throws: as ``acquire(_:settings:onProgress:)``.
    package func ensure(_ model: String) async throws(EngineError) -> String {
        if let id = await instance(called: model) {
            let lease = try await wait(for: model, { _ in }) { .requestedInstance(id, $0) }
            release(socketPath: lease.socketPath)
            return model
        }
        if let ready = ready(model) {
            return try await wait(for: model, { _ in }) { .ensured(ready.demand, $0) }.instance
        }
        let request = try await request(for: model, LoadSettings(), .request, isExplicit: true)
        return try await wait(for: request.model.id, { _ in }) { .ensured(request.demand, $0) }.instance
    }

    private func request(
        for name: String, _ settings: LoadSettings, _ origin: SettingOrigin, isExplicit: Bool
    ) async throws(EngineError) -> LoadRequest {
        let installed = try await LoadRequest.find(name, in: store)
        let binary = try await currentBinary()
        let request = try await LoadRequest.make(
            installed, settings, origin, isExplicit: isExplicit, in: store, self.settings, for: binary,
            budget: residency.limits.budget
        ).get()
        if let error = request.unusableDraft { warnOfDraft(error, for: name) }
        known[request.model.id] = request
        if let draft = request.draft, known[draft.id] == nil {
            known[draft.id] = LoadRequest(model: draft, kind: .llm, demand: request.demand)
        }
        return request
    }

    private func wait(
        for name: String, _ onProgress: @escaping @Sendable (LoadProgress) -> Void,
        _ event: (Residency.Ticket) -> Residency.Event
    ) async throws(EngineError) -> Lease {
        lastTicket += 1
        let ticket = Residency.Ticket(lastTicket)
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                waiters[ticket] = Waiter(name: name, continuation: continuation, onProgress: onProgress)
                apply(event(ticket))
                tellState(ticket)
            }
        } onCancel: {
            // The handler may not wait; this runs once the actor is free, so after the ticket is known.
            Task { await self.cancel(ticket) }
        }.get()
    }

    private func cancel(_ ticket: Residency.Ticket) {
        guard let waiter = waiters.removeValue(forKey: ticket) else { return }
        let error = EngineError(.cancelled, "the request for \(waiter.name) was cancelled while it was loading.")
        waiter.continuation.resume(returning: .failure(error))
        apply(.cancelled(ticket))
    }

    // MARK: - Performing

    func apply(_ event: Residency.Event) {
        for action in residency.take(event, now: .now) {
            switch action {
            case .launch(let launch): self.launch(launch)
            case .stop(let id):
                engines[id]?.since = .now
                engines[id]?.isCutOff = residency.instances.contains { $0.id == id && $0.users > 0 }
                engines[id]?.launch.stop.fire()
            case .grant(let ticket, let id):
                let lease = Lease(instance: id, socketPath: engines[id]?.launch.socketPath ?? "")
                waiters.removeValue(forKey: ticket)?.continuation.resume(returning: .success(lease))
            case .refuse(let ticket, let error):
                waiters.removeValue(forKey: ticket)?.continuation.resume(returning: .failure(error))
            case .wake(let instant):
                wakeAt = instant
                timerStart.fire()
            }
        }
        noteReady()
    }

    /// The only timer: sleeps until the time that was said last.
    private func keepTime() async {
        while !Task.isCancelled {
            let start = StopSignal()
            timerStart = start
            let wakeAt = self.wakeAt
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await start.wait() }
                if let wakeAt { group.addTask { try? await Task.sleep(until: wakeAt, clock: .continuous) } }
                await group.next()
                group.cancelAll()
            }
            guard let due = self.wakeAt, due <= .now, !Task.isCancelled else { continue }
            self.wakeAt = nil
            apply(.tick)
        }
    }

    private func noteReady() {
        let names = residency.instances.filter { $0.phase == .ready }.map(\.id)
        guard names != readyNames else { return }
        readyNames = names
        changed.yield()
    }

    private func launch(_ launch: Residency.Launch) {
        let folder: SocketFolder
        do throws(EngineError) {
            folder = try socketFolder()
        } catch {
            return apply(.exited(launch.instance, error))
        }
        guard let request = known[launch.demand.model] else {
            return apply(.exited(launch.instance, EngineError(.noSuchModel, "\(launch.demand.model) is gone.")))
        }
        lastSocket += 1
        let draft = launch.demand.settings.draftModel.flatMap { known[$0.value]?.model }
        let started = Launch(
            plan: launch, model: request.model, kind: request.kind, draft: draft,
            socketPath: folder.socketPath(lastSocket), stop: StopSignal())
        engines[launch.instance] = Resident(launch: started)
        launcher.yield(started)
    }

    private func socketFolder() throws(EngineError) -> SocketFolder {
        if let folder { return folder }
        let made = try SocketFolder(home: home)
        folder = made
        return made
    }

    /// One engine from start to end.
    private func perform(_ launch: Launch) async {
        let id = launch.plan.instance
        var failure: EngineError?
        do throws(EngineError) {
            let binary = try await currentBinary()
            let plan = LaunchPlan(
                launch.plan, of: launch.model, launch.kind, draft: launch.draft, on: binary,
                socketPath: launch.socketPath, settings)
            tell(
                id, .loading, fraction: binary.reportsLoading ? 0 : nil,
                "loading \(id) (\(ByteCount.shown(launch.model.bytes))) on \(binary.backend)"
                    + (launch.plan.isReturn ? ", as it was when its engine ended" : ""))
            try await run(plan, as: id, until: launch.stop)
        } catch {
            failure = error
        }
        if failure?.code == .launchFailed { found = nil }
        if let failure {
            logger.warning(
                "engine failed",
                metadata: [
                    "model": "\(id)", "code": "\(failure.code)", "reason": "\(failure.message)",
                    "tail": .array(failure.logTail.suffix(5).map { "\($0)" }),
                ])
        } else {
            logger.debug("engine stopped", metadata: ["model": "\(id)"])
        }
        let isCutOff = engines.removeValue(forKey: id)?.isCutOff == true
        endings.append((launch.socketPath, failure ?? (isCutOff ? Self.cutOff(id) : nil)))
        if endings.count > Self.endingsKept { endings.removeFirst() }
        apply(.exited(id, failure))
    }

    private func run(_ plan: LaunchPlan, as id: String, until stop: StopSignal) async throws(EngineError) {
        let (probe, onLine) = (self.probe, self.onLine)
        let result = await withTaskGroup(of: Result<Void, EngineError>.self) { group in
            group.addTask {
                do throws(EngineError) {
                    try await LlamaServer.run(
                        plan, probe: probe,
                        onLine: { line in
                            onLine {
                                line().map { level, text in
                                    EngineLine(
                                        instance: id, version: plan.binary.version, level: .init(level), text: text)
                                }
                            }
                        }, onEvent: { await self.note($0, of: id, on: plan.binary) })
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

    private func note(_ event: LlamaServer.Event, of id: String, on binary: EngineBinary) {
        switch event {
        case .started(let process):
            engines[id]?.process = process
            logger.debug("engine started", metadata: ["model": "\(id)", "process": "\(process)"])
        case .loading(let elapsed, let reported): noteLoading(id, reported, elapsed, on: binary, measure)
        case .ready(let elapsed):
            guard let resident = engines[id] else { return }
            // What lies in the memory of a device is not resident.
            let measured = binary.deviceMemory == nil ? resident.process.flatMap(measure) : nil
            engines[id]?.measured = measured
            engines[id]?.loadTime = .now - resident.since
            tell(id, .ready, fraction: 1, "\(id) is ready")
            engines[id]?.since = .now
            let milliseconds = elapsed / Duration.milliseconds(1)
            logger.debug(
                "engine ready",
                metadata: [
                    "model": "\(id)", "ms": "\(Int64(milliseconds))", "estimated": "\(resident.launch.plan.bytes)",
                    "measured": "\(measured.map { "\($0)" } ?? "unknown")",
                ])
            apply(.ready(id, bytes: measured))
        }
    }

    /// The engine to use; with the first one the budget is known.
    func currentBinary() async throws(EngineError) -> EngineBinary {
        if let found { return found }
        let binary = try await self.binary()
        found = binary
        if !hasBudget {
            hasBudget = true
            residency.limits.budget = settings.memory.budget(of: binary.deviceMemory ?? EngineMemory.total())
        }
        return binary
    }
}
