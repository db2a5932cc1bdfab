import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

@Suite("Schemas that an upstream refuses")
struct SchemaLadderTests {
    static let refused = GatewayError(code: .schemaRefused, message: "failed to parse grammar")
    static let pattern = #"{"type":"object","properties":{"p":{"type":"string","pattern":"(?=x)y"}}}"#
    static let fitted = #"{"type":"object","properties":{"p":{"type":"string","description":"(pattern: (?=x)y)"}}}"#
    static let tools = #""tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":\#(pattern)}}]"#
    static let format =
        #""response_format":{"type":"json_schema","json_schema":{"name":"o","schema":\#(pattern),"strict":true}}"#

    static func plan(
        _ more: String, dialect: DialectID = .chat, mode: RelayMode = .repair, profile: UpstreamProfile = .llamaCpp
    ) -> Plan? {
        let routes = RouteTable(
            upstreams: [Make.upstream("a", profile, mode: mode), Make.upstream("b", profile)],
            aliases: [(pattern: "m", targets: ["a/m", "b/m"])])
        let body = "{\"model\":\"m\",\"max_tokens\":9,\(Make.messages)\(more.isEmpty ? "" : "," + more)}"
        let request = InboundRequest(
            id: "r", method: "POST", path: "/", endpoint: .completion(dialect), dialect: dialect,
            body: ByteBuffer(string: body))
        guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false) else {
            return nil
        }
        return plan
    }

    /// All forms a plan has for its schemas, the first as nil.
    static func rungs(_ plan: Plan?, _ refusal: String = refused.message) throws -> [SchemaRung] {
        let plan = try #require(plan)
        let refusal = GatewayError(code: .schemaRefused, message: refusal)
        var rungs: [SchemaRung] = []
        while let next = plan.rung(after: rungs.last, at: plan.candidates[0], refusal: refusal) { rungs.append(next) }
        return rungs
    }

    @Test("Each form is tried once, from the profile's down to none; what a client relies on stays")
    func rungs() throws {
        #expect(try Self.rungs(Self.plan(Self.tools)) == [.fitted, .minimal, .bare])
        #expect(try Self.rungs(Self.plan(Self.format)) == [.fitted, .minimal, .bare])
        #expect(try Self.rungs(Self.plan(Self.tools, profile: .mock)) == [.minimal, .bare])
        let anthropic = #""tools":[{"name":"f","input_schema":\#(Self.pattern)}]"#
        #expect(try Self.rungs(Self.plan(anthropic, dialect: .anthropic)) == [.minimal, .bare])
    }

    @Test("Nothing is simplified where there is no schema, or where requests go as they are")
    func none() throws {
        #expect(try Self.rungs(Self.plan("")) == [])
        #expect(try Self.rungs(Self.plan(#""tools":null"#)) == [])
        #expect(try Self.rungs(Self.plan(Self.tools, mode: .exact)) == [])
    }

    static func body(_ plan: Plan, _ rung: SchemaRung?) throws -> (json: JSON, dropped: [String]) {
        let made = try plan.request(for: plan.candidates[0], rung: rung)
        return (try JSON(parsing: made.body.map { String(buffer: $0) }.joined()), made.dropped)
    }

    @Test("A relayed request keeps everything but its schemas, and says what became of them")
    func relayed() throws {
        let plan = try #require(Self.plan(Self.tools + "," + Self.format + #","x":1.50"#))
        let first = try Self.body(plan, nil)
        #expect(first.json["tools"]?[0]?["function"]?["parameters"] == (try JSON(parsing: Self.pattern)))
        #expect(first.dropped == [])
        let forms: [(SchemaRung, String, String?)] = [
            (.fitted, Self.fitted, Self.fitted),
            (
                .minimal, #"{"type":"object","properties":{"p":{"type":"string"}}}"#,
                #"{"type":"object","properties":{"p":{"type":"string"}}}"#
            ),
            (.without(tool: "f"), #"{"type":"object"}"#, Self.fitted), (.bare, #"{"type":"object"}"#, nil),
        ]
        for (rung, parameters, output) in forms {
            let made = try Self.body(plan, rung)
            #expect(made.json["tools"]?[0]?["function"]?["parameters"] == (try JSON(parsing: parameters)), "\(rung)")
            #expect(made.json["tools"]?[0]?["function"]?["name"] == "f")
            #expect((made.json["tools"]?[0]?["function"]?["strict"] == nil) == (rung != .fitted))
            #expect(
                try made.json["response_format"]?["json_schema"]?["schema"] == output.map { try JSON(parsing: $0) },
                "\(rung)")
            #expect(
                made.json["response_format"]?["json_schema"]?["strict"]
                    == (rung == .minimal ? nil : output.map { _ in true }))
            #expect(made.json["messages"]?[0]?["role"] == (output == nil ? "system" : "user"))
            #expect(made.json["x"]?.text == "1.50")
            #expect(made.dropped == [rung.note])
        }
    }

    @Test("A tool that a refusal names loses its schema before all others do, each as its profile has it")
    func offender() throws {
        let two =
            Self.tools.dropLast()
            + #",{"type":"function","function":{"name":"pattern","parameters":\#(Self.pattern)}}]"#
        let plan = try #require(Self.plan(String(two)))
        for refusal in [
            "Invalid schema for function 'pattern': bad", "tool pattern: failed to parse grammar", "in \"pattern\"",
        ] {
            #expect(
                try Self.rungs(plan, refusal) == [.fitted, .without(tool: "pattern"), .minimal, .bare], "\(refusal)")
        }
        for refusal in ["unsupported pattern", "function patterns: bad", "tools 'f' and 'pattern'", "tool f-pattern"] {
            #expect(try Self.rungs(plan, refusal) == [.fitted, .minimal, .bare], "\(refusal)")
        }
        let made = try Self.body(plan, .without(tool: "pattern"))
        #expect(made.json["tools"]?[1]?["function"]?["parameters"] == ["type": "object"])
        #expect(made.json["tools"]?[0]?["function"]?["parameters"] == (try JSON(parsing: Self.fitted)))
        #expect(made.dropped == ["schemas.without.pattern"])
        let anthropic = try #require(
            Self.plan(
                #""tools":[{"name":"a\r\nb","input_schema":\#(Self.pattern)},{"name":"f","input_schema":\#(Self.pattern)}]"#,
                dialect: .anthropic))
        #expect(try Self.rungs(anthropic, "tool 'f'") == [.without(tool: "f"), .minimal, .bare])
        let translated = try Self.body(anthropic, .without(tool: "f"))
        #expect(translated.json["tools"]?[1]?["function"]?["parameters"] == ["type": "object"])
        #expect(translated.json["tools"]?[0]?["function"]?["parameters"] == (try JSON(parsing: Self.fitted)))
        #expect(SchemaRung.without(tool: "a\r\nb").note == "schemas.without.a__b")
    }

    @Test("A translated request is written with simpler schemas")
    func translated() throws {
        let plan = try #require(
            Self.plan(#""tools":[{"name":"f","input_schema":\#(Self.pattern)}]"#, dialect: .anthropic))
        let made = try Self.body(plan, .bare)
        #expect(made.json["tools"]?[0]?["function"]?["parameters"] == ["type": "object"])
        #expect(made.dropped == ["schemas.bare"])
    }

    static func driver(_ phase: ExchangeDriver.Phase, _ more: String = tools) throws -> ExchangeDriver {
        var driver = ExchangeDriver(try #require(plan(more)))
        driver.go(to: phase)
        return driver
    }

    @Test("A refusal is answered by the next form, once each, and then by the refusal; no retry is used up")
    func exchange() throws {
        var driver = try Self.driver(.sent)
        for _ in 0..<3 {
            driver.receive(.head(Fault.head(400)), .end(cleanly: true, reusable: true))
            #expect(driver.receive(.passed(.failed(Self.refused))) == ["release", "reset", "acquire a/m"])
            driver.receive(.slotGranted(Make.place.origin), .connected)
        }
        #expect(driver.exchange.rung == .bare)
        driver.receive(.head(Fault.head(400)), .end(cleanly: true, reusable: true))
        #expect(
            driver.receive(.passed(.failed(Self.refused))) == [
                "refuse schema_refused", "release", "record schema_refused",
            ])
        #expect(driver.records.last?.attempts == 4)
        #expect(driver.records.last?.rung == .bare)
    }

    @Test("A stream that fails so before its first event is asked for again; after the commit it is not")
    func streamed() throws {
        var early = try Self.driver(.sent, Self.tools + ",\"stream\":true")
        early.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "x")))
        #expect(
            early.receive(.passed(.failed(Self.refused))) == ["close upstream", "release", "reset", "acquire a/m"])
        var late = try Self.driver(.committed, Self.tools + ",\"stream\":true")
        late.receive(.bytes(ByteBuffer(string: "x")))
        #expect(
            late.receive(.passed(.failed(Self.refused))) == [
                "close upstream", "fail schema_refused", "release", "record schema_refused",
            ])
    }

    @Test("Retries are still there after a refusal, and the next candidate begins with the first form")
    func retries() throws {
        var driver = try Self.driver(.sent)
        driver.receive(.head(Fault.head(400)), .end(cleanly: true, reusable: true), .passed(.failed(Self.refused)))
        for _ in 0..<2 {
            driver.receive(.slotGranted(Make.place.origin), .upstreamFailed(Fault.unreachable, stale: false))
            driver.wait(.seconds(1))
        }
        #expect(driver.exchange.rung == .fitted)
        driver.receive(.slotGranted(Make.place.origin))
        #expect(driver.receive(.upstreamFailed(Fault.unreachable, stale: false)).last == "acquire b/m")
        #expect(driver.exchange.rung == nil)
    }

    @Test("What worked is remembered for these schemas at this place, for a while and not without bound")
    func memory() throws {
        let plan = try #require(Self.plan(Self.tools))
        let (a, b) = (plan.schemaKey(at: plan.candidates[0]), plan.schemaKey(at: plan.candidates[1]))
        let other = try #require(Self.plan(Self.format))
        #expect(Set([a, b, other.schemaKey(at: other.candidates[0])]).count == 3)
        #expect(try #require(Self.plan(Self.tools + ",\"x\":1")).schemaKey(at: plan.candidates[0]) == a)
        var memory = RungMemory()
        let start = NIODeadline.uptimeNanoseconds(0)
        #expect(memory.isEmpty && memory.rung(for: a, at: start) == nil)
        memory.keep(.minimal, for: a, at: start)
        memory.keep(.minimal, for: a, at: start + .minutes(59))
        #expect(memory.rung(for: a, at: start + .minutes(59)) == .minimal)
        #expect(memory.rung(for: b, at: start) == nil)
        #expect(memory.rung(for: a, at: start + .minutes(61)) == nil)
        for key in 1...300 { memory.keep(.bare, for: key, at: start + .seconds(Int64(key))) }
        #expect((1...300).filter { memory.rung(for: $0, at: start + .minutes(6)) != nil } == Array(45...300))
    }
}
