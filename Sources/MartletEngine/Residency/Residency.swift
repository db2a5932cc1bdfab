/// Decides which models are loaded and who waits for them; performs nothing.
///
/// Events are facts, actions are orders to the ``Supervisor``. Per model there is at most one engine: one that stops
/// has to be gone before the next is launched.
package struct Residency: Sendable {
    package typealias Instant = ContinuousClock.Instant

    /// Names one request while it waits.
    package struct Ticket: Sendable, Hashable {
        package var number: UInt64
        package init(_ number: UInt64) { self.number = number }
    }

    package enum Event: Sendable, Hashable {
        /// A request wants the model; answered by `grant` or `refuse`, at once or later.
        case requested(String, Ticket)
        /// A request no longer wants it.
        case cancelled(Ticket)
        case ready(String)
        /// Every process of the engine is gone; nil when it was told to stop.
        case exited(String, EngineError?)
        case unloadRequested(String)
        /// Nothing is launched any more and everything stops.
        case shutdown
    }

    package enum Action: Sendable, Hashable {
        case launch(String)
        case stop(String)
        case grant(Ticket, String)
        case refuse(Ticket, EngineError)
    }

    package struct Limits: Sendable, Hashable {
        /// Models loaded or loading at once. Default 8.
        package var residents = 8
        /// Requests waiting for one model. Default 1024.
        package var waiting = 1024
        /// After the second failed load in a row nothing is tried for this long, doubled by each further one…
        package var firstBackOff: Duration = .seconds(1)
        /// …up to this.
        package var longestBackOff: Duration = .seconds(60)

        package init() {}
    }

    private enum State {
        case loading([Ticket])
        case ready
        /// Told to stop; these requests came since and want it anew.
        case stopping([Ticket])
    }

    private struct Failures {
        var count = 0
        var until: Instant?
        var last: EngineError
    }

    private let limits: Limits
    private var states: [String: State] = [:]
    private var failures: [String: Failures] = [:]
    private var closed = false

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// Takes one event and says what to do about it, in order.
    package mutating func take(_ event: Event, now: Instant) -> [Action] {
        switch event {
        case .requested(let model, let ticket): request(model, ticket, now: now)
        case .cancelled(let ticket): cancel(ticket)
        case .ready(let model): becomeReady(model)
        case .exited(let model, let error): exit(model, error, now: now)
        case .unloadRequested(let model): unload(model)
        case .shutdown: shutdown()
        }
    }

    /// Why the model's engine ended last, while that is not made good by a load that succeeded.
    package func lastFailure(of model: String) -> EngineError? { failures[model]?.last }

    /// 1. closing → refuse. 2. ready → grant. 3. loading → wait. 4. stopping → wait for the next one.
    /// 5. failed repeatedly a moment ago → refuse. 6. too many models → refuse. 7. else launch and wait.
    private mutating func request(_ model: String, _ ticket: Ticket, now: Instant) -> [Action] {
        if closed { return [.refuse(ticket, Self.closing)] }
        switch states[model] {
        case .ready:
            return [.grant(ticket, model)]
        case .loading(let waiting):
            guard waiting.count < limits.waiting else { return [.refuse(ticket, tooMany(waitingFor: model))] }
            states[model] = .loading(waiting + [ticket])
            return []
        case .stopping(let waiting):
            guard waiting.count < limits.waiting else { return [.refuse(ticket, tooMany(waitingFor: model))] }
            states[model] = .stopping(waiting + [ticket])
            return []
        case nil:
            if let refusal = backOff(model, now: now) { return [.refuse(ticket, refusal)] }
            guard states.count < limits.residents else { return [.refuse(ticket, full(for: model))] }
            states[model] = .loading([ticket])
            return [.launch(model)]
        }
    }

    /// A load that nobody waits for any more is stopped.
    private mutating func cancel(_ ticket: Ticket) -> [Action] {
        for (model, state) in states {
            switch state {
            case .loading(var waiting) where waiting.contains(ticket):
                waiting.removeAll { $0 == ticket }
                states[model] = waiting.isEmpty ? .stopping([]) : .loading(waiting)
                return waiting.isEmpty ? [.stop(model)] : []
            case .stopping(let waiting) where waiting.contains(ticket):
                states[model] = .stopping(waiting.filter { $0 != ticket })
                return []
            default: continue
            }
        }
        return []
    }

    private mutating func becomeReady(_ model: String) -> [Action] {
        guard case .loading(let waiting) = states[model] else { return [] }
        states[model] = .ready
        failures[model] = nil
        return waiting.map { .grant($0, model) }
    }

    private mutating func exit(_ model: String, _ error: EngineError?, now: Instant) -> [Action] {
        guard let state = states.removeValue(forKey: model) else { return [] }
        switch state {
        case .loading(let waiting):
            let error = error ?? Self.stopped(model)
            note(error, of: model, counts: Self.costly.contains(error.code), now: now)
            return waiting.map { .refuse($0, error) }
        case .ready:
            if let error { note(error, of: model, counts: false, now: now) }
            return []
        case .stopping(let waiting):
            if closed { return waiting.map { .refuse($0, Self.closing) } }
            guard !waiting.isEmpty else { return [] }
            states[model] = .loading(waiting)
            return [.launch(model)]
        }
    }

    private mutating func unload(_ model: String) -> [Action] {
        switch states[model] {
        case .loading(let waiting):
            states[model] = .stopping([])
            let error = EngineError(.cancelled, "\(model) was unloaded while it was loading.")
            return [.stop(model)] + waiting.map { .refuse($0, error) }
        case .ready:
            states[model] = .stopping([])
            return [.stop(model)]
        case .stopping, nil: return []
        }
    }

    private mutating func shutdown() -> [Action] {
        closed = true
        var actions: [Action] = []
        for (model, state) in states.sorted(by: { $0.key < $1.key }) {
            switch state {
            case .loading(let waiting):
                actions += waiting.map { .refuse($0, Self.closing) }
                actions.append(.stop(model))
            case .ready: actions.append(.stop(model))
            case .stopping(let waiting): actions += waiting.map { .refuse($0, Self.closing) }
            }
            states[model] = .stopping([])
        }
        return actions
    }

    private mutating func note(_ error: EngineError, of model: String, counts: Bool, now: Instant) {
        var record = failures[model] ?? Failures(last: error)
        record.last = error
        if counts {
            record.count += 1
            if record.count > 1 {
                // Doubling stops long before the shift could overflow.
                let doubled = limits.firstBackOff * (1 << min(record.count - 2, 20))
                record.until = now + min(doubled, limits.longestBackOff)
            }
        }
        failures[model] = record
    }

    private func backOff(_ model: String, now: Instant) -> EngineError? {
        guard let record = failures[model], let until = record.until, until > now else { return nil }
        let left = until - now
        let seconds = max(1, Int64((left / Duration.seconds(1)).rounded(.up)))
        return EngineError(
            .backingOff,
            "\(model) failed to load \(record.count) times in a row and is tried again in \(seconds) s. "
                + "The last time: \(record.last.message)",
            logTail: record.last.logTail, retryAfter: left)
    }

    private func full(for model: String) -> EngineError {
        let loaded = states.keys.sorted().joined(separator: ", ")
        return EngineError(
            .atCapacity,
            "\(model) cannot be loaded: \(states.count) models are already, which is the limit (\(loaded)). "
                + "Unload one first.")
    }

    private func tooMany(waitingFor model: String) -> EngineError {
        EngineError(.atCapacity, "\(limits.waiting) requests already wait for \(model) to load, which is the limit.")
    }

    /// Failures that cost a load each time they are tried again.
    private static let costly: Set<EngineError.Code> = [.loadFailed, .loadTimedOut, .launchFailed]

    private static let closing = EngineError(.cancelled, "the server is stopping, so no model is loaded any more.")

    private static func stopped(_ model: String) -> EngineError {
        EngineError(.cancelled, "the engine for \(model) was stopped before it was ready.")
    }
}
