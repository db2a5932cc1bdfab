import MartletDialects
import MartletEngine
import MartletGateway
import MartletWire
import NIOCore

/// Loads and unloads models of this machine for clients of the server (docs/LMSTUDIO.md, its own API).
struct LoadRoutes: Sendable {
    /// Nil: this server runs no engine.
    let supervisor: Supervisor?
    let calls: CallBox

    /// How long the reply to an order to unload waits for what still runs.
    private static let unloadPatience: Duration = .seconds(10)

    func running() throws(NativeError) -> Supervisor {
        guard let supervisor else {
            throw NativeError(status: 501, type: "not_implemented", message: "this server runs no engine")
        }
        return supervisor
    }

    // MARK: Loading

    func load(_ bytes: ByteBuffer, _ catalog: Catalog?) async throws(NativeError) -> ControlReply {
        let supervisor = try running()
        let body = try LoadBody(bytes)
        let model = try await Self.model(body.model, catalog, besides: await supervisor.residents())
        if let name = body.identifier { try Self.check(name, of: model, await catalog?.routes) }
        if let draft = body.settings.draftModel { try Self.check(draft: draft, await catalog?.routes) }
        guard body.streams else { return Self.ok(try await Self.load(model, body, supervisor, catalog)) }
        let stream = LoadStream { feed in
            do throws(NativeError) {
                let result = try await Self.load(model, body, supervisor, catalog) { feed.tell($0) }
                let payload: JSON = [
                    "model_instance_id": result["instance_id"] ?? .null,
                    "load_time_seconds": result["load_time_seconds"] ?? .null, "result": result,
                ]
                feed.say("model_load.end", payload)
            } catch {
                feed.say("error", error.json)
            }
        }
        var reply = ControlReply(status: 200, contentType: "text/event-stream; charset=utf-8", body: ByteBuffer())
        reply.following = Following(source: stream, place: 0)
        return reply
    }

    private static func load(
        _ model: LocalModel, _ body: LoadBody, _ supervisor: Supervisor, _ catalog: Catalog?,
        onProgress: @escaping @Sendable (LoadProgress) -> Void = { _ in }
    ) async throws(NativeError) -> JSON {
        do throws(EngineError) {
            let name = try await supervisor.load(
                model.model.id, settings: body.settings, from: .request, as: body.identifier, onProgress: onProgress)
            // Whoever is told the name can ask for it.
            await catalog?.noteLoaded()
            return await Self.loaded(name, model, echoes: body.echoes, supervisor)
        } catch {
            throw NativeError(error)
        }
    }

    /// What is said of an instance that is ready.
    private static func loaded(
        _ name: String, _ model: LocalModel, echoes: Bool, _ supervisor: Supervisor
    ) async -> JSON {
        let resident = await supervisor.residents().first { $0.instance == name }
        var reply: JSON = [
            "type": .string(model.isEncoder ? "embedding" : "llm"), "instance_id": .string(name),
            "load_time_seconds": resident?.loadTime.map { .double($0.seconds) } ?? .null, "status": "loaded",
        ]
        if echoes, let resident { reply["load_config"] = resident.config(isEncoder: model.isEncoder) }
        return reply
    }

    /// The older API's, which LM Studio does not document: what is loaded already stays as it is, a load under way
    /// is joined, other members than the model's name say nothing.
    func legacyLoad(_ bytes: ByteBuffer, _ catalog: Catalog?) async throws(NativeError) -> ControlReply {
        let supervisor = try running()
        let asked = try Self.legacyName(bytes)
        let instance = await catalog?.routes.instance(asked)
        let model = try await Self.model(instance?.model ?? asked, catalog)
        do throws(EngineError) {
            let name = try await supervisor.ensure(instance?.name ?? model.model.id)
            await catalog?.noteLoaded()
            return Self.ok(await Self.loaded(name, model, echoes: true, supervisor))
        } catch {
            throw NativeError(error)
        }
    }

    // MARK: Unloading

    func unload(_ bytes: ByteBuffer, _ catalog: Catalog?) async throws(NativeError) -> ControlReply {
        let supervisor = try running()
        let body = try NativeBody(bytes, known: ["instance_id", "force"])
        let asked = try body.required("instance_id")
        let isForced = try body.bool("force") ?? false
        let residents = await supervisor.residents()
        let waiting = await supervisor.waitingLoads.first { $0.name == asked }?.name
        guard let name = Self.instance(asked, residents, await catalog?.routes) ?? waiting else {
            throw Self.notLoaded(asked, residents.map(\.instance))
        }
        let isGone = await supervisor.unload([name], isForced ? .now : .whenIdle, within: Self.unloadPatience)
        return Self.ok(["instance_id": .string(name), "status": isGone ? "unloaded" : "draining"])
    }

