import MartletEngine
import MartletGateway
import MartletServer
import Testing

@Suite("A file in our own form")
struct ConfigurationFileTests {
    private static let full = """
        server:
          host: 127.0.0.2
          port: 8080
          max_body: 10MB
          allowed_hosts: [gpu.lan]
          allowed_origins: ["https://app.example"]
          loops: 2
        auth:
          required: on
          tokens:
            - sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef
        upstreams:
          studio:
            kind: lmstudio
            url: http://localhost:1234/v1
            api_key: ${STUDIO_KEY}
            max_concurrent: 4
            timeouts: { connect: 500ms, first_byte: 1h, idle: 90s, total: 0s }
            retries: 5
            http: { keep_alive: 2m, max_idle_connections: 3 }
            mode: exact
          box:
            url: https://gpu.lan:8443
        models:
          default: qwen3-8b
          allowed: []
          aliases:
            "claude-*haiku*": studio/qwen3-4b
            "claude-*": [studio/qwen3-coder-30b, local/qwen3-8b]
          defaults: { temperature: 0.2, max_tokens: null, stream_usage: final_chunk }
        engine:
          models: models
          binary: bin/llama-server
          parallel: 8
          context: 8192
          threads: 6
          batch: 128
          memory: 12GiB
          ttl: 30m
          gpu_layers: all
          flash_attention: on
          cache_type_k: q8_0
          cache_type_v: Q4_0
          offload_kv_cache_to_gpu: false
          draft_model: tiny
          prompt_cache: 512MiB
          settings:
            qwen3-8b: { context: auto, ttl: off, gpu_layers: 12, prompt_cache: off, pin: true }
            pub/other: { parallel: 1 }
        queue: { length: 7, wait: 1m }
        log: { level: debug, format: json }
        """

