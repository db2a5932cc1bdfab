extension Supervisor {
    /// Counts a use of an instance of the model that is ready; nil where none is. Nothing is loaded for it.
    package func borrow(_ name: String) -> Lease? {
        let ready = residency.instances.filter { $0.phase == .ready && ($0.id == name || $0.demand.model == name) }
        guard let instance = ready.first(where: { $0.id == name }) ?? ready.min(by: { $0.users < $1.users }),
            let socketPath = engines[instance.id]?.launch.socketPath
        else { return nil }
        lastTicket += 1
        apply(.requestedInstance(instance.id, Residency.Ticket(lastTicket)))
        return Lease(instance: instance.id, socketPath: socketPath)
    }

    /// Ends a use, which a lease's socket names. The end of an engine has ended all of its uses: then nothing happens.
    package func release(socketPath: String) {
        guard let id = engines.first(where: { $0.value.launch.socketPath == socketPath })?.key else { return }
        apply(.released(id))
    }
}
