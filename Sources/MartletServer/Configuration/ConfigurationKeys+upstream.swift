import MartletDialects
import MartletGateway

extension ConfigurationKeys {
    /// The keys of one upstream.
    static let upstream = own + capabilities

    private static let own: [ConfigurationKey<Configuration.UpstreamSettings>] = [
        .init("kind", set: { $0.kind = try $1.kind() }, show: { $0.kind ?? "probed" }),
        .init("url", set: { $0.url = try $1.url() }, show: { $0.url }),
        .init("api_key", set: { $0.apiKey = try $1.secret() }, show: { SettingText.show($0.apiKey) }),
        .init("max_concurrent", set: { $0.maxConcurrent = try $1.int(1...65536) }, show: { "\($0.maxConcurrent)" }),
        .init(
            "timeouts.connect", set: { $0.timeouts.connect = try $1.limit() },
            show: { SettingText.show($0.timeouts.connect) }),
        .init(
            "timeouts.first_byte", set: { $0.timeouts.firstByte = try $1.limit() },
            show: { SettingText.show($0.timeouts.firstByte) }),
        .init(
            "timeouts.idle", set: { $0.timeouts.idle = try $1.limit() }, show: { SettingText.show($0.timeouts.idle) }),
        .init(
            "timeouts.total", set: { $0.timeouts.total = try $1.limit() }, show: { SettingText.show($0.timeouts.total) }
        ),
        .init(
            "timeouts.unstreamed_total", set: { $0.timeouts.unstreamedTotal = try $1.limit() },
            show: { SettingText.show($0.timeouts.unstreamedTotal) }),
        .init("retries", set: { $0.retries = try $1.int(0...100) }, show: { "\($0.retries)" }),
        .init(
            "http.keep_alive", set: { $0.keepAlive = try $1.duration() }, show: { SettingText.show($0.keepAlive) }),
        .init(
            "http.max_idle_connections", set: { $0.maxIdleConnections = try $1.int(0...65536) },
            show: { "\($0.maxIdleConnections)" }),
        .init(
            "mode",
            set: { upstream, written in
                upstream.mode = try written.optional {
                    try $0.word([RelayMode.repair, .exact])
                }
            },
            show: { $0.mode?.rawValue ?? "the kind's" }),
        .init(
            "dialect",
            set: { upstream, written in
                upstream.dialect = try written.optional {
                    try $0.word([UpstreamDialect.chat, .anthropic, .responses, .lmstudio])
                }
            },
            show: { $0.dialect?.rawValue ?? "the kind's" }),
        .init("strict", set: { $0.isStrict = try $1.flag() }, show: { "\($0.isStrict)" }),
        .init(
            "thinking_blocks", set: { $0.showsThinkingBlocks = try $1.flag() }, show: { "\($0.showsThinkingBlocks)" }),
    ]

    /// `capabilities.` and a flag.
    private static let capabilities: [ConfigurationKey<Configuration.UpstreamSettings>] = CapabilityFlag.all.map {
        flag in
        .init(
            "capabilities.\(flag.name)", flag.isList ? .list : .single,
            set: { upstream, written in
                upstream.capabilities.removeAll { $0.flag == flag.name }
                if let setting = try written.capability(flag) { upstream.capabilities.append(setting) }
            },
            show: { upstream in
                upstream.capabilities.first { $0.flag == flag.name }?.shown ?? "the kind's"
            })
    }

    /// Kinds of the documentation, also those that are not built yet.
    private static let documentedKinds = [
        "lmstudio", "llamacpp", "ollama", "vllm", "openai", "anthropic", "openai-compatible", "mock",
    ]

    /// Kinds a configuration may name: `engine` is ours, and is there by itself.
    static var kinds: [String] { UpstreamProfile.all.map(\.kind).filter { $0 != UpstreamProfile.engine.kind } }

    /// - Throws: for a kind that is unknown or has no profile yet.
    static func check(kind: String) throws(ValueProblem) {
        if kinds.contains(kind) { return }
        if documentedKinds.contains(kind) { throw ValueProblem("\(kind) is not built yet") }
        throw ValueProblem(mustBe: "one of " + kinds.joined(separator: ", "), got: kind)
    }
}
