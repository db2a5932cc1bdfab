import MartletGateway
import MartletServer
import Testing

/// The examples stand here as the inference server's documentation prints them.
@Suite("A file with a top-level inference:")
struct ConfigurationInferenceTests {
    private static let minimal = """
        inference:
          provider: lmstudio
          base_url: "http://localhost:1234"  # LM Studio default
          default_model: "local-model"        # Model loaded in LM Studio
        """

    private static let full = """
        inference:
          provider: lmstudio
          base_url: "http://localhost:1234"
          default_model: "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
          allowed_models:                    # Optional: restrict to specific models
            - "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
            - "TheBloke/Llama-2-7B-Chat-GGUF"
          http:                              # Optional - has smart defaults
            timeout_secs: 60                # Longer for local models
            connect_timeout_secs: 10
            keep_alive_secs: 30
            max_idle_connections: 10
        """

    /// What both examples come to, but for the models.
    private static var documented: Configuration {
        var wanted = Configuration()
        wanted.usesInferenceErrors = true
        wanted.discovers = false
        var studio = Configuration.UpstreamSettings(name: "studio", kind: "lmstudio", url: "http://localhost:1234")
        studio.timeouts.connect = .seconds(10)
        studio.timeouts.firstByte = .seconds(60)
        studio.timeouts.idle = .seconds(60)
        studio.timeouts.total = nil
        studio.timeouts.unstreamedTotal = .seconds(60)
        studio.keepAlive = .seconds(30)
        studio.maxIdleConnections = 10
        wanted.upstreams = [studio]
        wanted.server.port = 3000
        wanted.models.maxTokens = 100
        wanted.models.preferred = "local-model"
        wanted.models.temperature = 0.7
        wanted.models.streamUsage = .finalChunk
        return wanted
    }

    @Test("the minimal example loads with the documented defaults")
    func minimalExample() throws {
        let loaded = try Written.load(Self.minimal)
        #expect(loaded.configuration == Self.documented)
        #expect(loaded.warnings.isEmpty)
        #expect(loaded.origin("upstreams.studio.url") == "file martlet.yaml:3")
        #expect(loaded.origin("models.defaults.max_tokens") == "default of the inference: form")
    }

    @Test("the full example loads")
    func fullExample() throws {
        let loaded = try Written.load(Self.full)
        var wanted = Self.documented
        wanted.models.preferred = "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
        wanted.models.allowed = ["TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "TheBloke/Llama-2-7B-Chat-GGUF"]
        #expect(loaded.configuration == wanted)
        #expect(loaded.origin("upstreams.studio.timeouts.unstreamed_total") == "file martlet.yaml:9")
    }

    @Test("the documentation's variables alone are such a file")
    func variablesAlone() throws {
        let loaded = try Written.load(variables: [
            "INFERENCE_INFERENCE_PROVIDER": "lmstudio", "INFERENCE_INFERENCE_BASE_URL": "http://localhost:1234",
            "INFERENCE_INFERENCE_DEFAULT_MODEL": "local-model", "INFERENCE_INFERENCE_HTTP_TIMEOUT_SECS": "60",
            "INFERENCE_INFERENCE_HTTP_CONNECT_TIMEOUT_SECS": "10",
        ])
        #expect(loaded.configuration == Self.documented)
        #expect(loaded.origin("upstreams.studio.url") == "INFERENCE_INFERENCE_BASE_URL")
    }

    @Test("the Compose file's variables load, and are open once that is said")
    func compose() throws {
        var variables = [
            "INFERENCE_INFERENCE_PROVIDER": "lmstudio", "INFERENCE_INFERENCE_BASE_URL": "http://lm-studio:1234",
            "INFERENCE_INFERENCE_DEFAULT_MODEL": "local-model",
        ]
        let loaded = try Written.load(variables: variables)
        #expect(loaded.configuration.upstreams.first?.url == "http://lm-studio:1234")
        #expect(loaded.configuration.server.port == 3000)
        variables["MARTLET_SERVER_HOST"] = "0.0.0.0"
        #expect(Written.refusal(variables: variables)?.contains("MARTLET_AUTH_REQUIRED=off") == true)
        variables["MARTLET_AUTH_REQUIRED"] = "off"
        #expect(try Written.load(variables: variables).configuration.server.host == "0.0.0.0")
    }

    @Test(
        "each key and variable of the form reaches our setting",
        arguments: [
            ("server.port", "4000", "server.port", "4000"), ("server.host", "127.0.0.5", "server.host", "127.0.0.5"),
            ("inference.provider", "openai", "upstreams.openai.kind", "openai"),
            ("inference.base_url", "http://b", "upstreams.studio.url", "http://b"),
            ("inference.api_key", "k", "upstreams.studio.api_key", "•••"),
            ("inference.default_model", "m", "models.default", "m"),
            ("inference.timeout_secs", "45", "upstreams.studio.timeouts.first_byte", "45s"),
            ("inference.http.timeout_secs", "120", "upstreams.studio.timeouts.unstreamed_total", "2m"),
            ("inference.http.timeout_secs", "120", "upstreams.studio.timeouts.first_byte", "2m"),
            ("inference.http.timeout_secs", "120", "upstreams.studio.timeouts.idle", "2m"),
            ("inference.http.connect_timeout_secs", "15", "upstreams.studio.timeouts.connect", "15s"),
            ("inference.http.keep_alive_secs", "5", "upstreams.studio.http.keep_alive", "5s"),
            ("inference.http.max_idle_connections", "4", "upstreams.studio.http.max_idle_connections", "4"),
            ("inference.http.max_retries", "1", "upstreams.studio.retries", "1"),
            ("logging.level", "warn", "log.level", "warning"), ("logging.format", "pretty", "log.format", "text"),
        ])
    func eachKey(key: String, text: String, ours: String, shown: String) throws {
        let words = key.split(separator: ".")
        let (head, leaf) = (words.dropLast(), words[words.count - 1])
        let value = head.reversed().reduce("{ \(leaf): '\(text)' }") { "{ \($1): \($0) }" }.dropFirst(2).dropLast(2)
        let others = key.hasPrefix("inference.") ? "" : "\ninference: {}"
        let fromFile = try Written.load(value + others)
        #expect(fromFile.shown(ours) == shown)
        #expect(fromFile.origin(ours) == "file martlet.yaml:1")

        let variable = "INFERENCE_" + key.uppercased().replacing(".", with: "_")
        let fromVariable = try Written.load("inference: {}", variables: [variable: text])
        #expect(fromVariable.shown(ours) == shown)
        #expect(fromVariable.origin(ours) == variable)
    }

    @Test("allowed models come from a variable with commas, and an empty list allows all")
    func allowedModels() throws {
        let loaded = try Written.load("inference: {}", variables: ["INFERENCE_INFERENCE_ALLOWED_MODELS": "a, b"])
        #expect(loaded.configuration.models.allowed == ["a", "b"])
        #expect(try Written.load("inference: { allowed_models: }").configuration.models.allowed == [])
    }

    @Test("their variables win over the file, ours over theirs, flags over all")
    func precedence() throws {
        let file = "server: { port: 1 }\ninference: {}"
        let theirs = ["INFERENCE_SERVER_PORT": "2"]
        let both = ["INFERENCE_SERVER_PORT": "2", "MARTLET_SERVER_PORT": "3"]
        #expect(try Written.load(file).configuration.server.port == 1)
        #expect(try Written.load(file, variables: theirs).configuration.server.port == 2)
        #expect(try Written.load(file, variables: both).configuration.server.port == 3)
        #expect(
            try Written.load(file, variables: both, flags: Written.flags { $0.port = 4 }).configuration.server.port == 4
        )
        let lifted = try Written.load(file, variables: ["MARTLET_MODELS_DEFAULTS_MAX_TOKENS": "null"])
        #expect(lifted.configuration.models.maxTokens == nil)
    }

