import MartletDialects
import MartletGateway

/// What may stand as a key's value in a file.
enum ValueShape: Sendable { case single, list, pairs }

/// One key of the configuration: how it is set and how its effective value is shown.
struct ConfigurationKey<Target>: Sendable {
    /// Its path, `server.port`; of an upstream's key the part after the upstream's name.
    let name: String
    let shape: ValueShape
    let set: @Sendable (inout Target, WrittenSetting) throws -> Void
    let show: @Sendable (Target) -> String

    init(
        _ name: String, _ shape: ValueShape = .single,
        set: @escaping @Sendable (inout Target, WrittenSetting) throws -> Void,
        show: @escaping @Sendable (Target) -> String
    ) {
        self.name = name
        self.shape = shape
        self.set = set
        self.show = show
    }

    /// Its part of a variable's name: `SERVER_PORT`.
    var variable: String { ConfigurationKeys.variable(name) }
}

/// Every key, in the order of the documentation.
enum ConfigurationKeys {
    /// Keys of the documentation whose feature does not exist yet; they are refused by name. `*` stands for any name.
    static let notBuilt =
        ["limits", "store.exchanges", "store.capture", "model_list"]
        + CapabilityFlag.notBuilt.map { "upstreams.*.capabilities.\($0)" }

    /// The key of `ModelFlags`, a mapping from models to mappings of flags, which stands in files only.
    static let modelFlags = "models.capabilities"

    /// The part of a variable's name that stands for a key or for an upstream's name.
    static func variable(_ name: String) -> String {
        String(name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    static func general(_ name: String) -> ConfigurationKey<Configuration>? { general.first { $0.name == name } }

    static func upstream(_ name: String) -> ConfigurationKey<Configuration.UpstreamSettings>? {
        upstream.first { $0.name == name }
    }

    /// Full paths, for looking up what an unknown key may have meant.
    static let allNames =
        general.map(\.name) + [modelFlags] + upstream.map { "upstreams.NAME.\($0.name)" }
        + LoadKey.ofModel.map { "\(modelLoads).MODEL.\($0.name)" }

    static let general: [ConfigurationKey<Configuration>] =
        server + auth + models + engine + queue + store + images + mcp + log

    private static let server: [ConfigurationKey<Configuration>] = [
        .init("server.host", set: { $0.server.host = try $1.host() }, show: { $0.server.host }),
        .init("server.port", set: { $0.server.port = try $1.int(0...65535) }, show: { "\($0.server.port)" }),
        .init(
            "server.max_body", set: { $0.server.maxBody = try $1.size(1024...(1 << 31)) },
            show: { SettingText.show(bytes: $0.server.maxBody) }),
        .init(
            "server.allowed_hosts", .list, set: { $0.server.allowedHosts = try $1.allowedHosts() },
            show: { SettingText.show($0.server.allowedHosts) }),
        .init(
            "server.allowed_origins", .list, set: { $0.server.allowedOrigins = try $1.allowedOrigins() },
            show: { SettingText.show($0.server.allowedOrigins) }),
        .init(
            "server.native", set: { $0.server.native = try $1.word(NativeForm.allCases) },
            show: { $0.server.native.rawValue }),
        .init(
            "server.loops",
            set: { $0.server.loops = try $1.optional { try $0.int(1...1024) } },
            show: { SettingText.show($0.server.loops) }),
        .init(
            "discovery", set: { $0.discovery = try $1.word(Configuration.DiscoveryMode.allCases) },
            show: { $0.discovery.rawValue }),
    ]

    private static let auth: [ConfigurationKey<Configuration>] = [
        .init(
            "auth.required",
            set: { $0.auth.required = try $1.word([Configuration.AuthSettings.Required.auto, .on, .off]) },
            show: { $0.auth.required.rawValue }),
        .init(
            "auth.tokens", .list, set: { $0.auth.tokens = try $1.tokenDigests() },
            show: { SettingText.show($0.auth.tokens.map { _ in "•••" }) }),
    ]

    private static let models: [ConfigurationKey<Configuration>] = [
        .init(
            "models.default", set: { $0.models.preferred = try $1.model() },
            show: { SettingText.show($0.models.preferred) }),
        .init(
            "models.allowed", .list, set: { $0.models.allowed = try $1.modelNames() },
            show: { SettingText.show($0.models.allowed) }),
        .init(
            "models.aliases", .pairs, set: { try $1.joinAliases(&$0.models.aliases) },
            show: { SettingText.show($0.models.aliases.map { "\($0.pattern): \(SettingText.show($0.targets))" }) }),
        .init(
            "models.defaults.temperature",
            set: { $0.models.temperature = try $1.optional { try $0.number(0...2) } },
            show: { SettingText.show($0.models.temperature) }),
        .init(
            "models.defaults.max_tokens",
            set: {
                $0.models.maxTokens = try $1.optional {
                    try $0.int(1...Int(Int32.max))
                }
            },
            show: { SettingText.show($0.models.maxTokens) }),
        .init(
            "models.defaults.stream_usage",
            set: { $0.models.streamUsage = try $1.word([Configuration.StreamUsage.asked, .finalChunk]) },
            show: { $0.models.streamUsage.rawValue }),
    ]

    private static let queue: [ConfigurationKey<Configuration>] = [
        .init("queue.length", set: { $0.queue.length = try $1.int(0...1_000_000) }, show: { "\($0.queue.length)" }),
        .init("queue.wait", set: { $0.queue.wait = try $1.duration() }, show: { SettingText.show($0.queue.wait) }),
    ]

    private static let store: [ConfigurationKey<Configuration>] = [
        .init(
            "store.responses", set: { $0.store.responses = try $1.retention() },
            show: { $0.store.responses.map { SettingText.show($0) } ?? "off" })
    ]

    private static let images: [ConfigurationKey<Configuration>] = [
        .init("images.fetch", set: { $0.images.fetches = try $1.flag() }, show: { "\($0.images.fetches)" }),
        .init(
            "images.allowed_hosts", .list, set: { $0.images.allowedHosts = try $1.allowedHosts() },
            show: { SettingText.show($0.images.allowedHosts) }),
    ]

    private static let log: [ConfigurationKey<Configuration>] = [
        .init("log.level", set: { $0.log.level = try $1.logLevel() }, show: { $0.log.level.rawValue }),
        .init(
            "log.format", set: { $0.log.format = try $1.word(Configuration.LogSettings.Format.allCases) },
            show: { $0.log.format.rawValue }),
    ]
}
