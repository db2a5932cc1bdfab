package import MartletWire

/// What `load` asks of a server, in the members of `POST /api/v1/models/load` (docs/LMSTUDIO.md). Nil: left to the
/// server.
package struct LoadForm: Sendable, Hashable {
    package var model: String
    /// Tokens.
    package var context: Int?
    package var parallel: Int?
    package var gpuLayers: Int?
    package var flashAttention: Switch?
    package var keyCache: String?
    package var valueCache: String?
    /// Tokens of a prompt worked on in one go.
    package var batch: Int?
    package var threads: Int?
    package var draftModel: String?
    /// Bytes; 0: none.
    package var promptCache: Int?
    package var cacheOnGPU: Bool?
    package var isPinned = false
    /// Seconds without a request before it is unloaded.
    package var ttl: Int?
    package var identifier: String?

    package enum Switch: String, Sendable, Hashable, CaseIterable { case on, off, auto }

    package init(model: String) { self.model = model }

    /// The request's body; the answer comes as events, so that a bar can be shown.
    package var body: JSON {
        var body: JSON = ["model": .string(model)]
        func put(_ name: String, _ value: Int?) {
            if let value { body[name] = .int(value) }
        }
        func put(_ name: String, _ value: String?) {
            if let value { body[name] = .string(value) }
        }
        put("context_length", context)
        put("parallel", parallel)
        put("gpu_layers", gpuLayers)
        switch flashAttention {
        case .on: body["flash_attention"] = true
        case .off: body["flash_attention"] = false
        case .auto: body["flash_attention"] = "auto"
        case nil: break
        }
        put("cache_type_k", keyCache)
        put("cache_type_v", valueCache)
        put("eval_batch_size", batch)
        put("threads", threads)
        put("draft_model", draftModel)
        put("prompt_cache", promptCache)
        if let cacheOnGPU { body["offload_kv_cache_to_gpu"] = .bool(cacheOnGPU) }
        if isPinned { body["pinned"] = true }
        put("ttl", ttl)
        put("identifier", identifier)
        body["echo_load_config"] = true
        body["stream"] = true
        return body
    }

    /// Why a server refused it, with the flags that were typed for the members that it names.
    /// - Parameter isLMS: they were those of `lms`.
    package static func refusal(_ message: String, isLMS: Bool) -> String {
        let members = [
            "parallel", "gpu_layers", "cache_type_k", "cache_type_v", "threads", "draft_model", "prompt_cache", "ttl",
            "pinned", "identifier",
        ]
        let others =
            isLMS ? ["gpu_layers": "gpu", "draft_model": "speculative-draft-model"] : ["pinned": "pin"]
        return members.reduce(message) { message, member in
            let flag = others[member] ?? member.split(separator: "_").joined(separator: "-")
            return message.replacing("\"\(member)\"", with: "--\(flag)")
        }
    }
}

/// How much of a model a GPU computes, in the words of `lms load --gpu`.
package enum GPUShare: Sendable, Hashable {
    case off, max
    /// 0 to 1.
    case ratio(Double)

    package init?(_ text: String) {
        switch text {
        case "off": self = .off
        case "max": self = .max
        default:
            guard let ratio = Double(text), (0...1).contains(ratio) else { return nil }
            self = .ratio(ratio)
        }
    }

    /// How many layers that is.
    /// - Parameter all: of the model; nil: not known.
    /// - Returns: nil when it cannot be told without knowing the model's.
    package func layers(of all: Int?) -> Int? {
        switch self {
        case .off: 0
        // More than there are is all of them.
        case .max: 10_000
        case .ratio(0): 0
        case .ratio(1): 10_000
        case .ratio(let ratio): all.map { Int((Double($0) * ratio).rounded()) }
        }
    }
}

/// An event of a load that is told step by step.
package enum LoadStep: Sendable, Hashable {
    /// There is no room for it yet; why.
    case waiting(String)
    case began(instance: String?)
    /// 0 to 1.
    case progress(Double)
    case ended(LoadedModel)
    case failed(String)

    /// Nil: an event that says nothing of the load.
    package init?(_ event: JSON) {
        switch event["type"]?.string {
        case "model_load.queued":
            self = .waiting(event["message"]?.string ?? "the server waits until there is room in memory")
        case "model_load.start": self = .began(instance: event["model_instance_id"]?.string)
        case "model_load.progress": self = .progress(event["progress"]?.double ?? 0)
        case "model_load.end": self = .ended(LoadedModel(event))
        case "error":
            let error = event["error"]
            self = .failed(error?["message"]?.string ?? error?.string ?? "the model could not be loaded")
        default: return nil
        }
    }
}

/// What came of a load.
package struct LoadedModel: Sendable, Hashable {
    package var instance: String
    package var seconds: Double

    package init(_ reply: JSON) {
        instance = reply["model_instance_id"]?.string ?? reply["instance_id"]?.string ?? ""
        seconds = reply["load_time_seconds"]?.double ?? 0
    }

    /// - Parameter resident: the instance as the server lists it, which has the settings.
    package func sentence(_ resident: Resident?) -> String {
        let settings = resident?.settingsShown ?? []
        return "loaded as \(instance) in \(Shown.seconds(seconds))"
            + (settings.isEmpty ? "" : ": " + settings.joined(separator: ", "))
    }

    package func report(_ resident: Resident?) -> JSON {
        var report: JSON = [
            "status": "loaded", "instance_id": .string(instance), "load_time_seconds": .double(seconds),
        ]
        if let resident {
            report["context"] = resident.context.map(JSON.int) ?? .null
            report["settings"] = resident.settings
        }
        return report
    }
}
