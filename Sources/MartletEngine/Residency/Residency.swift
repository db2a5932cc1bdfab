/// Decides which models are loaded, into how much memory, and who waits for them; performs nothing.
///
/// Events are facts, actions are orders to the ``Supervisor``. An *instance* is a model loaded once: its id is the
/// model's, `model:2`, `model:3`, or what its owner called it.
///
/// - A load is admitted when its bytes fit beside those of every engine that lives, also of those that are stopping.
/// - Loads that do not fit wait in one line, first come first served. For the first of them idle instances that were
///   loaded on demand are stopped, the least recently used first. Where that is not enough, busy ones are drained: they
///   get no further requests, and are stopped when the last one has left. Nothing that runs is cut off.
/// - Whoever wants a model that is drained goes to the end of the line; and what has been loaded works for
///   ``Limits/stay``, or until it has been idle for ``Limits/lull``, before it has to go. So two models that are both
///   wanted take turns, each serving all who came meanwhile, instead of unloading each other at each request.
/// - An instance that its owner gave a name of its own serves those who ask for it by that name; whoever asks for its
///   model gets one that is called after the model: the first of them, or another that can do as much.
/// - An engine that was seen to take more than was estimated counts with that, also when the same is loaded again. What
///   is idle goes when it takes others beyond the budget.
/// - Pinned instances and those that were loaded explicitly stay. What cannot fit beside them is refused at once. When
///   the engine of one crashes, its next use loads it again under its name, with all that was set for it.
package struct Residency: Sendable {
    package typealias Instant = ContinuousClock.Instant

    /// Names one request, or one order to load, until it is answered.
    package struct Ticket: Sendable, Hashable {
        package var number: UInt64
        package init(_ number: UInt64) { self.number = number }
    }

    /// A model, and how it is to be loaded should it come to that.
    package struct Demand: Sendable, Hashable {
        package var model: String
        package var size: LoadSize
        /// Idle time after which it is unloaded; nil: never.
        package var ttl: Duration?
        /// Handed on to whoever launches.
        package var settings: EffectiveLoad
        /// Bytes that each of the other models would need, for whose sake a context that is fitted leaves room.
        package var others: [String: Int64] = [:]

        package init(_ model: String, size: LoadSize, ttl: Duration? = nil, settings: EffectiveLoad = EffectiveLoad()) {
            self.model = model
            self.size = size
            self.ttl = ttl
            self.settings = settings
        }
    }

    package enum Unloading: Sendable, Hashable {
        /// No further requests; gone when those under way have ended. A load is cancelled.
        case whenIdle
        case now
    }

    package enum Event: Sendable, Hashable {
        /// A request wants the model; answered by `grant` or `refuse`, at once or later. A `grant` counts a user.
        case requested(Demand, Ticket)
        /// A request wants that instance and no other; nothing is loaded for it.
        case requestedInstance(String, Ticket)
        /// A request that was granted the instance has ended; served: the engine answered it well, and to the end.
        case released(String, served: Bool = false)
        /// Whoever has the ticket no longer waits.
        case cancelled(Ticket)
        /// One more instance, which stays until it is unloaded or its TTL is over. A `grant` says that it is ready, and
        /// counts no user. Nil: called after the model.
        case load(Demand, Ticket, as: String?)
        /// An instance called after the model, whichever is ready, is loading or waits for room; else one is loaded that
        /// stays. A `grant` counts no user.
        case ensured(Demand, Ticket)
        /// The engine answers; the bytes it was seen to take, if that is known.
        case ready(String, bytes: Int64?)
        /// Every process of the engine is gone; nil when it was told to stop.
        case exited(String, EngineError?)
        case unload(String, Unloading)
        case pin(String, Bool)
        /// It is later.
        case tick
        /// Nothing is launched any more and everything stops.
        case shutdown
    }

    package enum Action: Sendable, Hashable {
        case launch(Launch)
        case stop(String)
        case grant(Ticket, String)
        case refuse(Ticket, EngineError)
        /// Replaces the time said before.
        case wake(at: Instant)
    }

    package struct Launch: Sendable, Hashable {
        package var instance: String
        package var demand: Demand
        /// Tokens; nil leaves it to the engine.
        package var context: Int?
        /// As estimated.
        package var bytes: Int64
        /// It is loaded as it was when its engine crashed.
        package var isReturn = false
    }

    package struct Limits: Sendable, Hashable {
        /// Bytes of all engines together. Default: no bound.
        package var budget = Int64.max
        /// Engines that live at once. Default 32.
        package var residents = 32
        /// Requests waiting for one load. Default 1024.
        package var waiting = 1024
        /// Loads waiting for room. Default 16.
        package var line = 16
        /// A request waits this long for room. Default 10 minutes.
        package var wait: Duration = .seconds(600)
        /// How long an instance that was loaded takes requests before it is stopped or drained for others… Default 10 s.
        package var stay: Duration = .seconds(10)
        /// …unless it has been idle for so long. Default 1 s: a client that works in steps keeps its model between them.
        package var lull: Duration = .seconds(1)
        /// After the second failure of a model in a row nothing is tried for this long, doubled by each further one…
        package var firstBackOff: Duration = .seconds(1)
        /// …up to this.
        package var longestBackOff: Duration = .seconds(60)
        /// An engine that ends by itself sooner than so long after it was ready has failed as one that did not load.
        /// Default 60 s.
        package var probation: Duration = .seconds(60)

        package init() {}
    }

    package struct Waiter: Sendable, Hashable {
        package var ticket: Ticket
        /// A request uses what it is granted; an order to load does not.
        package var uses: Bool
        /// Nil: it asks for an instance, which is not loaded for it.
        package var demand: Demand?
        /// No other instance of the model will do: it asks for this one, or loads it.
        package var isBound = false
        package var until: Instant
    }

    package struct Instance: Sendable {
        package enum Phase: Sendable, Hashable {
            case loading([Waiter])
            case ready
            /// Gets no further requests; evicted to make room, or as its owner asked.
            case draining(evicted: Bool)
            /// Told to stop; its memory is still taken.
            case stopping
        }

        package let id: String
        package internal(set) var demand: Demand
        /// Loaded because somebody said so, not because a request came.
        package internal(set) var isExplicit: Bool
        package let context: Int?
        /// Its owner gave it a name of its own.
        package let isNamed: Bool
        /// What it was thought to take before anything was seen of it.
        let estimated: Int64
        /// As estimated or, if that is more, as measured: an engine grows into its estimate with its work.
        package var bytes: Int64
        package var phase: Phase
        package var isPinned = false
        package var users = 0
        /// The last grant or release.
        package var lastUsed: Instant
        /// Loaded as it was before: who waits for it decides nothing.
        var isReturn = false
        var readySince: Instant

        /// Whether it is for whoever asks for that model, if it is the first or can stand in for that.
        package func serves(_ model: String) -> Bool { !isNamed && demand.model == model }

        /// Whether a conversation is as long here at least, and is answered the same.
        func canStandIn(for other: Instance) -> Bool {
            let (own, others) = (demand.settings, other.demand.settings)
            return context ?? 0 >= other.context ?? 0 && own.keyCache?.value == others.keyCache?.value
                && own.valueCache?.value == others.valueCache?.value && own.experts?.value == others.experts?.value
        }

        var isLoading: Bool { if case .loading = phase { true } else { false } }

        /// Whether nothing but its owner ends it.
        var stays: Bool {
            guard isExplicit || isPinned else { return false }
            return switch phase {
            case .loading, .ready: true
            case .draining, .stopping: false
            }
        }

        /// Whether it may be stopped, or drained, for another.
        var isEvictable: Bool { phase == .ready && !isExplicit && !isPinned }

        package var isLeaving: Bool {
            switch phase {
            case .draining, .stopping: true
            case .loading, .ready: false
            }
        }

        /// When it has been idle for as long as it may; nil: not now.
        var expires: Instant? {
            guard phase == .ready, users == 0, !isPinned, let ttl = demand.ttl else { return nil }
            return lastUsed + ttl
        }
    }

    /// A load that waits for room.
    struct Waiting: Sendable {
        var demand: Demand
        /// One more instance, whatever there is already.
        var isAdditional = false
        var name: String?
        /// It comes back under that name.
        var returns: Crashed?
        var waiters: [Waiter]

        var isNamed: Bool { returns?.isNamed ?? name.map { $0 != demand.model } ?? false }

        /// Whether it is for whoever asks for that model.
        func serves(_ model: String) -> Bool { !isAdditional && !isNamed && demand.model == model }
    }

    /// What is told of a load that waits for room.
    package struct WaitingLoad: Sendable, Hashable {
        /// What its instance shall be called, else the model's id.
        package var name: String
        package var model: String
        /// What it takes at least.
        package var bytes: Int64
        /// Requests and orders that wait for it.
        package var waiting: Int
        package var isExplicit: Bool
        /// Who has the memory, with how much and why: `a (4.1 GB, 1 request)`; empty where it waits for other loads.
        package var holders: String

        /// For people.
        package var sentence: String {
            "\(name) waits for memory, " + (holders.isEmpty ? "behind other loads" : "which is held by \(holders)")
        }
    }

    package internal(set) var limits: Limits
    /// All whose engine may live, in the order they were launched.
    package internal(set) var instances: [Instance] = []
    /// Those that come back when they are used, in the order they ended.
    package internal(set) var crashed: [Crashed] = []
    /// In the order they came.
    var line: [Waiting] = []
    var failures: [String: Failures] = [:]
    /// Of those that took more than was estimated, in the order they were seen.
    var overshoots: [Overshoot] = []
    var closed = false
    private var announced: Instant?

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// Takes one event and says what to do about it, in order.
    package mutating func take(_ event: Event, now: Instant) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .requested(let demand, let ticket): request(demand, ticket, uses: true, now, &actions)
        case .requestedInstance(let id, let ticket): request(instance: id, ticket, now, &actions)
        case .released(let id, let served): release(id, served: served, now)
        case .cancelled(let ticket): cancel(ticket, &actions)
        case .load(let demand, let ticket, let name): load(demand, ticket, name, now, &actions)
        case .ensured(let demand, let ticket): request(demand, ticket, uses: false, now, &actions)
        case .ready(let id, let bytes): becomeReady(id, bytes, now, &actions)
        case .exited(let id, let error): exit(id, error, now, &actions)
        case .unload(let id, let how): unload(id, how, &actions)
        case .pin(let id, let isPinned): pin(id, isPinned)
        case .tick: tick(now, &actions)
        case .shutdown: shutdown(&actions)
        }
        settle(now, &actions)
        if event == .tick { announced = nil }
        if let next = nextChange(after: now), announced.map({ next < $0 }) ?? true {
            announced = next
            actions.append(.wake(at: next))
        }
        return actions
    }

    /// Requests and orders that wait for room.
    package var waitingForRoom: Int { line.reduce(0) { $0 + $1.waiters.count } }

    /// Loads that wait for room, in the order they came.
    package var waitingLoads: [WaitingLoad] {
        line.map { waiting in
            let holders = instances.filter { waiting.isAdditional || $0.demand.model != waiting.demand.model }
            return WaitingLoad(
                name: waiting.name ?? waiting.demand.model, model: waiting.demand.model,
                bytes: waiting.demand.size.least, waiting: waiting.waiters.count,
                isExplicit: waiting.waiters.contains { !$0.uses }, holders: Self.list(holders))
        }
    }

    /// When something happens by itself next.
    private func nextChange(after now: Instant) -> Instant? {
        var next: Instant?
        func note(_ instant: Instant) { next = next.map { min($0, instant) } ?? instant }
        for instance in instances {
            if let expires = instance.expires { note(expires) }
            let isWanted = !line.isEmpty || overdrawn > 0 && instance.users == 0
            if isWanted, instance.isEvictable, mayLeave(instance) > now { note(mayLeave(instance)) }
        }
        for waiting in line { waiting.waiters.forEach { note($0.until) } }
        crashed.compactMap(\.expires).forEach(note)
        return next
    }

    private mutating func tick(_ now: Instant, _ actions: inout [Action]) {
        for index in instances.indices where instances[index].expires.map({ $0 <= now }) ?? false {
            stop(index, &actions)
        }
        forgetExpired(now)
        for index in line.indices {
            let late = line[index].waiters.filter { $0.until <= now }
            guard !late.isEmpty else { continue }
            let error = waitedTooLong(for: line[index].demand.model)
            actions += late.map { .refuse($0.ticket, error) }
            line[index].waiters.removeAll { $0.until <= now }
        }
        line.removeAll { $0.waiters.isEmpty }
    }

    private mutating func shutdown(_ actions: inout [Action]) {
        closed = true
        for waiting in line { actions += waiting.waiters.map { .refuse($0.ticket, Self.closing) } }
        line = []
        for index in instances.indices {
            if case .loading(let waiters) = instances[index].phase {
                actions += waiters.map { .refuse($0.ticket, Self.closing) }
            }
            stop(index, &actions)
        }
    }

    mutating func stop(_ index: Int, _ actions: inout [Action]) {
        guard instances[index].phase != .stopping else { return }
        instances[index].phase = .stopping
        actions.append(.stop(instances[index].id))
    }
}
