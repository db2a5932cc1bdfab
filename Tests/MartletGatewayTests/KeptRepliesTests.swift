import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

/// Replies of Responses are stored before their end leaves.
@Suite("Replies that are kept")
struct KeptRepliesTests {
    static let full = GatewayError(code: .storeUnavailable, message: "the disk that holds the database is full")

    static func decide(
        _ members: String, input: String = "\"hi\"", keeps: Bool = true, profile: UpstreamProfile = .openAICompatible
    ) -> Decision {
        let request = InboundRequest(
            id: "r", method: "POST", path: "/v1/responses", endpoint: .completion(.responses), dialect: .responses,
            body: ByteBuffer(string: "{\"model\":\"m\",\"input\":\(input)\(members)}"), owner: [1])
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
        for reference in ["{\"type\":\"item_reference\",\"id\":\"msg_1\"}", "{\"id\":\"msg_1\"}"] {
            guard case .recall(let named) = Self.decide(",\"store\":false", input: "[\(reference)]") else {
                Issue.record("\(reference) was not looked up")
                return
            }
            #expect(!named.isKept(from: named.candidates[0]))
            guard case .complete = Self.decide("", input: "[\(reference)]", keeps: false) else {
                Issue.record("looked up where nothing is kept")
                return
            }
        }
        guard case .complete(let off) = Self.decide("", keeps: false) else {
            Issue.record("looked up")
            return
        }
        #expect(!off.isKept(from: off.candidates[0]))
        let echo = try off.request(for: off.candidates[0]).context.echo
        #expect(echo?.isStored == false, "the reply says that it is not stored")
    }

    @Test("Background work that nobody could fetch, conversations and prompts are refused by name")
    func refusals() {
        for (members, name) in [
            (",\"background\":true,\"store\":false", "background"), (",\"conversation\":\"c\"", "conversation"),
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

    static func sent(_ members: String, keeps: Bool = true, inBackground: Bool = false) throws -> JSON {
        var plan: Plan
        switch decide(members, keeps: keeps, profile: .openAI) {
        case .recall(let given), .complete(let given): plan = given
        case .refuse(let error): throw error
        default: throw Fault.unreachable
        }
        if inBackground { plan = plan.inBackground(QueuedResponse(id: "resp_q", created: 1, reply: NoReply())) }
        let request = try plan.request(for: plan.candidates[0])
        #expect(request.dialect == .responses && !request.isTranslated)
        return try JSON(parsing: ByteBuffer(string: request.body.map { String(buffer: $0) }.joined()))
    }

    @Test("An upstream that speaks Responses is told to keep nothing, and is asked exactly where nothing is to be kept")
    func relayed() throws {
        #expect(try Self.sent("") == ["model": "m", "input": "hi", "store": false])
        #expect(try Self.sent(",\"store\":true", keeps: false) == ["model": "m", "input": "hi", "store": false])
        let untouched = ",\"store\":false,\"zz\":[1.0],\"prompt\":{\"id\":\"p\"}"
        guard case .complete(let plan) = Self.decide(untouched, profile: .openAI) else {
            Issue.record("not relayed at once")
            return
        }
        let body = try plan.request(for: plan.candidates[0]).body.map { String(buffer: $0) }.joined()
        #expect(body == "{\"model\":\"m\",\"input\":\"hi\"\(untouched)}")
        #expect(plan.label("resp_1") == nil)
        #expect(throws: GatewayError.self) { try Self.sent(",\"conversation\":\"conv_1\"") }
    }

    @Test("Reasoning of a relay that is kept is asked for sealed, where the request is one to a model that reasons")
    func sealing() throws {
        let sealed: JSON = ["reasoning.encrypted_content"]
        #expect(try Self.sent(",\"reasoning\":{\"effort\":\"low\"}")["include"] == sealed)
        #expect(
            try Self.sent(",\"reasoning\":{},\"include\":[\"a\"]")["include"] == ["a", "reasoning.encrypted_content"])
        #expect(try Self.sent(",\"reasoning\":{},\"include\":[\"reasoning.encrypted_content\"]")["include"] == sealed)
        #expect(try Self.sent("")["include"] == nil)
        #expect(try Self.sent(",\"reasoning\":{},\"store\":false")["include"] == nil)
    }

    final class NoReply: BackgroundReply {
        func began(stop: @escaping @Sendable () -> Void) {}
        func append(_ piece: ByteBuffer) -> Bool { true }
        func fail(_ error: GatewayError) {}
        func end() {}
    }

    @Test("In the background the gateway itself waits: the upstream is asked for a stream, and for no background")
    func background() throws {
        let sent = try Self.sent(",\"background\":true", inBackground: true)
        #expect(sent == ["model": "m", "input": "hi", "background": false, "store": false, "stream": true])
        guard case .recall(let plan) = Self.decide(",\"background\":true") else {
            Issue.record("not stored")
            return
        }
        #expect(plan.isToBeQueued)
        let queued = plan.inBackground(QueuedResponse(id: "resp_q", created: 1, reply: NoReply()))
        #expect(!queued.isToBeQueued && queued.streams)
        for streams in [true, false] {
            let asked = try Self.plan(streams: streams, ",\"background\":true")
            let whole = asked.inBackground(QueuedResponse(id: "resp_q", created: 1, reply: NoReply(), isWhole: true))
            #expect(whole.streams == streams, "what is to be checked comes whole, unless its client reads along")
        }
        #expect(queued.label("resp_other") == ResponseLabel(id: "resp_q", isBackground: true))
    }

    @Test(
        "A request in the background is queued first; once it is, its exchange begins where another has been decided about"
    )
    func queued() throws {
        let plan = try Self.plan(streams: false, ",\"background\":true")
        var driver = ExchangeDriver(plan)
        driver.receive(.requestComplete(Make.request("{}")))
        #expect(driver.receive(.decided(.complete(plan))) == ["queue"])
        let reply = ControlReply(status: 200, body: ByteBuffer())
        #expect(driver.receive(.answered(reply)) == ["reply", "record complete"])
        let queued = plan.inBackground(QueuedResponse(id: "resp_q", created: 1, reply: NoReply()))
        var run = ExchangeDriver(queued)
        #expect(run.receive(.planned(queued)) == ["acquire a/m"])
        #expect(
            run.receive(.slotGranted(Make.place.origin), .clientGone).suffix(3) == [
                "close upstream", "release", "record gone",
            ])
    }

