import MartletDialects
import MartletGateway
import NIOCore
import Testing

private func message(_ more: String = "", input: String = "x") -> ByteBuffer {
    ByteBuffer(string: "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"\(input)\"\(more)}")
}

private func reply(_ id: String, _ items: String..., bytes: Int = 0) -> RememberedResponse? {
    let padding = bytes > 0 ? ["\"\(String(repeating: "p", count: bytes))\""] : []
    return RememberedResponse(
        ByteBuffer(string: "{\"id\":\"\(id)\",\"output\":[]}"),
        before: (items + padding).map { ByteBuffer(string: $0) },
        own: [])
}

private func refusal(_ body: () throws(SocketRefusal) -> Void) -> SocketRefusal? {
    do throws(SocketRefusal) {
        try body()
        return nil
    } catch {
        return error
    }
}

extension SocketSession {
    /// Answers one request: what it could continue from, as it began.
    fileprivate mutating func answer(
        _ more: String, _ outcome: ExchangeRecord.Outcome = .complete, remembering response: RememberedResponse? = nil
    ) throws -> [String]? {
        try take(message(more))
        let turn = begin()
        end(outcome, remembering: response)
        return turn?.remembered?.map { String(buffer: $0) }
    }
}

@Suite("The requests of one WebSocket")
struct SocketSessionTests {
    private let failed = ExchangeRecord.Outcome.failed(.invalidRequest)

    @Test("One is answered at a time, in their order, of whichever lane")
    func order() throws {
        var session = SocketSession(maxBody: 1 << 20)
        for lane in ["a", "b", "a"] { try session.take(message(",\"stream_id\":\"\(lane)\"")) }
        var lanes: [String?] = []
        while session.begin() != nil {
            #expect(session.begin() == nil, "one at a time")
            lanes.append(session.current?.stream)
            session.end(.complete, remembering: nil)
        }
        #expect(lanes == ["a", "b", "a"] && session.isIdle)
    }

    @Test("What waits is bounded, in number and in bytes, and what is too much has a lane")
    func queue() throws {
        var session = SocketSession(maxBody: 1 << 20)
        try session.take(message())
        _ = session.begin()
        for _ in 0..<Limits.socketWaiting { try session.take(message()) }
        let refused = refusal { () throws(SocketRefusal) in try session.take(message(",\"stream_id\":\"s\"")) }
        #expect(refused?.error.code == .queueFull && refused?.stream == "s")
        session.end(.complete, remembering: nil)
        _ = session.begin()
        try session.take(message())

        var small = SocketSession(maxBody: 300)
        let half = message(input: String(repeating: "y", count: 100))
        for _ in 0..<2 { try small.take(half) }
        #expect(refusal { () throws(SocketRefusal) in try small.take(half) }?.error.code == .queueFull)
        _ = small.begin()
        try small.take(half)
    }

