package import MartletDialects
package import MartletEngine
package import MartletGateway

/// Every effective setting of a server, with its default (product.md 3). Made by `ConfigurationLoader` from
/// flags, environment and a file.
package struct Configuration: Sendable, Equatable {
    package var server = ServerSettings()
    package var auth = AuthSettings()
    /// In configuration order, which is also the order in which their models are looked up.
    package var upstreams: [UpstreamSettings] = []
    /// Whether no upstream was named, so that `serve` looks for some on loopback.
    package var discovers = true
    /// Whether it may look.
    package var discovery = DiscoveryMode.auto
    package var models = ModelSettings()
    package var engine = EngineOptions()
    package var queue = QueueSettings()
    package var store = StoreSettings()
    package var images = ImageSettings()
    package var mcp = MCPSettings()
    package var log = LogSettings()
    package var network = NetworkSettings()
    /// `--mode`: of every upstream, also of those found on loopback. Nil: each upstream's own.
    package var mode: RelayMode?
    /// Errors as the `inference:` form documents them: a model outside `allowed` is a 400.
    package var usesInferenceErrors = false

    package init() {}

    package enum DiscoveryMode: String, Sendable, CaseIterable { case auto, off }

    package struct ServerSettings: Sendable, Equatable {
        package var host = "127.0.0.1"
        /// 0: any free port.
        package var port = 3000
        /// Bytes of a request body after decoding.
        package var maxBody = 32 << 20
        package var allowedHosts: [String] = []
        package var allowedOrigins: [String] = []
        /// How much a request of LM Studio's own API may say.
        package var native = NativeForm.strict
        /// Event loops. Nil: one per core.
        package var loops: Int?
    }

    package struct AuthSettings: Sendable, Equatable {
        package enum Required: String, Sendable { case auto, on, off }
        package var required = Required.auto
        /// `sha256:` and 64 hexadecimal digits each.
        package var tokens: [String] = []
        /// `--allow-open`: a bind beyond loopback without authentication is meant.
        package var allowOpen = false
    }

    package struct UpstreamSettings: Sendable, Equatable {
        package var name: String
        /// A profile's kind; nil: probed at start.
        package var kind: String?
        package var url: String
        package var apiKey: Secret?
        /// Requests in flight; the rest wait.
        package var maxConcurrent = 1024
        package var timeouts = Timeouts()
        package var retries = 3
        /// How long an idle connection is kept.
        package var keepAlive = Duration.seconds(30)
        /// Idle connections kept per event loop.
        package var maxIdleConnections = 10
        /// Nil: the kind's own.
        package var mode: RelayMode?
        /// The one it is spoken to in. Nil: the kind's, for each client.
        package var dialect: UpstreamDialect?
        /// Where it differs from its kind.
        package var capabilities: [CapabilitySetting] = []
        /// What a translation could only drop is refused.
        package var isStrict = false
        /// Chat clients get thinking with its signatures, as `thinking_blocks`.
        package var showsThinkingBlocks = false

        package init(name: String, kind: String? = nil, url: String) {
            self.name = name
            self.kind = kind
            self.url = url
        }
    }

    /// Nil: none (written `0s`).
    package struct Timeouts: Sendable, Equatable {
        package var connect: Duration? = .seconds(10)
        package var firstByte: Duration? = .seconds(30 * 60)
        package var idle: Duration? = .seconds(5 * 60)
        package var total: Duration?
        /// For unstreamed requests only, where it differs from `total` (`inference.http.timeout_secs`).
        package var unstreamedTotal: Duration?
    }

    package struct ModelSettings: Sendable, Equatable {
        /// When a request names no model.
        package var preferred: String?
        /// Empty: all.
        package var allowed: [String] = []
        package var aliases: [Alias] = []
        /// Where some models differ from their upstream's others.
        package var capabilities: [ModelFlags] = []
        /// Sent when the client is silent. Nil: left to the model.
        package var temperature: Double?
        package var maxTokens: Int?
        package var streamUsage = StreamUsage.asked
    }

    package struct Alias: Sendable, Equatable {
        /// A name, or a pattern with `*`.
        package var pattern: String
        /// A failover order.
        package var targets: [String]

        package init(pattern: String, targets: [String]) {
            self.pattern = pattern
            self.targets = targets
        }
    }

    package enum StreamUsage: String, Sendable {
        case asked
        case finalChunk = "final_chunk"
    }

    package struct EngineOptions: Sendable, Equatable {
        /// Folder of models. Nil: `models` under home.
        package var models: String?
        /// A `llama-server`. Nil: looked for on `PATH` and among the installed ones.
        package var binary: String?
        /// How much memory all engines together may take.
        package var memory = EngineSettings.Memory.share(0.8)
        /// How models are loaded, as far as that is said for all of them.
        package var load = LoadSettings()
        /// As far as it is said for one, in the order of the file.
        package var ofModels: [ModelLoad] = []
    }

    package struct ModelLoad: Sendable, Equatable {
        /// Any spelling of a model's name.
        package var model: String
        package var settings: LoadSettings

        package init(model: String, settings: LoadSettings) {
            self.model = model
            self.settings = settings
        }
    }

    package struct QueueSettings: Sendable, Equatable {
        package var length = 64
        package var wait = Duration.seconds(600)
    }

    package struct StoreSettings: Sendable, Equatable {
        /// How long responses are kept. Nil: none is.
        package var responses: Duration? = .seconds(30 * 86400)
    }

    package struct ImageSettings: Sendable, Equatable {
        /// Images are fetched for upstreams that take no addresses.
        package var fetches = false
        package var allowedHosts: [String] = []

        /// Nil: none is fetched.
        package var rules: ImageRules? { fetches ? ImageRules(allowedHosts: allowedHosts) : nil }
    }

    /// What every program takes from the environment about the network; no keys of ours.
    package struct NetworkSettings: Sendable, Equatable {
        /// `HTTPS_PROXY` and its like.
        package var proxies = ProxyRules.none
        /// `SSL_CERT_FILE`: a PEM file of the certificate authorities to trust in place of the system's. Nil: those.
        package var authorities: String?

        package init() {}

        package init(environment: [String: String]) {
            proxies = ProxyRules(environment: environment)
            if let path = environment["SSL_CERT_FILE"], !path.isEmpty { authorities = path }
        }
    }

    package struct LogSettings: Sendable, Equatable {
        package enum Level: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }
        package enum Format: String, Sendable, CaseIterable { case text, json }
        package var level = Level.info
        package var format = Format.text
    }
}
