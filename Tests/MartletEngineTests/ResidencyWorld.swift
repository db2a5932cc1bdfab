import MartletEngine
import MartletTestSupport

/// A world of engines and requests around a ``Residency``: makes random events, performs the actions, and keeps books of
/// its own, against which every action is held.
struct ResidencyWorld {
    typealias Ticket = Residency.Ticket

    struct Engine {
        var model: String
        var bytes: Int64
        var ttl: Duration?
        var isExplicit = false
        var isReady = false
        var readySince: Residency.Instant?
        var isStopping = false
        /// Its owner asked for it to be unloaded.
        var isUnwanted = false
        var isPinned = false
        var users: [Ticket] = []
        var lastUsed: Residency.Instant
        /// It is loaded as it was.
        var isReturn = false
        /// Its owner gave it a name of its own.
        var isNamed = false
        var demand: Residency.Demand?
    }

    private static let crash = EngineError(.exited, "crashed")
    private static let failure = EngineError(.loadFailed, "broken")

    private var random: Seeded
    private var residency: Residency
    private let limits: Residency.Limits
    private var now = ContinuousClock.now
    private var engines: [String: Engine] = [:]
    /// Engines of those that are to come back, in the order they ended.
    private var crashed: [(id: String, engine: Engine)] = []
    private var open: [Ticket: Wish] = [:]
    private var granted: [Ticket: String] = [:]
    /// Of everybody who ever asked.
    private var wishes: [Ticket: Wish] = [:]
    private var demands: [Ticket: Residency.Demand] = [:]
    /// What orders to load gave as names.
    private var names: [Ticket: String] = [:]
    /// The most that an engine of a model was seen to take.
    private var seen: [String: Int64] = [:]
    private var lastTicket: UInt64 = 0
    private var hasGrown = false
    private var isClosed = false
    private var wake: Residency.Instant?
    private var failures: ResidencyFailures
    /// Its engines die at work.
    private let doomed: String?
    private var story = ResidencyStory()
    /// As it was when the last event came.
    private var before: [Residency.Instance] = []

    init(seed: UInt64) {
        random = Seeded(seed)
        var limits = Residency.Limits()
        limits.budget = 100 * ResidencyModels.unit
        limits.residents = 4
        limits.waiting = 3
        limits.line = 3
        limits.wait = .seconds(600)
        limits.stay = .seconds(10)
        self.limits = limits
        residency = Residency(limits: limits)
        failures = ResidencyFailures(limits: limits)
        doomed = random.below(4) == 0 ? random.pick(["a", "b", "f"]) : nil
    }

    /// A random sequence of events; then everything comes to rest, and everything ends.
    mutating func run() throws(Broken) {
        for _ in 0..<8 + random.below(40) { try happen(event()) }
        try rest()
        if random.below(2) == 0 { try happen(event()) }
        try happen(.shutdown)
        try end()
    }

    // MARK: Events

    private mutating func event() -> Residency.Event {
        let ids = engines.keys.sorted()
        if let doomed, let id = ids.first(where: { engines[$0]?.model == doomed && engines[$0]?.isReady == true }),
            random.below(2) == 0
        {
            return .exited(id, Self.crash)
        }
        switch random.below(25) {
        case 0...6: return .requested(demand(), ticket { .model($0) })
        case 7 where !ids.isEmpty || !crashed.isEmpty:
            let id = random.pick(ids + crashed.map(\.id))
            return .requestedInstance(id, newTicket(.instance(id)))
        case 8:
            let name = random.below(3) == 0 ? random.pick(["mine", "a", "b:2"]) : nil
            return .load(demand(), ticket { .load($0) }, as: name)
        case 9...12:
            if let ticket = granted.keys.sorted(by: { $0.number < $1.number }).randomElement(using: &random) {
                return release(ticket)
            }
        case 13...15:
            if let id = ids.filter({ engines[$0]?.isReady == false && engines[$0]?.isStopping == false })
                .randomElement(using: &random)
            {
                return .ready(
                    id, bytes: random.below(8) == 0 ? (engines[id]?.bytes ?? 0) + 5 * ResidencyModels.unit : nil)
            }
        case 16, 17:
            if let id = ids.filter({ engines[$0]?.isStopping == true }).randomElement(using: &random) {
                return .exited(id, nil)
            }
        case 18:
            if let id = ids.randomElement(using: &random), random.below(3) > 0 {
                return .exited(id, engines[id]?.isReady == true ? Self.crash : Self.failure)
            }
        case 19:
            let id = (ids + crashed.map(\.id)).randomElement(using: &random) ?? "a"
            return .unload(id, random.below(2) == 0 ? .now : .whenIdle)
        case 20:
            return .pin((ids + crashed.map(\.id)).randomElement(using: &random) ?? "a", random.below(3) > 0)
        case 21:
            if let ticket = open.keys.sorted(by: { $0.number < $1.number }).randomElement(using: &random) {
                return .cancelled(ticket)
            }
        case 22: return .ensured(demand(), ticket { .ensure($0) })
        default: break
        }
        now += .milliseconds(random.below(8000))
        return .tick
    }