    final class NoEvents: EventSource {
        func events(from place: Int) async -> EventBatch { EventBatch(bytes: ByteBuffer(), rest: nil) }
    }

    @Test("A reply that is made elsewhere is read along, as fast as its client reads, with signs of life")
    func following() throws {
        let source = NoEvents()
        func batch(_ text: String, next: Int?) -> Exchange.Event {
            let rest = next.map { Following(source: source, place: $0) }
            return .followed(EventBatch(bytes: ByteBuffer(string: text), rest: rest))
        }
        var driver = ExchangeDriver(try Self.plan())
        driver.go(to: .answering)
        var reply = ControlReply(status: 200, body: ByteBuffer())
        reply.following = Following(source: source, place: 3)
        #expect(driver.receive(.answered(reply)) == ["reply", "follow 3"])
        #expect(driver.receive(batch("a", next: 4)) == ["write a", "flush", "follow 4"])
        #expect(driver.wait(.seconds(5)) == ["keep alive", "flush"])
        #expect(driver.receive(.clientWritable(false)) == [])
        #expect(driver.receive(batch("b", next: 5)) == ["write b", "flush"])
        #expect(driver.receive(.clientWritable(true)) == ["follow 5"])
        #expect(driver.receive(batch("c", next: nil)) == ["write c", "flush", "end reply", "record complete"])
        var slow = ExchangeDriver(try Self.plan())
        slow.go(to: .answering)
        slow.receive(.answered(reply), .clientWritable(false))
        #expect(slow.wait(.seconds(61)) == ["stop waiting", "close client", "record gone"])
        var gone = ExchangeDriver(try Self.plan())
        gone.go(to: .answering)
        gone.receive(.answered(reply))
        #expect(gone.receive(.clientGone) == ["stop waiting", "record gone"])
    }

    @Test("A stream that fails is stored as it failed, and its last word leaves whether or not that was possible")
    func failedStream() throws {
        for outcome in [nil, Self.full] {
            var driver = ExchangeDriver(try Self.plan())
            driver.go(to: .committed)
            #expect(
                driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.failed(Fault.failed))) == [
                    "pass", "close upstream", "fail upstream_failed", "keep response",
                ])
            #expect(driver.exchange.isKeeping)
            #expect(driver.receive(.kept(outcome)) == ["release", "record upstream_failed"])
        }
        var unstored = ExchangeDriver(try Self.plan(streams: true, ",\"store\":false"))
        unstored.go(to: .committed)
        #expect(
            !unstored.receive(.bytes(ByteBuffer(string: "y")), .passed(.failed(Fault.failed))).contains("keep response")
        )
        var ending = ExchangeDriver(try Self.plan())
        ending.go(to: .committed)
        #expect(!ending.receive(.shutDown).contains("keep response"), "a server that ends waits for nothing")
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
        #expect(match("/v1/responses/compact").endpoint == .compactResponse)
        #expect(match("/v1/responses/resp_1/cancel").endpoint == .cancelResponse("resp_1"))
        for path in ["/v1/responses/", "/v1/responses//cancel", "/v1/responses/a/b", "/v1/responses/a/cancel/"] {
            #expect(match(path).endpoint == .unknown, "\(path)")
            #expect(Endpoints.dialect(of: .unknown, path: path[...], hasAnthropicVersion: false) == .responses)
        }
    }
}
