extension Residency {
    /// Of instances that are called after the model:
    ///
    /// 1. closing → refuse. 2. one is ready → grant the one with the fewest users. 3. one is loading → wait for
    /// it. 4. its load waits for room → wait with it. 5. failed repeatedly a moment ago → refuse. 6. else it gets into
    /// line, as one that crashed if there is one, from which ``settle(_:_:)`` launches, or refuses what can never fit.
    mutating func request(
        _ demand: Demand, _ ticket: Ticket, uses: Bool, _ now: Instant, _ actions: inout [Action]
    ) {
        if closed { return actions.append(.refuse(ticket, Self.closing)) }
        let waiter = Waiter(ticket: ticket, uses: uses, demand: demand, until: now + limits.wait)
        if serve([waiter], of: demand.model, now, &actions) { return }
        if let index = line.firstIndex(where: { $0.serves(demand.model) }) {
            guard line[index].waiters.count < limits.waiting else {
                return actions.append(.refuse(ticket, tooMany(waitingFor: demand.model)))
            }
            return line[index].waiters.append(waiter)
        }
        if let returning = crashed.first(where: { $0.demand.model == demand.model && !$0.isNamed }) {
            return lineUp(returning, waiter, now, &actions)
        }
        lineUp(Waiting(demand: demand, waiters: [waiter]), now, &actions)
    }

    private mutating func lineUp(_ returning: Crashed, _ waiter: Waiter, _ now: Instant, _ actions: inout [Action]) {
        lineUp(
            Waiting(demand: returning.demand, name: returning.id, returns: returning, waiters: [waiter]), now, &actions)
    }

    mutating func request(instance id: String, _ ticket: Ticket, _ now: Instant, _ actions: inout [Action]) {
        if closed { return actions.append(.refuse(ticket, Self.closing)) }
        let waiter = Waiter(ticket: ticket, uses: true, isBound: true, until: now + limits.wait)
        if let index = place(id), !instances[index].isLeaving { return join(index, [waiter], now, &actions) }
        if let index = line.firstIndex(where: { $0.returns?.id == id }) {
            guard line[index].waiters.count < limits.waiting else {
                return actions.append(.refuse(ticket, tooMany(waitingFor: id)))
            }
            return line[index].waiters.append(waiter)
        }
        guard let returning = crashed.first(where: { $0.id == id }) else {
            return actions.append(.refuse(ticket, notLoaded(id)))
        }
        lineUp(returning, waiter, now, &actions)
    }

    mutating func load(
        _ demand: Demand, _ ticket: Ticket, _ name: String?, _ now: Instant, _ actions: inout [Action]
    ) {
        if closed { return actions.append(.refuse(ticket, Self.closing)) }
        if let name, place(name) != nil || line.contains(where: { $0.name == name }) {
            return actions.append(.refuse(ticket, taken(name)))
        }
        let waiter = Waiter(ticket: ticket, uses: false, demand: demand, isBound: true, until: now + limits.wait)
        lineUp(Waiting(demand: demand, isAdditional: true, name: name, waiters: [waiter]), now, &actions)
    }

    private mutating func lineUp(_ waiting: Waiting, _ now: Instant, _ actions: inout [Action]) {
        let model = waiting.demand.model
        guard let refusal = backOff(model, now) ?? (line.count < limits.line ? nil : lineIsFull(for: model)) else {
            return line.append(waiting)
        }
        actions += waiting.waiters.map { .refuse($0.ticket, refusal) }
    }

    /// Whether an instance that is called after the model takes them, now or when it is loaded.
    mutating func serve(_ waiters: [Waiter], of model: String, _ now: Instant, _ actions: inout [Action]) -> Bool {
        let own = servers(of: model)
        let ready = own.filter { instances[$0].phase == .ready }
        guard let index = ready.min(by: { instances[$0].users < instances[$1].users }) ?? own.first else {
            return false
        }
        join(index, waiters, now, &actions)
        return true
    }

    /// Those that get requests for the model: the one that has its name, else the first that is called after it, and who
    /// can stand in for that. Nobody who loaded a large window loses it because somebody loads a small one beside it.
    func servers(of model: String) -> [Int] {
        let own = instances.indices.filter { instances[$0].serves(model) && !instances[$0].isLeaving }
        guard let first = own.first(where: { instances[$0].id == model }) ?? own.first else { return [] }
        return own.filter { instances[$0].canStandIn(for: instances[first]) }
    }

    mutating func join(_ index: Int, _ waiters: [Waiter], _ now: Instant, _ actions: inout [Action]) {
        guard case .loading(let others) = instances[index].phase else {
            return waiters.forEach { grant($0, index, now, &actions) }
        }
        let room = max(0, limits.waiting - others.count)
        wait(others + waiters.prefix(room), index)
        let refusal = tooMany(waitingFor: instances[index].demand.model)
        actions += waiters.dropFirst(room).map { .refuse($0.ticket, refusal) }
    }