    private var chosen = ""

    private mutating func demand() -> Residency.Demand {
        let model = random.pick(ResidencyModels.all)
        chosen = model.name
        let ttl: Duration? = random.below(2) == 0 ? .seconds(random.below(30)) : nil
        var demand = Residency.Demand(model.name, size: model.size, ttl: ttl)
        for other in ResidencyModels.all where other.name != model.name {
            demand.others[other.name] = other.size.comfortable
        }
        return demand
    }

    private mutating func ticket(_ wish: (String) -> Wish) -> Ticket { newTicket(wish(chosen)) }

    private mutating func newTicket(_ wish: Wish) -> Ticket {
        lastTicket += 1
        open[Ticket(lastTicket)] = wish
        wishes[Ticket(lastTicket)] = wish
        return Ticket(lastTicket)
    }

    private mutating func release(_ ticket: Ticket) -> Residency.Event {
        let id = granted.removeValue(forKey: ticket) ?? ""
        engines[id]?.users.removeAll { $0 == ticket }
        return .released(id, served: engines[id]?.model != doomed && random.below(2) == 0)
    }

    private mutating func happen(_ event: Residency.Event) throws(Broken) {
        if random.below(2) == 0 { now += .milliseconds(random.below(500)) }
        prepare(event)
        before = residency.instances
        let actions = residency.take(event, now: now)
        story.add(event, actions)
        for action in actions { try perform(action, of: event) }
        if case .ready(let id, _) = event { settleStay(of: id, actions) }
        try check(after: event)
    }

    /// Those who have waited for an instance decide how long it stays: orders before requests, then who came first.
    private mutating func settleStay(of id: String, _ actions: [Residency.Action]) {
        crashed.removeAll { $0.id == id }
        if engines[id]?.isReturn == true { return }
        let served = actions.compactMap { action -> Ticket? in
            guard case .grant(let ticket, id) = action else { return nil }
            return ticket
        }
        let orders = served.filter { wishes[$0]?.isOrder == true }
        engines[id]?.isExplicit = !orders.isEmpty
        let deciding = (orders.isEmpty ? served : orders).compactMap { demands[$0] }.first
        engines[id]?.ttl = deciding.map(\.ttl) ?? residency.instances.first { $0.id == id }?.demand.ttl
    }

    private mutating func prepare(_ event: Residency.Event) {
        switch event {
        case .load(let demand, let ticket, let name):
            demands[ticket] = demand
            names[ticket] = name
        case .requested(let demand, let ticket), .ensured(let demand, let ticket):
            demands[ticket] = demand
        case .cancelled(let ticket): open[ticket] = nil
        case .released(let id, let served):
            engines[id]?.lastUsed = now
            if served, let engine = engines[id] { failures.forget(engine.model) }
        case .ready(let id, let bytes):
            engines[id]?.isReady = true
            engines[id]?.readySince = now
            engines[id]?.lastUsed = now
            if let bytes {
                engines[id]?.bytes = bytes
                hasGrown = true
                let model = engines[id]?.model ?? ""
                seen[model] = max(seen[model] ?? 0, bytes)
            }
        case .exited(let id, let error):
            for ticket in engines[id]?.users ?? [] { granted[ticket] = nil }
            guard let engine = engines.removeValue(forKey: id), error != nil else { break }
            if !engine.isStopping { failures.note(engine.model, readySince: engine.readySince, now) }
            note(id, engine)
        case .unload(let id, _):
            engines[id]?.isUnwanted = true
            crashed.removeAll { $0.id == id }
        case .pin(let id, let isPinned):
            engines[id]?.isPinned = isPinned
            for index in crashed.indices where crashed[index].id == id { crashed[index].engine.isPinned = isPinned }
            crashed.removeAll { !$0.engine.isPinned && !$0.engine.isExplicit }
        case .shutdown: isClosed = true
        case .tick:
            wake = nil
            crashed.removeAll { crashed in
                !crashed.engine.isPinned && crashed.engine.ttl.map { crashed.engine.lastUsed + $0 <= now } ?? false
            }
        default: break
        }
    }

