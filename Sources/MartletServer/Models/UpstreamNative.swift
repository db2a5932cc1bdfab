import MartletDialects
import MartletGateway
import MartletTransport
import MartletWire
import NIOCore
import Synchronization

/// Models of other servers on the routes of LM Studio's own APIs (docs/LMSTUDIO.md, a real LM Studio behind it). A
/// model's name leads where a request for it would go; what is not of another server is this machine's own business.
struct UpstreamNative: Sendable {
    private let lists: UpstreamLists
    private let calls: CallBox
    private let jobs = UpstreamJobs()

    init(calls: CallBox) {
        self.calls = calls
        lists = UpstreamLists(calls: calls)
    }

    /// The answer to a request about a model, an instance or a download of another server.
    /// - Parameter ownsJob: this machine has a download of that id.
    /// - Returns: nil where it is none, or where the request cannot be read.
    func answer(
        _ request: InboundRequest, _ catalog: Catalog?, ownsJob: (String) -> Bool
    ) async throws(NativeError) -> ControlReply? {
        guard let catalog, let calls = calls.value else { return nil }
        let routes = await catalog.routes
        guard routes.upstreams.contains(where: { $0.location != .hosted }) else { return nil }
        if case .downloadStatus(let id?) = request.endpoint {
            return ownsJob(id) ? nil : try await status(of: id, routes, calls)
        }
        guard request.method == "POST", let body = try? JSON(parsing: request.body) else { return nil }
        let reply: ControlReply?
        switch request.path {
        case "/api/v1/models/load": reply = try await load(body, routes, calls)
        case "/api/v0/models/load": reply = try await legacyLoad(body, routes, calls)
        case "/api/v1/models/unload": reply = try await unload(body, routes, calls)
        case "/api/v0/models/unload": reply = try await legacyUnload(body, routes, calls)
        case "/api/v1/models/download": return try await download(body, routes, calls)
        default: return nil
        }
        // What is loaded has another window now.
        if reply != nil { await catalog.refresh(ifOlderThan: .zero) }
        return reply
    }

    /// Entries of other servers' models in the list of LM Studio's own API.
    func native(_ catalog: Catalog?) async -> [JSON] {
        guard let routes = await catalog?.routes else { return [] }
        return await lists.native(routes)
    }

    /// The same in the list of its older API.
    func legacy(_ catalog: Catalog?) async -> [JSON] {
        guard let routes = await catalog?.routes else { return [] }
        return await lists.legacy(routes)
    }

    /// What real LM Studios have loaded, in the form of `GET /admin/v1/residents`.
    func residents(_ catalog: Catalog?) async -> [JSON] {
        guard let routes = await catalog?.routes else { return [] }
        return await lists.residents(routes)
    }

    // MARK: Whose it is

    /// The server a model belongs to, and the model's key there; nil: this machine, or nobody.
    private func owner(_ name: String, _ routes: RouteTable) async throws(NativeError) -> (
        studio: Upstream, key: String
    )? {
        var place: Candidate?
        do throws(GatewayError) {
            place = try routes.resolve(name).first
        } catch {
            if error.code == .modelNotAllowed {
                throw NativeError(status: 403, type: "invalid_request", message: error.message, param: "model")
            }
        }
        // A server whose list was never read may have a model of any name, or none, or not answer at all.
        if let place, place.listedElsewhere == nil,
            !place.upstream.profile.hasLegacyAPI || routes.served[place.upstream.name]?.ids != nil
        {
            guard place.upstream.location != .hosted else { return nil }
            guard place.upstream.profile.hasLegacyAPI else {
                throw NativeError(
                    status: 501, type: "not_implemented",
                    message: "\(place.shown) is served by \(place.upstream.shown), which loads its models by itself",
                    param: "model")
            }
            return (place.upstream, place.model)
        }
        // Where models are not loaded on demand, LM Studio's list for requests leaves out those that are not loaded.
        var silent: Upstream?
        for studio in routes.studios {
            let bare = studio.bare(name)
            let read = await lists.read(studio)
            if read == nil, silent == nil, place != nil { silent = studio }
            let entries = read ?? lists.lastRead(of: studio)
            if let entry = entries.first(where: { $0.names.contains(bare) }), let key = entry["key"]?.string {
                return (studio, bare == key ? key : bare)
            }
        }
        guard let silent else { return nil }
        throw NativeError(
            status: 504, type: "unknown",
            message: "\(silent.shown) has not listed its models within "
                + "\(Double(UpstreamLists.patience.nanoseconds) / 1e9) s, so nobody knows whether it has "
                + "\"\(name.prefix(80))\"; see whether it runs and answers",
            code: "upstream_timeout", param: "model")
    }

    // MARK: Loading