    func legacyUnload(_ bytes: ByteBuffer, _ catalog: Catalog?) async throws(NativeError) -> ControlReply {
        let supervisor = try running()
        let name = try Self.legacyName(bytes)
        let residents = await supervisor.residents()
        let routes = await catalog?.routes
        // A model's name means all of its instances, also where the first of them is called so.
        let id = routes?.localID(name)
        let meant = residents.filter { one in
            id.map { one.model.id == $0 } ?? (one.instance == name || one.instance == routes?.hosted(name))
        }
        if meant.isEmpty {
            let withdrawn = await supervisor.unload(id ?? name, .whenIdle)
            guard !withdrawn.isEmpty else { throw Self.notLoaded(name, residents.map(\.instance)) }
            return Self.ok(["model": .string(name), "instance_ids": .array(withdrawn.map(JSON.string))])
        }
        _ = await supervisor.unload(meant.map(\.instance), .whenIdle, within: Self.unloadPatience)
        return Self.ok(["model": .string(name), "instance_ids": .array(meant.map { .string($0.instance) })])
    }

    /// The instance of that name, or the one that an alias leads to: that of its name, or the only one of its model.
    private static func instance(_ name: String, _ residents: [ResidentModel], _ routes: RouteTable?) -> String? {
        let led = routes?.hosted(name)
        let names = residents.map(\.instance)
        if let one = [name, led].lazy.compactMap(\.self).first(where: names.contains) { return one }
        let own = residents.filter { $0.model.id == led }
        return own.count == 1 ? own[0].instance : nil
    }

    private static func notLoaded(_ name: String, _ loaded: [String]) -> NativeError {
        NativeError(
            status: 404, type: "model_not_found",
            message: "there is no instance \"\(name.prefix(80))\"; loaded: "
                + (loaded.isEmpty ? "none" : loaded.prefix(5).joined(separator: ", ")), param: "instance_id")
    }

    // MARK: Names

    /// The model of this machine of that name, in any spelling or by an alias.
    /// - Parameter residents: whose names are none of models.
    static func model(
        _ name: String, _ catalog: Catalog?, besides residents: [ResidentModel] = []
    ) async throws(NativeError) -> LocalModel {
        let routes = await catalog?.routes
        let local = await catalog?.local ?? []
        if let instance = residents.first(where: { $0.instance == name }), routes?.localID(name) == nil {
            throw .invalid(
                "\"\(name)\" is the name of an instance of \(instance.model.id), which is loaded; to load one more, "
                    + "name the model: \(instance.model.id)", code: "engine_name_taken", param: "model")
        }
        guard let id = routes?.localID(name), let model = local.first(where: { $0.model.id == id }) else {
            throw NativeError.notInstalled(name, closest: local.filter { $0.usable != nil }.map(\.model.id))
        }
        if let error = routes?.refusal(of: id, askedAs: name) {
            throw NativeError(status: 403, type: "invalid_request", message: error.message, param: "model")
        }
        if let error = routes?.unusable(id) {
            throw NativeError(
                status: 500, type: "internal_error", message: error.message, code: error.code.rawValue, param: "model")
        }
        return model
    }

    /// What `models.allowed` leaves out writes no drafts either; whether it is there is seen at the load.
    private static func check(draft name: String, _ routes: RouteTable?) throws(NativeError) {
        guard let id = routes?.localID(name), let error = routes?.refusal(of: id, askedAs: name) else { return }
        throw NativeError(status: 403, type: "invalid_request", message: error.message, param: "draft_model")
    }

    /// An instance can only be asked by its name where that is no name of anything else.
    private static func check(
        _ identifier: String, of model: LocalModel, _ routes: RouteTable?
    ) throws(NativeError) {
        guard identifier != "local-model", let place = routes?.place(of: identifier), place.listedElsewhere == nil,
            place.upstream.location != .hosted || place.model != identifier
        else { return }
        throw .invalid(
            "requests for \"\(identifier)\" go to \(place.shown): choose another identifier",
            code: "engine_name_taken", param: "identifier")
    }

    private static func legacyName(_ bytes: ByteBuffer) throws(NativeError) -> String {
        do throws(GatewayError) {
            let document = try Decider.check(bytes)
            if let name = try Decider.model(in: document) { return name }
        } catch {
            throw NativeError.invalid(error.message, param: error.param)
        }
        throw NativeError.invalid("\"model\" is required", code: "missing_required_parameter", param: "model")
    }

    static func ok(_ json: JSON) -> ControlReply { ControlReply(status: 200, body: json.buffer) }
}