    private mutating func grant(_ waiter: Waiter, _ index: Int, _ now: Instant, _ actions: inout [Action]) {
        if waiter.uses { instances[index].users += 1 }
        instances[index].lastUsed = now
        actions.append(.grant(waiter.ticket, instances[index].id))
    }

    mutating func release(_ id: String, served: Bool, _ now: Instant) {
        guard let index = place(id), instances[index].users > 0 else { return }
        if served { failures[instances[index].demand.model] = nil }
        instances[index].users -= 1
        instances[index].lastUsed = now
    }

    /// A load that nobody waits for any more is stopped, or leaves the line.
    mutating func cancel(_ ticket: Ticket, _ actions: inout [Action]) {
        for index in line.indices { line[index].waiters.removeAll { $0.ticket == ticket } }
        line.removeAll { $0.waiters.isEmpty }
        for index in instances.indices {
            guard case .loading(let waiters) = instances[index].phase, waiters.contains(where: { $0.ticket == ticket })
            else { continue }
            let others = waiters.filter { $0.ticket != ticket }
            if others.isEmpty { stop(index, &actions) } else { wait(others, index) }
        }
    }

    private mutating func wait(_ waiters: [Waiter], _ index: Int) {
        instances[index].phase = .loading(waiters)
        follow(waiters, index)
    }

    /// Whoever still waits for a load decides how long it stays: the first order to load, else the first request.
    mutating func follow(_ waiters: [Waiter], _ index: Int) {
        guard !instances[index].isReturn else { return }
        let orders = waiters.filter { !$0.uses }
        instances[index].isExplicit = !orders.isEmpty
        guard let demand = (orders.isEmpty ? waiters : orders).lazy.compactMap(\.demand).first else { return }
        instances[index].demand.ttl = demand.ttl
        instances[index].demand.settings.keepAlive = demand.settings.keepAlive
    }

    mutating func becomeReady(_ id: String, _ bytes: Int64?, _ now: Instant, _ actions: inout [Action]) {
        guard let index = place(id), case .loading(let waiters) = instances[index].phase else { return }
        instances[index].phase = .ready
        instances[index].bytes = max(instances[index].bytes, bytes ?? 0)
        noteOvershoot(of: instances[index])
        instances[index].readySince = now
        instances[index].isReturn = false
        forget(id)
        // One with a larger window may have become ready before it, and answers to the model by now.
        let others = servers(of: instances[index].demand.model).filter { instances[$0].phase == .ready }
        for waiter in waiters {
            let isForModel = !waiter.isBound && !others.contains(index)
            let other = isForModel ? others.min { instances[$0].users < instances[$1].users } : nil
            grant(waiter, other ?? index, now, &actions)
        }
    }

    mutating func exit(_ id: String, _ error: EngineError?, _ now: Instant, _ actions: inout [Action]) {
        guard let index = place(id) else { return }
        let instance = instances.remove(at: index)
        switch instance.phase {
        case .loading(let waiters):
            let error = error ?? Self.stopped(id)
            if Self.costly.contains(error.code) { note(error, of: instance.demand.model, now) }
            actions += waiters.map { .refuse($0.ticket, error) }
        case .ready, .draining:
            judge(instance, error, now)
            if error != nil { keep(instance, now) }
        case .stopping: break
        }
    }

    mutating func unload(_ id: String, _ how: Unloading, _ actions: inout [Action]) {
        forget(id)
        guard let index = place(id) else { return withdraw(id, &actions) }
        switch (instances[index].phase, how) {
        case (.stopping, _): break
        // Nobody uses it yet: there is nothing to wait for.
        case (.loading(let waiters), _):
            let error = EngineError(.cancelled, "\(id) was unloaded while it was loading.")
            actions += waiters.map { .refuse($0.ticket, error) }
            stop(index, &actions)
        case (_, .whenIdle): instances[index].phase = .draining(evicted: false)
        case (_, .now): stop(index, &actions)
        }
    }

    /// Takes loads of that name out of the line.
    private mutating func withdraw(_ name: String, _ actions: inout [Action]) {
        for waiting in line where (waiting.name ?? waiting.demand.model) == name {
            actions += waiting.waiters.map { .refuse($0.ticket, Self.withdrawn(name)) }
        }
        line.removeAll { ($0.name ?? $0.demand.model) == name }
    }

    mutating func pin(_ id: String, _ isPinned: Bool) {
        pinCrashed(id, isPinned)
        guard let index = place(id) else { return }
        instances[index].isPinned = isPinned
        if isPinned, instances[index].phase == .draining(evicted: true) { instances[index].phase = .ready }
    }

    func place(_ id: String) -> Int? { instances.firstIndex { $0.id == id } }

}
