import MartletEngine
import MartletGateway
import MartletServer
import Testing

@Suite("Flags of serve")
struct ConfigurationFlagTests {
    private func upstreams(_ urls: [String], kinds: [String] = []) throws -> [Configuration.UpstreamSettings] {
        try Written.load(
            flags: Written.flags {
                $0.upstreams = urls
                $0.kinds = kinds
            }
        ).configuration.upstreams
    }

    @Test("every flag takes effect and is named as the origin")
    func everyFlag() throws {
        let loaded = try Written.load(
            flags: Written.flags {
                $0.host = "127.0.0.3"
                $0.port = 8082
                $0.loops = 1
                $0.model = "m"
                $0.logLevel = "debug"
                $0.logFormat = "json"
                $0.aliases = ["claude-*=qwen3-8b", "fast = a, b"]
            })
        let flags = [
            "server.host": "--host", "server.port": "--port", "server.loops": "--loops", "models.default": "--model",
            "log.level": "--log-level", "log.format": "--log-format", "models.aliases": "--alias",
        ]
        for (key, flag) in flags { #expect(loaded.origin(key) == flag) }
        #expect(loaded.configuration.server.host == "127.0.0.3")
        #expect(loaded.configuration.models.preferred == "m")
        #expect(
            loaded.configuration.models.aliases == [
                .init(pattern: "claude-*", targets: ["qwen3-8b"]), .init(pattern: "fast", targets: ["a", "b"]),
            ])
    }

    @Test("one kind counts for all upstreams, several by position, none is probed")
    func kinds() throws {
        let urls = ["http://a", "http://b"]
        #expect(try upstreams(urls, kinds: ["ollama"]).map(\.kind) == ["ollama", "ollama"])
        #expect(try upstreams(urls, kinds: ["lmstudio", "vllm"]).map(\.kind) == ["lmstudio", "vllm"])
        #expect(try upstreams(urls, kinds: ["lmstudio", "auto"]).map(\.kind) == ["lmstudio", nil])
        #expect(try upstreams(urls).map(\.kind) == [nil, nil])
    }

    @Test("upstreams without a name get one that no other has")
    func names() throws {
        let kinds = ["lmstudio", "lmstudio", "ollama", "auto"]
        let found = try upstreams(
            ["http://a", "http://b", "http://c", "box=http://d/v1?".replacing("?", with: "")], kinds: kinds)
        #expect(found.map(\.name) == ["studio", "studio-2", "ollama", "box"])
        #expect(found.last?.url == "http://d/v1")
        #expect(try upstreams(["http://a", "http://b"]).map(\.name) == ["upstream", "upstream-2"])
    }

    @Test(
        "what cannot be meant is refused",
        arguments: [
            (
                ["http://a", "http://b", "http://c"], ["vllm", "vllm"],
                "--kind: give one for all upstreams or one for each --upstream (got 2 for 3)"
            ),
            ([], ["vllm"], "--kind: give one for all upstreams or one for each --upstream (got 1 for 0)"),
            (["a=http://a", "a=http://b"], [], "--upstream: the name a is given twice"),
            (
                ["ftp://a"], [],
                "--upstream: upstreams.upstream.url must be a URL such as http://localhost:1234, "
                    + "without user, query and fragment (got \"ftp://a\")"
            ),
        ])
    func refused(urls: [String], kinds: [String], sentence: String) {
        let flags = Written.flags {
            $0.upstreams = urls
            $0.kinds = kinds
        }
        #expect(Written.refusal(flags: flags) == sentence)
    }

    @Test("a host with a port needs no scheme")
    func withoutScheme() throws {
        #expect(
            try upstreams(["localhost:1234", "box=gpu.lan:8000/v1"]).map(\.url) == [
                "http://localhost:1234", "http://gpu.lan:8000/v1",
            ])
        for other in ["localhost", "ftp:a", "mailto:a@b"] {
            #expect(Written.refusal(flags: Written.flags { $0.upstreams = [other] }) != nil, "\(other)")
        }
    }

    @Test("upstreams of the command line stand in place of all others, which is warned about")
    func replacing() throws {
        let loaded = try Written.load(
            "upstreams: { studio: { url: 'http://a', api_key: secret } }",
            variables: ["MARTLET_UPSTREAMS_BOX_URL": "http://c", "LMSTUDIO_BASE_URL": "http://d"],
            flags: Written.flags {
                $0.upstreams = ["http://b"]
                $0.kinds = ["lmstudio"]
            })
        #expect(loaded.configuration.upstreams.map(\.url) == ["http://b"])
        #expect(loaded.configuration.upstreams.first?.apiKey == nil)
        #expect(loaded.warnings == ["--upstream stands in place of the configured upstreams (studio, box)"])
    }

    @Test("variables add to an upstream of the command line, but do not replace its address")
    func variablesBeside() throws {
        let loaded = try Written.load(
            variables: ["MARTLET_UPSTREAMS_STUDIO_API_KEY": "k", "MARTLET_UPSTREAMS_STUDIO_URL": "http://else"],
            flags: Written.flags {
                $0.upstreams = ["http://b"]
                $0.kinds = ["lmstudio"]
            })
        #expect(loaded.configuration.upstreams.first?.url == "http://b")
        #expect(loaded.configuration.upstreams.first?.apiKey == Secret("k"))
        #expect(loaded.origin("upstreams.studio.url") == "--upstream")
    }

    @Test("aliases join those of the file, and win over an equal pattern")
    func aliases() throws {
        let loaded = try Written.load(
            "models: { aliases: { a: x, b: y } }", flags: Written.flags { $0.aliases = ["b=z", "c=w"] })
        #expect(
            loaded.configuration.models.aliases == [
                .init(pattern: "a", targets: ["x"]), .init(pattern: "b", targets: ["z"]),
                .init(pattern: "c", targets: ["w"]),
            ])
    }

    @Test("an alias without a model is refused", arguments: ["fast", "fast=", "=x"])
    func aliasWithoutModel(alias: String) {
        let refusal = Written.refusal(flags: Written.flags { $0.aliases = [alias] })
        #expect(refusal?.hasPrefix("--alias: models.aliases must be names or patterns, each with a model") == true)
    }

    @Test("--mode counts for every upstream, and for those that will be found")
    func mode() throws {
        let loaded = try Written.load(
            "upstreams: { a: { url: 'http://a', mode: repair }, b: { url: 'http://b' } }",
            flags: Written.flags { $0.mode = .exact })
        #expect(loaded.configuration.upstreams.map(\.mode) == [.exact, .exact])
        #expect(loaded.configuration.mode == .exact)
        #expect(loaded.origin("upstreams.a.mode") == "--mode")
    }
}
