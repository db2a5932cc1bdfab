extension Supervisor {
    /// Counts a use of an instance of the model that is ready, or of the one of that name; nil where none is. Nothing is
    /// loaded for it.
    package func borrow(_ name: String) async -> Lease? {
        let id = await instance(called: name)
        let meant =
            id.map { id in residency.instances.filter { $0.id == id } }
            ?? residency.servers(of: name).map { residency.instances[$0] }
        let ready = meant.filter { $0.phase == .ready }
        guard let instance = ready.min(by: { $0.users < $1.users }),
            let socketPath = engines[instance.id]?.launch.socketPath
        else { return nil }
        lastTicket += 1
        apply(.requestedInstance(instance.id, Residency.Ticket(lastTicket)))
        return Lease(instance: instance.id, socketPath: socketPath)
    }

    /// Whether the engine of a lease that has not been released is still there. It is also where it gets no further
    /// requests and waits for those it has.
    /// - Throws: `cancelled` where it was told to stop in spite of its uses.
    package func keeps(socketPath: String) throws(EngineError) -> Bool {
        if let used = engines.first(where: { $0.value.launch.socketPath == socketPath }) {
            if used.value.isCutOff { throw Self.cutOff(used.key) }
            return true
        }
        let ending = endings.first { $0.socketPath == socketPath }
        if let failure = ending?.failure, failure.code == .cancelled { throw failure }
        return false
    }

    /// Ends a use, which a lease's socket names. The end of an engine has ended all of its uses: then nothing happens.
    /// - Parameter served: the engine answered it well, and to the end.
    package func release(socketPath: String, served: Bool = false) {
        guard let id = engines.first(where: { $0.value.launch.socketPath == socketPath })?.key else { return }
        apply(.released(id, served: served))
    }

    /// Unloads the instance of that name, else all of the model, what waits for room among them; returns their names.
    @discardableResult
    package func unload(_ name: String, _ how: Residency.Unloading) -> [String] {
        let shown = unloadable()
        let named = shown.filter { $0.shown == name }
        let model = store.find(name)?.id ?? name
        let meant = named.isEmpty ? shown.filter { $0.model == model } : named
        for one in meant { apply(.unload(one.id, how)) }
        return meant.map(\.shown)
    }

    /// A pinned instance is neither evicted nor does its TTL end it; whether there is one of that name.
    package func pin(_ instance: String, _ isPinned: Bool = true) -> Bool {
        guard let id = shownNames().first(where: { $0.shown == instance })?.id else { return false }
        apply(.pin(id, isPinned))
        return residency.instances.contains { $0.id == id && $0.phase != .stopping }
            || residency.crashed.contains { $0.id == id }
    }
}