    @Test("A lane's latest reply can be continued, from any lane, until the lane has another")
    func latest() throws {
        var session = SocketSession(maxBody: 1 << 20)
        #expect(try session.answer(",\"previous_response_id\":\"r1\"", remembering: reply("r1", "1")) == nil)
        #expect(
            try session.answer(",\"stream_id\":\"s\",\"previous_response_id\":\"r1\"", remembering: reply("r2", "2"))
                == ["1"])
        #expect(try session.answer(",\"previous_response_id\":\"r2\"", remembering: reply("r3", "3")) == ["2"])
        #expect(
            try session.answer(",\"stream_id\":\"t\",\"previous_response_id\":\"r1\"") == nil, "it has been followed")
        #expect(try session.answer(",\"stream_id\":\"t\",\"previous_response_id\":\"r3\"") == ["3"])
        #expect(try session.answer("") == nil, "a stored reply follows it too")
        #expect(try session.answer(",\"stream_id\":\"t\",\"previous_response_id\":\"r3\"") == nil)
    }

    @Test("A continuation that fails loses what it continued; a branch and a new beginning do not")
    func eviction() throws {
        var session = SocketSession(maxBody: 1 << 20)
        _ = try session.answer("", remembering: reply("r1", "1"))
        _ = try session.answer("", failed)
        #expect(try session.answer(",\"stream_id\":\"s\",\"previous_response_id\":\"r1\"", failed) == ["1"])
        #expect(try session.answer(",\"previous_response_id\":\"r1\"", failed) == ["1"])
        #expect(try session.answer(",\"previous_response_id\":\"r1\"", failed) == nil)
    }

    @Test("Lanes, and the bytes of what can be continued, are bounded")
    func bounds() throws {
        var session = SocketSession(maxBody: 1 << 20)
        for lane in 0..<Limits.socketLanes { _ = try session.answer(",\"stream_id\":\"l\(lane)\"") }
        let refused = refusal { () throws(SocketRefusal) in try session.take(message(",\"stream_id\":\"more\"")) }
        #expect(refused?.error.code == .tooManyStreams && refused?.stream == "more")

        let half = Limits.socketMemory / 2
        _ = try session.answer("", remembering: reply("r1", bytes: half))
        _ = try session.answer(",\"stream_id\":\"l1\"", remembering: reply("r2", bytes: half))
        #expect(try session.answer(",\"stream_id\":\"l2\",\"previous_response_id\":\"r1\"") == nil, "the oldest goes")
        #expect(try session.answer(",\"stream_id\":\"l2\",\"previous_response_id\":\"r2\"")?.count == 1)
        _ = try session.answer(",\"stream_id\":\"l2\"", remembering: reply("r3", bytes: 2 * half))
        #expect(
            try session.answer(",\"stream_id\":\"l3\",\"previous_response_id\":\"r3\"") == nil, "too long by itself")
    }
}

@Suite("Time and WebSockets")
struct SocketTimesTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let moment = TimeAmount.milliseconds(1)

    @Test("A silent client is pinged, and left when it has been silent for long and nothing is answered")
    func silence() {
        var times = SocketTimes(openedAt: start)
        #expect(times.due(isAnswering: false, at: start + Limits.socketPing - moment) == nil)
        #expect(times.due(isAnswering: false, at: start + Limits.socketPing) == .ping)
        times.pinged(at: start + Limits.socketPing)
        #expect(times.due(isAnswering: false, at: start + Limits.socketPing + moment) == nil)
        let late = start + Limits.socketIdle
        times.pinged(at: late)
        #expect(times.due(isAnswering: true, at: late) == nil)
        #expect(times.due(isAnswering: false, at: late) == .leave)
        times.heard(isInMessage: false, at: late - moment)
        #expect(times.due(isAnswering: false, at: late) == nil)
    }

    @Test("A message that drips is refused, and so is one that stops")
    func messages() {
        var times = SocketTimes(openedAt: start)
        times.heard(isInMessage: true, at: start)
        #expect(times.due(isAnswering: true, at: start + Limits.clientStall) == .refuse)
        for minute in 0...10 {
            let now = start + .minutes(Int64(minute))
            times.pinged(at: now)
            #expect(times.due(isAnswering: true, at: now - moment) == nil)
            if minute < 10 { times.heard(isInMessage: true, at: now) }
        }
        times.heard(isInMessage: true, at: start + Limits.socketMessage)
        #expect(times.due(isAnswering: true, at: start + Limits.socketMessage) == .refuse)
        times.heard(isInMessage: false, at: start + Limits.socketMessage)
        times.heard(isInMessage: true, at: start + Limits.socketMessage)
        #expect(times.due(isAnswering: true, at: start + Limits.socketMessage) == nil)
    }

    @Test("It retires after an hour, when what it answers has ended")
    func lifetime() {
        var times = SocketTimes(openedAt: start)
        let late = start + Limits.socketLifetime
        times.heard(isInMessage: false, at: late - moment)
        #expect(times.due(isAnswering: false, at: late - moment) == nil && !times.isOld(at: late - moment))
        #expect(times.due(isAnswering: true, at: late) == nil && times.isOld(at: late))
        #expect(times.due(isAnswering: false, at: late) == .retire)
    }

    @Test("Who takes nothing is given up, and so is who does not close its side")
    func stuck() {
        var times = SocketTimes(openedAt: start)
        times.writable(false, at: start)
        times.writable(false, at: start + moment)
        #expect(times.due(isAnswering: false, at: start + Limits.clientStall - moment) == nil, "nor is it pinged")
        #expect(times.due(isAnswering: true, at: start + Limits.clientStall) == nil, "the exchange sees to that")
        #expect(times.due(isAnswering: false, at: start + Limits.clientStall) == .giveUp)
        times.writable(true, at: start + Limits.clientStall)
        #expect(times.due(isAnswering: false, at: start + Limits.clientStall) == .ping)
        times.closing(at: start)
        times.closing(at: start + moment)
        #expect(times.due(isAnswering: true, at: start + Limits.socketClose - moment) == nil)
        #expect(times.due(isAnswering: true, at: start + Limits.socketClose) == .giveUp)
    }
}

