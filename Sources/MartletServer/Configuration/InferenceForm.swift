/// The configuration of the inference server whose files begin with `inference:`, and its `INFERENCE_…` variables, in
/// our own words. Keys, defaults and variables are those of that server's documentation of its LM Studio provider.
enum InferenceForm {
    /// One key of that form and the keys of ours that it sets.
    struct Key: Sendable {
        enum Target: Sendable { case general(String), upstream(String) }

        let name: String
        let shape: ValueShape
        let targets: [Target]
        let translate: @Sendable (WrittenSetting) throws -> WrittenValue

        init(
            _ name: String, _ targets: Target..., shape: ValueShape = .single,
            translate: @escaping @Sendable (WrittenSetting) throws -> WrittenValue = { $0.value }
        ) {
            self.name = name
            self.shape = shape
            self.targets = targets
            self.translate = translate
        }

        /// The whole name of its variable: `INFERENCE_INFERENCE_BASE_URL`.
        var variable: String { "INFERENCE_" + ConfigurationKeys.variable(name) }
    }

    static func key(_ name: String) -> Key? { keys.first { $0.name == name } }

    static let keys: [Key] = [
        Key("server.host", .general("server.host")),
        Key("server.port", .general("server.port")),
        Key("inference.provider", .upstream("kind"), translate: { .text(try provider($0)) }),
        Key("inference.base_url", .upstream("url")),
        Key("inference.api_key", .upstream("api_key")),
        Key("inference.default_model", .general("models.default")),
        Key("inference.allowed_models", .general("models.allowed"), shape: .list),
        timeout("inference.timeout_secs"),
        timeout("inference.http.timeout_secs"),
        Key("inference.http.connect_timeout_secs", .upstream("timeouts.connect"), translate: seconds),
        Key("inference.http.keep_alive_secs", .upstream("http.keep_alive"), translate: seconds),
        Key("inference.http.max_idle_connections", .upstream("http.max_idle_connections")),
        Key("inference.http.max_retries", .upstream("retries")),
        Key("logging.level", .general("log.level")),
        Key("logging.format", .general("log.format"), translate: logFormat),
    ]

    /// Keys of that form without a counterpart here; they are refused by name.
    static let notBuilt: Set<String> = [
        "inference.organization_id", "logging.output", "logging.file", "logging.rotation", "logging.max_files",
    ]

    /// The whole time of an unstreamed reply; of a streamed one the silence before and between its events.
    private static func timeout(_ name: String) -> Key {
        Key(
            name, .upstream("timeouts.unstreamed_total"), .upstream("timeouts.first_byte"), .upstream("timeouts.idle"),
            translate: seconds)
    }

    @Sendable private static func seconds(_ written: WrittenSetting) throws(ValueProblem) -> WrittenValue {
        .text("\(try written.int(0...(365 * 86400)))s")
    }

    private static func provider(_ written: WrittenSetting) throws(ValueProblem) -> String {
        let provider = try written.text()
        guard ["lmstudio", "openai", "mock"].contains(provider) else {
            throw ValueProblem(mustBe: "one of lmstudio, openai, mock", got: provider)
        }
        return provider
    }

    @Sendable private static func logFormat(_ written: WrittenSetting) throws(ValueProblem) -> WrittenValue {
        let format = try written.text()
        return .text(["pretty", "compact", "full"].contains(format) ? "text" : format)
    }

    // MARK: Reading

    /// Whether the environment alone is such a configuration.
    static func isMeant(by environment: [String: String]) -> Bool {
        environment.contains { $0.key.hasPrefix("INFERENCE_INFERENCE_") && !$0.value.isEmpty }
    }

    /// The settings of the form's variables, by the form's keys.
    /// - Throws: for a variable of the family that stands for no key, naming the nearest.
    static func settings(of environment: [String: String]) throws(ConfigurationError) -> [String: WrittenSetting] {
        var found: [String: WrittenSetting] = [:]
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) where !text.isEmpty {
            guard ["INFERENCE_INFERENCE_", "INFERENCE_SERVER_", "INFERENCE_LOGGING_"].contains(where: name.hasPrefix)
            else {
                continue
            }
            let place = Place(name)
            guard let key = keys.first(where: { $0.variable == name }) else {
                if let unbuilt = notBuilt.first(where: { "INFERENCE_" + ConfigurationKeys.variable($0) == name }) {
                    throw place.error("\(unbuilt) is not built yet")
                }
                throw UnknownVariable.error(name, among: keys.map(\.variable))
            }
            found[key.name] = WrittenSetting(
                key: key.name, value: VariableText.value(text, shape: key.shape), place: place)
        }
        return found
    }

    /// The form's settings in our words, with its documented defaults beneath them.
    static func layer(of written: [String: WrittenSetting], beside own: SettingLayer) throws(ConfigurationError)
        -> SettingLayer
    {
        var layer = own
        layer.inference = nil
        let kind = try written["inference.provider"]?.reading { try provider($0) } ?? "lmstudio"
        let origin = Place("default of the inference: form")
        var upstream = WrittenUpstream(name: kind == "lmstudio" ? "studio" : kind, place: origin)
        for (key, value) in defaults(of: kind) { upstream.set(key, value, at: origin) }
        for (key, value) in modelDefaults {
            layer.settings[key] = WrittenSetting(key: key, value: .text(value), place: origin)
        }
        for key in keys {
            guard let setting = written[key.name] else { continue }
            if setting.isNone, key.shape == .list { continue }
            var translated = setting
            translated.value = setting.isNone ? .none : try setting.reading(key.translate)
            for target in key.targets {
                switch target {
                case .general(let name): layer.settings[name] = translated
                case .upstream(let name): upstream.settings[name] = translated
                }
            }
        }
        if let provider = written["inference.provider"] { upstream.place = provider.place }
        layer.upstreams = [upstream]
        return layer
    }

    private static let modelDefaults = [
        ("models.defaults.temperature", "0.7"), ("models.defaults.max_tokens", "100"),
        ("models.defaults.stream_usage", Configuration.StreamUsage.finalChunk.rawValue),
    ]

    private static func defaults(of kind: String) -> [(String, String)] {
        let shared = [
            ("kind", kind), ("timeouts.unstreamed_total", "60s"), ("timeouts.first_byte", "60s"),
            ("timeouts.idle", "60s"),
            ("timeouts.connect", "10s"), ("http.keep_alive", "30s"), ("http.max_idle_connections", "10"),
            ("retries", "3"),
        ]
        switch kind {
        case "lmstudio": return shared + [("url", "http://localhost:1234")]
        case "openai": return shared + [("url", "https://api.openai.com")]
        default: return shared
        }
    }
}
