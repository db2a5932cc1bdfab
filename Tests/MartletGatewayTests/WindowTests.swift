import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

@Suite("Context windows in decisions")
struct WindowTests {
    static let long = String(repeating: "word ", count: 400)

    static func routes(
        _ window: ContextWindow?, _ profile: UpstreamProfile = .vllm, mode: RelayMode = .repair
    ) -> RouteTable {
        RouteTable(
            upstreams: [Make.upstream("a", profile, mode: mode)],
            served: ["a": ServedModels(ids: ["real"], windows: window.map { ["real": $0] } ?? [:])],
            aliases: [(pattern: "m", targets: ["a/real"])])
    }

    /// `weigh`, `complete` or what else is decided about a request of this many bytes of text.
    static func decide(_ text: String, _ window: ContextWindow?, mode: RelayMode = .repair) -> String {
        let request = Make.request("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\(text)\"}]}")
        switch Decider.decide(request, in: Make.snapshot(routes(window, mode: mode)), mayRefresh: false) {
        case .weigh: return "weigh"
        case .complete: return "complete"
        default: return "else"
        }
    }

    @Test("A prompt is weighed only where it could be longer than a known window, and never in exact mode")
    func weighed() {
        #expect(Self.decide(Self.long, ContextWindow(loaded: 100)) == "weigh")
        #expect(Self.decide(Self.long, ContextWindow(maximum: 100)) == "weigh")
        #expect(Self.decide(Self.long, ContextWindow(loaded: 1000, maximum: 10)) == "complete")
        #expect(Self.decide(Self.long, nil) == "complete")
        #expect(Self.decide("hi", ContextWindow(loaded: 100)) == "complete")
        #expect(Self.decide(Self.long, ContextWindow(loaded: 100), mode: .exact) == "complete")
    }

    @Test("Candidates know their model's window, under whatever name it was asked for")
    func candidates() throws {
        let window = ContextWindow(loaded: 4096, maximum: 8192)
        for name in ["m", "real", "a/real", "real[1m]", "local-model"] {
            #expect(try Self.routes(window).resolve(name).first?.window == window, "\(name)")
            #expect(Self.routes(window).window(of: name) == window)
        }
        #expect(try Self.routes(nil).resolve("m").first?.window == nil)
        #expect(Self.routes(window).window(of: "unknown") == nil)
        let later = Self.routes(nil).with(served: Self.routes(window).served)
        #expect(later.window(of: "m") == window)
    }

    @Test("The window of the loaded model counts before the most it could hold")
    func tokens() {
        #expect(ContextWindow(loaded: 1, maximum: 2).tokens == 1)
        #expect(ContextWindow(maximum: 2).tokens == 2)
        #expect(ContextWindow().tokens == nil)
    }

    @Test("What an agent asks for is cut to what is free, in repair mode only", arguments: [RelayMode.repair, .exact])
    func clamp(mode: RelayMode) throws {
        let body = "{\"model\":\"m\",\"max_tokens\":32000,\(Make.messages)}"
        let request = InboundRequest(
            id: "r", method: "POST", path: "/v1/messages", endpoint: .completion(.anthropic), dialect: .anthropic,
            body: ByteBuffer(string: body))
        let snapshot = Make.snapshot(Self.routes(ContextWindow(loaded: 8192), mode: mode))
        guard case .complete(let plan) = Decider.decide(request, in: snapshot, mayRefresh: false) else {
            Issue.record("the request is not taken")
            return
        }
        let made = try plan.request(for: plan.candidates[0])
        let limit = try JSON(parsing: made.body[0])["max_tokens"]?.int ?? 0
        #expect(mode == .exact ? limit == 32000 : (8000..<8192).contains(limit))
        #expect(made.dropped == (mode == .exact ? [] : ["max_tokens"]))
    }

    @Test(
        "2.7.1: a client that names no limit gets as long a reply as Anthropic's model can give",
        arguments: [
            (64_000, "", 64_000, nil), (nil, "", 4096, nil), (64_000, ",\"max_tokens\":9", 9, nil),
            (64_000, ",\"reasoning_effort\":\"high\"", 64_000, 16_384),
            (nil, ",\"reasoning_effort\":\"high\"", 20_480, 15_360),
        ] as [(Int?, String, Int, Int?)])
    func replyLimit(known: Int?, more: String, limit: Int, budget: Int?) throws {
        let routes = Self.routes(ContextWindow(maximum: 200_000, reply: known), .anthropic, mode: .exact)
        let request = Make.request("{\"model\":\"m\"\(more),\(Make.messages)}")
        guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false) else {
            Issue.record("the request is not taken")
            return
        }
        let body = try JSON(parsing: plan.request(for: plan.candidates[0]).body[0])
        #expect(body["max_tokens"]?.int == limit)
        #expect(body["thinking"]?["budget_tokens"]?.int == budget)
    }

    @Test("A prompt is weighed before anything is asked for, and the verdict is a decision")
    func exchange() {
        var driver = ExchangeDriver()
        driver.go(to: .deciding)
        #expect(driver.receive(.decided(.weigh(driver.plan))) == ["weigh"])
        var refused = driver
        #expect(
            refused.receive(.decided(.refuse(.contextOverflow(prompt: 2, maximum: 1)))) == [
                "refuse context_overflow", "record context_overflow",
            ])
        #expect(driver.receive(.decided(.complete(driver.plan))) == ["acquire a/m"])
    }

    @Test("A client that goes away while its prompt is weighed is not waited for")
    func gone() {
        var driver = ExchangeDriver()
        driver.go(to: .deciding)
        driver.receive(.decided(.weigh(driver.plan)))
        #expect(driver.receive(.clientGone) == ["stop waiting", "record gone"])
        #expect(driver.receive(.decided(.complete(driver.plan))) == [])
    }

    @Test("The least a prompt has is certain: text alone counts, and no vocabulary has longer tokens")
    func atLeast() throws {
        let text = String(repeating: "a", count: 256 * 10)
        let body = """
            {"messages":[{"role":"user","content":[{"type":"text","text":"\(text)"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,\(text)"}}]},
            {"role":"assistant","content":"","reasoning_content":"\(text)"}]}
            """
        let request = try Dialects.readRequest(Decider.check(ByteBuffer(string: body)), from: .chat)
        #expect(TokenEstimate.atLeast(request) == 10)
        #expect(TokenEstimate.of(request) > 800)
    }
}