    private func load(
        _ body: JSON, _ routes: RouteTable, _ calls: UpstreamCalls
    ) async throws(NativeError) -> ControlReply? {
        guard let name = body["model"]?.string, let (studio, key) = try await owner(name, routes) else { return nil }
        var body = body
        let streams = body["stream"]?.bool ?? false
        body["stream"] = nil
        body["model"] = .string(key)
        let ours = LoadBody.more.filter { body[$0] != nil }
        if let first = ours.first {
            throw .invalid(
                "\(key) is loaded by \(studio.shown), where a load takes no "
                    + ours.map { "\"\($0)\"" }.joined(separator: " and no ") + ": leave that out",
                code: "unrecognized_keys", param: first)
        }
        let sent = body.buffer
        guard streams else {
            return LoadRoutes.ok(try await post("/api/v1/models/load", sent, to: studio, calls))
        }
        // It tells nothing while it loads: a bar that begins and ends.
        let stream = LoadStream { feed in
            feed.say("model_load.start", ["model_instance_id": .string(key)])
            do throws(NativeError) {
                let result = try await post("/api/v1/models/load", sent, to: studio, calls)
                feed.say(
                    "model_load.end",
                    [
                        "model_instance_id": result["instance_id"] ?? .string(key),
                        "load_time_seconds": result["load_time_seconds"] ?? .null, "result": result,
                    ])
            } catch {
                feed.say("error", error.json)
            }
        }
        var reply = ControlReply(status: 200, contentType: "text/event-stream; charset=utf-8", body: ByteBuffer())
        reply.following = Following(source: stream, place: 0)
        return reply
    }

    /// What is loaded already stays as it is. A server without that route loads a model for its first request.
    private func legacyLoad(
        _ body: JSON, _ routes: RouteTable, _ calls: UpstreamCalls
    ) async throws(NativeError) -> ControlReply? {
        guard let name = body["model"]?.string, let (studio, key) = try await owner(name, routes) else { return nil }
        let entry = await lists.native(of: studio).first { $0["key"]?.string == key }
        if let there = entry?["loaded_instances"]?[0]?["id"]?.string {
            return LoadRoutes.ok([
                "type": entry?["type"] ?? "llm", "instance_id": .string(there), "load_time_seconds": 0,
                "status": "loaded",
            ])
        }
        do throws(NativeError) {
            return LoadRoutes.ok(
                try await post("/api/v1/models/load", (["model": .string(key)] as JSON).buffer, to: studio, calls))
        } catch {
            guard error.code == Self.noRoute else { throw error }
        }
        let hello: JSON = [
            "model": .string(key), "max_tokens": 1, "messages": [["role": "user", "content": "hi"]],
        ]
        let began = ContinuousClock.now
        _ = try await post("/v1/chat/completions", hello.buffer, to: studio, calls)
        let took = Int(((ContinuousClock.now - began) / .milliseconds(1)).rounded())
        return LoadRoutes.ok([
            "type": "llm", "instance_id": .string(key), "load_time_seconds": .double(Double(took) / 1000),
            "status": "loaded",
        ])
    }

    // MARK: Unloading

    private func unload(
        _ body: JSON, _ routes: RouteTable, _ calls: UpstreamCalls
    ) async throws(NativeError) -> ControlReply? {
        guard let name = body["instance_id"]?.string, !routes.holdsInstance(name) else { return nil }
        for studio in routes.studios {
            let bare = studio.bare(name)
            let entries = await lists.native(of: studio)
            guard entries.contains(where: { $0.instances.contains(bare) }) else { continue }
            var body = body
            body["instance_id"] = .string(bare)
            // Ours: it knows one way only.
            body["force"] = nil
            return LoadRoutes.ok(try await post("/api/v1/models/unload", body.buffer, to: studio, calls))
        }
        return nil
    }

    private func legacyUnload(
        _ body: JSON, _ routes: RouteTable, _ calls: UpstreamCalls
    ) async throws(NativeError) -> ControlReply? {
        guard let name = body["model"]?.string, !routes.holdsInstance(name),
            let (studio, key) = try await owner(name, routes)
        else { return nil }
        let entry = await lists.native(of: studio).first { $0.names.contains(key) }
        let instances =
            entry.map { $0.instances.contains(key) && $0["key"]?.string != key ? [key] : $0.instances } ?? []
        guard !instances.isEmpty else {
            throw NativeError(
                status: 404, type: "model_not_found", message: "\"\(key)\" is not loaded at \(studio.shown)",
                param: "model")
        }
        for instance in instances {
            _ = try await post(
                "/api/v1/models/unload", (["instance_id": .string(instance)] as JSON).buffer, to: studio, calls)
        }
        return LoadRoutes.ok(["model": .string(name), "instance_ids": .array(instances.map(JSON.string))])
    }

    // MARK: Downloads

    private func download(
        _ body: JSON, _ routes: RouteTable, _ calls: UpstreamCalls
    ) async throws(NativeError) -> ControlReply? {
        guard let name = body["model"]?.string else { return nil }
        var found = routes.studios.first { name.hasPrefix("\($0.name)/") }.map { ($0, $0.bare(name)) }
        if found == nil, routes.localID(name) == nil {
            for studio in routes.studios where found == nil {
                if await lists.native(of: studio).contains(where: { $0["key"]?.string == name }) {
                    found = (studio, name)
                }
            }
        }
        guard let (studio, key) = found else { return nil }
        var body = body
        body["model"] = .string(key)
        let reply = try await post("/api/v1/models/download", body.buffer, to: studio, calls)
        if let job = reply["job_id"]?.string { jobs.note(job, at: studio.name) }
        return LoadRoutes.ok(reply)
    }

