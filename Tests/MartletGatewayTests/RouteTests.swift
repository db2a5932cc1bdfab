import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

@Suite("Completions, embeddings and rankings on their way upstream")
struct RouteTests {
    private func plan(
        _ path: String, _ body: String, _ profile: UpstreamProfile, _ mode: RelayMode = .repair,
        defaults: WriteTarget.Defaults = WriteTarget.Defaults()
    ) throws(GatewayError) -> Plan {
        let match = Endpoints.match(path[...])
        let request = InboundRequest(
            id: "r", method: "POST", path: path, endpoint: match.endpoint,
            dialect: Endpoints.dialect(of: match.endpoint, path: path[...], hasAnthropicVersion: false),
            body: ByteBuffer(string: body.replacing("'", with: "\"")))
        let routes = RouteTable(
            upstreams: [Make.upstream("a", profile, mode: mode)], served: ["a": ServedModels(ids: ["real"])],
            aliases: [(pattern: "m", targets: ["a/real"])])
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), defaults: defaults, instance: "i")
        switch Decider.decide(request, in: snapshot, mayRefresh: false) {
        case .complete(let plan): return plan
        case .refuse(let error): throw error
        case .refresh, .control, .weigh, .recall: throw GatewayError(code: .internalError, message: "another decision")
        }
    }

    private func sent(
        _ path: String, _ body: String, _ profile: UpstreamProfile, _ mode: RelayMode = .repair,
        defaults: WriteTarget.Defaults = WriteTarget.Defaults()
    ) throws(GatewayError) -> (path: String, body: String, dropped: [String]) {
        let plan = try plan(path, body, profile, mode, defaults: defaults)
        let request = try plan.request(for: plan.candidates[0])
        let text = request.body.map { String(buffer: $0) }.joined()
        return ("\(request.path)", text.replacing("\"", with: "'"), request.dropped)
    }

    @Test(
        "Each route answers to POST, with and without the version in front",
        arguments: [
            ("completions", Endpoint.completion(.completions)), ("embeddings", .vectors(.embeddings)),
            ("rerank", .vectors(.rerank)),
        ])
    func paths(name: String, endpoint: Endpoint) {
        for path in ["/v1/\(name)", "/\(name)"] {
            let match = Endpoints.match(path[...])
            #expect(match.endpoint == endpoint && match.methods == ["POST"])
        }
        #expect(Endpoints.match("/v1/\(name)/x").endpoint == .unknown)
    }

    @Test(
        "LM Studio's lists and downloads have its paths",
        arguments: [
            ("/api/v1/models", Endpoint.nativeModels, "GET"), ("/api/v0/models", .legacyModels, "GET"),
            ("/api/v0/models/acme/writer@q4_0", .legacyModel("acme/writer@q4_0"), "GET"),
            ("/api/v0/models/a%2Fb", .legacyModel("a/b"), "GET"),
            ("/api/v1/models/download", .downloadModel, "POST"),
            ("/api/v1/models/load", .loadModel, "POST"), ("/api/v1/models/unload", .unloadModel, "POST"),
            ("/api/v0/models/load", .legacyLoad, "POST"), ("/api/v0/models/unload", .legacyUnload, "POST"),
            ("/admin/v1/logs", .serverLog, "GET"), ("/admin/v1/residents", .residents, "GET"),
            ("/admin/v1/residents/pin", .pinResident, "POST"),
            ("/api/v1/models/download/status", .downloadStatus(nil), "GET"),
            ("/api/v1/models/download/status/job_1", .downloadStatus("job_1"), "GET"),
            ("/api/v1/models/download/job_1", .cancelDownload("job_1"), "DELETE"),
        ])
    func native(path: String, endpoint: Endpoint, method: String) {
        let match = Endpoints.match(path[...])
        #expect(match.endpoint == endpoint && match.methods.first == method)
    }

    @Test(
        "Paths beside LM Studio's are none",
        arguments: ["/api/v1/models/x", "/api/v0/models/", "/api/v1/models/download/"])
    func noNative(path: String) { #expect(Endpoints.match(path[...]).endpoint == .unknown) }

    @Test(
        "A prompt goes to the upstream's own route, with nothing but the model replaced", arguments: RelayMode.allCases)
    func relayed(mode: RelayMode) throws {
        let made = try sent("/completions", "{'model':'m','prompt':'a' ,'x':1.0}", .vllm, mode)
        #expect(made == ("/v1/completions", "{'model':'real','prompt':'a' ,'x':1.0}", []))
        let left = "{'model':'m','prompt':'a','temperature':null}"
        let filled = try sent(
            "/v1/completions", left, .vllm, mode, defaults: WriteTarget.Defaults(temperature: 0.5, maxTokens: 9))
        #expect(filled.body == "{'model':'real','prompt':'a','temperature':0.5,'max_tokens':9}")
    }

    @Test("Usage is asked for on our own account where it would not come, and a client's own wish stays")
    func usage() throws {
        let stream = "{'model':'real','prompt':'a','stream':true}"
        #expect(try sent("/v1/completions", stream, .vllm).body.contains("'stream_options':{'include_usage':true}"))
        #expect(try sent("/v1/completions", stream, .vllm, .exact).body == stream)
        let asking = "{'model':'real','prompt':'a','stream':true,'stream_options':{'include_usage':true}}"
        #expect(try sent("/v1/completions", asking, .vllm).body == asking)
        #expect(try plan("/v1/completions", asking, .vllm).usage == .asked)
    }

    @Test("What a server would leave out in silence is refused, but never in exact mode")
    func refused() throws {
        let echo = "{'model':'real','prompt':'a','echo':true}"
        for profile in [UpstreamProfile.lmStudio, .llamaCpp, .engine, .ollama] {
            #expect { try sent("/v1/completions", echo, profile) } throws: { error in
                (error as? GatewayError)?.code == .unsupportedParameter
            }
            #expect(try sent("/v1/completions", echo, profile, .exact).body == echo)
        }
        #expect(try sent("/v1/completions", echo, .vllm).body == echo)
        #expect(throws: GatewayError.self) { try sent("/v1/completions", "{'model':'real'}", .vllm) }
        #expect(throws: GatewayError.self) {
            try sent("/v1/completions", "{'model':'real','prompt':'a','temperature':7}", .vllm)
        }
    }

    @Test("An upstream without the route is asked in its own dialect")
    func translated() throws {
        let made = try sent("/v1/completions", "{'model':'m','prompt':'a','max_tokens':5,'seed':1}", .anthropic, .exact)
        #expect(made.path == "/v1/messages" && made.dropped == ["seed"])
        #expect(made.body.contains("'text':'a'") && made.body.contains("'max_tokens':5"))
        var none = UpstreamProfile.vllm
        none.capabilities = none.capabilities.with([try #require(CapabilitySetting("completions", ["none"]))])
        #expect(try sent("/v1/completions", "{'model':'m','prompt':'a'}", none).path == "/v1/chat/completions")
    }

    @Test("Embeddings and rankings go to their routes, and no default is put into them")
    func vectors() throws {
        let defaults = WriteTarget.Defaults(temperature: 0.5, maxTokens: 9)
        for mode in RelayMode.allCases {
            let embeddings = try sent(
                "/embeddings", "{'model':'m', 'input':'a'}", .vllm, mode, defaults: defaults)
            #expect(embeddings == ("/v1/embeddings", "{'model':'real', 'input':'a'}", []))
            let rank = try sent(
                "/v1/rerank", "{'query':'q','documents':['a'],'model':'m'}", .vllm, mode, defaults: defaults)
            #expect(rank == ("/v1/rerank", "{'query':'q','documents':['a'],'model':'real'}", []))
        }
        let stream = try plan("/v1/embeddings", "{'model':'m','input':'a','stream':true}", .vllm)
        let refusal = GatewayError(code: .schemaRefused, message: "failed to parse grammar")
        #expect(!stream.streams && stream.rung(after: nil, at: stream.candidates[0], refusal: refusal) == nil)
    }

    @Test("An upstream without the route is not asked, in either mode", arguments: RelayMode.allCases)
    func noRoute(mode: RelayMode) {
        let texts = "{'model':'m','input':'a'}"
        for profile in [UpstreamProfile.anthropic, .mock] {
            #expect(throws: GatewayError.self) { try sent("/v1/embeddings", texts, profile, mode) }
        }
        for profile in [UpstreamProfile.lmStudio, .ollama, .openAI, .anthropic, .mock] {
            #expect(throws: GatewayError.self) {
                try sent("/v1/rerank", "{'model':'m','query':'q','documents':['a']}", profile, mode)
            }
        }
    }

    @Test("A configuration says what an upstream's routes do")
    func flags() throws {
        func flags(_ name: String, _ words: String...) throws -> Capabilities {
            Capabilities().with([try #require(CapabilitySetting(name, words))])
        }
        #expect(try flags("completions", "none").completions == nil)
        #expect(try flags("completions", "text").completions == [])
        #expect(try flags("completions", "prompts", "best_of", "n").completions == [.prompts, .bestOf, .choices])
        #expect(CapabilitySetting("completions", ["everything"]) == nil && CapabilitySetting("completions", []) == nil)
        #expect(CapabilitySetting("completions", ["none", "echo"]) == nil)
        #expect(try flags("embeddings", "none").embeddings == .none && flags("embeddings", "text").embeddings == .text)
        #expect(try !flags("rerank", "false").rerank)
    }
}
