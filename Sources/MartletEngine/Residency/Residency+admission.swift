extension Residency {
    /// Brings about what has become possible: who is drained stops, who can be served leaves the line, and the first in
    /// line is launched or gets room made.
    mutating func settle(_ now: Instant, _ actions: inout [Action]) {
        stopDrained(&actions)
        var index = 0
        while index < line.count {
            if serve(inLine: index, now, &actions) {
                line.remove(at: index)
            } else if let refusal = refusal(of: line[index], now) {
                actions += line[index].waiters.map { .refuse($0.ticket, refusal) }
                line.remove(at: index)
            } else {
                index += 1
            }
        }
        while let model = line.first?.demand.model {
            if line.first?.isAdditional == false {
                // All who were before it have left: its instance need not be drained for them any more.
                takeBack { $0.serves(model) }
                if serve(inLine: 0, now, &actions) {
                    line.removeFirst()
                    continue
                }
            }
            let first = line[0]
            if let refusal = refusal(of: first, now) {
                actions += first.waiters.map { .refuse($0.ticket, refusal) }
                line.removeFirst()
                continue
            }
            guard let need = need(of: first), let name = newName(for: first) else { break }
            guard free >= need, instances.count < limits.residents else {
                makeRoom(need, now, &actions)
                break
            }
            line.removeFirst()
            launch(first, name, now, &actions)
        }
        if line.isEmpty { takeBack { _ in true } }
        relieve(now, &actions)
    }

    /// Gives those at a place of the line what is loaded or loading by now; whether nobody is left there. Who wants one
    /// instance and no other waits for its return.
    private mutating func serve(inLine place: Int, _ now: Instant, _ actions: inout [Action]) -> Bool {
        let waiting = line[place]
        guard !waiting.isAdditional else { return false }
        if let index = waiting.name.flatMap(self.place), !instances[index].isLeaving,
            instances[index].demand.model == waiting.demand.model
        {
            join(index, waiting.waiters, now, &actions)
            return true
        }
        guard serve(waiting.waiters.filter { $0.demand != nil }, of: waiting.demand.model, now, &actions) else {
            return false
        }
        line[place].waiters.removeAll { $0.demand != nil }
        return line[place].waiters.isEmpty
    }

    private mutating func stopDrained(_ actions: inout [Action]) {
        for index in instances.indices where instances[index].users == 0 {
            if case .draining = instances[index].phase { stop(index, &actions) }
        }
    }

    /// Makes instances that were being evicted ready again.
    private mutating func takeBack(_ isWanted: (Instance) -> Bool) {
        for index in instances.indices where instances[index].phase == .draining(evicted: true) {
            if isWanted(instances[index]) { instances[index].phase = .ready }
        }
    }

    private mutating func launch(_ waiting: Waiting, _ name: String, _ now: Instant, _ actions: inout [Action]) {
        let extra = overshoot(of: waiting.demand)
        let fit = fit(waiting.demand, in: free)
        var demand = waiting.demand
        if let slots = fit.slots { demand.settings.parallel.value = slots }
        let returning = waiting.returns
        instances.append(
            Instance(
                id: name, demand: demand, isExplicit: returning?.isExplicit ?? false, context: fit.context,
                isNamed: waiting.isNamed, estimated: fit.bytes - extra, bytes: fit.bytes,
                phase: .loading(waiting.waiters),
                isPinned: returning?.isPinned ?? demand.settings.isPinned.value, lastUsed: now,
                isReturn: returning != nil, readySince: now))
        // It stays known until it is there: what stops its load is no reason to forget it.
        if returning == nil { forget(name) }
        follow(waiting.waiters, instances.count - 1)
        actions.append(
            .launch(
                Launch(
                    instance: name, demand: demand, context: fit.context, bytes: fit.bytes,
                    isReturn: returning != nil)))
    }

    /// Stops who is idle, then drains who is busy, the least recently used first, until enough is or will be free. Nobody
    /// is drained where it is enough to wait for those who are idle.
    private mutating func makeRoom(_ need: Int64, _ now: Instant, _ actions: inout [Action]) {
        let leaving = instances.filter(\.isLeaving)
        var coming = Self.sum(leaving.map(\.bytes) + [free])
        var places = limits.residents - instances.count + leaving.count
        let evictable = self.evictable
        let idle = evictable.filter { $0.users == 0 }
        let isIdleEnough = Self.sum(idle.map(\.bytes) + [coming]) >= need && places + idle.count >= 1
        let mayLeave = (isIdleEnough ? idle : evictable).filter { self.mayLeave($0) <= now }
        for instance in mayLeave where coming < need || places < 1 {
            guard let index = place(instance.id) else { continue }
            coming = Self.sum([coming, instance.bytes])
            places += 1
            if instances[index].users == 0 {
                stop(index, &actions)
            } else {
                instances[index].phase = .draining(evicted: true)
            }
        }
    }

    /// Who may go for others, first those nobody uses, the least recently used first.
    private var evictable: [Instance] {
        let all = instances.filter(\.isEvictable).sorted { $0.lastUsed < $1.lastUsed }
        return all.filter { $0.users == 0 } + all.filter { $0.users > 0 }
    }

    /// When an instance may be stopped, or drained, for another. One that has just been loaded works for a while; if its
    /// clients pause, as long as they seem to come back.
    func mayLeave(_ instance: Instance) -> Instant {
        let stayed = instance.readySince + limits.stay
        return instance.users > 0 ? stayed : min(stayed, instance.lastUsed + limits.lull)
    }

    /// Bytes that are free now; below zero where an engine takes more than it was thought to.
    var free: Int64 { limits.budget - Self.sum(instances.map(\.bytes)) }

    /// Bytes that can become free without the owner of an instance.
    var room: Int64 { limits.budget - Self.sum(instances.filter(\.stays).map(\.bytes)) }

    private func fit(_ demand: Demand, in free: Int64) -> LoadSize.Fit {
        let loaded = Set(instances.map(\.demand.model))
        let others = demand.others.filter { !loaded.contains($0.key) }.map(\.value)
        return size(of: demand).fitted(to: free, beside: others)
    }

    /// Tokens of each slot's window if it were loaded now, as soon as there is room; nil: it cannot be.
    func expectedContext(of demand: Demand) -> Int? {
        guard let need = size(of: demand).needed(in: room) else { return nil }
        var after = self
        for instance in evictable where after.free < need { after.instances.removeAll { $0.id == instance.id } }
        return after.fit(demand, in: max(after.free, need)).context
    }

    private func need(of waiting: Waiting) -> Int64? { size(of: waiting.demand).needed(in: room) }

    /// The id of its instance; nil: what has that of the model is stopping, so it is soon free.
    private func newName(for waiting: Waiting) -> String? {
        if let name = waiting.name { return place(name) == nil ? name : nil }
        let model = waiting.demand.model
        guard let index = place(model) else { return model }
        if !waiting.isAdditional, instances[index].phase == .stopping { return nil }
        // Fewer are taken than there are instances and names in line.
        return (2...instances.count + line.count + 2).lazy.map { "\(model):\($0)" }.first { name in
            place(name) == nil && !line.contains { $0.name == name }
        }
    }

    /// Why it can never be loaded as things are, or is not tried now; nil: it can.
    private func refusal(of waiting: Waiting, _ now: Instant) -> EngineError? {
        if let name = waiting.name, let index = place(name),
            waiting.returns == nil || instances[index].demand.model != waiting.demand.model
        {
            return taken(name)
        }
        if need(of: waiting) == nil { return doesNotFit(waiting.demand) }
        if let error = backOff(waiting.demand.model, now) { return error }
        return instances.count(where: \.stays) < limits.residents ? nil : full(for: waiting.demand.model)
    }

    static func sum(_ bytes: [Int64]) -> Int64 {
        bytes.reduce(0) { sum, more in
            let (value, overflow) = sum.addingReportingOverflow(more)
            return overflow ? .max : value
        }
    }
}
