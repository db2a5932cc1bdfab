import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

@Suite("A relayed request for an answer in a form, and the second try")
struct AnswerFormPlanTests {
    static let schema = #"{"type":"object","required":["age"]}"#
    static let format = #""response_format":{"type":"json_schema","json_schema":{"name":"o","schema":\#(schema)}}"#
    static let demand = "Answer with JSON that fits this JSON Schema, and nothing else:\n\(schema)"
    static let misfit = AnswerMisfit(
        text: EscapedText(escaping: "No \"way\""), violation: "it is not JSON", usage: Usage(input: 10, output: 5))

    /// For an upstream that cannot be held to a form.
    static func plan(
        _ messages: String = #"[{"role":"user","content":"hi"}]"#, more: String = format, mode: RelayMode = .repair,
        isStrict: Bool = false, _ change: (inout Capabilities) -> Void = { _ in }
    ) throws -> Plan {
        var profile = UpstreamProfile.openAICompatible
        profile.capabilities.jsonSchema = .none
        profile.capabilities.jsonObject = .none
        change(&profile.capabilities)
        let upstreams = ["a", "b"].map {
            Upstream(name: $0, profile: profile, location: .url(Make.place), mode: mode, isStrict: isStrict)
        }
        let routes = RouteTable(upstreams: upstreams, aliases: [(pattern: "m", targets: ["a/m", "b/m"])])
        let request = Make.request(#"{"model":"m","messages":\#(messages),\#(more),"x":1.50}"#)
        guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false) else {
            throw GatewayError(code: .internalError, message: "the request of the tests is refused")
        }
        return plan
    }

    static func made(
        _ plan: Plan, _ rung: SchemaRung? = nil, after misfit: AnswerMisfit? = nil
    ) throws -> (json: JSON, request: UpstreamRequest) {
        let made = try plan.request(for: plan.candidates[0], rung: rung, after: misfit)
        return (try JSON(parsing: made.body.map { String(buffer: $0) }.joined()), made)
    }