    /// It comes back, unless nobody wanted it to stay.
    private mutating func note(_ id: String, _ engine: Engine) {
        guard engine.isReady, !engine.isStopping, !engine.isUnwanted, engine.isExplicit || engine.isPinned else {
            return
        }
        var engine = engine
        if !engine.users.isEmpty { engine.lastUsed = now }
        engine.demand = residency.instances.first { $0.id == id }?.demand
        crashed.removeAll { $0.id == id }
        if crashed.count == limits.residents { crashed.removeFirst() }
        crashed.append((id, engine))
    }

    // MARK: Actions

    private mutating func perform(_ action: Residency.Action, of event: Residency.Event) throws(Broken) {
        switch action {
        case .launch(let launch):
            try expect(!isClosed, "launched after the shutdown")
            try expect(engines[launch.instance] == nil, "launched beside one of the same name")
            try expect(bytes + launch.bytes <= limits.budget, "launched into \(bytes) bytes that are taken")
            try expect(engines.count < limits.residents, "launched too many")
            let model = launch.demand.model
            try expect(!failures.forbid(model, now), "launched \(model), which fails each time, at once again")
            let wishes: [Wish] = [.model(model), .load(model), .ensure(model), .instance(launch.instance)]
            try expect(open.values.contains(where: wishes.contains), "launched for nobody")
            try leavesRoom(launch)
            // What is fitted takes what there is.
            let isSeen = model == "f" || model == "g" || launch.bytes >= seen[model] ?? 0
            try expect(isSeen, "launched as if nothing had been seen of \(model)")
            var engine = Engine(model: model, bytes: launch.bytes, lastUsed: now, isReturn: launch.isReturn)
            engine.isNamed =
                launch.isReturn
                ? residency.instances.first { $0.id == launch.instance }?.isNamed == true
                : launch.instance != model
                    && open.contains { $0.value == .load(model) && names[$0.key] == launch.instance }
            if launch.isReturn {
                // It may have been forgotten while it was in line.
                if let was = crashed.first(where: { $0.id == launch.instance })?.engine {
                    // Slots that nobody chose are fitted anew, as a context is.
                    var demand = launch.demand
                    if let slots = was.demand?.settings.parallel { demand.settings.parallel = slots }
                    try expect(was.demand == demand, "came back as another")
                    try expect(was.isNamed == engine.isNamed, "came back for others")
                }
                let now = residency.instances.first { $0.id == launch.instance }
                (engine.isExplicit, engine.isPinned) = (now?.isExplicit ?? false, now?.isPinned ?? false)
                engine.ttl = launch.demand.ttl
                try expect(engine.isExplicit || engine.isPinned, "came back for a while")
            } else {
                crashed.removeAll { $0.id == launch.instance }
            }
            engines[launch.instance] = engine
        case .stop(let id):
            guard let engine = engines[id], !engine.isStopping else { throw broken("stopped what does not run") }
            if !engine.users.isEmpty {
                try expect(event == .unload(id, .now) || event == .shutdown, "stopped \(id) while it was busy")
            }
            if engine.isReady, engine.isExplicit || engine.isPinned, !engine.isUnwanted, event != .shutdown {
                let expired = !engine.isPinned && engine.ttl.map { engine.lastUsed + $0 <= now } ?? false
                try expect(event == .tick && expired, "evicted \(id), which stays")
            }
            engines[id]?.isStopping = true
        case .grant(let ticket, let id):
            guard let engine = engines[id], engine.isReady, !engine.isStopping else {
                throw broken("granted \(id), which is not ready")
            }
            if case .ready = event {} else { try expect(!engine.isUnwanted, "granted \(id), which is being unloaded") }
            guard let wish = open.removeValue(forKey: ticket) else { throw broken("answered \(ticket) twice") }
            switch wish {
            case .load(let model): try expect(model == engine.model, "granted another model")
            case .model(let model), .ensure(let model):
                try expect(model == engine.model, "granted another model")
                try expect(!engine.isNamed, "granted \(id), which has a name of its own")
                let first = [before, residency.instances].map {
                    $0.first { $0.id == model && $0.demand.model == model && $0.phase == .ready }
                }
                let window = residency.instances.first { $0.id == id }?.context ?? 0
                if let had = first[0], first[1] != nil {
                    try expect(window >= had.context ?? 0, "granted \(id), whose window is smaller than \(model)'s")
                }
            case .instance(let name): try expect(name == id, "granted another instance")
            }
            engines[id]?.lastUsed = now
            if wish.isOrder { break }
            engines[id]?.users.append(ticket)
            granted[ticket] = id
        case .refuse(let ticket, let error):
            guard let wish = open.removeValue(forKey: ticket) else { throw broken("answered \(ticket) twice") }
            if error.code == .backingOff, let model = wish.model {
                try expect(failures.forbid(model, now), "backs off from \(model) without need")
            }
        case .wake(let instant): wake = instant
        }
    }

