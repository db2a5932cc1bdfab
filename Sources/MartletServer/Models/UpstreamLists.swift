import MartletDialects
import MartletGateway
import MartletTransport
import MartletWire
import NIOCore
import Synchronization

/// Other servers' models as LM Studio's own APIs list them. Of a real LM Studio they are its own entries; of one that is
/// older, or of another server, what is known, marked with `best_known`.
final class UpstreamLists: Sendable {
    /// For one list; a list that cannot be read by then stays as it was.
    static let patience = TimeAmount.milliseconds(900)

    private let calls: CallBox
    /// By upstream, as they were read last: of its own API, and of the older one.
    private let known = Mutex<(native: [String: [JSON]], legacy: [String: [JSON]])>(([:], [:]))

    init(calls: CallBox) { self.calls = calls }

    // MARK: For clients

    /// Entries of `GET /api/v1/models`.
    func native(_ routes: RouteTable) async -> [JSON] {
        let read = await read(routes.studios) { await self.native(of: $0) }
        var seen: Set<String> = []
        var all: [JSON] = []
        for upstream in routes.upstreams where upstream.location != .hosted {
            var entries = read[upstream.name] ?? []
            if entries.isEmpty { entries = Self.places(routes, at: upstream).map(Self.nativeEntry) }
            all += entries.filter { entry in
                guard let key = entry["key"]?.string, !routes.forbids(key) else { return false }
                return seen.insert(key).inserted
            }
        }
        return all
    }

    /// Entries of `GET /api/v0/models`, aliases among them: some clients look for the very id they were told.
    func legacy(_ routes: RouteTable) async -> [JSON] {
        let read = await read(routes.studios) { await self.legacy(of: $0) }
        var seen: Set<String> = []
        var all: [JSON] = []
        for id in routes.listed {
            guard let place = routes.place(of: id), place.upstream.location != .hosted, seen.insert(id).inserted else {
                continue
            }
            let own = read[place.upstream.name]?.first { $0["id"]?.string == place.model }
            var entry = own ?? Self.legacyEntry(place)
            entry["id"] = .string(id)
            all.append(entry)
        }
        // Those that are not loaded, where LM Studio does not load on demand.
        for studio in routes.studios {
            all += (read[studio.name] ?? []).filter { entry in
                guard let id = entry["id"]?.string, !routes.forbids(id) else { return false }
                return seen.insert(id).inserted
            }
        }
        return all
    }

    /// What is loaded, as far as its own API tells. Each goes by the name that unloads it here.
    func residents(_ routes: RouteTable) async -> [JSON] {
        let read = await read(routes.studios) { await self.native(of: $0) }
        var seen: Set<String> = []
        return routes.studios.flatMap { studio in
            (read[studio.name] ?? []).flatMap { entry -> [JSON] in
                guard let key = entry["key"]?.string, !routes.forbids(key) else { return [] }
                return (entry["loaded_instances"]?.array ?? []).compactMap { instance in
                    guard let id = instance["id"]?.string else { return nil }
                    let isOther = routes.holdsInstance(id) || !seen.insert(id).inserted
                    return Self.resident(isOther ? "\(studio.name)/\(id)" : id, key, instance["config"], entry, studio)
                }
            }
        }
    }

    /// Its list does not tell what an instance does, how long it stays, or who chose its settings.
    private static func resident(
        _ id: String, _ key: String, _ config: JSON?, _ entry: JSON, _ studio: Upstream
    ) -> JSON {
        var settings: JSON = [:]
        for (name, value) in config?.object?.map({ ($0.key, $0.value) }) ?? [] {
            settings[name] = ["value": value, "origin": .string(studio.name)]
        }
        return [
            "id": .string(id), "model": .string(key), "upstream": .string(studio.name), "state": "loaded", "users": 0,
            "queued": 0, "parallel": config?["parallel"] ?? .null, "context": config?["context_length"] ?? .null,
            "bytes": .null, "size_bytes": entry["size_bytes"] ?? .null, "ttl_ms": .null, "last_used": .null,
            "pinned": false, "settings": settings,
        ]
    }

    private func read(
        _ studios: [Upstream], _ list: @escaping @Sendable (Upstream) async -> [JSON]
    ) async -> [String: [JSON]] {
        await withTaskGroup(of: (String, [JSON]).self) { group in
            for studio in studios { group.addTask { (studio.name, await list(studio)) } }
            var all: [String: [JSON]] = [:]
            for await (name, entries) in group { all[name] = entries }
            return all
        }
    }

    // MARK: Of one LM Studio

    /// Its models, loaded or not, as its own API has them; the last known ones where neither API tells.
    func native(of studio: Upstream) async -> [JSON] {
        await read(studio) ?? lastRead(of: studio)
    }

    func lastRead(of studio: Upstream) -> [JSON] { known.withLock { $0.native[studio.name] } ?? [] }

