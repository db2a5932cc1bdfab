import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

/// Requests of LM Studio's own API on their way upstream.
@Suite("LM Studio's own API for clients")
struct NativeChatTests {
    static func decide(
        _ body: String, _ profile: UpstreamProfile = .engine, keeps: Bool = true, native: NativeForm = .strict,
        reasoning: [String]? = nil, hasOwnAPI: Bool = true
    ) -> Decision {
        let request = InboundRequest(
            id: "r", method: "POST", path: "/api/v1/chat", endpoint: .completion(.lmstudio), dialect: .lmstudio,
            body: ByteBuffer(string: body.replacing("'", with: "\"")), owner: [1])
        let models = ServedModels(ids: ["real"], reasoning: reasoning.map { ["real": $0] } ?? [:], hasOwnAPI: hasOwnAPI)
        let routes = RouteTable(
            upstreams: [Make.upstream("a", profile)], served: ["a": models],
            aliases: [(pattern: "m", targets: ["a/real"])])
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), keepsResponses: keeps, native: native,
            instance: "i")
        return Decider.decide(request, in: snapshot, mayRefresh: false)
    }

    static func plan(
        _ body: String, _ profile: UpstreamProfile = .engine, keeps: Bool = false, native: NativeForm = .strict
    ) throws(GatewayError) -> Plan {
        switch decide(body, profile, keeps: keeps, native: native) {
        case .complete(let plan), .recall(let plan), .weigh(let plan): return plan
        case .refuse(let error): throw error
        case .refresh, .control: throw GatewayError(code: .internalError, message: "another decision")
        }
    }

    @Test("A server of LM Studio's that is older than its own API gets a native chat as Chat")
    func older() throws {
        for hasOwnAPI in [true, false] {
            let body = "{'model':'m','input':'hi','store':false}"
            guard case .complete(let plan) = Self.decide(body, .lmStudio, hasOwnAPI: hasOwnAPI) else {
                Issue.record("not planned")
                return
            }
            #expect(try plan.request(for: plan.candidates[0]).dialect == (hasOwnAPI ? .lmstudio : .chat))
        }
    }

    @Test("Its route is a completion, and errors on all of its paths have its form")
    func routes() {
        let match = Endpoints.match("/api/v1/chat")
        #expect(match.endpoint == .completion(.lmstudio) && match.methods == ["POST"])
        for path in ["/api/v1/chat", "/api/v1/models", "/api/v1/nothing"] {
            let endpoint = Endpoints.match(path[...]).endpoint
            #expect(
                Endpoints.dialect(of: endpoint, path: path[...], hasAnthropicVersion: false) == .lmstudio, "\(path)")
        }
    }

    @Test("A conversation is kept unless the request says otherwise, and what it continues is looked up")
    func state() throws {
        guard case .recall(let plan) = Self.decide("{'model':'m','input':'hi'}") else {
            Issue.record("not looked up")
            return
        }
        #expect(plan.isKept(from: plan.candidates[0]) && plan.owner == [1])
        #expect(plan.label("resp_1") == ResponseLabel(id: "resp_1"))
        guard case .complete(let alone) = Self.decide("{'model':'m','input':'hi','store':false}") else {
            Issue.record("looked up")
            return
        }
        #expect(!alone.isKept(from: alone.candidates[0]) && alone.label("resp_1") == nil)
        guard
            case .recall(let continued) = Self.decide(
                "{'model':'m','input':'hi','store':false,'previous_response_id':'resp_0'}")
        else {
            Issue.record("not looked up")
            return
        }
        #expect(continued.label("resp_1")?.previousID == "resp_0")
        guard
            case .refuse(let error) = Self.decide(
                "{'model':'m','input':'hi','previous_response_id':'resp_0'}", keeps: false)
        else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .previousResponseNotFound)
    }

    @Test("What is continued stands before the input, under one system prompt")
    func continued() throws {
        let plan = try Self.plan(
            "{'model':'m','input':'c','system_prompt':'new','previous_response_id':'resp_0'}", keeps: true)
        func item(_ role: String, _ text: String) -> ByteBuffer {
            ByteBuffer(string: #"{"type":"message","role":"\#(role)","content":"\#(text)"}"#)
        }
        let before = [item("system", "old"), item("user", "a"), item("assistant", "b")]
        let own = try ResponsesRequest.inputItems(plan.document)
        let expanded = try Decider.check(ResponsesRequest.expanded(plan.document, with: before))
        let continued = try plan.continued(expanded, RecalledItems(before: before, own: own))
        #expect(continued.recalled?.before.count == 3 && continued.recalled?.own.count == 1)
        let body = try continued.request(for: continued.candidates[0]).body.map { String(buffer: $0) }.joined()
        #expect(body.contains(#"{"role":"system","content":"new"},{"role":"user","content":"a"}"#), "\(body)")
        #expect(!body.contains("old") && body.contains(#"{"role":"user","content":"c"}"#))
    }

    @Test("Tools that are run here do not go to a real LM Studio's own API, which would run none of them")
    func integrations() throws {
        let plan = try Self.plan("{'model':'m','input':'hi','integrations':['mcp/a']}", .lmStudio)
        #expect(plan.awaitsTools)
        let tools = [ServedTool(Integration(.installed(label: "a")), name: "lookup")]
        let equipped = plan.equipped(with: tools)
        let sent = try equipped.request(for: equipped.candidates[0])
        #expect(sent.dialect == .chat)
        #expect(sent.body.map { String(buffer: $0) }.joined().contains(#""name":"lookup""#))
        let without = try Self.plan("{'model':'m','input':'hi'}", .lmStudio)
        #expect(try without.request(for: without.candidates[0]).dialect == .lmstudio)
    }

    @Test("The switch decides whether more than LM Studio takes is taken")
    func forms() throws {
        let body = "{'model':'m','input':'hi','seed':7}"
        let error = #expect(throws: GatewayError.self) { try Self.plan(body) }
        #expect(error?.code == .unrecognizedKeys)
        let plan = try Self.plan(body, native: .extended)
        let sent = try plan.request(for: plan.candidates[0])
        #expect(sent.body.map { String(buffer: $0) }.joined().contains(#""seed":7"#))
    }

    @Test(
        "A word for reasoning that the model has no switch for is refused, where that is known",
        arguments: [
            (nil, "high", true), (["off", "on"], "on", true), (["off", "on"], "low", false), ([], "off", true),
            ([], "on", false),
        ] as [([String]?, String, Bool)])
    func reasoning(known: [String]?, word: String, isTaken: Bool) {
        let decision = Self.decide("{'model':'m','input':'hi','reasoning':'\(word)'}", keeps: false, reasoning: known)
        if case .refuse(let error) = decision {
            #expect(!isTaken && error.param == "reasoning" && error.message.hasPrefix("reasoning: real "))
        } else {
            #expect(isTaken)
        }
    }

    @Test("An image is refused where the model cannot see, and taken where it can")
    func images() throws {
        let body = "{'model':'m','input':[{'type':'image','data_url':'data:image/gif;base64,iVBORw0KGgo='}]}"
        var profile = UpstreamProfile.openAICompatible
        profile.capabilities.images = .none
        let blind = #expect(throws: GatewayError.self) { try Self.plan(body, profile) }
        #expect(blind?.param == "input" && blind?.message.contains("cannot see images") == true)
        let type = #expect(throws: GatewayError.self) { try Self.plan(body, .lmStudio) }
        #expect(type?.message.contains("not image/gif") == true)
        #expect(throws: Never.self) { try Self.plan(body, .vllm) }
    }

    @Test("LM Studio is spoken to in its own API as far as that carries the request, and keeps nothing")
    func relayed() throws {
        func sent(_ body: String) throws -> UpstreamRequest {
            let plan = try Self.plan(body, .lmStudio, native: .extended)
            return try plan.request(for: plan.candidates[0])
        }
        let own = try sent("{'model':'m','input':'hi','reasoning':'on','context_length':9,'temperature':0.5}")
        #expect("\(own.path)" == "/api/v1/chat")
        let body = try JSON(parsing: own.body.map { String(buffer: $0) }.joined())
        #expect(body["store"] == false && body["reasoning"] == "on" && body["input"] == "hi" && body["model"] == "real")
        #expect(body["context_length"] == 9)
        for other in ["'stop':'x'", "'tools':[{'type':'function','function':{'name':'f'}}]"] {
            #expect(try "\(sent("{'model':'m','input':'hi',\(other)}").path)" == "/v1/chat/completions")
        }
        let turns = "[{'type':'text','content':'a'},{'role':'assistant','content':'b'},{'type':'text','content':'c'}]"
        #expect(try "\(sent("{'model':'m','input':\(turns)}").path)" == "/v1/chat/completions")
    }
}
