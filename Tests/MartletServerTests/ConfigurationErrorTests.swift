import MartletServer
import Testing

@Suite("What a configuration file is refused for")
struct ConfigurationErrorTests {
    @Test(
        "the sentence says where, which key, what is wrong",
        arguments: [
            // Keys.
            ("server:\n  prt: 1", "martlet.yaml:2: unknown key server.prt; the nearest known key is server.port"),
            ("servr: {}", "martlet.yaml:1: unknown key servr; the nearest known key is server"),
            ("port: 1", "martlet.yaml:1: unknown key port; the nearest known key is server.port"),
            ("api_key: k", "martlet.yaml:1: unknown key api_key; the nearest known key is upstreams.NAME.api_key"),
            (
                "upstreams:\n  a:\n    url: http://a\n    max_concurent: 3",
                "martlet.yaml:4: unknown key upstreams.a.max_concurent; the nearest known key is upstreams.a.max_concurrent"
            ),
            (
                "upstreams:\n  a:\n    url: http://a\n    timeouts: { first: 3s }",
                "martlet.yaml:4: unknown key upstreams.a.timeouts.first; "
                    + "the nearest known key is upstreams.a.timeouts.first_byte"
            ),
            ("server:\n  port: 1\n  host: a\n  port: 2", "martlet.yaml:4: the key port stands here twice"),
            ("server: { port: 1 }\nserver: { port: 2 }", "martlet.yaml:2: the key server stands here twice"),
            // Features to come.
            ("limits: { requests_per_minute: null }", "martlet.yaml:1: limits is not built yet"),
            (
                "store: { responses: 0s }",
                "martlet.yaml:1: store.responses must be off or a duration such as 30d, 12h or 30m, at least 1s (got \"0s\")"
            ),
            ("store:\n  capture: off", "martlet.yaml:2: store.capture is not built yet"),
            (
                "engine:\n  memory: 180%",
                "martlet.yaml:2: engine.memory must be a part of all memory from 1% to 100%, or a size of at least 1MiB "
                    + "such as 12GiB (got \"180%\")"
            ),
            (
                "engine: { gpu_layers: many }",
                "martlet.yaml:1: engine.gpu_layers must be all, max, off, or a whole number from 0 to 10000 (got \"many\")"
            ),
            (
                "engine: { ttl: 0s }",
                "martlet.yaml:1: engine.ttl must be off or a duration such as 30m, 12h or 7d, from 1s to 365d (got \"0s\")"
            ),
            (
                "engine: { cache_type_k: q2_k }",
                "martlet.yaml:1: engine.cache_type_k must be one of f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1 "
                    + "(got \"q2_k\")"
            ),
            (
                "engine:\n  settings:\n    qwen: { gpu_layer: 3 }",
                "martlet.yaml:3: unknown key engine.settings.qwen.gpu_layer; "
                    + "the nearest known key is engine.settings.qwen.gpu_layers"
            ),
            (
                "engine:\n  settings:\n    qwen: { flash_attention: maybe }",
                "martlet.yaml:3: engine.settings.qwen.flash_attention must be one of on, off, auto (got \"maybe\")"
            ),
            ("model_list: []", "martlet.yaml:1: model_list is not built yet"),
            (
                "upstreams: { a: { url: 'http://a', capabilities: { developer_role: true } } }",
                "martlet.yaml:1: upstreams.a.capabilities.developer_role is not built yet"
            ),
            (
                "upstreams: { a: { url: 'http://a', capabilities: { tool_choise: full } } }",
                "martlet.yaml:1: unknown key upstreams.a.capabilities.tool_choise; "
                    + "the nearest known key is upstreams.a.capabilities.tool_choice"
            ),
            (
                "upstreams: { a: { url: 'http://a', capabilities: { images: many } } }",
                "martlet.yaml:1: upstreams.a.capabilities.images must be one of data, none, url (got \"many\")"
            ),
            (
                "upstreams: { a: { url: 'http://a', capabilities: { efforts: high } } }",
                "martlet.yaml:1: upstreams.a.capabilities.efforts must be a list (got \"high\")"
            ),
            (
                "models:\n  capabilities:\n    'qwen*': { tool_choise: none }",
                "martlet.yaml:3: unknown flag models.capabilities.qwen*.tool_choise; the nearest known flag is tool_choice"
            ),
            (
                "models:\n  capabilities:\n    qwen: { logprobs: true }",
                "martlet.yaml:3: models.capabilities.qwen.logprobs is not built yet"
            ),
            (
                "models:\n  capabilities:\n    qwen: { stop_limit: some }",
                "martlet.yaml:3: models.capabilities.qwen.stop_limit must be a whole number from 0 to 256, or unlimited "
                    + "(got \"some\")"
            ),
            // Types.
            (
                "server:\n  port: many",
                "martlet.yaml:2: server.port must be a whole number from 0 to 65535 (got \"many\")"
            ),
            ("server:\n  port: [1]", "martlet.yaml:2: server.port must be a single value, not a list"),
            ("server:\n  port: { a: 1 }", "martlet.yaml:2: server.port must be a single value, not a mapping"),
            ("server:\n  port:", "martlet.yaml:2: server.port has no value"),
            ("server: 3000", "martlet.yaml:1: server must be a mapping of keys to values"),
            ("- a", "martlet.yaml:1: the file must be a mapping of keys to values"),
            ("models:\n  allowed: a", "martlet.yaml:2: models.allowed must be a list (got \"a\")"),
            (
                "models:\n  aliases:\n    fast: { a: b }",
                "martlet.yaml:3: models.aliases.fast must be a model or a list of models"
            ),
            ("models:\n  allowed: [[a]]", "martlet.yaml:2: models.allowed must be a list of single values"),
            // Ranges.
            (
                "server:\n  port: 65536",
                "martlet.yaml:2: server.port must be a whole number from 0 to 65535 (got \"65536\")"
            ),
            (
                "models: { defaults: { temperature: 2.5 } }",
                "martlet.yaml:1: models.defaults.temperature must be a number from 0 to 2 (got \"2.5\")"
            ),
            (
                "models: { defaults: { max_tokens: 0 } }",
                "martlet.yaml:1: models.defaults.max_tokens must be a whole number from 1 to 2147483647 (got \"0\")"
            ),
            (
                "queue: { wait: 10 }",
                "martlet.yaml:1: queue.wait must be a duration such as 500ms, 10s, 30m or 1h, at most 365d (got \"10\")"
            ),
            (
                "queue: { wait: 366d }",
                "martlet.yaml:1: queue.wait must be a duration such as 500ms, 10s, 30m or 1h, at most 365d (got \"366d\")"
            ),
            (
                "server: { max_body: 32mb }",
                "martlet.yaml:1: server.max_body must be a size such as 32MiB or 10MB, from 1KiB to 2GiB (got \"32mb\")"
            ),
            (
                "engine: { context: big }",
                "martlet.yaml:1: engine.context must be auto, or a whole number from 1 to 1073741824 (got \"big\")"
            ),
            ("auth: { required: maybe }", "martlet.yaml:1: auth.required must be one of auto, on, off (got \"maybe\")"),
            (
                "server: { host: 'localhost:3000' }",
                "martlet.yaml:1: server.host must be a host name or an address, without scheme and port "
                    + "(got \"localhost:3000\")"
            ),
            (
                "server: { allowed_origins: ['https://a.example/'] }",
                "martlet.yaml:1: server.allowed_origins must be a list of origins such as https://app.example, "
                    + "without a path (got \"https://a.example/\")"
            ),
            (
                "upstreams: { a: { url: 'localhost:1234' } }",
                "martlet.yaml:1: upstreams.a.url must be a URL such as http://localhost:1234, "
                    + "without user, query and fragment (got \"localhost:1234\")"
            ),
            (
                "upstreams: { a: { kind: lmstudoi, url: 'http://a' } }",
                "martlet.yaml:1: upstreams.a.kind must be one of lmstudio, llamacpp, ollama, vllm, openai, "
            ),
            ("upstreams:\n  a: { kind: lmstudio }", "martlet.yaml:2: upstreams.a.url is missing"),
            (
                "upstreams:\n  a/b: { url: 'http://a' }",
                "martlet.yaml:2: \"a/b\" is no name for an upstream: letters, digits, - and _ only"
            ),
            (
                "upstreams:\n  local: { url: 'http://a' }",
                "martlet.yaml:2: \"local\" is the name of the engine on this machine; choose another for this upstream"
            ),
            // Models.
            (
                "models:\n  allowed: [m]\n  default: n",
                "martlet.yaml:3: models.default n is not in models.allowed: add it there, or choose one of the allowed models"
            ),
            (
                "inference:\n  allowed_models: [m]\n  default_model: n",
                "martlet.yaml:3: inference.default_model n is not in inference.allowed_models: add it there, or choose one of "
                    + "the allowed models"
            ),
            (
                "models:\n  aliases: { self: self }",
                "martlet.yaml:2: models.aliases.self leads to itself: an alias leads to models; one of that name is written "
                    + "UPSTREAM/self"
            ),
            (
                "models:\n  aliases: { a: [m, b], b: n }",
                "martlet.yaml:2: models.aliases.a leads to the alias b: an alias leads to models; one of that name is written "
                    + "UPSTREAM/b"
            ),
            // Variables.
            (
                "upstreams:\n  a:\n    url: http://a\n    api_key: ${NO_SUCH}",
                "martlet.yaml:4: upstreams.a.api_key uses ${NO_SUCH}, and the variable NO_SUCH is not set"
            ),
            (
                "server:\n  host: ${",
                "martlet.yaml:2: server.host holds ${ without a variable's name and }; written is ${NAME}"
            ),
            // Text that is no YAML.
            ("server:\n  port: [1", "martlet.yaml:2: this is not YAML: did not find expected ',' or ']'"),
            ("inference: {}\nupstreams: {}", "martlet.yaml:2: upstreams cannot stand beside inference: in one file"),
        ])
    func refused(text: String, sentence: String) throws {
        let refusal = try #require(Written.refusal(text))
        #expect(sentence.hasSuffix(" ") ? refusal.hasPrefix(sentence) : refusal == sentence, "got: \(refusal)")
    }