    @Test("http.timeout_secs wins over the older timeout_secs")
    func olderTimeout() throws {
        let loaded = try Written.load("inference: { http: { timeout_secs: 90 }, timeout_secs: 30 }")
        #expect(loaded.configuration.upstreams.first?.timeouts.unstreamedTotal == .seconds(90))
    }

    @Test("our own sections may stand beside it")
    func beside() throws {
        let loaded = try Written.load("inference: {}\nqueue: { length: 3 }\nserver: { max_body: 1MiB }")
        #expect(loaded.configuration.queue.length == 3)
        #expect(loaded.configuration.server.maxBody == 1 << 20)
    }

    @Test("a file in our own form is not mixed with their variables, which is warned about")
    func ownForm() throws {
        let loaded = try Written.load("queue: { length: 3 }", variables: ["INFERENCE_INFERENCE_BASE_URL": "http://b"])
        #expect(loaded.configuration.upstreams.isEmpty)
        #expect(!loaded.configuration.usesInferenceErrors)
        #expect(
            loaded.warnings == ["the INFERENCE_… variables have no effect: martlet.yaml is in Martlet's own form"])
    }

    @Test(
        "what it cannot mean is refused in its own words",
        arguments: [
            (
                "inference:\n  provider: lmstudoi", [:],
                "martlet.yaml:2: inference.provider must be one of lmstudio, openai, mock (got \"lmstudoi\")"
            ),
            (
                "inference:\n  http: { timeout_secs: 1m }", [:],
                "martlet.yaml:2: inference.http.timeout_secs must be a whole number from 0 to 31536000 (got \"1m\")"
            ),
            (
                "inference:\n  base_ur: x", [:],
                "martlet.yaml:2: unknown key inference.base_ur; the nearest known key is inference.base_url"
            ),
            (
                "inference:\n  organization_id: x", [:], "martlet.yaml:2: inference.organization_id is not built yet"
            ),
            (
                "inference: {}", ["INFERENCE_INFERENCE_BASEURL": "x"],
                "INFERENCE_INFERENCE_BASEURL: unknown variable; "
                    + "the nearest known variable is INFERENCE_INFERENCE_BASE_URL"
            ),
            (
                "inference: {}", ["INFERENCE_SERVER_PORT": "x"],
                "INFERENCE_SERVER_PORT: server.port must be a whole number from 0 to 65535 (got \"x\")"
            ),
            (
                "inference: {}", ["INFERENCE_INFERENCE_ORGANIZATION_ID": "x"],
                "INFERENCE_INFERENCE_ORGANIZATION_ID: inference.organization_id is not built yet"
            ),
        ] as [(String, [String: String], String)])
    func refused(text: String, variables: [String: String], sentence: String) {
        #expect(Written.refusal(text, variables: variables) == sentence)
    }

    @Test("the mock provider needs no address")
    func mock() {
        let refusal = Written.refusal("inference: { provider: mock }")
        if UpstreamKinds.known.contains("mock") {
            #expect(refusal == nil)
        } else {
            #expect(refusal == "martlet.yaml:1: inference.provider mock is not built yet")
        }
    }
}
