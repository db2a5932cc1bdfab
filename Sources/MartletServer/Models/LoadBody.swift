import MartletDialects
package import MartletEngine
import MartletGateway
import MartletWire
package import NIOCore

/// A request to load a model (docs/LMSTUDIO.md, its own API).
package struct LoadBody {
    /// In any spelling.
    package var model: String
    package var settings = LoadSettings()
    package var identifier: String?
    /// The reply tells how it was loaded.
    package var echoes: Bool
    /// Progress is told while it loads.
    package var streams: Bool

    /// LM Studio's.
    private static let own = [
        "model", "context_length", "eval_batch_size", "flash_attention", "num_experts", "offload_kv_cache_to_gpu",
        "echo_load_config",
    ]
    /// Those that it has no words for, or only in its commands.
    static let more = [
        "parallel", "gpu_layers", "cache_type_k", "cache_type_v", "threads", "draft_model", "prompt_cache", "ttl",
        "pinned", "identifier", "stream",
    ]

    /// - Throws: what is wrong with it, in LM Studio's words.
    package init(_ bytes: ByteBuffer) throws(NativeError) {
        let body = try NativeBody(bytes, known: Self.own + Self.more)
        model = try body.required("model")
        settings.context = try body.int("context_length", 1...Int(Int32.max)).map { .tokens($0) }
        settings.batch = try body.int("eval_batch_size", LoadSettings.batchRange)
        settings.flashAttention = try body.read("flash_attention", as: "true, false or \"auto\"") { value in
            if let isOn = value.bool { return isOn ? .on : .off }
            return value.string.flatMap(LoadSettings.FlashAttention.init)
        }
        settings.experts = try body.int("num_experts", 1...65_536)
        settings.cacheOnGPU = try body.bool("offload_kv_cache_to_gpu")
        settings.parallel = try body.int("parallel", LoadSettings.parallelRange)
        settings.gpuLayers = try body.read("gpu_layers", as: LoadSettings.gpuLayersWords) { value in
            (value.string ?? value.int.map(String.init)).flatMap(LoadSettings.gpuLayers)
        }
        settings.keyCache = try Self.cacheType("cache_type_k", in: body)
        settings.valueCache = try Self.cacheType("cache_type_v", in: body)
        settings.threads = try body.int("threads", LoadSettings.threadsRange)
        settings.draftModel = try body.string("draft_model")
        settings.promptCache = try body.int("prompt_cache", LoadSettings.promptCacheRange).map { Int64($0) }
        settings.keepAlive = try body.int("ttl", 1...LoadWish.longestTTL).map { .idle(.seconds($0)) }
        settings.isPinned = try body.bool("pinned")
        let name = "a name of at most \(Limits.modelName) bytes without control characters that does not begin with -"
        identifier = try body.read("identifier", as: name) {
            $0.string.flatMap { ModelName.isPlain($0) && !$0.hasPrefix("-") ? $0 : nil }
        }
        echoes = try body.bool("echo_load_config") ?? false
        streams = try body.bool("stream") ?? false
    }

    private static func cacheType(_ name: String, in body: NativeBody) throws(NativeError) -> TensorType? {
        let names = LoadSettings.cacheTypes.map { $0.name.lowercased() }.joined(separator: ", ")
        return try body.read(name, as: "one of \(names)") { value in
            LoadSettings.cacheTypes.first { $0.name == value.string?.uppercased() }
        }
    }
}
