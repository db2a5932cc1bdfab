extension Residency {
    /// By how much engines took more than was estimated.
    struct Overshoot: Sendable, Hashable {
        let model: String
        /// As it was loaded.
        let size: LoadSize
        var bytes: Int64
    }

    /// Sizes that are remembered; the oldest goes first.
    private static let overshootsKept = 256

    /// What a load counts with: as estimated, and what an engine that was loaded so took beyond that.
    func size(of demand: Demand) -> LoadSize {
        let extra = overshoot(of: demand)
        return extra > 0 ? demand.size.grown(by: extra) : demand.size
    }

    func overshoot(of demand: Demand) -> Int64 {
        overshoots.first { $0.model == demand.model && $0.size == demand.size }?.bytes ?? 0
    }

    /// - Parameter instance: has become ready.
    mutating func noteOvershoot(of instance: Instance) {
        let bytes = instance.bytes - instance.estimated
        guard bytes > overshoot(of: instance.demand) else { return }
        let (model, size) = (instance.demand.model, instance.demand.size)
        overshoots.removeAll { $0.model == model && $0.size == size }
        if overshoots.count >= Self.overshootsKept { overshoots.removeFirst() }
        overshoots.append(Overshoot(model: model, size: size, bytes: bytes))
    }

    /// Bytes that are taken beyond the budget by engines that have not been told to go.
    var overdrawn: Int64 { max(0, Self.sum(instances.filter { !$0.isLeaving }.map(\.bytes)) - limits.budget) }

    /// Stops who is idle and may leave, the least recently used first, as long as engines take more than they may
    /// together. One alone stays: nobody would gain by its end.
    mutating func relieve(_ now: Instant, _ actions: inout [Action]) {
        while overdrawn > 0, instances.count(where: { !$0.isLeaving }) > 1 {
            let idle = instances.indices.filter { index in
                instances[index].isEvictable && instances[index].users == 0 && mayLeave(instances[index]) <= now
            }
            guard let first = idle.min(by: { instances[$0].lastUsed < instances[$1].lastUsed }) else { return }
            stop(first, &actions)
        }
    }
}
