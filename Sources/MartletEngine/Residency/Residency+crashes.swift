extension Residency {
    /// An instance that was to stay, and whose engine ended by itself. Its next use loads it as it was.
    package struct Crashed: Sendable, Hashable {
        package let id: String
        package let demand: Demand
        package let isExplicit: Bool
        package let isNamed: Bool
        package fileprivate(set) var isPinned: Bool
        /// Tokens it had.
        package let context: Int?
        package let at: Instant
        package let lastUsed: Instant

        fileprivate init(_ instance: Instance, at now: Instant) {
            id = instance.id
            demand = instance.demand
            isExplicit = instance.isExplicit
            isNamed = instance.isNamed
            isPinned = instance.isPinned
            context = instance.context
            at = now
            lastUsed = instance.users > 0 ? now : instance.lastUsed
        }

        /// When nobody expects it any more; nil: never.
        var expires: Instant? { isPinned ? nil : demand.ttl.map { lastUsed + $0 } }
    }

    /// All that live or come back.
    package var names: [(id: String, model: String)] {
        instances.map { ($0.id, $0.demand.model) }
            + crashed.filter { place($0.id) == nil }.map { ($0.id, $0.demand.model) }
    }

    /// - Parameter instance: has just ended by itself.
    mutating func keep(_ instance: Instance, _ now: Instant) {
        guard instance.phase == .ready, instance.isExplicit || instance.isPinned else { return }
        forget(instance.id)
        // Names can be made up without end.
        if crashed.count >= limits.residents { crashed.removeFirst() }
        crashed.append(Crashed(instance, at: now))
    }

    mutating func forget(_ id: String) { crashed.removeAll { $0.id == id } }

    mutating func forgetExpired(_ now: Instant) { crashed.removeAll { $0.expires.map { $0 <= now } ?? false } }

    mutating func pinCrashed(_ id: String, _ isPinned: Bool) {
        guard let index = crashed.firstIndex(where: { $0.id == id }) else { return }
        crashed[index].isPinned = isPinned
        if !isPinned, !crashed[index].isExplicit { crashed.remove(at: index) }
    }
}