    /// Nil where neither API tells in time.
    func read(_ studio: Upstream) async -> [JSON]? {
        let deadline = NIODeadline.now() + Self.patience
        if let models = await ask("/api/v1/models", of: studio, until: deadline)?["models"]?.array {
            known.withLock { $0.native[studio.name] = models }
            return models
        }
        if let data = await ask("/api/v0/models", of: studio, until: deadline)?["data"]?.array {
            let models = data.map(Self.newer)
            known.withLock { $0.native[studio.name] = models }
            return models
        }
        return nil
    }

    private func legacy(of studio: Upstream) async -> [JSON] {
        let deadline = NIODeadline.now() + Self.patience
        if let data = await ask("/api/v0/models", of: studio, until: deadline)?["data"]?.array {
            known.withLock { $0.legacy[studio.name] = data }
            return data
        }
        return known.withLock { $0.legacy[studio.name] } ?? []
    }

    /// What no LM Studio has asked for is answered with 200 all the same, so that only the list itself tells.
    private func ask(_ path: String, of studio: Upstream, until deadline: NIODeadline) async -> JSON? {
        guard let calls = calls.value else { return nil }
        let left = max(deadline - .now(), .milliseconds(1))
        guard let reply = try? await calls.get(path, at: studio, timeout: left), reply.head.isSuccess else {
            return nil
        }
        return try? JSON(parsing: studio.withoutKey(reply.body))
    }

    /// What the older list tells of a model, in the words of the newer.
    private static func newer(_ entry: JSON) -> JSON {
        let id = entry["id"] ?? ""
        let type = entry["type"]?.string
        var model: JSON = [
            "type": type == "embeddings" ? "embedding" : "llm", "publisher": entry["publisher"] ?? "", "key": id,
            "display_name": id,
        ]
        if type != "embeddings" { model["architecture"] = entry["arch"] ?? .null }
        let quantisation = entry["quantization"].map { name -> JSON in ["name": name, "bits_per_weight": .null] }
        model["quantization"] = quantisation ?? .null
        model["size_bytes"] = 0
        model["params_string"] = .null
        let maximum = entry["max_context_length"] ?? .int(usualWindow)
        let instance: JSON = ["id": id, "config": ["context_length": entry["loaded_context_length"] ?? maximum]]
        model["loaded_instances"] = .array(entry["state"] == "loaded" ? [instance] : [])
        model["max_context_length"] = maximum
        model["format"] = entry["compatibility_type"] ?? .null
        if type != "embeddings" {
            let able = entry["capabilities"]?.array ?? []
            model["capabilities"] = [
                "vision": .bool(type == "vlm"), "trained_for_tool_use": .bool(able.contains("tool_use")),
            ]
            model["description"] = .null
        }
        model["best_known"] = true
        return model
    }

    // MARK: Of other servers

    /// Tokens that LM Studio loads a model with where nobody says how many: what is told of a window that is not known,
    /// since clients refuse an entry without a number, and do not work with 0.
    private static let usualWindow = 4096

    private static func places(_ routes: RouteTable, at upstream: Upstream) -> [Candidate] {
        (routes.served[upstream.name]?.ids ?? []).compactMap { id in
            guard let place = routes.place(of: id), place.upstream.name == upstream.name else { return nil }
            return place
        }
    }

    private static func publisher(_ place: Candidate) -> JSON {
        let parts = place.model.split(separator: "/", maxSplits: 1)
        return .string(parts.count == 2 ? String(parts[0]) : place.upstream.name)
    }

    /// LM Studio loads its models when they are needed; what another server serves is there.
    private static func isLoaded(_ place: Candidate) -> Bool { !place.upstream.profile.hasLegacyAPI }

    private static func takesTools(_ place: Candidate) -> Bool { place.capabilities.toolChoice != .none }

    static func nativeEntry(_ place: Candidate) -> JSON {
        let key = JSON.string(place.model)
        let instance: JSON = ["id": key, "config": ["context_length": .int(place.window?.tokens ?? usualWindow)]]
        return [
            "type": "llm", "publisher": publisher(place), "key": key, "display_name": key, "architecture": .null,
            "quantization": .null, "size_bytes": 0, "params_string": .null,
            "loaded_instances": isLoaded(place) ? [instance] : [],
            "max_context_length": .int(place.window?.maximum ?? place.window?.tokens ?? usualWindow), "format": .null,
            "capabilities": ["vision": false, "trained_for_tool_use": .bool(takesTools(place))],
            "description": .null, "best_known": true,
        ]
    }

    /// Some clients refuse the whole list for one entry of which they do not know a value.
    static func legacyEntry(_ place: Candidate) -> JSON {
        var entry: JSON = [
            "id": .string(place.model), "object": "model", "type": "llm", "publisher": publisher(place), "arch": "",
            "compatibility_type": "gguf", "quantization": "", "state": isLoaded(place) ? "loaded" : "not-loaded",
            "max_context_length": .int(place.window?.maximum ?? place.window?.tokens ?? usualWindow),
        ]
        if isLoaded(place), let window = place.window?.tokens { entry["loaded_context_length"] = .int(window) }
        entry["capabilities"] = .array(takesTools(place) ? ["tool_use"] : [])
        entry["best_known"] = true
        return entry
    }
}