    @Test("every key takes effect")
    func everyKey() throws {
        let loaded = try Written.load(Self.full, variables: ["STUDIO_KEY": "s3cret"])
        var wanted = Configuration()
        wanted.server.host = "127.0.0.2"
        wanted.server.port = 8080
        wanted.server.maxBody = 10_000_000
        wanted.server.allowedHosts = ["gpu.lan"]
        wanted.server.allowedOrigins = ["https://app.example"]
        wanted.server.loops = 2
        wanted.auth.required = .on
        wanted.auth.tokens = ["sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
        var studio = Configuration.UpstreamSettings(name: "studio", kind: "lmstudio", url: "http://localhost:1234/v1")
        studio.apiKey = Secret("s3cret")
        studio.maxConcurrent = 4
        studio.timeouts.connect = .milliseconds(500)
        studio.timeouts.firstByte = .seconds(3600)
        studio.timeouts.idle = .seconds(90)
        studio.timeouts.total = nil
        studio.retries = 5
        studio.keepAlive = .seconds(120)
        studio.maxIdleConnections = 3
        studio.mode = .exact
        wanted.upstreams = [studio, Configuration.UpstreamSettings(name: "box", url: "https://gpu.lan:8443")]
        wanted.discovers = false
        wanted.models.preferred = "qwen3-8b"
        wanted.models.aliases = [
            .init(pattern: "claude-*haiku*", targets: ["studio/qwen3-4b"]),
            .init(pattern: "claude-*", targets: ["studio/qwen3-coder-30b", "local/qwen3-8b"]),
        ]
        wanted.models.temperature = 0.2
        wanted.models.streamUsage = .finalChunk
        wanted.engine.models = "./models"
        wanted.engine.binary = "./bin/llama-server"
        wanted.engine.memory = .bytes(12 << 30)
        wanted.engine.load.parallel = 8
        wanted.engine.load.context = .tokens(8192)
        wanted.engine.load.threads = 6
        wanted.engine.load.batch = 128
        wanted.engine.load.keepAlive = .idle(.seconds(1800))
        wanted.engine.load.gpuLayers = 10_000
        wanted.engine.load.flashAttention = .on
        wanted.engine.load.keyCache = .q8_0
        wanted.engine.load.valueCache = .q4_0
        wanted.engine.load.cacheOnGPU = false
        wanted.engine.load.draftModel = "tiny"
        wanted.engine.load.promptCache = 512 << 20
        var qwen = LoadSettings()
        qwen.context = .auto
        qwen.keepAlive = .always
        qwen.gpuLayers = 12
        qwen.promptCache = 0
        qwen.isPinned = true
        var other = LoadSettings()
        other.parallel = 1
        wanted.engine.ofModels = [.init(model: "qwen3-8b", settings: qwen), .init(model: "pub/other", settings: other)]
        wanted.queue.length = 7
        wanted.queue.wait = .seconds(60)
        wanted.log.level = .debug
        wanted.log.format = .json
        #expect(loaded.configuration == wanted)
    }

    @Test("every key of a file is told with its line, and no secret is")
    func origins() throws {
        let loaded = try Written.load(Self.full, variables: ["STUDIO_KEY": "s3cret"])
        #expect(loaded.origin("server.port") == "file martlet.yaml:3")
        #expect(loaded.origin("upstreams.studio.timeouts.idle") == "file martlet.yaml:18")
        #expect(loaded.origin("upstreams.box.retries") == "default")
        #expect(loaded.origin("engine.gpu_layers") == "file martlet.yaml:40")
        #expect(loaded.shown("engine.gpu_layers") == "all")
        #expect(loaded.shown("engine.memory") == "12GiB")
        #expect(loaded.origin("engine.settings.qwen3-8b.ttl") == "file martlet.yaml:48")
        #expect(loaded.shown("engine.settings.qwen3-8b.ttl") == "off")
        #expect(!loaded.origins.contains { $0.key == "engine.settings.qwen3-8b.threads" }, "it says nothing of it")
        #expect(loaded.shown("upstreams.studio.api_key") == "•••")
        #expect(loaded.shown("auth.tokens") == "[•••]")
        #expect(loaded.shown("upstreams.studio.timeouts.first_byte") == "1h")
        #expect(loaded.shown("upstreams.box.timeouts.total") == "0s")
        #expect(loaded.shown("server.max_body") == "10000000")
        #expect(!loaded.origins.contains { $0.value.contains("s3cret") || $0.value.contains("0123456789") })
        #expect(Set(loaded.origins.map(\.key)).count == loaded.origins.count)
    }

    @Test(
        "nothing at all gives the defaults, and looks for upstreams",
        arguments: [nil, "", "# only a remark\n", "server:\n"])
    func defaults(text: String?) throws {
        let loaded = try Written.load(text)
        #expect(loaded.configuration == Configuration())
        #expect(loaded.configuration.discovers)
        #expect(loaded.origins.allSatisfy { $0.origin == "default" })
        #expect(loaded.warnings.isEmpty)
    }

    @Test("home's file counts when none is named, and a named one stands in its place")
    func whichFile() throws {
        let home = "server: { port: 1111 }"
        #expect(try Written.load(home: home).configuration.server.port == 1111)
        #expect(try Written.load(home: home).origin("server.port") == "file /home/.martlet/martlet.yaml:1")
        #expect(try Written.load("queue: { length: 1 }", home: home).configuration.server.port == 3000)
    }

    @Test("a file that was named and is missing is refused, one that cannot be read too")
    func missingFile() {
        #expect(
            Written.refusal(flags: Written.flags { $0.config = "other.yaml" })
                == "--config: there is no file other.yaml")
        struct Denied: Error, CustomStringConvertible { let description = "no permission" }
        #expect(throws: ConfigurationError("/h/martlet.yaml: this file cannot be read (no permission)")) {
            try ConfigurationLoader.load(environment: [:], home: "/h", readFile: { _ in throw Denied() })
        }
    }

    @Test("paths of a file start from its folder, ~ from the user's home, and a bare binary stays a name")
    func paths() throws {
        let flags = Written.flags { $0.config = "/etc/martlet/m.yaml" }
        func engine(_ text: String) throws -> Configuration.EngineOptions {
            try ConfigurationLoader.load(
                flags: flags, environment: ["HOME": "/home/ada"], home: "/h", readFile: { _ in text }
            ).configuration.engine
        }
        #expect(try engine("engine: { models: gguf }").models == "/etc/martlet/gguf")
        #expect(try engine("engine: { models: ~/.martlet/models }").models == "/home/ada/.martlet/models")
        #expect(try engine("engine: { binary: llama-server }").binary == "llama-server")
        #expect(try engine("engine: { binary: /srv/llama-server, context: auto }").binary == "/srv/llama-server")
    }

    @Test("variables stand in any value, also inside of text and lists")
    func variables() throws {
        let loaded = try Written.load(
            "upstreams: { a: { url: 'http://${HOST}:${PORT}/v1' } }\nmodels: { allowed: ['${M}', y] }",
            variables: ["HOST": "gpu", "PORT": "9", "M": "x"])
        #expect(loaded.configuration.upstreams.first?.url == "http://gpu:9/v1")
        #expect(loaded.configuration.models.allowed == ["x", "y"])
    }

    @Test("a key that a variable leaves empty is none")
    func emptyKey() throws {
        let text = "upstreams: { a: { url: 'http://a', api_key: '${K}' } }"
        #expect(try Written.load(text, variables: ["K": ""]).configuration.upstreams.first?.apiKey == nil)
    }

    @Test(
        "durations are read and shown in their largest whole unit",
        arguments: [
            ("500ms", Duration.milliseconds(500), "500ms"), ("90s", .seconds(90), "90s"), ("120s", .seconds(120), "2m"),
            ("30m", .seconds(1800), "30m"), ("1h", .seconds(3600), "1h"), ("2d", .seconds(172_800), "48h"),
            ("0s", .zero, "0s"),
        ])
    func durations(text: String, duration: Duration, shown: String) throws {
        let loaded = try Written.load("queue: { wait: \(text) }")
        #expect(loaded.configuration.queue.wait == duration)
        #expect(loaded.shown("queue.wait") == shown)
    }

    @Test(
        "sizes are read and shown",
        arguments: [
            ("32MiB", 32 << 20, "32MiB"), ("10MB", 10_000_000, "10000000"), ("1GiB", 1 << 30, "1GiB"),
            ("64 KiB", 65536, "64KiB"), ("70000", 70000, "70000"),
        ])
    func sizes(text: String, bytes: Int, shown: String) throws {
        let loaded = try Written.load("server: { max_body: \(text) }")
        #expect(loaded.configuration.server.maxBody == bytes)
        #expect(loaded.shown("server.max_body") == shown)
    }

    @Test("local-model as default stands, whatever is allowed: what it means depends on what is served")
    func localModel() throws {
        let loaded = try Written.load("models: { default: local-model, allowed: [m] }")
        #expect(loaded.configuration.models.preferred == "local-model")
    }
}

@Suite("Reading configuration from the disk")
struct ConfigurationDiskTests {
    @Test("a missing file is none, and a folder is no file")
    func missing() throws {
        #expect(try ConfigurationLoader.read(path: "/no/such/martlet.yaml") == nil)
        #expect(throws: (any Error).self) { try ConfigurationLoader.read(path: "/") }
    }
}
