import MartletDialects
import MartletGateway
import NIOCore
import Testing

/// Replies of Responses are stored before their end leaves.
@Suite("Replies that are kept")
struct KeptRepliesTests {
    static let full = GatewayError(code: .storeUnavailable, message: "the disk that holds the database is full")

    static func decide(
        _ members: String, keeps: Bool = true, profile: UpstreamProfile = .openAICompatible
    ) -> Decision {
        let request = InboundRequest(
            id: "r", method: "POST", path: "/v1/responses", endpoint: .completion(.responses), dialect: .responses,
            body: ByteBuffer(string: "{\"model\":\"m\",\"input\":\"hi\"\(members)}"), owner: [1])
        let routes = RouteTable(
            upstreams: [Make.upstream("a", profile)], served: ["a": ServedModels(ids: ["m"])])
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), keepsResponses: keeps, instance: "i")
        return Decider.decide(request, in: snapshot, mayRefresh: false)
    }

    static func plan(streams: Bool = true, _ more: String = "") throws -> Plan {
        switch decide(",\"stream\":\(streams)\(more)") {
        case .recall(let plan), .complete(let plan): return plan
        case .refuse(let error): throw error
        default: throw Fault.unreachable
        }
    }

    @Test("What is to be stored, or continues something stored, is looked up first; all else is not")
    func decisions() throws {
        guard case .recall(let plan) = Self.decide("") else {
            Issue.record("not looked up")
            return
        }
        #expect(plan.owner == [1] && plan.isKept(from: plan.candidates[0]))
        guard case .recall(let continued) = Self.decide(",\"store\":false,\"previous_response_id\":\"resp_1\"") else {
            Issue.record("not looked up")
            return
        }
        #expect(!continued.isKept(from: continued.candidates[0]))
        guard case .complete(let alone) = Self.decide(",\"store\":false") else {
            Issue.record("looked up")
            return
        }
        #expect(!alone.isKept(from: alone.candidates[0]))
        guard case .complete(let off) = Self.decide("", keeps: false) else {
            Issue.record("looked up")
            return
        }
        #expect(!off.isKept(from: off.candidates[0]))
        let echo = try off.request(for: off.candidates[0]).context.echo
        #expect(echo?.isStored == false, "the reply says that it is not stored")
    }

    @Test("Background work, conversations and prompts are refused by name")
    func refusals() {
        for (members, name) in [
            (",\"background\":true", "background"), (",\"conversation\":\"c\"", "conversation"),
            (",\"prompt\":{\"id\":\"p\"}", "prompt"),
        ] {
            guard case .refuse(let error) = Self.decide(members) else {
                Issue.record("\(name) is taken")
                continue
            }
            #expect(error.code == .invalidRequest && error.param == name)
        }
        guard case .refuse(let error) = Self.decide(",\"previous_response_id\":\"r\"", keeps: false) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .previousResponseNotFound)
    }

    @Test("An upstream that speaks Responses keeps what it makes: the request is its own")
    func relayed() throws {
        let members = ",\"previous_response_id\":\"resp_1\",\"background\":true"
        guard case .complete(let plan) = Self.decide(members, profile: .openAI) else {
            Issue.record("not relayed")
            return
        }
        #expect(!plan.isKept(from: plan.candidates[0]))
        let request = try plan.request(for: plan.candidates[0])
        #expect(request.dialect == .responses && !request.isTranslated)
        #expect(request.body.map { String(buffer: $0) }.joined().contains("\"previous_response_id\":\"resp_1\""))
    }

    @Test("The end of a stream leaves once it is stored")
    func stream() throws {
        var driver = ExchangeDriver(try Self.plan())
        driver.go(to: .committed)
        #expect(driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete)) == ["pass", "keep response"])
        #expect(driver.exchange.isKeeping)
        #expect(driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream"])
        #expect(driver.receive(.kept(nil)) == ["flush", "end reply", "release", "record complete"])
    }

    @Test("A stream that is stored before its transport has ended waits for that")
    func earlyStore() throws {
        var driver = ExchangeDriver(try Self.plan())
        driver.go(to: .committed)
        driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete))
        #expect(driver.receive(.kept(nil)) == ["flush"])
        #expect(driver.receive(.end(cleanly: true, reusable: true)).first == "keep upstream")
        #expect(driver.exchange.hasEnded)
    }

    @Test("A stream that ended without a terminal mark is stored, too")
    func finished() throws {
        var driver = ExchangeDriver(try Self.plan())
        driver.go(to: .committed)
        #expect(
            driver.receive(.end(cleanly: true, reusable: false), .finished(.complete)) == [
                "close upstream", "finish pipe", "keep response",
            ])
        #expect(driver.receive(.kept(nil)) == ["flush", "end reply", "release", "record complete"])
    }

    @Test("What cannot be stored is an error that the client sees", arguments: [false, true])
    func failure(streams: Bool) throws {
        var driver = ExchangeDriver(try Self.plan(streams: streams))
        if streams {
            driver.go(to: .committed)
            driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete))
            #expect(
                driver.receive(.kept(Self.full)) == [
                    "close upstream", "fail store_unavailable", "release", "record store_unavailable",
                ])
        } else {
            driver.go(to: .sent)
            driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "{}")))
            driver.receive(.end(cleanly: true, reusable: true))
            #expect(driver.receive(.passed(.complete)) == ["keep response"])
            #expect(
                driver.receive(.kept(Self.full)) == [
                    "refuse store_unavailable", "release", "record store_unavailable",
                ])
        }
        #expect(driver.receive(.kept(nil)) == [], "an answer that comes twice is one")
    }

    @Test("A whole reply, and one of our own, leaves once it is stored")
    func whole() throws {
        var driver = ExchangeDriver(try Self.plan(streams: false))
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "{}")))
        driver.receive(.end(cleanly: true, reusable: true), .passed(.complete))
        #expect(driver.receive(.kept(nil)) == ["commit whole", "release", "record complete"])
        var own = ExchangeDriver(try Self.plan())
        own.go(to: .acquiring)
        let reply = ControlReply(status: 200, body: ByteBuffer(string: "{}"))
        #expect(own.receive(.prepared(reply)) == ["keep response"])
        #expect(own.receive(.kept(nil)) == ["reply", "record complete"])
    }

    @Test("A client that leaves meanwhile is not waited for")
    func gone() throws {
        var driver = ExchangeDriver(try Self.plan())
        driver.go(to: .committed)
        driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete))
        #expect(driver.receive(.clientGone) == ["close upstream", "release", "record gone"])
        #expect(driver.receive(.kept(nil)) == [])
    }

    @Test("Paths of stored responses")
    func paths() {
        func match(_ path: String) -> Endpoints.Match { Endpoints.match(path[...]) }
        #expect(match("/v1/responses").endpoint == .completion(.responses))
        #expect(match("/responses").endpoint == .completion(.responses))
        #expect(match("/v1/responses/input_tokens").endpoint == .inputTokens)
        #expect(match("/v1/responses/resp_1").endpoint == .response("resp_1"))
        #expect(match("/v1/responses/resp%5f1").methods == ["GET", "HEAD", "DELETE"])
        #expect(match("/responses/resp_1/input_items").endpoint == .inputItems("resp_1"))
        #expect(match("/v1/responses/resp_1/cancel").endpoint == .cancelResponse("resp_1"))
        for path in ["/v1/responses/", "/v1/responses//cancel", "/v1/responses/a/b", "/v1/responses/a/cancel/"] {
            #expect(match(path).endpoint == .unknown, "\(path)")
            #expect(Endpoints.dialect(of: .unknown, path: path[...], hasAnthropicVersion: false) == .responses)
        }
    }
}
