import MartletEngine
import MartletGateway
import MartletTransport
import MartletWire
import NIOCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What is loaded, for the commands of this machine and its owner (docs/LMSTUDIO.md, its own API).
extension LoadRoutes {
    /// How long an engine may take to say what it is doing; between two batches of a prompt it answers nobody.
    private static let lookPatience = TimeAmount.milliseconds(300)

    /// - Parameter others: entries of other servers.
    func residents(beside others: [JSON]) async -> ControlReply {
        guard let supervisor else { return Self.ok(["residents": .array(others)]) }
        let waiting = await supervisor.waitingLoads
        // One that crashed and comes back is told as what waits for memory.
        let residents = await supervisor.residents().filter { resident in
            resident.state != .crashed || !waiting.contains { $0.name == resident.instance }
        }
        var entries = [JSON](repeating: .null, count: residents.count)
        await withTaskGroup(of: (Int, JSON).self) { group in
            for (index, resident) in residents.enumerated() {
                group.addTask { (index, resident.entry(await activity(of: resident))) }
            }
            for await (index, entry) in group { entries[index] = entry }
        }
        let budget = await supervisor.memoryBudget().flatMap { $0 == .max ? nil : Int(clamping: $0) }
        return Self.ok([
            "residents": .array(entries + waiting.map(\.entry) + others),
            "memory": [
                "budget": budget.map(JSON.int) ?? .null,
                "used": .int(Int(clamping: residents.reduce(0) { $0 + $1.bytes })),
                "waiting": .int(await supervisor.waitingForRoom),
            ],
        ])
    }

    /// A pinned instance is neither evicted nor does its idle time end it.
    func pin(_ bytes: ByteBuffer) async throws(NativeError) -> ControlReply {
        let supervisor = try running()
        let body = try NativeBody(bytes, known: ["instance_id", "pinned"])
        let name = try body.required("instance_id")
        let isPinned = try body.bool("pinned") ?? true
        guard await supervisor.pin(name, isPinned) else {
            throw NativeError(
                status: 404, type: "model_not_found", message: "there is no instance \"\(name.prefix(80))\"",
                param: "instance_id")
        }
        return Self.ok(["instance_id": .string(name), "pinned": .bool(isPinned)])
    }

    /// In the words of `lms ps`.
    private func activity(of resident: ResidentModel) async -> String {
        switch resident.state {
        case .loading: return "loading"
        case .draining, .stopping: return "draining"
        case .crashed: return "crashed"
        case .ready: break
        }
        guard resident.users > 0 else { return "idle" }
        let origin = Origin(address: .unix(path: resident.socketPath))
        guard let calls = calls.value,
            let reply = try? await calls.get(
                "/slots", at: UpstreamFactory.engine(), origin: origin, timeout: Self.lookPatience),
            reply.head.isSuccess, let slots = try? JSON(parsing: reply.body).array
        else { return "processingPrompt" }
        let decoded = slots.filter { $0["is_processing"]?.bool == true }
            .map { ($0["next_token"]?[0] ?? $0["next_token"])?["n_decoded"]?.int ?? 0 }
        return decoded.contains { $0 > 0 } || decoded.isEmpty ? "generating" : "processingPrompt"
    }
}

extension Residency.WaitingLoad {
    fileprivate var entry: JSON {
        [
            "id": .string(name), "model": .string(model), "state": "waiting", "users": 0, "queued": .int(waiting),
            "parallel": .null, "context": .null, "bytes": .int(Int(clamping: bytes)), "ttl_ms": .null,
            "last_used": .null, "pinned": false, "explicit": .bool(isExplicit), "reason": .string(sentence),
            "settings": [:],
        ]
    }
}

