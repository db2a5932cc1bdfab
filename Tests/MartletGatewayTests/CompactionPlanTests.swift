import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

/// Whom a conversation is compacted by.
@Suite("Plans of compactions")
struct CompactionPlanTests {
    static func decide(
        _ members: String, model: String = "\"m\"", endpoint: Endpoint = .compactResponse,
        profile: UpstreamProfile = .openAICompatible, turn: SocketTurn? = nil
    ) -> Decision {
        let request = InboundRequest(
            id: "r", method: "POST", path: "/v1/responses/compact", endpoint: endpoint, dialect: .responses,
            body: ByteBuffer(string: "{\"model\":\(model)\(members)}"), owner: [1], turn: turn)
        let routes = RouteTable(upstreams: [Make.upstream("a", profile)], served: ["a": ServedModels(ids: ["m"])])
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), keepsResponses: true, instance: "i")
        return Decider.decide(request, in: snapshot, mayRefresh: false)
    }

    static func sent(
        _ members: String, endpoint: Endpoint = .compactResponse, profile: UpstreamProfile
    ) throws -> (request: UpstreamRequest, body: String) {
        switch decide(members, endpoint: endpoint, profile: profile) {
        case .complete(let plan), .recall(let plan):
            let request = try plan.request(for: plan.candidates[0])
            return (request, request.body.map { String(buffer: $0) }.joined())
        case .refuse(let error): throw error
        default: throw Fault.unreachable
        }
    }

    @Test("It is never streamed or stored, and looks up only what it continues from")
    func decisions() throws {
        guard case .complete(let plan) = Self.decide(",\"input\":\"hi\",\"stream\":true,\"background\":true") else {
            Issue.record("not asked at once")
            return
        }
        #expect(!plan.streams && !plan.isToBeQueued && !plan.isKept(from: plan.candidates[0]))
        guard case .recall = Self.decide(",\"previous_response_id\":\"resp_1\"") else {
            Issue.record("not looked up")
            return
        }
    }

    @Test("Its model has to be named, though one would be found")
    func unnamed() {
        guard case .refuse(let error) = Self.decide(",\"input\":\"hi\"", model: "null") else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .invalidRequest && error.param == "model")
    }

    @Test("An upstream that has the route gets the client's bytes")
    func relayed() throws {
        let (request, body) = try Self.sent(",\"input\":\"hi\",\"zz\":[1.0]", profile: .openAI)
        #expect(body == "{\"model\":\"m\",\"input\":\"hi\",\"zz\":[1.0]}")
        #expect("\(request.path)" == "/v1/responses/compact" && !request.isTranslated)
        #expect(request.context.compaction == .relayed)
    }

    // MARK: - Before the answer

    static let talk = "[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"\(words)\"}]"
    static let words = String(repeating: "word ", count: 1000)

    static func managed(
        _ threshold: Int, _ more: String = "", profile: UpstreamProfile = .openAICompatible, turn: SocketTurn? = nil
    ) -> Decision {
        let management = "\"context_management\":[{\"type\":\"compaction\",\"compact_threshold\":\(threshold)}]"
        return decide(
            ",\"input\":\(talk),\"store\":false,\(management)\(more)", endpoint: .completion(.responses),
            profile: profile, turn: turn)
    }

    @Test("A conversation that may pass its threshold is counted, unless the upstream does it, or nothing is asked")
    func counted() {
        guard case .weigh = Self.managed(1000) else {
            Issue.record("not counted")
            return
        }
        let warmUp = Self.managed(1000, turn: SocketTurn(generates: false))
        for decision in [Self.managed(5000), Self.managed(1000, profile: .openAI), warmUp] {
            guard case .complete = decision else {
                Issue.record("counted")
                return
            }
        }
    }

    @Test("Its summary is asked for whole, its answer as the client wants it, behind the summary")
    func summedUp() throws {
        guard case .weigh(let plan) = Self.managed(1000, ",\"stream\":true") else { throw Fault.unreachable }
        let first = plan.summedUpFirst
        #expect(first.takesWhole && first.streams)
        let summing = try first.request(for: first.candidates[0])
        let asked = summing.body.map { String(buffer: $0) }.joined()
        #expect(asked.contains("Stop here and write a summary") && !asked.contains("\"stream\":true"))
        let item =
            "{\"type\":\"compaction\",\"id\":\"cmp_1\",\"encrypted_content\":\"gw1.eyJ0IjoidG9sZCJ9\"}"
        let compaction = "{\"output\":[{\"role\":\"user\",\"content\":\"hi\"},\(item)]}"
        let second = try first.continued(from: ByteBuffer(string: compaction))
        #expect(!second.takesWhole && !second.sumsUpFirst)
        #expect(second.recalled?.own.count == 2, "what is kept is the conversation as it was")
        let answering = try second.request(for: second.candidates[0])
        let body = try JSON(parsing: ByteBuffer(string: answering.body.map { String(buffer: $0) }.joined()))
        #expect(body["messages"] == [["role": "user", "content": "hi\n\ntold"]] && body["stream"] == true)
        #expect(answering.context.summary.map { String(buffer: $0) }?.contains("cmp_1") == true)
    }

    @Test("The exchange goes on with the answer at the same place, its slot given back meanwhile")
    func exchange() throws {
        guard case .weigh(let plan) = Self.managed(1000, ",\"stream\":true") else { throw Fault.unreachable }
        var driver = ExchangeDriver(plan.summedUpFirst)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "{")))
        #expect(driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream", "finish whole"])
        #expect(driver.receive(.summedUp(plan)) == ["release", "reset", "acquire a/m"])
        #expect(driver.receive(.slotGranted(Make.place.origin)) == ["connect"])
        driver.receive(.connected)
        #expect(driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "data: "))) == ["pass"])
    }

    @Test("One that speaks Responses and has no such route is asked for a summary, also by a trigger")
    func withoutRoute() throws {
        let profile = UpstreamProfile.openAICompatible.speaking(.responses)
        let trigger = "[{\"role\":\"user\",\"content\":\"hi\"},{\"type\":\"compaction_trigger\"}]"
        for (members, endpoint, form) in [
            (",\"input\":\"hi\"", Endpoint.compactResponse, nil),
            (",\"input\":\(trigger),\"store\":false", .completion(.responses), Compaction.item(kept: 1)),
        ] {
            let (request, body) = try Self.sent(members, endpoint: endpoint, profile: profile)
            #expect("\(request.path)" == "/v1/responses" && request.dialect == .responses && request.isTranslated)
            #expect(body.contains("Stop here and write a summary") && !body.contains("compaction_trigger"))
            if let form { #expect(request.context.compaction == form) }
        }
        let (relay, body) = try Self.sent(
            ",\"input\":\(trigger),\"store\":false", endpoint: .completion(.responses), profile: .openAI)
        #expect(!relay.isTranslated && body.contains(trigger) && relay.context.compaction == nil)
    }
}
