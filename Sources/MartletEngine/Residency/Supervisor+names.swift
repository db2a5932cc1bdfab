extension Supervisor {
    /// The instance that a name means, which lives or comes back; nil: the name is a model's, or nobody's.
    ///
    /// A model's names go before those of instances, also when the model comes later: then the instance is asked for
    /// as `MODEL:NAME`, which lists tell.
    func instance(called name: String) async -> String? {
        let all = residency.names
        if let own = all.first(where: { $0.id == name }) {
            guard own.model != name, await Self.model(called: name, in: store) == nil else { return nil }
            return name
        }
        return all.first { Self.longName(of: $0.id, $0.model) == name }?.id
    }

    /// What all instances are asked for by, those among them that come back.
    func shownNames() -> [(id: String, model: String, shown: String)] {
        let all = residency.names
        // The disk is asked only where it matters.
        let spellings = all.contains { $0.id != $0.model } ? store.spellings() : [:]
        return all.map { id, model in
            let isTaken = id != model && spellings[id.lowercased()] != nil
            return (id, model, isTaken ? Self.longName(of: id, model) : id)
        }
    }

    /// What can be unloaded, loads that wait for room among them.
    func unloadable() -> [(id: String, model: String, shown: String)] {
        let shown = shownNames()
        return shown
            + residency.waitingLoads.filter { load in !shown.contains { $0.id == load.name } }
            .map { ($0.name, $0.model, $0.name) }
    }

    private static func longName(of id: String, _ model: String) -> String { "\(model):\(id)" }

    @concurrent private static func model(called name: String, in store: ModelStore) async -> String? {
        store.find(name)?.id
    }
}