    /// Of a download whose server is not known, because this one has been restarted, all are asked.
    private func status(
        of job: String, _ routes: RouteTable, _ calls: UpstreamCalls
    ) async throws(NativeError) -> ControlReply? {
        guard job.utf8.allSatisfy({ $0.isIDByte }) else { return nil }
        let path = "/api/v1/models/download/status/\(job)"
        let known = jobs.owner(of: job)
        for studio in routes.studios where known == nil || known == studio.name {
            do throws(NativeError) {
                return LoadRoutes.ok(
                    try await ask(studio) { () async throws(GatewayError) in
                        try await calls.get(path, at: studio, timeout: .seconds(10))
                    })
            } catch {
                if known != nil { throw error }
            }
        }
        return nil
    }

    // MARK: Calls

    private func post(
        _ path: String, _ body: ByteBuffer, to studio: Upstream, _ calls: UpstreamCalls
    ) async throws(NativeError) -> JSON {
        try await ask(studio) { () async throws(GatewayError) in
            try await calls.post(path, body, at: studio, timeout: studio.deadlines.firstByte ?? .minutes(30))
        }
    }

    /// Its answer, or its error with the status that its type has, whatever status it came with.
    private func ask(
        _ studio: Upstream, _ call: () async throws(GatewayError) -> UpstreamReply
    ) async throws(NativeError) -> JSON {
        let reply: UpstreamReply
        do throws(GatewayError) {
            reply = try await call()
        } catch {
            throw NativeError(
                status: ErrorTable.status(error, for: .chat), type: "internal_error", message: error.message,
                code: error.code.rawValue)
        }
        return try Self.read(reply, of: studio)
    }

    static let noRoute = "unsupported_by_upstream"

    static func read(_ reply: UpstreamReply, of studio: Upstream) throws(NativeError) -> JSON {
        let body = studio.withoutKey(reply.body)
        let json = try? JSON(parsing: body)
        if reply.head.isSuccess, let json, json.object != nil, json["error"] == nil || json["error"] == .null {
            return json
        }
        let said = ChatErrors.read(status: reply.head.status, body: body)
        if said.code == .notFound {
            throw NativeError(
                status: 501, type: "not_implemented",
                message: "\(studio.shown) has no such route; LM Studio has it since 0.4.0", code: noRoute)
        }
        let type = json?["error"]?["type"]?.string ?? (said.code == .modelNotFound ? "model_not_found" : "unknown")
        let isOurs = reply.head.status == 401 || reply.head.status == 403
        let meant = reply.head.status >= 400 ? reply.head.status : Self.status(of: type)
        throw NativeError(
            status: isOurs ? 502 : meant, type: type,
            message: isOurs ? "\(studio.shown) refuses the key in upstreams.\(studio.name).api_key" : said.message,
            code: json?["error"]?["code"]?.string, param: json?["error"]?["param"]?.string)
    }

    /// LM Studio answers some errors with 200.
    private static func status(of type: String) -> Int {
        switch type {
        case "invalid_request": 400
        case "model_not_found", "job_not_found": 404
        case "not_implemented": 501
        case "internal_error": 500
        default: 502
        }
    }
}

/// Which server runs which download.
private final class UpstreamJobs: Sendable {
    private static let most = 1024
    private let owners = Mutex<[String: String]>([:])

    func note(_ job: String, at name: String) {
        owners.withLock {
            if $0.count >= Self.most { $0.removeAll() }
            $0[job] = name
        }
    }

    func owner(of job: String) -> String? { owners.withLock { $0[job] } }
}

extension RouteTable {
    /// Real LM Studios.
    var studios: [Upstream] { upstreams.filter { $0.profile.hasLegacyAPI && $0.location != .hosted } }

    /// Whether a model of this machine is loaded under that name.
    func holdsInstance(_ name: String) -> Bool {
        served[UpstreamFactory.local]?.loaded.contains(name) == true
    }
}

extension Upstream {
    /// A model's name without that of the server before it.
    func bare(_ model: String) -> String {
        model.hasPrefix("\(name)/") ? String(model.dropFirst(name.count + 1)) : model
    }
}

extension JSON {
    /// Of an entry of LM Studio's list: the ids of its instances.
    fileprivate var instances: [String] { self["loaded_instances"]?.array?.compactMap { $0["id"]?.string } ?? [] }

    /// The names of its quantisations.
    var variants: [String] { self["variants"]?.array?.compactMap(\.string) ?? [] }

    /// All names that a request may have for it.
    fileprivate var names: [String] { [self["key"]?.string].compactMap(\.self) + variants + instances }
}

extension UInt8 {
    /// Of ids that can stand in a path.
    fileprivate var isIDByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
