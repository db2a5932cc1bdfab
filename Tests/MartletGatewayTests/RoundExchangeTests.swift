import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Rounds of an exchange")
struct RoundExchangeTests {
    /// Of a Responses client that wants the tools of one server; with two upstreams to be tried.
    static func plan(
        streams: Bool = true, rules: ToolRules = ToolRules(),
        tool: String = "{\"type\":\"mcp\",\"server_label\":\"w\"}", profile: UpstreamProfile = .vllm,
        dialect: DialectID = .responses, deadlines: Deadlines = Deadlines(),
        location: Upstream.Location? = nil
    ) -> Plan {
        let upstreams = ["a", "b"].map { Make.upstream($0, profile, deadlines: deadlines, location: location) }
        let routes = RouteTable(upstreams: upstreams, aliases: [(pattern: "m", targets: ["a/m", "b/m"])])
        let isChat = dialect == .chat
        let path = dialect == .lmstudio ? "/api/v1/chat" : "/v1/responses"
        let member = dialect == .lmstudio ? "\"integrations\":[\"mcp/w\"]" : "\"tools\":[\(tool)]"
        let input = isChat ? Make.messages : "\"input\":\"hi\",\(member)"
        let body = "{\"model\":\"m\",\"stream\":\(streams),\(input)}"
        let request = InboundRequest(
            id: "r", method: "POST", path: isChat ? "/v1/chat/completions" : path,
            endpoint: .completion(dialect), dialect: dialect, body: ByteBuffer(string: body))
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), tools: rules, instance: "i")
        guard case .complete(let plan) = Decider.decide(request, in: snapshot, mayRefresh: false) else {
            preconditionFailure("the request of the tests is refused")
        }
        return plan
    }

    static let run = ToolRun(.output("[]"), by: nil)
    static let tools = [ServedTool(Integration(.installed(label: "w")), name: "lookup")]

    /// Up to where a round's calls are run.
    static func running(_ plan: Plan = plan(), endsReply: Bool = false, hasEnded: Bool = false) -> ExchangeDriver {
        var driver = ExchangeDriver(plan)
        driver.receive(.requestComplete(Make.request("{}")), .decided(.complete(plan)))
        driver.receive(.toolsListed(plan.equipped(with: tools)))
        stream(&driver)
        driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.calls(endsReply: endsReply)), .readComplete)
        if hasEnded { driver.receive(.end(cleanly: true, reusable: true)) }
        return driver
    }

    static func stream(_ driver: inout ExchangeDriver) {
        driver.receive(.slotGranted(Make.place.origin), .connected, .head(Fault.head(200)))
    }

    @Test("Tools are listed first; then each round takes a slot, gives it back, and runs its calls")
    func rounds() {
        var driver = ExchangeDriver(Self.plan())
        #expect(driver.receive(.requestComplete(Make.request("{}"))) == ["decide"])
        #expect(driver.receive(.decided(.complete(driver.plan))) == ["list tools"])
        #expect(driver.receive(.toolsListed(driver.plan.equipped(with: Self.tools))) == ["acquire a/m"])
        Self.stream(&driver)
        #expect(
            driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.calls(endsReply: false))) == [
                "pass", "commit", "release", "run tools", "flush",
            ])
        #expect(driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream"])
        #expect(driver.receive(.toolRan(0, Self.run, isLast: false)) == ["tell 0 2", "flush"])
        #expect(driver.receive(.toolRan(1, Self.run, isLast: true)) == ["tell 1 2", "flush", "prepare round"])
        #expect(driver.receive(.roundPrepared(driver.plan.continued(behind: ServedRound()))) == ["acquire a/m"])
        #expect(driver.receive(.slotGranted(Make.place.origin)) == ["connect"])
        #expect(driver.receive(.connected) == ["send a/m"])
        driver.receive(.head(Fault.head(200)))
        #expect(driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete)) == ["pass", "flush"])
        #expect(
            driver.receive(.end(cleanly: true, reusable: true)) == [
                "keep upstream", "end reply", "release", "record complete",
            ])
    }

    @Test("An engine of this machine is used from the first round to the last, also while tools are run")
    func engine() {
        let plan = Self.plan(location: .hosted)
        var driver = Self.running(plan, hasEnded: true)
        driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(driver.plan))
        #expect(driver.all.suffix(2) == ["prepare round", "acquire a/m"])
        driver.receive(.slotGranted(Make.place.origin), .connected)
        #expect(driver.receive(.upstreamFailed(Fault.closed, stale: true)) == ["close upstream", "acquire a/m"])
        #expect(!driver.all.contains("release"))
        Self.stream(&driver)
        driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete))
        #expect(
            driver.receive(.end(cleanly: true, reusable: true)) == [
                "keep upstream", "end reply", "release", "record complete",
            ])
        var gone = Self.running(plan, hasEnded: true)
        #expect(gone.receive(.clientGone) == ["stop waiting", "release", "record gone"])
        var lost = Self.running(plan, hasEnded: true)
        lost.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(lost.plan))
        #expect(lost.receive(.slotRefused(Fault.busy)) == ["fail queue_full", "release", "record queue_full"])
        let last = Self.running(plan, endsReply: true)
        #expect(last.all.suffix(3) == ["release", "run tools", "flush"], "there is no further round")
    }

    @Test("A reply that its client wants whole leaves whole, behind the last round")
    func whole() {
        var driver = Self.running(Self.plan(streams: false))
        #expect(!driver.all.contains("commit"))
        #expect(driver.receive(.toolRan(0, Self.run, isLast: true)) == ["tell 0 2", "prepare round"])
        #expect(driver.receive(.roundPrepared(driver.plan)).isEmpty)
        #expect(driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream", "acquire a/m"])
        Self.stream(&driver)
        #expect(driver.receive(.bytes(ByteBuffer(string: "y")), .passed(.complete)) == ["pass"])
        #expect(
            driver.receive(.end(cleanly: true, reusable: true)) == [
                "keep upstream", "commit whole", "release", "record complete",
            ])
        var failing = Self.running(Self.plan(streams: false))
        failing.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(failing.plan))
        failing.receive(.end(cleanly: true, reusable: true))
        #expect(failing.receive(.slotRefused(Fault.busy)) == ["refuse queue_full", "record queue_full"])
    }

    @Test("The next round waits a moment for the end of the stream before it, whose connection it then may have")
    func endOfStream() {
        var driver = Self.running()
        driver.receive(.toolRan(0, Self.run, isLast: true))
        #expect(driver.receive(.roundPrepared(driver.plan)).isEmpty)
        #expect(driver.wait(.milliseconds(200)).isEmpty)
        #expect(driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream", "acquire a/m"])
        var endless = Self.running()
        endless.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(endless.plan))
        #expect(endless.wait(.milliseconds(300)) == ["close upstream", "acquire a/m"])
        var slow = Self.running()
        slow.wait(.milliseconds(300))
        slow.receive(.toolRan(0, Self.run, isLast: true))
        #expect(slow.receive(.roundPrepared(slow.plan)) == ["close upstream", "acquire a/m"], "it has had its time")
        var gone = Self.running()
        gone.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(gone.plan))
        #expect(gone.receive(.clientGone) == ["stop waiting", "close upstream", "record gone"])
    }

    @Test("Beside calls of the client's own the reply ends behind ours")
    func mixed() {
        var driver = Self.running(endsReply: true)
        #expect(driver.receive(.toolRan(0, Self.run, isLast: true)) == ["tell 0 2", "flush", "end rounds"])
        driver.receive(.finished(.complete))
        #expect(
            driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream", "end reply", "record complete"])
        var ended = Self.running(endsReply: true, hasEnded: true)
        ended.receive(.toolRan(0, Self.run, isLast: true))
        #expect(ended.receive(.finished(.complete)) == ["flush", "end reply", "record complete"])
    }

    @Test("A client that leaves while tools are listed or run ends them, and the upstream's connection")
    func gone() {
        var listing = ExchangeDriver(Self.plan())
        listing.receive(.requestComplete(Make.request("{}")), .decided(.complete(listing.plan)))
        #expect(listing.receive(.clientGone) == ["stop waiting", "record gone"])
        var running = Self.running()
        #expect(running.receive(.clientGone) == ["stop waiting", "close upstream", "record gone"])
        var ended = Self.running(hasEnded: true)
        #expect(ended.receive(.clientGone) == ["stop waiting", "record gone"])
        #expect(ended.receive(.toolRan(0, Self.run, isLast: true)).isEmpty)
        var next = Self.running(hasEnded: true)
        next.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(next.plan))
        #expect(next.receive(.clientGone) == ["stop waiting", "record gone"])
    }

    @Test("While tools are listed or run, a sign of life goes out after 5 s of silence")
    func silence() {
        var listing = ExchangeDriver(Self.plan())
        listing.receive(.requestComplete(Make.request("{}")), .decided(.complete(listing.plan)))
        #expect(listing.wait(.seconds(11)) == ["commit early", "keep alive", "flush", "keep alive", "flush"])
        #expect(listing.receive(.toolsRefused(Fault.invalid)) == ["fail invalid_request", "record invalid_request"])
        var running = Self.running(hasEnded: true)
        #expect(running.wait(.seconds(11)) == ["keep alive", "flush", "keep alive", "flush"])
        var next = Self.running(hasEnded: true)
        next.wait(.seconds(4))
        next.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(next.plan))
        #expect(next.wait(.milliseconds(500)) == ["keep alive", "flush"], "the client sees nothing of its result")
    }

    @Test("A load before a later round, of which the client's stream says nothing, is not passed over in silence")
    func silentLoad() {
        var driver = Self.running(Self.plan(dialect: .lmstudio, location: .hosted), hasEnded: true)
        driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(driver.plan))
        var told: [String] = []
        for _ in 0..<12 {
            told += driver.receive(.progress(Progress(.load, fraction: 0.5))).filter { $0 == "keep alive" }
            told += driver.wait(.seconds(1)).filter { $0 == "keep alive" }
        }
        #expect(told.count == 2)
    }

    @Test("No upstream's deadline counts while tools are run, and each round has its own")
    func deadlines() {
        let plan = Self.plan(deadlines: Deadlines(total: .seconds(20)))
        var driver = Self.running(plan, hasEnded: true)
        #expect(!driver.wait(.minutes(9)).contains { $0.hasPrefix("fail") })
        driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(driver.plan))
        Self.stream(&driver)
        #expect(!driver.wait(.seconds(19)).contains { $0.hasPrefix("fail") })
        #expect(driver.wait(.seconds(2)).contains("fail upstream_timeout"))
    }

    @Test("A model that never stops calling tools is stopped, and the error says what raises the bound")
    func bounds() {
        var rules = ToolRules()
        rules.rounds = 2
        rules.time = .seconds(30)
        var driver = Self.running(Self.plan(rules: rules), hasEnded: true)
        for _ in 0..<2 {
            driver.receive(.end(cleanly: true, reusable: true))
            driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(driver.plan))
            Self.stream(&driver)
            driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.calls(endsReply: false)))
        }
        #expect(driver.all.suffix(4) == ["release", "close upstream", "fail tool_limit", "record tool_limit"])
        #expect(driver.refusals[0].message.contains("mcp.max_rounds"))
        var slow = Self.running(Self.plan(rules: rules))
        #expect(
            slow.wait(.seconds(31)).suffix(4) == [
                "stop waiting", "close upstream", "fail tool_limit", "record tool_limit",
            ])
        #expect(slow.refusals[0].message.contains("mcp.max_time"))
    }

    @Test("Tokens are bounded over all rounds; what the reply ends with anyway is still run")
    func tokens() {
        var rules = ToolRules()
        rules.tokens = 100
        func round(_ driver: inout ExchangeDriver, _ tokens: Int, endsReply: Bool = false) {
            driver.receive(.end(cleanly: true, reusable: true))
            driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(driver.plan))
            Self.stream(&driver)
            driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.calls(endsReply: endsReply, tokens: tokens)))
        }
        var driver = Self.running(Self.plan(rules: rules), hasEnded: true)
        round(&driver, 99)
        #expect(driver.all.last == "flush" && driver.refusals.isEmpty)
        round(&driver, 1)
        #expect(driver.all.suffix(4) == ["release", "close upstream", "fail tool_limit", "record tool_limit"])
        #expect(driver.refusals[0].message.contains("100 tokens in 3 rounds"))
        #expect(driver.refusals[0].message.contains("mcp.max_tokens"))
        var last = Self.running(Self.plan(rules: rules), hasEnded: true)
        round(&last, .max, endsReply: true)
        #expect(last.refusals.isEmpty && last.all.contains("run tools"))
    }

    @Test("A refusal names the member that asks for the servers")
    func member() {
        var driver = ExchangeDriver(Self.plan())
        driver.receive(.requestComplete(Make.request("{}")), .decided(.complete(driver.plan)))
        driver.receive(.toolsRefused(GatewayError(code: .mcpDenied, message: "no")))
        #expect(driver.refusals.map(\.param) == ["tools"])
    }

    @Test("Where no tool is to be had that its client has not asked for, a request is as any other")
    func nothingAttached() {
        var rules = ToolRules()
        rules.attached[.chat] = ["w"]
        let chat = Self.plan(rules: rules, dialect: .chat)
        #expect(!chat.equipped(with: []).runsTools && chat.equipped(with: Self.tools).runsTools)
        #expect(Self.plan().equipped(with: []).runsTools)
    }

    @Test("Results are given as much room as there is, and no more")
    func room() {
        var rules = ToolRules()
        rules.results = 1000
        var driver = Self.running(Self.plan(rules: rules))
        let long = ToolRun(.output(String(repeating: "a", count: 900)), by: nil)
        #expect(driver.receive(.toolRan(0, long, isLast: false)).first == "tell 0 900")
        let told = driver.receive(.toolRan(1, long, isLast: false)).first ?? ""
        let bytes = Int(told.split(separator: " ").last ?? "") ?? 900
        #expect(bytes < 400)
    }

    @Test("Behind the first round nothing is begun anew: no retry, no other upstream")
    func noRetry() {
        for streams in [true, false] {
            var driver = Self.running(Self.plan(streams: streams), hasEnded: true)
            driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(driver.plan))
            driver.receive(.slotGranted(Make.place.origin))
            let given = driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
            #expect(given.contains { $0 == "\(streams ? "fail" : "refuse") upstream_unreachable" })
            #expect(!given.contains { $0.hasPrefix("acquire") } && !given.contains("reset"))
        }
        // A kept connection that had died is no failure of anybody's.
        var stale = Self.running(hasEnded: true)
        stale.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(stale.plan))
        stale.receive(.slotGranted(Make.place.origin), .connected)
        #expect(
            stale.receive(.upstreamFailed(Fault.closed, stale: true)) == ["close upstream", "release", "acquire a/m"])
    }

    @Test("Before the first round has said anything, it is tried again as any request is")
    func retries() {
        var driver = ExchangeDriver(Self.plan())
        driver.receive(.requestComplete(Make.request("{}")), .decided(.complete(driver.plan)))
        driver.receive(.toolsListed(driver.plan.equipped(with: Self.tools)))
        #expect(driver.receive(.slotRefused(Fault.busy)) == ["reset", "acquire b/m"])
    }

    @Test("A long prompt is weighed with the tools in it, and a refusal is said in the stream once that has begun")
    func weighed() {
        var driver = ExchangeDriver(Self.plan())
        driver.receive(.requestComplete(Make.request("{}")))
        #expect(driver.receive(.decided(.weigh(driver.plan))) == ["list tools"])
        let equipped = driver.plan.equipped(with: Self.tools)
        #expect(driver.receive(.toolsListed(equipped)) == ["weigh"])
        #expect(driver.receive(.decided(.complete(equipped))) == ["acquire a/m"])
        var late = ExchangeDriver(Self.plan())
        late.receive(.requestComplete(Make.request("{}")), .decided(.weigh(late.plan)))
        late.wait(.seconds(5))
        late.receive(.toolsListed(equipped))
        #expect(late.receive(.decided(.refuse(Fault.invalid))) == ["fail invalid_request", "record invalid_request"])
    }

    @Test("The reply counts from the first round's request, and time between rounds is none of its model's")
    func times() {
        var driver = Self.running()
        let sentAt = driver.exchange.sentAt
        #expect(driver.exchange.paused(at: driver.now) == .zero)
        driver.wait(.seconds(12))
        #expect(driver.exchange.paused(at: driver.now) >= .seconds(12))
        let next = driver.plan.continued(behind: ServedRound())
        driver.receive(.toolRan(0, Self.run, isLast: true), .roundPrepared(next))
        Self.stream(&driver)
        #expect(driver.exchange.sentAt == sentAt && sentAt != nil)
        driver.receive(.bytes(ByteBuffer(string: "x")))
        let paused = driver.exchange.paused(at: driver.now)
        driver.wait(.seconds(3))
        #expect(driver.exchange.paused(at: driver.now) == paused)
    }

    @Test("An upstream that runs such tools itself is left to it")
    func relayed() {
        #expect(!Self.plan(profile: .openAI).runsTools)
        #expect(Self.plan(profile: .vllm).runsTools)
        #expect(!Self.plan(tool: "{\"type\":\"function\",\"name\":\"mcp\"}").runsTools)
    }

    @Test("Servers are attached to the dialects that the configuration names, unseen, and to no other")
    func attached() {
        var rules = ToolRules()
        rules.attached[.chat] = ["w"]
        let chat = Self.plan(rules: rules, dialect: .chat)
        #expect(chat.tools?.integrations == [Integration(.installed(label: "w"))])
        #expect(chat.tools?.isHidden == true)
        #expect(!Self.plan(dialect: .chat).runsTools)
        #expect(Self.plan(rules: rules).tools?.isHidden == false)
    }
}
