import MartletServer
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
