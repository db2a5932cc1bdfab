import MartletDialects
import MartletEngine
import MartletGateway
import MartletWire

/// Lists of models as LM Studio has them (docs/LMSTUDIO.md, its own API): this machine's, and beside them those of other
/// servers. What cannot be loaded here is left out, and what another server answers to requests for.
struct ModelRoutes: Sendable {
    /// What is loaded, or about to be.
    let residents: @Sendable () async -> [ResidentModel]

    func native(_ catalog: Catalog?, beside others: [JSON]) async -> ControlReply {
        let residents = await residents().filter { $0.state == .ready || $0.state == .draining }
        let routes = await catalog?.routes
        let foreign = Set(others.compactMap { $0["key"]?.string })
        let usable = await catalog?.local.filter { local in
            let id = local.model.id
            return local.usable != nil && !foreign.contains(id) && routes?.forbids(id) != true
        }
        let entries = usable?.map { local -> JSON in
            var entry = local.entry
            let loaded = residents.filter { $0.model.id == local.model.id }.map { resident -> JSON in
                var config = resident.config(isEncoder: local.isEncoder)
                if let window = routes?.localWindow(of: resident.instance)?.loaded {
                    config["context_length"] = .int(window)
                }
                return ["id": .string(resident.instance), "config": config]
            }
            entry["loaded_instances"] = .array(loaded)
            return entry
        }
        return ok(["models": .array((entries ?? []) + others)])
    }

    func legacy(_ catalog: Catalog?, beside others: [JSON]) async -> ControlReply {
        let routes = await catalog?.routes
        let entries = await legacyEntries(catalog, beside: others).filter { entry in
            entry["id"]?.string.map { routes?.forbids($0) == true } != true
        }
        return ok(["data": .array(entries), "object": "list"])
    }

    /// - Parameter id: in any spelling that requests may have.
    func legacy(
        _ id: String, _ catalog: Catalog?, beside others: [JSON]
    ) async throws(NativeError) -> ControlReply {
        let entries = await legacyEntries(catalog, beside: others)
        let routes = await catalog?.routes
        let names = [id, routes?.place(of: id)?.model, routes?.localID(id)].compactMap(\.self)
        let found = names.lazy.compactMap { name in entries.first { $0["id"]?.string == name } }.first
        guard let entry = found else {
            let known = entries.compactMap { $0["id"]?.string }
            throw NativeError.notInstalled(id, closest: known.filter { routes?.forbids($0) != true })
        }
        if routes?.forbids(id) == true, let known = entry["id"]?.string,
            let error = routes?.refusal(of: known, askedAs: id)
        {
            throw NativeError(status: 403, type: "invalid_request", message: error.message, param: "model")
        }
        return ok(entry)
    }

    private func legacyEntries(_ catalog: Catalog?, beside others: [JSON]) async -> [JSON] {
        let residents = await residents()
        let routes = await catalog?.routes
        let foreign = Set(others.compactMap { $0["id"]?.string })
        var own: [JSON] = []
        for local in await catalog?.local ?? [] where !foreign.contains(local.model.id) {
            // The one that is furthest tells the model's state; one with a name of its own has an entry of its own.
            let all = residents.filter { $0.model.id == local.model.id }
            let instances = all.filter { !$0.isNamed }
            let first = instances.first { $0.state == .ready || $0.state == .draining } ?? instances.first
            let entry = local.legacyEntry(
                state: first?.state,
                window: first.flatMap { routes?.sureWindow(of: local.model.id) ?? $0.context })
            guard let entry else { continue }
            own.append(entry)
            for instance in all where instance.instance != local.model.id && routes?.instance(instance.instance) != nil
            {
                guard
                    var entry = local.legacyEntry(
                        state: instance.state,
                        window: routes?.localWindow(of: instance.instance)?.loaded ?? instance.context)
                else { continue }
                entry["id"] = .string(instance.instance)
                own.append(entry)
            }
        }
        return own + aliases(own, routes) + others
    }

    /// Some clients look for the very id they were told.
    private func aliases(_ entries: [JSON], _ routes: RouteTable?) -> [JSON] {
        let ids = Set(entries.compactMap { $0["id"]?.string })
        let names = (routes?.listed ?? []) + (routes?.published ?? [])
        return names.compactMap { name in
            guard !ids.contains(name), let id = routes?.localID(name),
                var entry = entries.first(where: { $0["id"]?.string == id })
            else { return nil }
            entry["id"] = .string(name)
            return entry
        }
    }

    private func ok(_ json: JSON) -> ControlReply { ControlReply(status: 200, body: json.buffer) }
}

extension RouteTable {
    /// What is known of a model of this machine, or of an instance.
    fileprivate func localWindow(of id: String) -> ContextWindow? { served[UpstreamFactory.local]?.windows[id] }

    /// Tokens that every instance of a model of this machine has.
    fileprivate func sureWindow(of model: String) -> Int? {
        served[UpstreamFactory.local]?.sureWindow(of: model)?.loaded
    }

    /// Whether the configuration leaves a model out.
    func forbids(_ name: String) -> Bool {
        do throws(GatewayError) {
            _ = try resolve(name)
            return false
        } catch {
            return error.code == .modelNotAllowed
        }
    }

    /// Why a model of this machine may not be used; nil: it may, under the name it was asked by or one of its own.
    func refusal(of id: String, askedAs asked: String) -> GatewayError? {
        var refusal: GatewayError?
        for name in [asked, id, "\(UpstreamFactory.local)/\(id)"] {
            do throws(GatewayError) {
                _ = try resolve(name)
                return nil
            } catch {
                refusal = error.code == .modelNotAllowed ? error : nil
            }
        }
        return refusal
    }

    /// The id of the model of this machine that a name is a spelling of, or an alias for.
    func localID(_ name: String) -> String? {
        guard let local = served[UpstreamFactory.local], let ids = local.ids else { return nil }
        let start = "\(UpstreamFactory.local)/"
        let bare = name.hasPrefix(start) ? String(name.dropFirst(start.count)) : name
        if ids.contains(bare) || local.unusable[bare] != nil { return bare }
        if let id = local.spellings[bare.lowercased()] { return id }
        return hosted(name).flatMap { ids.contains($0) ? $0 : nil }
    }

    /// The instance of a model of this machine that a name leads to, and that model; nil where it leads to a model.
    func instance(_ name: String) -> (name: String, model: String)? {
        guard localID(name) == nil, let led = hosted(name),
            let model = served[UpstreamFactory.local]?.instances[led]
        else { return nil }
        return (led, model)
    }

    /// The model of this machine, or the instance of one, to which requests by that name go first.
    func hosted(_ name: String) -> String? {
        // It names none, whichever answers to it.
        guard name != "local-model", let place = place(of: name), place.upstream.location == .hosted else { return nil }
        return place.listedElsewhere == nil ? place.model : nil
    }
}