extension ResidentModel {
    /// As LM Studio tells how an instance is loaded.
    func config(isEncoder: Bool) -> JSON {
        var config: JSON = ["context_length": context.map { .int($0) } ?? .null]
        guard !isEncoder else { return config }
        if let batch = load.batch?.value { config["eval_batch_size"] = .int(batch) }
        config["parallel"] = .int(load.parallel.value)
        switch load.flashAttention?.value {
        case .on: config["flash_attention"] = true
        case .off: config["flash_attention"] = false
        case .auto, nil: break
        }
        if let experts = load.experts?.value { config["num_experts"] = .int(experts.used) }
        if let isOnGPU = load.cacheOnGPU?.value { config["offload_kv_cache_to_gpu"] = .bool(isOnGPU) }
        return config
    }

    /// - Parameter state: what it is doing.
    func entry(_ state: String) -> JSON {
        let now = Date().timeIntervalSince1970
        let lastUsed = idle.map { now - $0.seconds } ?? now
        return [
            "id": .string(instance), "model": .string(model.id), "state": .string(state), "users": .int(users),
            "queued": .int(waiting + max(0, users - load.parallel.value)), "parallel": .int(load.parallel.value),
            "context": context.map { .int($0) } ?? .null, "bytes": .int(Int(clamping: bytes)),
            "measured_bytes": measured.map { .int(Int(clamping: $0)) } ?? .null,
            "size_bytes": .int(Int(clamping: model.bytes)), "path": .string(model.path),
            "ttl_ms": load.ttl.map { .int(Int($0.seconds * 1000)) } ?? .null,
            "idle_ms": idle.map { .int(Int($0.seconds * 1000)) } ?? .null,
            "last_used": .int(Int(lastUsed * 1000)), "pinned": .bool(isPinned), "explicit": .bool(isExplicit),
            "load_time_seconds": loadTime.map { .double($0.seconds) } ?? .null,
            "progress": self.state == .loading ? progress.map { .double(LoadFeed.shown($0)) } ?? .null : .null,
            "process": process.map { .int(Int($0)) } ?? .null, "settings": load.settings(context),
        ]
    }
}

extension EffectiveLoad {
    /// Each with its origin: `engine` for those that are left to it, with what llama-server is known to take then.
    /// - Parameter fitted: tokens it was given.
    fileprivate func settings(_ fitted: Int?) -> JSON {
        var all: JSON = [:]
        func put<Value>(_ name: String, _ chosen: Chosen<Value>?, else own: JSON = .null, _ json: (Value) -> JSON) {
            let origin = chosen?.origin.rawValue ?? "engine"
            all[name] = ["value": chosen.map { json($0.value) } ?? own, "origin": .string(origin)]
        }
        put("context_length", context) { context in
            switch context {
            case .auto: fitted.map { .int($0) } ?? "auto"
            case .tokens(let tokens): .int(tokens)
            }
        }
        put("parallel", parallel) { .int($0) }
        put("eval_batch_size", batch) { .int($0) }
        put("gpu_layers", gpuLayers) { .int($0) }
        put("flash_attention", flashAttention, else: "auto") { .string($0.rawValue) }
        put("cache_type_k", keyCache, else: "f16") { .string($0.name.lowercased()) }
        put("cache_type_v", valueCache, else: "f16") { .string($0.name.lowercased()) }
        put("offload_kv_cache_to_gpu", cacheOnGPU) { .bool($0) }
        if experts != nil { put("num_experts", experts) { .int($0.used) } }
        put("threads", threads) { .int($0) }
        put("draft_model", draftModel) { .string($0) }
        put("prompt_cache", promptCache) { .int(Int(clamping: $0)) }
        if isPinned.value { put("pinned", isPinned) { .bool($0) } }
        put("ttl", keepAlive) { keepAlive in
            switch keepAlive {
            case .always: .null
            case .idle(let time): .int(Int(time.components.seconds))
            }
        }
        return all
    }
}

extension Duration {
    /// To the millisecond.
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds * 1000 + attoseconds / 1_000_000_000_000_000) / 1000
    }
}
