import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("What the inference: form asks of the gateway")
struct InferenceFormTests {
    // MARK: Time

    @Test("A bound on unstreamed exchanges ends one from its beginning on, however busy the upstream is")
    func unstreamedTotal() {
        var driver = ExchangeDriver(
            streams: false,
            deadlines: Deadlines(firstByte: .seconds(60), idle: .seconds(60), unstreamedTotal: .seconds(2)))
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(200)))
        for _ in 0..<3 {
            #expect(driver.wait(.milliseconds(600)) == [])
            driver.receive(.bytes(ByteBuffer(string: "{")))
        }
        #expect(driver.wait(.milliseconds(300)).contains("refuse upstream_timeout"))
        #expect(driver.refusals.first?.message.contains("total timeout after 2 s") == true)
        #expect(driver.refusals.first?.message.contains("upstreams.a.timeouts.unstreamed_total") == true)
    }

    @Test("It does not count for streams")
    func streamed() {
        var driver = ExchangeDriver(
            streams: true,
            deadlines: Deadlines(firstByte: .seconds(60), idle: .seconds(60), unstreamedTotal: .seconds(2)))
        driver.go(to: .committed)
        #expect(!driver.wait(.seconds(8)).contains { $0.hasPrefix("fail") || $0.hasPrefix("refuse") })
        #expect(!driver.exchange.hasEnded)
    }

    @Test(
        "Beside a bound on all exchanges the shorter one counts, and is named",
        arguments: [(3, 2, "unstreamed_total raises", 2), (2, 3, "timeouts.total raises", 2)])
    func both(total: Int64, unstreamed: Int64, named: String, seconds: Int64) {
        let deadlines = Deadlines(
            firstByte: nil, idle: nil, total: .seconds(total), unstreamedTotal: .seconds(unstreamed))
        var driver = ExchangeDriver(streams: false, deadlines: deadlines)
        driver.go(to: .sent)
        #expect(driver.wait(.seconds(seconds) - .milliseconds(100)) == [])
        #expect(driver.wait(.milliseconds(200)).contains("refuse upstream_timeout"))
        #expect(driver.refusals.first?.message.contains(named) == true)
    }

    @Test("A timeout is called as that form calls it", arguments: [true, false])
    func settingName(streams: Bool) {
        var deadlines = Deadlines(firstByte: .seconds(1), unstreamedTotal: .seconds(1))
        deadlines.isInferenceForm = true
        var driver = ExchangeDriver(streams: streams, deadlines: deadlines)
        driver.go(to: .sent)
        driver.wait(.milliseconds(1200))
        #expect(driver.refusals.first?.message.hasSuffix("inference.http.timeout_secs raises it") == true)
        var unconnected = ExchangeDriver(streams: streams, deadlines: Self.connecting)
        unconnected.go(to: .connecting)
        unconnected.wait(.milliseconds(1200))
        #expect(
            unconnected.refusals.first?.message.hasSuffix("inference.http.connect_timeout_secs raises it") == true)
    }

    private static var connecting: Deadlines {
        var deadlines = Deadlines(connect: .seconds(1))
        deadlines.isInferenceForm = true
        return deadlines
    }

    // MARK: Models

    static let mistral = "TheBloke/Mistral-7B-Instruct-v0.2-GGUF"
    static let llama = "TheBloke/Llama-2-7B-Chat-GGUF"

    static func table(
        default defaultModel: String? = nil, allowed: [String] = [], served: [String]? = [mistral, llama],
        inference: Bool = true
    ) -> RouteTable {
        RouteTable(
            upstreams: [Make.upstream("studio", .lmStudio)], served: ["studio": ServedModels(ids: served)],
            defaultModel: defaultModel, allowed: allowed, usesInferenceErrors: inference)
    }

    @Test("A model that is not allowed is the form's 400, and a 403 elsewhere", arguments: [true, false])
    func notAllowed(inference: Bool) throws {
        let table = Self.table(allowed: [Self.mistral], inference: inference).with(served: Self.table().served)
        let error = #expect(throws: GatewayError.self) { try table.resolve("gpt-4") }
        let status = try #require(error.map { ErrorTable.status($0, for: .chat) })
        #expect(status == (inference ? 400 : 403))
        #expect(error?.message.contains("\"gpt-4\"") == true)
        #expect(error?.message.hasSuffix("allowed: \(Self.mistral)") == true)
        #expect(error?.param == "model")
    }

    @Test(
        "A unique part of an id is enough in the configuration, also when a client repeats it",
        arguments: [nil, "local-model", "Mistral-7B", mistral])
    func part(asked: String?) {
        #expect(Self.table(default: "Mistral-7B").outcome(asked) == ["studio/\(Self.mistral)"])
        #expect(
            Self.table(default: "Mistral-7B", allowed: ["Mistral-7B"]).outcome(asked) == ["studio/\(Self.mistral)"])
    }

    @Test("An allowed part stands for its id only, and an ambiguous one for none")
    func allowedPart() {
        let table = Self.table(allowed: ["Mistral"])
        #expect(table.outcome(Self.mistral) == ["studio/\(Self.mistral)"])
        #expect(table.outcome(Self.llama) == ["error invalid_request"])
        #expect(table.listed == [Self.mistral])
        let ambiguous = Self.table(allowed: ["TheBloke"])
        #expect(ambiguous.outcome(Self.mistral) == ["error invalid_request"])
        #expect(ambiguous.message("TheBloke")?.contains("could be any of") == true)
    }

    @Test(
        "local-model as default is the id of that name, else the one it is a part of, else the only one",
        arguments: [
            (["local-model", "b"], "local-model"), (["b", "local-model-7b"], "local-model-7b"), (["writer"], "writer"),
        ])
    func localModel(served: [String], expected: String) {
        for asked in [nil, "local-model"] {
            #expect(Self.table(default: "local-model", served: served).outcome(asked) == ["studio/\(expected)"])
        }
    }

    @Test("Where local-model stands for none, the sentence says what was asked for and which setting helps")
    func localModelIsNone() {
        let table = Self.table(default: "local-model", served: ["a", "b"])
        #expect(
            table.message("local-model")
                == "\"local-model\" is none of the models and 2 are served; name one of: a, b, in the request or as "
                + "inference.default_model")
        #expect(table.message(nil)?.hasPrefix("the request names no model and 2 are served") == true)
        let unset = Self.table(served: ["a", "b"], inference: false)
        #expect(unset.message(nil)?.hasSuffix("name one of: a, b, or set models.default") == true)
    }

    @Test("A part that no client may use in its own right is still a 404")
    func otherPart() {
        #expect(Self.table(default: "Mistral-7B").outcome("Llama") == ["error model_not_found"])
    }

    @Test("A part is looked up in a fresh list first where the upstream's list was never read")
    func lateList() {
        let snapshot = Make.snapshot(Self.table(default: "Mistral-7B", served: nil))
        let body = "{\(Make.messages)}"
        guard case .refresh = Decider.decide(Make.request(body), in: snapshot, mayRefresh: true) else {
            Issue.record("the list was not asked for")
            return
        }
        guard case .complete(let plan) = Decider.decide(Make.request(body), in: snapshot, mayRefresh: false) else {
            Issue.record("an upstream without a list is not tried")
            return
        }
        #expect(plan.candidates.map(\.shown) == ["studio/Mistral-7B"])
    }

    @Test("A name of the client's own goes to an upstream without a list at once")
    func trust() {
        let snapshot = Make.snapshot(Self.table(default: "Mistral-7B", served: nil))
        let body = "{\"model\":\"other\",\(Make.messages)}"
        guard case .complete = Decider.decide(Make.request(body), in: snapshot, mayRefresh: true) else {
            Issue.record("it waits for a list")
            return
        }
    }
}
