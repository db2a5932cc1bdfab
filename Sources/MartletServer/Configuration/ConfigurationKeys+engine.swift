package import MartletEngine

extension ConfigurationKeys {
    /// A mapping from models to mappings of load settings, which stands in files only.
    static let modelLoads = "engine.settings"

    static let engine: [ConfigurationKey<Configuration>] =
        [
            .init(
                "engine.models",
                set: { $0.engine.models = try $1.optional { try $0.path() } },
                show: { SettingText.show($0.engine.models) }),
            .init(
                "engine.binary",
                set: {
                    $0.engine.binary = try $1.optional {
                        try $0.path(bareIsName: true)
                    }
                },
                show: { SettingText.show($0.engine.binary) }),
            .init("engine.memory", set: { $0.engine.memory = try $1.memory() }, show: { $0.engine.memory.shown }),
        ]
        + LoadKey.all.map { key in
            .init(
                "engine.\(key.name)", set: { try key.set(&$0.engine.load, $1) },
                show: { key.show($0.engine.load) ?? key.usual })
        }
}

/// A load setting: `engine.NAME` for all models, but for `pin`, and `engine.settings.MODEL.NAME` for one.
struct LoadKey: Sendable {
    let name: String
    let set: @Sendable (inout LoadSettings, WrittenSetting) throws -> Void
    /// Nil: it is not said.
    let show: @Sendable (LoadSettings) -> String?
    /// What is shown where nobody says it.
    let usual: String

    private init(
        _ name: String, usual: String = "null",
        set: @escaping @Sendable (inout LoadSettings, WrittenSetting) throws -> Void,
        show: @escaping @Sendable (LoadSettings) -> String?
    ) {
        self.name = name
        self.set = set
        self.show = show
        self.usual = usual
    }

    /// Of `engine.settings.MODEL`.
    static let ofModel =
        all + [
            .init(
                "pin", usual: "false", set: { $0.isPinned = try $1.optional { try $0.flag() } },
                show: { $0.isPinned.map { "\($0)" } })
        ]

    static let all: [LoadKey] = [
        .init(
            "ttl", usual: SettingText.show(EffectiveLoad.onDemandTTL),
            set: { $0.keepAlive = try $1.optional { try $0.keepAlive() } }, show: { $0.keepAlive?.shown }),
        .init(
            "parallel", usual: "up to \(EffectiveLoad().parallel.value)",
            set: { $0.parallel = try $1.optional { try $0.int(LoadSettings.parallelRange) } },
            show: { $0.parallel.map { "\($0)" } }),
        .init(
            "context", usual: "auto", set: { $0.context = try $1.optional { try $0.context() } },
            show: { $0.context?.shown }),
        .init(
            "gpu_layers", set: { $0.gpuLayers = try $1.optional { try $0.gpuLayers() } },
            show: { $0.gpuLayers.map { $0 == LoadSettings.gpuLayersRange.upperBound ? "all" : "\($0)" } }),
        .init(
            "flash_attention", set: { $0.flashAttention = try $1.optional { try $0.flashAttention() } },
            show: { $0.flashAttention?.rawValue }),
        .init(
            "cache_type_k", set: { $0.keyCache = try $1.optional { try $0.cacheType() } },
            show: { $0.keyCache?.name.lowercased() }),
        .init(
            "cache_type_v", set: { $0.valueCache = try $1.optional { try $0.cacheType() } },
            show: { $0.valueCache?.name.lowercased() }),
        .init(
            "offload_kv_cache_to_gpu", set: { $0.cacheOnGPU = try $1.optional { try $0.flag() } },
            show: { $0.cacheOnGPU.map { "\($0)" } }),
        .init(
            "batch", set: { $0.batch = try $1.optional { try $0.int(LoadSettings.batchRange) } },
            show: { $0.batch.map { "\($0)" } }),
        .init(
            "threads", set: { $0.threads = try $1.optional { try $0.int(LoadSettings.threadsRange) } },
            show: { $0.threads.map { "\($0)" } }),
        .init(
            "draft_model", set: { $0.draftModel = try $1.model() }, show: { $0.draftModel }),
        .init(
            "prompt_cache",
            set: { $0.promptCache = try $1.optional { try $0.bytesOrOff() } },
            show: { $0.promptCache.map { $0 == 0 ? "off" : SettingText.show(bytes: Int($0)) } }),
    ]
}

