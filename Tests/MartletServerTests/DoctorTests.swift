import Foundation
import MartletServer
import MartletTestSupport
import MartletWire
import MartletWire
import Testing

@Suite("The doctor")
struct DoctorTests {
    static func findings(
        _ file: String, places: [Discovery.Place] = [], path: String = "/nonexistent"
    ) async throws -> [Finding] {
        try await Doctor(try Written.load(file), home: "/nonexistent", path: path, places: places).examine()
    }

    static func level(_ findings: [Finding], _ about: String) -> Finding.Level? {
        findings.first { $0.about == about }?.level
    }

    static let free = "server: { port: 0 }\n"

    @Test("An upstream that answers is shown with kind, models and latency")
    func reachable() async throws {
        let found = try await Self.findings(Self.free + "upstreams: { m: { kind: mock, url: 'mock:?models=a,b' } }")
        let finding = try #require(found.first { $0.about == "upstream m" })
        #expect(finding.level == .fine)
        #expect(finding.text.hasPrefix("the mock, 2 models (a, b) in "))
        #expect(finding.facts["kind"] == "mock")
        #expect(finding.facts["models"] == ["a", "b"])
        #expect(finding.facts["latency_ms"]?.int != nil)
        #expect(!found.contains { $0.level == .broken })
    }

    @Test("An upstream that does not answer is broken, with what to try")
    func unreachable() async throws {
        let found = try await Self.findings(
            Self.free + "upstreams: { s: { kind: lmstudio, url: 'http://127.0.0.1:1' } }")
        let finding = try #require(found.first { $0.about == "upstream s" })
        #expect(finding.level == .broken)
        #expect(finding.text.contains("127.0.0.1:1"))
        #expect(finding.line.contains("lms server start"))
        #expect(Self.level(found, "default model") == .hint, "nobody knows what it serves")
    }

    @Test("A draft model that is not there is broken")
    func draft() async throws {
        let found = try await Self.findings(Self.free + "engine: { draft_model: small }")
        #expect(Self.level(found, "engine settings") == .broken)
        #expect(Self.level(try await Self.findings(Self.free), "engine settings") == nil)
    }