    @Test("The system text asks for it, where there is one in its own message, and no member does")
    func words() throws {
        let hi: JSON = ["role": "user", "content": "hi"]
        let cases: [(String, JSON)] = [
            ("", ["role": "system", "content": .string(Self.demand)]),
            (
                #"{"role":"developer","name":"n","content":"Be \u00e9"},"#,
                ["role": "system", "name": "n", "content": .string("Be é\n\n" + Self.demand)]
            ),
            (
                #"{"role":"system","content":[{"type":"text","text":"a"}]},"#,
                [
                    "role": "system",
                    "content": [
                        ["type": "text", "text": "a"], ["type": "text", "text": .string("\n\n" + Self.demand)],
                    ],
                ]
            ),
        ]
        for (system, told) in cases {
            let (json, request) = try Self.made(Self.plan(#"[\#(system){"role":"user","content":"hi"}]"#))
            #expect(json["messages"] == [told, hi])
            #expect(json["response_format"] == nil)
            #expect(json["x"]?.text == "1.50")
            #expect(request.context.answerForm == .schema(ByteBuffer(string: Self.schema)))
            #expect(request.dropped == [])
        }
    }

    @Test("It is left to the upstream that can, to any that is relayed exactly, and to the client's own beginning")
    func untouched() throws {
        for plan in [
            try Self.plan { $0.jsonSchema = .native }, try Self.plan { $0.jsonSchema = .grammar },
            try Self.plan(mode: .exact),
        ] {
            let (json, request) = try Self.made(plan)
            #expect(json["response_format"]?["json_schema"]?["schema"] == (try JSON(parsing: Self.schema)))
            #expect(request.context.answerForm == nil)
        }
        let tools = #","tools":[{"type":"function","function":{"name":"f"}}]"#
        let grammar = try Self.made(Self.plan(more: Self.format + tools) { $0.jsonSchema = .grammar })
        #expect(grammar.json["response_format"] == nil && grammar.json["tools"] != nil)
        let begun = #"[{"role":"user","content":"hi"},{"role":"assistant","content":"{"}]"#
        #expect(try Self.made(Self.plan(begun)).request.context.answerForm == nil)
    }

    @Test("A stream is only asked for it, which is named; strictly, it is refused")
    func streamed() throws {
        let (json, request) = try Self.made(Self.plan(more: Self.format + #","stream":true"#))
        #expect(json["response_format"] == nil)
        #expect(request.context.answerForm == nil && request.dropped == ["response_format"])
        let strict = try Self.plan(more: Self.format + #","stream":true"#, isStrict: true)
        let error = #expect(throws: GatewayError.self) { try Self.made(strict) }
        #expect(error?.code == .invalidRequest && error?.param == "response_format")
    }

    @Test("The last rung of the ladder asks in words too")
    func bare() throws {
        let plan = try Self.plan { $0.jsonSchema = .native }
        let (json, request) = try Self.made(plan, .bare)
        #expect(json["response_format"] == nil)
        #expect(json["messages"]?[0]?["content"] == .string(Self.demand))
        #expect(request.context.answerForm != nil && request.dropped == ["schemas.bare"])
    }

    static func whole(_ text: String, _ request: UpstreamRequest, usage: String = "", more: String = "") throws
        -> WholeReply
    {
        let message = #"{"role":"assistant","content":\#(JSON.string(text).text)\#(more)}"#
        let body =
            #"{"id":"c","object":"chat.completion","created":1,"model":"m","timings":{"x":1.50},"choices":[{"index":0,"message":\#(message),"finish_reason":"stop"}]\#(usage)}"#
        let target = ReplyTarget(dialect: .chat, model: "m", ids: IDSource(seed: 1))
        return try Dialects.translateWhole(
            ByteBuffer(string: body), from: .chat, to: target, context: request.context)
    }

    static func json(_ reply: WholeReply) throws -> JSON {
        try JSON(parsing: reply.pieces.map { String(buffer: $0) }.joined())
    }

    @Test("A relayed answer that fits keeps its bytes; what is around one is taken away, and nothing else")
    func relayed() throws {
        let request = try Self.made(Self.plan()).request
        let fits = try Self.whole(#" {"age":1.0} "#, request)
        #expect(try Self.json(fits)["choices"]?[0]?["message"]?["content"] == #" {"age":1.0} "#)
        let fenced = try Self.json(
            Self.whole("```json\n{\"age\":1.0}\n```", request, more: #","refusal":null,"zz":1.0"#))
        let message = fenced["choices"]?[0]?["message"]
        #expect(message?["content"] == #"{"age":1.0}"#)
        #expect(message?["zz"]?.text == "1.0" && message?["tool_calls"] == nil)
        #expect(fenced["timings"]?["x"]?.text == "1.50")
        #expect(try Self.whole("x", request).misfit?.text.unescaped() == "x")
    }

    @Test("Thinking in tags is no part of an answer")
    func thinkTags() throws {
        let plan = try Self.plan { $0.reasoningOut = .thinkTags }
        let reply = try Self.whole("<think>{\"age\":2}? yes</think>\n{\"age\":1}", Self.made(plan).request)
        let message = try Self.json(reply)["choices"]?[0]?["message"]
        #expect(reply.misfit == nil)
        #expect(message?["content"]?.string?.hasSuffix(#"{"age":1}"#) == true)
        #expect(message?["reasoning_content"] == #"{"age":2}? yes"#)
    }

    @Test("Asked again, the model is shown its answer; the client pays for both")
    func again() throws {
        let (json, request) = try Self.made(Self.plan(), after: Self.misfit)
        let turns = try #require(json["messages"]?.array)
        #expect(turns.count == 4 && turns[2] == ["role": "assistant", "content": "No \"way\""])
        #expect(turns[3]["role"] == "user")
        #expect(turns[3]["content"]?.string?.contains("it is not JSON. Answer again") == true)
        let usage = #","usage":{"prompt_tokens":30,"completion_tokens":6,"total_tokens":36,"zz":1}"#
        let reply = try Self.whole(#"{"age":1}"#, request, usage: usage)
        #expect(
            try Self.json(reply)["usage"] == [
                "prompt_tokens": 40, "completion_tokens": 11, "total_tokens": 51, "zz": 1,
            ])
        #expect(reply.summary.usage.input == 40 && reply.summary.usage.output == 11)
    }

    static func driver() throws -> ExchangeDriver {
        var driver = ExchangeDriver(try plan())
        driver.go(to: .sent)
        return driver
    }

    @Test("An exchange asks once more, which is no retry, then tries elsewhere, once more there, and then says so")
    func exchange() throws {
        let error = Self.misfit.error(for: .chat)
        var driver = try Self.driver()
        for place in ["a/m", "b/m", "b/m"] {
            driver.receive(.head(Fault.head(200)), .end(cleanly: true, reusable: true))
            #expect(driver.receive(.passed(.failed(error))) == ["release", "reset", "acquire \(place)"])
            #expect(driver.exchange.asksAgain == (place != "b/m" || driver.exchange.attempts == 4))
            driver.receive(.slotGranted(Make.place.origin), .connected)
        }
        driver.receive(.head(Fault.head(200)), .end(cleanly: true, reusable: true))
        #expect(
            driver.receive(.passed(.failed(error))) == ["refuse answer_misfit", "release", "record answer_misfit"])
        #expect(driver.records.last?.attempts == 4 && driver.records.last?.asksAgain == true)
        let refusal = try #require(driver.refusals.last)
        #expect(refusal.param == "response_format" && refusal.message.contains("it is not JSON"))
        #expect(ErrorTable.status(refusal, for: .chat) == 400 && ErrorTable.status(refusal, for: .anthropic) == 400)
    }

    @Test("The second try has the retries the first had, and stays a second try through them")
    func retries() throws {
        var driver = try Self.driver()
        driver.receive(.head(Fault.head(200)), .end(cleanly: true, reusable: true))
        driver.receive(.passed(.failed(Self.misfit.error(for: .chat))))
        for _ in 0..<3 {
            driver.receive(.slotGranted(Make.place.origin), .upstreamFailed(Fault.unreachable, stale: false))
            #expect(driver.exchange.asksAgain)
            driver.wait(.seconds(1))
        }
        driver.receive(.slotGranted(Make.place.origin), .upstreamFailed(Fault.unreachable, stale: false))
        #expect(driver.all.last == "acquire b/m" && !driver.exchange.asksAgain)
    }
}