extension WrittenSetting {
    /// A part of all memory, `80%`, or bytes.
    fileprivate func memory() throws(ValueProblem) -> EngineSettings.Memory {
        let text = try text()
        if text.hasSuffix("%"), let part = Int(text.dropLast()), (1...100).contains(part) {
            return .share(Double(part) / 100)
        }
        guard let bytes = SettingText.size(text), bytes >= 1 << 20 else {
            throw ValueProblem(
                mustBe: "a part of all memory from 1% to 100%, or a size of at least 1MiB such as 12GiB", got: text)
        }
        return .bytes(Int64(bytes))
    }

    /// `off` for good.
    fileprivate func keepAlive() throws(ValueProblem) -> LoadSettings.KeepAlive {
        let text = try text()
        if text == "off" { return .always }
        guard let duration = SettingText.duration(text), (.seconds(1) ... .seconds(365 * 86400)).contains(duration)
        else {
            throw ValueProblem(mustBe: "off or a duration such as 30m, 12h or 7d, from 1s to 365d", got: text)
        }
        return .idle(duration)
    }

    fileprivate func context() throws(ValueProblem) -> LoadSettings.Context {
        if try text() == "auto" { return .auto }
        return .tokens(try int(1...(1 << 30), orWord: "auto"))
    }

    fileprivate func gpuLayers() throws(ValueProblem) -> Int {
        let text = try text()
        guard let layers = LoadSettings.gpuLayers(text) else {
            throw ValueProblem(mustBe: LoadSettings.gpuLayersWords, got: text)
        }
        return layers
    }

    /// YAML's own words for a switch are taken too.
    fileprivate func flashAttention() throws(ValueProblem) -> LoadSettings.FlashAttention {
        switch try text() {
        case "true": .on
        case "false": .off
        default: try word(LoadSettings.FlashAttention.allCases)
        }
    }

    fileprivate func cacheType() throws(ValueProblem) -> TensorType {
        let text = try text()
        guard let type = LoadSettings.cacheTypes.first(where: { $0.name == text.uppercased() }) else {
            let names = LoadSettings.cacheTypes.map { $0.name.lowercased() }
            throw ValueProblem(mustBe: "one of " + names.joined(separator: ", "), got: text)
        }
        return type
    }

    fileprivate func bytesOrOff() throws(ValueProblem) -> Int64 {
        let text = try text()
        guard let bytes = LoadSettings.promptCache(text) else {
            throw ValueProblem(mustBe: LoadSettings.promptCacheWords, got: text)
        }
        return Int64(bytes)
    }
}

extension LoadSettings {
    /// Bytes of a size such as `512MiB`; 0 of `off`; nil of anything else, or of too much.
    package static func promptCache(_ text: String) -> Int? {
        if text == "off" || text == "false" { return 0 }
        return SettingText.size(text).flatMap { promptCacheRange.contains($0) ? $0 : nil }
    }

    /// What ``promptCache(_:)`` takes, for sentences.
    package static let promptCacheWords = "off or a size such as 512MiB, at most 1024GiB"
}

extension EngineSettings.Memory {
    fileprivate var shown: String {
        switch self {
        case .share(let share): "\(Int((share * 100).rounded()))%"
        case .bytes(let bytes): SettingText.show(bytes: Int(bytes))
        }
    }
}

extension LoadSettings.KeepAlive {
    fileprivate var shown: String {
        switch self {
        case .always: "off"
        case .idle(let time): SettingText.show(time)
        }
    }
}

extension LoadSettings.Context {
    fileprivate var shown: String {
        switch self {
        case .auto: "auto"
        case .tokens(let tokens): "\(tokens)"
        }
    }
}