    @Test(
        "no refusal repeats what may be a secret",
        arguments: [
            "auth: { tokens: [hunter2] }", "upstreams: { a: { url: 'http://u:hunter2@host' } }",
            "upstreams: { a: { url: 'http://a', api_key: 'hunter2 hunter2' } }",
            "upstreams: { a: { url: 'http://a', api_key: [hunter2] } }",
            "upstreams:\n  a: { url: 'http://a', api_key: \"hunter2\n",
        ])
    func secrets(text: String) throws {
        let refusal = try #require(Written.refusal(text))
        #expect(!refusal.contains("hunter2"))
    }

    @Test(
        "a kind of the documentation without a profile is refused as not built",
        arguments: ["anthropic", "mock", "nonsense"])
    func kinds(kind: String) throws {
        let refusal = Written.refusal("upstreams: { a: { kind: \(kind), url: 'http://a' } }")
        switch kind {
        case "nonsense": #expect(refusal?.hasSuffix("(got \"nonsense\")") == true)
        case let kind where UpstreamKinds.known.contains(kind): #expect(refusal == nil)
        default: #expect(refusal == "martlet.yaml:1: upstreams.a.kind \(kind) is not built yet")
        }
    }
}

@Suite("An address that others can reach")
struct ConfigurationExposureTests {
    @Test("is refused without a token", arguments: ["0.0.0.0", "192.168.1.7", "'::'", "gpu.lan", "127.0.0.1.example"])
    func refused(host: String) throws {
        let refusal = try #require(Written.refusal("server:\n  host: \(host)"))
        #expect(
            refusal.hasPrefix(
                "martlet.yaml:2: server.host \(host.filter { $0 != "'" }) can be reached from other machines"))
        #expect(refusal.contains("--allow-open"))
    }

    @Test("loopback needs none", arguments: ["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "'::1'", "'[::1]'"])
    func loopback(host: String) throws {
        #expect(try Written.load("server: { host: \(host) }").warnings.isEmpty)
    }

    @Test("is fine with a token, and with one that is switched off it is not")
    func token() throws {
        let tokens = "tokens: ['sha256:\(String(repeating: "ab", count: 32))']"
        let loaded = try Written.load("server: { host: 0.0.0.0 }\nauth: { \(tokens) }")
        #expect(loaded.warnings.isEmpty)
        let off = try Written.load("server: { host: 0.0.0.0 }\nauth: { required: off, \(tokens) }")
        #expect(off.warnings.count == 2)
    }

    @Test("may be said to be meant, which is warned about")
    func meant() throws {
        let flag = try Written.load("server: { host: 0.0.0.0 }", flags: Written.flags { $0.allowOpen = true })
        let file = try Written.load("server: { host: 0.0.0.0 }\nauth: { required: off }")
        let variable = try Written.load(
            variables: ["MARTLET_SERVER_HOST": "0.0.0.0", "MARTLET_AUTH_REQUIRED": "off"])
        for loaded in [flag, file, variable] {
            #expect(loaded.configuration.auth.allowOpen)
            #expect(loaded.warnings == ["anyone who reaches 0.0.0.0 can use this server: it asks for no token"])
        }
    }

    @Test("tokens that are demanded and missing are warned about")
    func demanded() throws {
        let loaded = try Written.load("auth: { required: on }")
        #expect(loaded.warnings == ["auth.required is on and auth.tokens is empty: every request will be refused"])
    }
}
