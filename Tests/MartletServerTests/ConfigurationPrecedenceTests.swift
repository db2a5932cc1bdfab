import MartletGateway
import MartletServer
import Testing

/// Kinds that have a profile.
enum UpstreamKinds {
    static let known = UpstreamProfile.all.map(\.kind)
}

@Suite("Which source of a setting wins")
struct ConfigurationPrecedenceTests {
    private static let file = "server: { port: 1 }"
    private static let variables = ["MARTLET_SERVER_PORT": "2"]
    private static let flags = Written.flags { $0.port = 3 }

    @Test("the file before the default, a variable before the file, a flag before all")
    func pairs() throws {
        #expect(try Written.load().configuration.server.port == 3000)
        #expect(try Written.load(Self.file).configuration.server.port == 1)
        #expect(try Written.load(variables: Self.variables).configuration.server.port == 2)
        #expect(try Written.load(flags: Self.flags).configuration.server.port == 3)
        let variableOverFile = try Written.load(Self.file, variables: Self.variables)
        #expect(variableOverFile.configuration.server.port == 2)
        #expect(variableOverFile.origin("server.port") == "MARTLET_SERVER_PORT")
        #expect(try Written.load(Self.file, flags: Self.flags).configuration.server.port == 3)
        let flagOverVariable = try Written.load(variables: Self.variables, flags: Self.flags)
        #expect(flagOverVariable.configuration.server.port == 3)
        #expect(flagOverVariable.origin("server.port") == "--port")
        #expect(
            try Written.load(Self.file, variables: Self.variables, flags: Self.flags).configuration.server.port == 3)
    }

    @Test("a value that another one replaces is checked all the same")
    func replaced() {
        #expect(
            Written.refusal("server: { port: x }", flags: Self.flags)
                == "martlet.yaml:1: server.port must be a whole number from 0 to 65535 (got \"x\")")
    }

    @Test(
        "every key has its variable",
        arguments: [
            ("MARTLET_SERVER_HOST", "127.0.0.9", "server.host", "127.0.0.9"),
            ("MARTLET_SERVER_PORT", "0", "server.port", "0"),
            ("MARTLET_SERVER_MAX_BODY", "1MiB", "server.max_body", "1MiB"),
            ("MARTLET_SERVER_ALLOWED_HOSTS", "a, b", "server.allowed_hosts", "[a, b]"),
            ("MARTLET_SERVER_ALLOWED_ORIGINS", "https://a", "server.allowed_origins", "[https://a]"),
            ("MARTLET_SERVER_NATIVE", "extended", "server.native", "extended"),
            ("MARTLET_SERVER_LOOPS", "3", "server.loops", "3"),
            ("MARTLET_AUTH_REQUIRED", "off", "auth.required", "off"),
            ("MARTLET_AUTH_TOKENS", "sha256:" + String(repeating: "0", count: 64), "auth.tokens", "[•••]"),
            ("MARTLET_MODELS_DEFAULT", "m", "models.default", "m"),
            ("MARTLET_MODELS_ALLOWED", "a,b", "models.allowed", "[a, b]"),
            ("MARTLET_MODELS_ALIASES", "c-*=x,y; fast=z", "models.aliases", "[c-*: [x, y], fast: [z]]"),
            ("MARTLET_MODELS_DEFAULTS_TEMPERATURE", "0.5", "models.defaults.temperature", "0.5"),
            ("MARTLET_MODELS_DEFAULTS_MAX_TOKENS", "9", "models.defaults.max_tokens", "9"),
            ("MARTLET_MODELS_DEFAULTS_STREAM_USAGE", "final_chunk", "models.defaults.stream_usage", "final_chunk"),
            ("MARTLET_ENGINE_MODELS", "/m", "engine.models", "/m"),
            ("MARTLET_ENGINE_BINARY", "/b", "engine.binary", "/b"),
            ("MARTLET_ENGINE_PARALLEL", "2", "engine.parallel", "2"),
            ("MARTLET_ENGINE_CONTEXT", "4096", "engine.context", "4096"),
            ("MARTLET_ENGINE_THREADS", "2", "engine.threads", "2"),
            ("MARTLET_ENGINE_BATCH", "64", "engine.batch", "64"),
            ("MARTLET_ENGINE_MEMORY", "50%", "engine.memory", "50%"), ("MARTLET_ENGINE_TTL", "5m", "engine.ttl", "5m"),
            ("MARTLET_ENGINE_GPU_LAYERS", "max", "engine.gpu_layers", "all"),
            ("MARTLET_ENGINE_GPU_LAYERS", "off", "engine.gpu_layers", "0"),
            ("MARTLET_ENGINE_FLASH_ATTENTION", "auto", "engine.flash_attention", "auto"),
            ("MARTLET_ENGINE_CACHE_TYPE_K", "Q8_0", "engine.cache_type_k", "q8_0"),
            ("MARTLET_ENGINE_CACHE_TYPE_V", "f16", "engine.cache_type_v", "f16"),
            ("MARTLET_ENGINE_OFFLOAD_KV_CACHE_TO_GPU", "false", "engine.offload_kv_cache_to_gpu", "false"),
            ("MARTLET_ENGINE_DRAFT_MODEL", "tiny", "engine.draft_model", "tiny"),
            ("MARTLET_ENGINE_PROMPT_CACHE", "off", "engine.prompt_cache", "off"),
            ("MARTLET_QUEUE_LENGTH", "2", "queue.length", "2"), ("MARTLET_DISCOVERY", "off", "discovery", "off"),
            ("MARTLET_QUEUE_WAIT", "2s", "queue.wait", "2s"),
            ("MARTLET_STORE_RESPONSES", "12h", "store.responses", "12h"),
            ("MARTLET_STORE_RESPONSES", "off", "store.responses", "off"),
            ("MARTLET_IMAGES_FETCH", "true", "images.fetch", "true"),
            ("MARTLET_IMAGES_ALLOWED_HOSTS", "a, b:80", "images.allowed_hosts", "[a, b:80]"),
            ("MARTLET_MCP_INSTALLED", "on", "mcp.installed", "on"),
            ("MARTLET_MCP_EPHEMERAL", "on", "mcp.ephemeral", "on"),
            ("MARTLET_MCP_MAX_ROUNDS", "3", "mcp.max_rounds", "3"),
            ("MARTLET_MCP_MAX_TIME", "30s", "mcp.max_time", "30s"),
            ("MARTLET_MCP_MAX_TOKENS", "5000", "mcp.max_tokens", "5000"),
            ("MARTLET_MCP_ALLOWED_HOSTS", "a, b:80", "mcp.allowed_hosts", "[a, b:80]"),
            ("MARTLET_LOG_LEVEL", "trace", "log.level", "trace"),
            ("MARTLET_LOG_FORMAT", "json", "log.format", "json"),
            ("MARTLET_LOG", "debug", "log.level", "debug"),
            ("MARTLET_UPSTREAMS_BOX_URL", "http://b", "upstreams.box.url", "http://b"),
        ])
    func variable(name: String, text: String, key: String, shown: String) throws {
        let loaded = try Written.load(variables: [name: text])
        #expect(loaded.shown(key) == shown)
        #expect(loaded.origin(key) == name)
    }

    @Test("the table of variables above is complete")
    func complete() throws {
        let general = try Written.load().origins.map(\.key)
        #expect(general.count == 46)
    }

    @Test(
        "every key of an upstream has its variable",
        arguments: [
            ("KIND", "vllm", "kind", "vllm"), ("URL", "http://c", "url", "http://c"),
            ("API_KEY", "k", "api_key", "•••"), ("DIALECT", "lmstudio", "dialect", "lmstudio"),
            ("MAX_CONCURRENT", "2", "max_concurrent", "2"), ("TIMEOUTS_CONNECT", "1s", "timeouts.connect", "1s"),
            ("TIMEOUTS_FIRST_BYTE", "2s", "timeouts.first_byte", "2s"), ("TIMEOUTS_IDLE", "3s", "timeouts.idle", "3s"),
            ("TIMEOUTS_TOTAL", "4s", "timeouts.total", "4s"),
            ("TIMEOUTS_UNSTREAMED_TOTAL", "5s", "timeouts.unstreamed_total", "5s"), ("RETRIES", "0", "retries", "0"),
            ("HTTP_KEEP_ALIVE", "6s", "http.keep_alive", "6s"),
            ("HTTP_MAX_IDLE_CONNECTIONS", "1", "http.max_idle_connections", "1"), ("MODE", "exact", "mode", "exact"),
        ])
    func upstreamVariable(name: String, text: String, key: String, shown: String) throws {
        let variable = "MARTLET_UPSTREAMS_GPU_BOX_\(name)"
        let loaded = try Written.load("upstreams: { gpu-box: { url: 'http://b' } }", variables: [variable: text])
        #expect(loaded.shown("upstreams.gpu-box.\(key)") == shown)
        #expect(loaded.origin("upstreams.gpu-box.\(key)") == variable)
        #expect(loaded.configuration.upstreams.count == 1)
    }

    @Test("an empty variable is not set, and null takes a file's value back")
    func emptyAndNull() throws {
        let file = "models: { defaults: { max_tokens: 5 } }\nserver: { port: 1 }"
        let loaded = try Written.load(
            file, variables: ["MARTLET_MODELS_DEFAULTS_MAX_TOKENS": "null", "MARTLET_SERVER_PORT": ""])
        #expect(loaded.configuration.models.maxTokens == nil)
        #expect(loaded.configuration.server.port == 1)
    }

    @Test("MARTLET_LOG_LEVEL wins over MARTLET_LOG, --log-level over both")
    func logLevel() throws {
        let variables = ["MARTLET_LOG": "debug", "MARTLET_LOG_LEVEL": "error"]
        #expect(try Written.load(variables: variables).configuration.log.level == .error)
        let flags = Written.flags { $0.logLevel = "warn" }
        #expect(try Written.load(variables: variables, flags: flags).configuration.log.level == .warning)
    }

    @Test(
        "a variable under one of our sections that stands for no key is refused",
        arguments: [
            (
                "MARTLET_AUTH_REQIRED",
                "MARTLET_AUTH_REQIRED: unknown variable; the nearest known variable is MARTLET_AUTH_REQUIRED"
            ),
            ("MARTLET_LIMITS_REQUESTS_PER_MINUTE", "MARTLET_LIMITS_REQUESTS_PER_MINUTE: limits is not built yet"),
            (
                "MARTLET_ENGINE_TTLS",
                "MARTLET_ENGINE_TTLS: unknown variable; the nearest known variable is MARTLET_ENGINE_TTL"
            ),
            (
                "MARTLET_UPSTREAMS_A_CAPABILITIES_SEED",
                "MARTLET_UPSTREAMS_A_CAPABILITIES_SEED: upstreams.*.capabilities.seed is not built yet"
            ),
            ("MARTLET_UPSTREAMS_B_API_KEY", "MARTLET_UPSTREAMS_B_API_KEY: upstreams.b.url is missing"),
            (
                "MARTLET_UPSTREAMS_A_RETRYS",
                "MARTLET_UPSTREAMS_A_RETRYS: unknown variable; the nearest known variable is MARTLET_UPSTREAMS_A_RETRIES"
            ),
            (
                "MARTLET_SERVER_PORT",
                "MARTLET_SERVER_PORT: server.port must be a whole number from 0 to 65535 (got \"9x\")"
            ),
        ])
    func unknownVariable(name: String, sentence: String) {
        #expect(Written.refusal("upstreams: { a: { url: 'http://a' } }", variables: [name: "9x"]) == sentence)
    }

    @Test("another unknown variable is only warned about, and Kubernetes' own are not ours")
    func strangers() throws {
        let loaded = try Written.load(variables: [
            "MARTLET_COLOUR": "red", "MARTLET_HOME": "/x", "MARTLET_HOST": "y", "MARTLET_API_KEY": "z",
            "MARTLET_SERVER_PORT": "tcp://10.0.0.1:80",
            "MARTLET_SERVER_SERVICE_HOST": "10.0.0.1", "MARTLET_SERVER_SERVICE_PORT_HTTP": "80",
            "MARTLET_SERVER_PORT_80_TCP_ADDR": "10.0.0.1",
        ])
        #expect(loaded.configuration == Configuration())
        #expect(loaded.warnings.count == 1)
        #expect(loaded.warnings.first?.hasPrefix("MARTLET_COLOUR: unknown variable") == true)
    }

    @Test("two upstreams that one variable could mean are told apart by a refusal")
    func ambiguous() {
        let file = "upstreams: { a-b: { url: 'http://a' }, a_b: { url: 'http://b' } }"
        #expect(
            Written.refusal(file, variables: ["MARTLET_UPSTREAMS_A_B_RETRIES": "1"])
                == "MARTLET_UPSTREAMS_A_B_RETRIES: this could be any of the upstreams a-b, a_b")
    }
}
