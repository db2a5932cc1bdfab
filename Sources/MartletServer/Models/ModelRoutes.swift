import MartletEngine
import MartletGateway
import MartletWire

/// Lists of this machine's models as LM Studio has them (docs/LMSTUDIO.md, its own API). Those that cannot be
/// loaded are left out.
struct ModelRoutes: Sendable {
    /// What is loaded, or about to be.
    let residents: @Sendable () async -> [ResidentModel]
    /// Requests an engine works on at once.
    let parallel: Int

    func native(_ catalog: Catalog?) async -> ControlReply {
        let residents = await residents().filter { $0.state == .ready }
        let routes = await catalog?.routes
        let entries = await catalog?.local.filter { $0.usable != nil }.map { local -> JSON in
            var entry = local.entry
            let loaded = residents.filter { $0.model.id == local.model.id }.map { resident -> JSON in
                let window = routes?.localWindow(of: resident.model.id)?.tokens ?? 0
                return [
                    "id": .string(resident.model.id),
                    "config": ["context_length": .int(window), "parallel": .int(parallel)],
                ]
            }
            entry["loaded_instances"] = .array(loaded)
            return entry
        }
        return ok(["models": .array(entries ?? [])])
    }

    func legacy(_ catalog: Catalog?) async -> ControlReply {
        ok(["data": .array(await legacyEntries(catalog)), "object": "list"])
    }

    /// - Parameter id: in any spelling that requests may have.
    func legacy(_ id: String, _ catalog: Catalog?) async throws(NativeError) -> ControlReply {
        let entries = await legacyEntries(catalog)
        let key = await catalog?.routes.localID(id)
        guard let entry = entries.first(where: { $0["id"]?.string == key }) else {
            let near = ModelName.closest(to: id, among: entries.compactMap { $0["id"]?.string })
            throw NativeError(
                status: 404, type: "model_not_found",
                message: "model \"\(id.prefix(Limits.modelName))\" is not installed here"
                    + (near.isEmpty ? "" : "; closest: \(near.joined(separator: ", "))")
                    + ". Get it with: martlet get", param: "model")
        }
        return ok(entry)
    }

    private func legacyEntries(_ catalog: Catalog?) async -> [JSON] {
        let residents = await residents()
        let routes = await catalog?.routes
        return await catalog?.local.compactMap { local in
            local.legacyEntry(
                state: residents.first { $0.model.id == local.model.id }?.state,
                window: routes?.localWindow(of: local.model.id)?.loaded)
        } ?? []
    }

    private func ok(_ json: JSON) -> ControlReply { ControlReply(status: 200, body: json.buffer) }
}

extension RouteTable {
    /// What is known of a model of this machine.
    fileprivate func localWindow(of id: String) -> ContextWindow? { served[UpstreamFactory.local]?.windows[id] }

    /// The id of the model of this machine that a name is a spelling of.
    fileprivate func localID(_ name: String) -> String? {
        let local = served[UpstreamFactory.local]
        let start = "\(UpstreamFactory.local)/"
        let bare = name.hasPrefix(start) ? String(name.dropFirst(start.count)) : name
        return local?.ids?.contains(bare) == true ? bare : local?.spellings[bare.lowercased()]
    }
}