@Suite("What is decided about a request over a WebSocket")
struct SocketTurnTests {
    private func decide(
        _ members: String, _ turn: SocketTurn, keeps: Bool = true, profile: UpstreamProfile = .openAICompatible
    ) -> Decision {
        let request = InboundRequest(
            id: "r", method: "GET", path: "/v1/responses", endpoint: .completion(.responses), dialect: .responses,
            body: ByteBuffer(string: "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true\(members)}"), turn: turn)
        let routes = RouteTable(upstreams: [Make.upstream("a", profile)], served: ["a": ServedModels(ids: ["m"])])
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), keepsResponses: keeps, instance: "i")
        return Decider.decide(request, in: snapshot, mayRefresh: false)
    }

    private let before = [ByteBuffer(string: #"{"type":"message","role":"user","content":"before"}"#)]

    @Test(
        "What the connection holds is put before the request, and nothing is looked up for it",
        arguments: [true, false])
    func remembered(keeps: Bool) throws {
        let turn = SocketTurn(remembered: before)
        let decision = decide(",\"store\":false,\"previous_response_id\":\"resp_1\"", turn, keeps: keeps)
        guard case .complete(let plan) = decision else {
            Issue.record("\(decision)")
            return
        }
        #expect(plan.recalled?.before == before && plan.recalled?.own.count == 1)
        #expect(plan.label("resp_2")?.previousID == "resp_1" && plan.label("resp_2")?.isStored == false)
        let sent = try plan.request(for: plan.candidates[0]).body.map { String(buffer: $0) }.joined()
        #expect(sent.contains("before") && sent.contains("hi") && !sent.contains("resp_1"))
    }

    @Test("Where it is to be stored, there has to be room for it; where it is not held, it is looked up, or not there")
    func lookedUp() {
        let id = ",\"previous_response_id\":\"resp_1\""
        guard case .recall(let stored) = decide(id, SocketTurn(remembered: before)) else {
            Issue.record("not looked up")
            return
        }
        #expect(stored.recalled?.before == before)
        guard case .recall(let unknown) = decide(id + ",\"store\":false", SocketTurn()) else {
            Issue.record("not looked up")
            return
        }
        #expect(unknown.recalled == nil)
        guard case .refuse(let error) = decide(id, SocketTurn(), keeps: false) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .previousResponseNotFound)
    }

    @Test("A reply over a WebSocket has an id of ours, also where it is relayed and stored nowhere")
    func label() {
        guard case .complete(let plan) = decide(",\"store\":false", SocketTurn(), profile: .openAI) else {
            Issue.record("looked up")
            return
        }
        #expect(plan.label("resp_2")?.id == "resp_2" && !plan.isKept(from: plan.candidates[0]))
    }

    @Test(
        "A warm-up is read like any request and sent nowhere", arguments: [UpstreamProfile.openAI, .openAICompatible])
    func warmUp(profile: UpstreamProfile) throws {
        guard case .complete(let plan) = decide(",\"store\":false", SocketTurn(generates: false), profile: profile)
        else {
            Issue.record("looked up")
            return
        }
        let request = try plan.request(for: plan.candidates[0])
        #expect(request.answer == .nothing && request.body.isEmpty)
        #expect(request.context.echo != nil)
        let broken = decide(",\"store\":false,\"tools\":7", SocketTurn(generates: false), profile: profile)
        guard case .complete(let plan) = broken else {
            Issue.record("\(broken)")
            return
        }
        #expect(throws: GatewayError.self) { try plan.request(for: plan.candidates[0]) }
    }
}
