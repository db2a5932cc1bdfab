import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

/// Whom a conversation is compacted by.
@Suite("Plans of compactions")
struct CompactionPlanTests {
    static func decide(
        _ members: String, endpoint: Endpoint = .compactResponse, profile: UpstreamProfile = .openAICompatible
    ) -> Decision {
        let request = InboundRequest(
            id: "r", method: "POST", path: "/v1/responses/compact", endpoint: endpoint, dialect: .responses,
            body: ByteBuffer(string: "{\"model\":\"m\"\(members)}"), owner: [1])
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

    @Test("An upstream that has the route gets the client's bytes")
    func relayed() throws {
        let (request, body) = try Self.sent(",\"input\":\"hi\",\"zz\":[1.0]", profile: .openAI)
        #expect(body == "{\"model\":\"m\",\"input\":\"hi\",\"zz\":[1.0]}")
        #expect("\(request.path)" == "/v1/responses/compact" && !request.isTranslated)
        #expect(request.context.compaction == .relayed)
    }

    @Test("One that speaks Responses and has no such route is asked for a summary, also by a trigger")
    func withoutRoute() throws {
        let profile = UpstreamProfile.openAICompatible.speaking(.responses)
        let trigger = "[{\"role\":\"user\",\"content\":\"hi\"},{\"type\":\"compaction_trigger\"}]"
        for (members, endpoint, form) in [
            (",\"input\":\"hi\"", Endpoint.compactResponse, nil),
            (",\"input\":\(trigger),\"store\":false", .completion(.responses), Compaction.item),
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