    @Test("Settings that can never work are broken, those without an effect are told")
    func settings() async throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "doctor-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: "\(root)/me/one", withIntermediateDirectories: true)
        try GGUFWriter(
            [
                ("general.architecture", .text("llama")), ("llama.block_count", .uint32(1)),
                ("llama.context_length", .uint32(4096)), ("llama.embedding_length", .uint32(64)),
                ("llama.attention.head_count", .uint32(4)),
            ], tensors: [.init("blk.0.attn_q.weight", type: 1, [64, 64], bytes: 8192)]
        ).write(to: "\(root)/me/one/one.gguf")
        let found = try await Self.findings(
            Self.free + "engine: { models: \(root), memory: 1MiB, flash_attention: off, cache_type_v: q8_0, "
                + "settings: { one: { context: 20000 }, me/one: { context: 4096 }, nope: { threads: 2 } } }"
        ).filter { $0.about == "engine settings" }
        #expect(found.map(\.level) == [.broken, .broken, .hint, .hint])
        let texts = found.map(\.text)
        #expect(
            texts.first == "engine.settings.one.context cannot be used: a context of 20000 tokens is more than one was "
                + "trained for: ask for 4096 at most.")
        #expect(texts[1].hasPrefix("engine.memory is 1.0 MB, into which these can never be loaded: one ("))
        #expect(
            texts.suffix(2) == [
                "engine.settings.me/one has no effect: engine.settings.one is about the same model",
                "engine.settings.nope has no effect: no model of that name is installed",
            ])
    }

    @Test("Nothing to serve is broken, with what to do")
    func nothing() async throws {
        let found = try await Self.findings(Self.free)
        #expect(Self.level(found, "models") == .broken)
        #expect(Self.level(found, "engine") == .hint, "without a model the engine is not needed")
        #expect(found.first { $0.about == "models" }?.advice?.contains("--upstream") == true)
    }

    @Test("An engine that is configured and is not there is broken")
    func engine() async throws {
        let found = try await Self.findings(
            Self.free + "engine: { binary: /nonexistent/llama-server }\nupstreams: { m: { kind: mock } }")
        #expect(Self.level(found, "engine") == .broken)
    }

    @Test("What discovery finds is examined")
    func discovered() async throws {
        let found = try await Loop.run { loop in
            let server = try await FixedServer.start(
                on: loop.group, ["/v1/models": DiscoveryTests.list, "/lmstudio-greeting": "{\"lmstudio\":true}"])
            let place = Discovery.Place(port: server.port, kind: "lmstudio", name: "studio", shown: "LM Studio")
            return try await Self.findings(Self.free, places: [place])
        }
        #expect(Self.level(found, "upstream studio") == .fine)
        #expect(found.first { $0.about == "default model" }?.text == "requests without a model go to studio/m1")
    }

    /// The findings about one upstream that answers with fixed JSON.
    static func about(
        _ kind: String, _ routes: [String: String], status: Int = 200
    ) async throws -> [Finding] {
        try await Loop.run { loop in
            let server = try await FixedServer.start(on: loop.group, status: status, routes)
            return try await Self.findings(
                Self.free + "upstreams: { s: { kind: \(kind), url: 'http://127.0.0.1:\(server.port)' } }"
            ).filter { $0.about == "upstream s" }
        }
    }

    @Test(
        "LM Studio with nothing loaded is told so, by its new lists and its old",
        arguments: [
            (
                "/api/v1/models",
                "{\"models\":[{\"type\":\"llm\",\"key\":\"m1\",\"loaded_instances\":[]},"
                    + "{\"type\":\"embedding\",\"key\":\"e\",\"loaded_instances\":[{\"id\":\"e\"}]}]}"
            ),
            (
                "/api/v0/models",
                "{\"data\":[{\"id\":\"m1\",\"type\":\"llm\",\"state\":\"not-loaded\"},"
                    + "{\"id\":\"e\",\"type\":\"embeddings\",\"state\":\"loaded\"}]}"
            ),
        ])
    func nothingLoaded(path: String, list: String) async throws {
        let found = try await Self.about("lmstudio", ["/v1/models": DiscoveryTests.list, path: list])
        #expect(found.map(\.level) == [.fine, .hint])
        #expect(found.last?.line.contains("no model is loaded. Load one (lms load NAME)") == true)
    }

    @Test(
        "A context window too short for agents is told with the command that makes it longer",
        arguments: [
            (
                "lmstudio", "/api/v1/models",
                "{\"models\":[{\"type\":\"llm\",\"key\":\"m1\",\"loaded_instances\":["
                    + "{\"id\":\"m1\",\"config\":{\"context_length\":4096}}]}]}",
                "lms load m1 --context-length 32768"
            ),
            (
                "lmstudio", "/api/v0/models",
                "{\"data\":[{\"id\":\"m1\",\"type\":\"llm\",\"state\":\"loaded\",\"loaded_context_length\":4096}]}",
                "lms load m1 --context-length 32768"
            ),
            (
                "llamacpp", "/props", "{\"default_generation_settings\":{\"n_ctx\":4096},\"total_slots\":4}",
                "--ctx-size 131072 --parallel 4"
            ),
        ])
    func shortWindow(kind: String, path: String, answer: String, command: String) async throws {
        let found = try await Self.about(kind, ["/v1/models": DiscoveryTests.list, path: answer])
        #expect(found.map(\.level) == [.fine, .hint])
        let line = try #require(found.last?.line)
        #expect(line.contains("4096 tokens") && line.contains(command), "\(line)")
        let long = answer.replacing("4096", with: "32768")
        #expect(try await Self.about(kind, ["/v1/models": DiscoveryTests.list, path: long]).map(\.level) == [.fine])
    }

    @Test("Something else at the upstream's port is told with its answer and what to check")
    func somethingElse() async throws {
        let absent = try await Self.about("openai-compatible", [:])
        #expect(absent.first?.level == .broken)
        #expect(absent.first?.text.contains("answers /v1/models with HTTP 404") == true)
        #expect(absent.first?.advice?.contains("check the URL's port and path") == true)
        let other = try await Self.about("openai-compatible", ["/v1/models": "{\"hello\":1}"])
        #expect(other.first?.advice?.contains("check the URL's port and path") == true)
        let closed = try await Self.about("openai-compatible", ["/v1/models": "{}"], status: 401)
        #expect(closed.first?.advice?.contains("MARTLET_UPSTREAMS_S_API_KEY") == true)
    }

    @Test("A port that another program holds is broken, and told who answers there")
    func port() async throws {
        let found = try await Loop.run { loop in
            let server = try await FixedServer.start(on: loop.group, ["/lmstudio-greeting": "{\"lmstudio\":true}"])
            return try await Self.findings("server: { port: \(server.port) }\nupstreams: { m: { kind: mock } }")
        }
        let finding = try #require(found.first { $0.about == "port" })
        #expect(finding.level == .broken)
        #expect(finding.text.contains("LM Studio answers there"))
    }

    @Test("Names that lead nowhere are broken", arguments: ["nothing-like-it", "m/other"])
    func names(target: String) async throws {
        let file =
            Self.free + "upstreams: { m: { kind: mock } }\nmodels: { default: x-1, aliases: { 'c-*': \(target) } }"
        let found = try await Self.findings(file)
        #expect(Self.level(found, "default model") == .broken)
        #expect(Self.level(found, "alias c-*") == (target == "m/other" ? nil : .broken))
    }

    @Test(
        "Who can use the server is said",
        arguments: [
            ("", Finding.Level.fine, "programs on this machine, without a token"),
            ("auth: { required: on }\n", .broken, "nobody: a token is required and there is none"),
            (
                "auth: { tokens: ['sha256:\(String(repeating: "a", count: 64))'] }\n", .fine,
                "programs on this machine, with one of 1 token"
            ),
        ])
    func access(auth: String, level: Finding.Level, text: String) async throws {
        let found = try await Self.findings(auth + Self.free + "upstreams: { m: { kind: mock } }")
        let finding = try #require(found.first { $0.about == "access" })
        #expect(finding.level == level)
        #expect(finding.text == text)
    }

    @Test("A finding is a line, and an object for scripts")
    func shapes() {
        let finding = Finding("port", .broken, "taken", advice: "Use another")
        #expect(finding.line == "BROKEN  port: taken. Use another")
        #expect(
            finding.json == ["about": "port", "level": "broken", "text": "taken", "advice": "Use another"])
    }
}