    /// What is fitted leaves room for the largest of the others that finds room beside what is comfortable.
    private func leavesRoom(_ launch: Residency.Launch) throws(Broken) {
        guard launch.demand.model == "f", !hasGrown else { return }
        let free = limits.budget - bytes
        let more = free - launch.demand.size.comfortable
        let loaded = Set(engines.values.map(\.model))
        let others = launch.demand.others.filter { !loaded.contains($0.key) && $0.value <= more }.map(\.value)
        try expect(free - launch.bytes >= others.max() ?? 0, "took what \(others) need")
        try expect((2048...131_072).contains(launch.context ?? 0), "a context of \(launch.context ?? 0)")
    }

    private var bytes: Int64 { engines.values.reduce(0) { $0 + $1.bytes } }

    // MARK: Rules

    private func check(after event: Residency.Event) throws(Broken) {
        try expect(hasGrown || bytes <= limits.budget, "\(bytes) bytes are taken")
        try expect(residency.instances.count == engines.count, "an engine is forgotten")
        try expect(residency.crashed.map(\.id) == crashed.map(\.id), "these come back: \(residency.crashed.map(\.id))")
        for instance in residency.instances {
            try expect(instance.users == engines[instance.id]?.users.count, "users of \(instance.id) are miscounted")
            try expect(instance.bytes == engines[instance.id]?.bytes, "bytes of \(instance.id) are miscounted")
        }
        let staying = residency.instances.filter { !$0.isLeaving }
        let isOverdrawn = staying.reduce(0) { $0 + $1.bytes } > limits.budget && staying.count > 1
        for (id, engine) in engines where engine.isReady && !engine.isStopping && engine.users.isEmpty {
            if isOverdrawn, !engine.isPinned, !engine.isExplicit, !engine.isUnwanted {
                try expect(engine.lastUsed + limits.lull > now, "\(id) holds memory that there is not")
                try expect(wake.map { $0 <= engine.lastUsed + limits.lull } ?? false, "nobody wakes up for \(id) to go")
            }
            guard !engine.isPinned, let ttl = engine.ttl else { continue }
            try expect(event != .tick || engine.lastUsed + ttl > now, "\(id) outlived its TTL")
            try expect(wake.map { $0 <= engine.lastUsed + ttl } ?? false, "nobody wakes up for the TTL of \(id)")
        }
    }

    /// All loads succeed, all requests end, all that stops is gone: whoever still waits would wait forever.
    private mutating func rest() throws(Broken) {
        for _ in 0..<60 where !open.isEmpty || !granted.isEmpty {
            for id in engines.keys.sorted() where engines[id]?.isReady == false && engines[id]?.isStopping == false {
                try happen(.ready(id, bytes: nil))
            }
            for ticket in granted.keys.sorted(by: { $0.number < $1.number }) { try happen(release(ticket)) }
            for id in engines.keys.sorted() where engines[id]?.isStopping == true { try happen(.exited(id, nil)) }
            // Once around is enough to stay, and far from the end of anybody's patience.
            now += .milliseconds(500)
            try happen(.tick)
        }
        try expect(open.isEmpty, "these wait forever: \(open)")
        try expect(residency.waitingForRoom == 0, "somebody is left in line")
    }

    private mutating func end() throws(Broken) {
        try expect(open.isEmpty, "not answered at the shutdown: \(open)")
        for (id, engine) in engines { try expect(engine.isStopping, "\(id) is not stopped at the shutdown") }
        let late = newTicket(.model("a"))
        try happen(.requested(Residency.Demand("a", size: LoadSize(bytes: ResidencyModels.unit)), late))
        try expect(open.isEmpty, "a request after the shutdown is not answered")
        for id in engines.keys.sorted() { try happen(.exited(id, nil)) }
        try expect(residency.instances.isEmpty, "something is left after the shutdown")
    }

    private func expect(_ isTrue: Bool, _ otherwise: @autoclosure () -> String) throws(Broken) {
        if !isTrue { throw broken(otherwise()) }
    }

    private func broken(_ what: String) -> Broken { Broken(description: "\(what)\n\(story)") }
}
