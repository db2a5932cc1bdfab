import MartletProcess

/// What asking an engine whether it can answer has shown.
package enum Probe: Sendable, Hashable {
    case notYet
    case ready
    /// It will never answer; the sentence says why.
    case failed(String)
}

/// One llama-server process: one model, one scope.
package enum LlamaServer {
    /// Asks the engine behind a Unix socket whether it can answer; called only when the socket's file is there. It has
    /// to return soon after it is cancelled, which happens after 5 s.
    package typealias Prober = @Sendable (_ socketPath: String) async -> Probe

    /// What happens while an engine runs, in this order; `loading` any number of times, twice a second and whenever it
    /// says how far it is.
    package enum Event: Sendable, Hashable {
        case started(process: Int32)
        /// The fraction from 0 to 1, where the engine tells it: of what is to be read, behind which more is done.
        case loading(elapsed: Duration, fraction: Double?)
        case ready(elapsed: Duration)
    }

    private enum Verdict: Sendable {
        case failed(String)
        case timedOut
        case cancelled
    }

    /// One probe may take this long; a machine that swaps while it loads answers late.
    private static let probeLimit: Duration = .seconds(5)

    /// Between two looks at how far it is with loading.
    private static let lookInterval: Duration = .milliseconds(500)

    /// Between two probes at first; doubled after each, up to the last.
    private static let probeInterval = (first: Duration.milliseconds(20), last: Duration.milliseconds(250))

    /// Starts the engine and stays until every process of it is gone; never restarts it.
    ///
    /// Cancel the task to stop the engine: SIGTERM to its process group, the plan's grace, SIGKILL. The socket's file
    /// is removed before the start and after the end.
    /// - Parameter onLine: is told each line that may be shown, and how grave it is, as llama.cpp has it: `I`, `W`, `E`, `D`.
    /// - Throws: `launchFailed`, `loadFailed`, `loadTimedOut` before it was ready, `exited` after; each with the last
    ///   lines it printed. An end by cancellation is not an error.
    package static func run(
        _ plan: LaunchPlan,
        probe: @escaping Prober,
        onLine: @escaping @Sendable (() -> (level: Character, text: String)?) -> Void = { _ in },
        onEvent: @escaping @Sendable (Event) async -> Void
    ) async throws(EngineError) {
        guard !Task.isCancelled else { return }
        Disk.unlink(plan.socketPath)
        defer { Disk.unlink(plan.socketPath) }
        var variables = plan.binary.environment
        // Where a debugger is installed it takes seconds to tell what hides the last words.
        variables["GGML_NO_BACKTRACE"] = "1"
        // Nothing listens on that port, and nothing is sent to it.
        if plan.binary.reportsLoading { variables[LoadReport.variable] = "1" }
        let command = ChildProcess.Command(
            plan.binary.executable, plan.arguments, environment: EngineEnvironment.inherited(adding: variables),
            grace: plan.grace, holdsInput: plan.binary.reportsLoading)
        let wasReady = Flag()
        let meter = LoadMeter()
        let outcome = try await ChildProcess.run(
            command,
            onLine: { line in
                let served = wasReady.isRaised
                if !served { meter.take(line) }
                onLine { EngineLog.told(line, of: plan, served: served) }
            }
        ) { process in
            await onEvent(.started(process: process))
            let start = ContinuousClock.now
            if let verdict = await load(plan, meter, since: start, probe: probe, onEvent: onEvent) { return verdict }
            wasReady.raise()
            // A small model is read between two looks.
            if let fraction = meter.fraction {
                await onEvent(.loading(elapsed: ContinuousClock.now - start, fraction: fraction))
            }
            await onEvent(.ready(elapsed: ContinuousClock.now - start))
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
            return Verdict.cancelled
        }
        if Task.isCancelled { return }
        throw error(outcome.value, end: outcome.end, ready: wasReady.isRaised, plan: plan, tail: outcome.tail)
    }

    /// Waits until the engine is ready: nil. Anything else is why not.
    private static func load(
        _ plan: LaunchPlan, _ meter: LoadMeter, since start: ContinuousClock.Instant, probe: @escaping Prober,
        onEvent: @Sendable (Event) async -> Void
    ) async -> Verdict? {
        var interval = probeInterval.first
        var told: (at: Duration, fraction: Double?) = (.zero, nil)
        while !Task.isCancelled {
            if Disk.exists(plan.socketPath) {
                switch await ask(plan.socketPath, probe) {
                case .ready: return nil
                case .failed(let reason): return .failed(reason)
                case .notYet: break
                }
            }
            let elapsed = ContinuousClock.now - start
            if elapsed >= plan.loadTimeout { return .timedOut }
            let fraction = meter.fraction
            if elapsed - told.at >= lookInterval || fraction != told.fraction {
                told = (elapsed, fraction)
                await onEvent(.loading(elapsed: elapsed, fraction: fraction))
            }
            try? await Task.sleep(for: interval)
            interval = min(interval * 2, probeInterval.last)
        }
        return .cancelled
    }

    private static func ask(_ socketPath: String, _ probe: @escaping Prober) async -> Probe {
        await withTaskGroup(of: Probe.self) { group in
            group.addTask { await probe(socketPath) }
            group.addTask {
                try? await Task.sleep(for: probeLimit)
                return .notYet
            }
            let answer = await group.next() ?? .notYet
            group.cancelAll()
            return answer
        }
    }

    private static func error(
        _ verdict: Verdict?, end: ChildProcess.End, ready: Bool, plan: LaunchPlan, tail: [String]
    ) -> EngineError {
        let lines = EngineLog.shown(tail, of: plan, served: ready)
        let model = plan.model.id
        switch verdict {
        case .failed(let reason):
            return EngineError(.loadFailed, "the engine could not serve \(model): \(reason)", logTail: lines)
        case .timedOut:
            return EngineError(
                .loadTimedOut,
                "\(model) was not ready after \(plan.loadTimeout.components.seconds) s and was given up. "
                    + "A large model on a slow disk needs a longer load timeout.", logTail: lines)
        case .cancelled, nil: break
        }
        let said = EngineLog.reason(in: lines, served: ready, end: end).map { ": \($0)" } ?? ""
        // Nothing but the system sends this one by itself.
        let killed = end == .signal(9) ? " The system kills programs like that when memory runs out." : ""
        if ready {
            return EngineError(
                .exited,
                "the engine of \(model) ended by itself (\(end))\(said).\(killed) A later request starts it anew.",
                logTail: lines)
        }
        if end == .code(126) || end == .code(127) {
            return EngineError(
                .launchFailed, "the engine for \(model) could not be started\(said). See: martlet engine ls",
                logTail: lines)
        }
        return EngineError(
            .loadFailed, "the engine could not load \(model) (\(end))\(said).\(killed)", logTail: lines)
    }
}
