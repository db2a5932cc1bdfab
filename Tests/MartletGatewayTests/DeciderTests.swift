import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Decisions about a request, and the bytes that go upstream")
struct DeciderTests {
    func routes(_ mode: RelayMode = .repair, _ profile: UpstreamProfile = .vllm) -> RouteTable {
        RouteTable(
            upstreams: [Make.upstream("a", profile, mode: mode)], served: ["a": ServedModels(ids: ["real"])],
            aliases: [(pattern: "m", targets: ["a/real"])])
    }

    func decide(_ body: String, _ mode: RelayMode = .repair, mayRefresh: Bool = false) -> Decision {
        Decider.decide(Make.request(body), in: Make.snapshot(routes(mode)), mayRefresh: mayRefresh)
    }

    func body(_ text: String, _ mode: RelayMode = .repair, _ profile: UpstreamProfile = .vllm) throws -> String {
        let decision = Decider.decide(
            Make.request(text), in: Make.snapshot(routes(mode, profile)), mayRefresh: false)
        guard case .complete(let plan) = decision else { return "refused: \(decision)" }
        return try plan.request(for: plan.candidates[0]).body.map { String(buffer: $0) }.joined()
    }

    @Test(
        "Defaults stand where a request says nothing, or null",
        arguments: ["", ",\"temperature\":null,\"max_tokens\":null"])
    func defaults(members: String) throws {
        let snapshot = Snapshot(
            routes: routes(), hosts: HostGuard(bound: "127.0.0.1", machine: nil),
            defaults: WriteTarget.Defaults(temperature: 0.2, maxTokens: 9), instance: "i")
        let decision = Decider.decide(
            Make.request("{\"model\":\"m\"\(members),\(Make.messages)}"), in: snapshot, mayRefresh: false)
        guard case .complete(let plan) = decision else {
            Issue.record("refused")
            return
        }
        let body = try plan.request(for: plan.candidates[0]).body.map { String(buffer: $0) }.joined()
        #expect(body.components("\"temperature\":0.2") == 1 && body.components("\"max_tokens\":9") == 1)
        #expect(body.components("\"temperature\"") == 1 && body.components("\"max_tokens\"") == 1, "\(body)")
    }

    @Test("A limit under its newer name stands under the older one too, where only that is read")
    func newerLimit() throws {
        func sent(
            _ members: String, _ mode: RelayMode = .repair, _ profile: UpstreamProfile = .lmStudio
        ) throws -> String {
            try body("{\"model\":\"m\",\(members),\(Make.messages)}", mode, profile)
        }
        let newer = "\"max_completion_tokens\":77"
        #expect(try sent(newer).contains("\"max_tokens\":77") && sent(newer).contains(newer))
        #expect(try sent(newer + ",\"max_tokens\":null").components("\"max_tokens\"") == 1)
        #expect(try sent(newer + ",\"max_tokens\":null").contains("\"max_tokens\":77"))
        #expect(try !sent(newer + ",\"max_tokens\":5").contains("\"max_tokens\":77"))
        #expect(try !sent("\"max_completion_tokens\":null").contains("\"max_tokens\""))
        #expect(try !sent(newer, .exact).contains("\"max_tokens\""))
        #expect(try !sent(newer, .repair, .openAI).contains("\"max_tokens\""))
    }

    func context(_ more: String, _ mode: RelayMode = .repair, _ profile: UpstreamProfile = .vllm) throws -> ReplyContext
    {
        let text = "{\"model\":\"m\",\(Make.messages)\(more)}"
        let decision = Decider.decide(Make.request(text), in: Make.snapshot(routes(mode, profile)), mayRefresh: false)
        guard case .complete(let plan) = decision else { return ReplyContext(findsCalls: false) }
        return try plan.request(for: plan.candidates[0]).context
    }

    @Test("A relayed reply may call the tools its request offered, where the upstream leaves calls in the text")
    func offeredTools() throws {
        let tools = ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
        #expect(try context(tools).tools != nil && context(tools).findsCalls && !context(tools).wantsJSON)
        #expect(try context("").tools == nil)
        #expect(try context(tools + ",\"tool_choice\":\"none\"").tools == nil)
        #expect(try context(tools, .exact).tools == nil)
        #expect(try context(tools, .repair, .openAI).tools == nil)
        #expect(try context(tools + ",\"response_format\":{\"type\":\"json_object\"}").wantsJSON)
    }

    static let tail = ",\"seed\":18446744073709551615, \"x\" : 0.70,\"u\":\"\\/\",\(Make.messages)}"

    @Test(
        "Only the model is replaced; every other byte stays",
        arguments: [
            ("{\"model\":\"m\"", "{\"model\":\"real\""), ("{ \"model\" :  \"m\"", "{ \"model\" :  \"real\""),
            ("{\"model\":\"\\u006d\"", "{\"model\":\"real\""), ("{\"mod\\u0065l\":\"m\"", "{\"mod\\u0065l\":\"real\""),
            ("{\"model\":\"real\"", "{\"model\":\"real\""),
            ("{\"a\":{\"model\":\"m\"},\"model\":\"m\"", "{\"a\":{\"model\":\"m\"},\"model\":\"real\""),
            (
                "{\"user\":\"\\\"model\\\":\\\"m\\\"\",\"model\":\"m\"",
                "{\"user\":\"\\\"model\\\":\\\"m\\\"\",\"model\":\"real\""
            ),
        ], [RelayMode.exact, .repair])
    func model(text: (String, String), mode: RelayMode) throws {
        #expect(try body(text.0 + Self.tail, mode) == text.1 + Self.tail)
    }

    @Test(
        "2.8: OpenAI is spoken to in a client's own dialect, and else in Responses, where its models keep their reasoning",
        arguments: [
            (DialectID.chat, "/v1/chat/completions", "\"max_tokens\":9"),
            (.responses, "/v1/responses", "\"max_tokens\":9"),
            (.anthropic, "/v1/responses", "\"include\":[\"reasoning.encrypted_content\"]"),
        ])
    func openAI(client: DialectID, path: String, part: String) throws {
        let body = "{\"model\":\"m\",\"max_tokens\":9,\(Make.messages)}"
        let request = InboundRequest(
            id: "r1", method: "POST", path: "/", endpoint: .completion(client), dialect: client,
            body: ByteBuffer(string: body))
        let decision = Decider.decide(request, in: Make.snapshot(routes(.exact, .openAI)), mayRefresh: false)
        guard case .complete(let plan) = decision else {
            Issue.record("\(decision)")
            return
        }
        let sent = try plan.request(for: plan.candidates[0])
        #expect(String(describing: sent.path) == path)
        #expect(sent.body.map { String(buffer: $0) }.joined().contains(part))
    }

    @Test("E13: whoever asks for a name goes to the same server first, whatever others have asked for meanwhile")
    func sameServer() {
        let lists = ["a": ServedModels(ids: ["real"]), "b": ServedModels(ids: ["real"])]
        let routes = RouteTable(
            upstreams: [Make.upstream("a"), Make.upstream("b")], served: lists,
            aliases: [(pattern: "m", targets: ["a/real", "b/real"])])
        for turn in 0..<6 {
            let request = Make.request("{\"model\":\"m\",\"user\":\"\(turn % 2)\",\(Make.messages)}")
            guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false)
            else {
                Issue.record("refused")
                return
            }
            #expect(plan.candidates.map(\.upstream.name) == ["a", "b"])
        }
    }

    @Test("A request that names no model gets one")
    func noModel() throws {
        let text = try body("{\(Make.messages)}", .exact)
        #expect(text.contains("\"model\":\"real\"") && text.contains(Make.messages))
    }

    @Test("Usage is asked for on our own account only where nobody asked, in repair mode, of upstreams that need it")
    func usage() throws {
        let asked = "\"stream_options\":{\"include_usage\":true}"
        let plain = "{\"model\":\"real\",\"stream\":true,\(Make.messages)}"
        #expect(try body(plain).contains(asked))
        #expect(try body(plain, .exact) == plain)
        #expect(try !body(plain.replacingStream(with: "false")).contains("stream_options"))
        let given = "{\"model\":\"real\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\(Make.messages)}"
        #expect(try body(given) == given)
        let other =
            "{\"model\":\"real\",\"stream\":true,\"stream_options\":{\"x\":1.0,\"include_usage\":false},\(Make.messages)}"
        #expect(try body(other).contains("\"stream_options\":{\"x\":1.0,\"include_usage\":true}"))
        let null = "{\"model\":\"real\",\"stream\":true,\"stream_options\":null,\(Make.messages)}"
        #expect(try body(null).contains(asked) && !body(null).contains("null"))
        var profile = UpstreamProfile.vllm
        profile.capabilities.usage = .always
        #expect(try body(plain, .repair, profile) == plain)
    }

    @Test("Progress is asked of a llama.cpp that streams, and hidden from a client that has not asked itself")
    func progress() throws {
        let asked = "\"return_progress\":true"
        let plain = "{\"model\":\"real\",\"stream\":true,\(Make.messages)}"
        #expect(try body(plain, .repair, .llamaCpp).contains(asked))
        #expect(try body(plain, .repair, .engine).contains(asked))
        #expect(try body(plain, .exact, .llamaCpp) == plain)
        #expect(try !body(plain).contains("return_progress"))
        #expect(try !body("{\"model\":\"real\",\(Make.messages)}", .repair, .llamaCpp).contains("return_progress"))
        let own = "{\"model\":\"real\",\"stream\":true,\"return_progress\":false,\(Make.messages)}"
        #expect(try body(own, .repair, .llamaCpp).contains("\"return_progress\":false,\(Make.messages)"))
        for (text, hides) in [(plain, true), (own, false)] {
            let routes = routes(.repair, .llamaCpp)
            let decision = Decider.decide(Make.request(text), in: Make.snapshot(routes), mayRefresh: false)
            guard case .complete(let plan) = decision else {
                Issue.record("refused: \(decision)")
                continue
            }
            #expect(try plan.request(for: plan.candidates[0]).context.hidesProgress == hides)
        }
    }

    @Test("A retry gets the same bytes: nothing is edited in place")
    func twice() throws {
        let plan = Make.plan(streams: true, upstreams: [Make.upstream("a"), Make.upstream("b", mode: .exact)])
        func text(_ index: Int) throws -> String {
            try plan.request(for: plan.candidates[index]).body.map { String(buffer: $0) }.joined()
        }
        let first = try text(0)
        #expect(try text(1) != first, "exact mode asks for no usage")
        #expect(try text(0) == first)
    }

    static let refused: [(String, ErrorCode, String)] = [
        ("", .invalidJSON, "the request has no body; send a JSON object"),
        ("[]", .invalidJSON, "the request body must be a JSON object"),
        ("\u{FEFF}{}", .invalidJSON, "the request body begins with a byte order mark; send UTF-8 without one"),
        ("\"x\"", .invalidJSON, "the request body must be a JSON object"),
        ("{\"model\":\"m\"", .invalidJSON, ""),
        ("{\"model\":\"m\",}", .invalidJSON, ""),
        ("{\"model\":\"m\"} x", .invalidJSON, ""),
        ("{\"model\":\"m\",\"model\":\"x\",\(Make.messages)}", .invalidRequest, "model"),
        ("{\"model\":\"m\",\"mod\\u0065l\":\"x\",\(Make.messages)}", .invalidRequest, "model"),
        ("{\"model\":\"m\",\"stream\":true,\"stream\":false,\(Make.messages)}", .invalidRequest, "stream"),
        ("{\"model\":\"m\",\"ttl\":1,\"ttl\":2,\(Make.messages)}", .invalidRequest, "ttl"),
        ("{\"model\":1,\(Make.messages)}", .invalidRequest, "model must be a string"),
        ("{\"model\":\"m\",\"stream\":\"true\",\(Make.messages)}", .invalidRequest, "stream must be true or false"),
        (
            "{\"model\":\"m\",\"stream\":true,\"stream_options\":1,\(Make.messages)}", .invalidRequest,
            "stream_options must be an object"
        ),
        ("{\"model\":\"nope\",\(Make.messages)}", .modelNotFound, "nope"),
    ]

    @Test(
        "What cannot be read one way only is refused, with a sentence", arguments: refused, [RelayMode.exact, .repair])
    func refusals(row: (String, ErrorCode, String), mode: RelayMode) {
        guard case .refuse(let error) = decide(row.0, mode) else {
            Issue.record("\(row.0) is not refused")
            return
        }
        #expect(error.code == row.1)
        #expect(error.message.contains(row.2) && !error.message.isEmpty)
    }

    @Test("An unknown model has the lists read anew first, and so has none of several; other mistakes have not")
    func refresh() {
        let several = Make.snapshot(
            RouteTable(upstreams: [Make.upstream("a")], served: ["a": ServedModels(ids: ["x", "y"])]))
        for name in ["", "\"model\":\"local-model\","] {
            let request = Make.request("{\(name)\(Make.messages)}")
            guard case .refresh = Decider.decide(request, in: several, mayRefresh: true),
                case .refuse = Decider.decide(request, in: several, mayRefresh: false)
            else {
                Issue.record("no refresh: \(name)")
                return
            }
        }
        guard case .refresh = decide("{\"model\":\"nope\",\(Make.messages)}", mayRefresh: true) else {
            Issue.record("no refresh")
            return
        }
        guard case .refuse = decide("{\"model\":1}", mayRefresh: true) else {
            Issue.record("a refresh for a model that is no name")
            return
        }
    }

    @Test("Requests that are no completion go to a control route")
    func control() {
        for endpoint in [Endpoint.models, .health, .model("m"), .hello] {
            guard
                case .control = Decider.decide(
                    Make.request("", endpoint: endpoint), in: Make.snapshot(routes()), mayRefresh: true)
            else {
                Issue.record("\(endpoint) is decided as a completion")
                continue
            }
        }
    }

    static let checks: [(String, String?)] = [
        ("\"temperature\":0", nil), ("\"temperature\":2", nil), ("\"temperature\":2.0e0", nil),
        ("\"temperature\":null", nil),
        ("\"temperature\":2.01", "temperature must be between 0 and 2 (got 2.01)"),
        ("\"temperature\":7", "temperature must be between 0 and 2 (got 7)"),
        ("\"temperature\":-0.1", "temperature must be between 0 and 2 (got -0.1)"),
        ("\"temperature\":1e999", "temperature must be between 0 and 2 (got 1e999)"),
        ("\"temperature\":\"1\"", "temperature must be a number (got \"1\")"),
        ("\"temperature\":true", "temperature must be a number (got true)"),
        ("\"top_p\":1", nil), ("\"top_p\":1.1", "top_p must be between 0 and 1 (got 1.1)"),
        ("\"presence_penalty\":-2", nil),
        ("\"frequency_penalty\":2.5", "frequency_penalty must be between -2 and 2 (got 2.5)"),
        ("\"max_tokens\":-1", nil), ("\"max_tokens\":100", nil), ("\"max_tokens\":1e2", nil),
        ("\"max_tokens\":-2", "max_tokens must be a whole number, or -1 for no limit (got -2)"),
        ("\"max_tokens\":1.5", "max_tokens must be a whole number, or -1 for no limit (got 1.5)"),
        (
            "\"max_completion_tokens\":99999999999",
            "max_completion_tokens must be a whole number, or -1 for no limit (got 99999999999)"
        ),
        ("\"n\":0", "n must be a whole number between 1 and 128 (got 0)"), ("\"n\":128", nil),
        ("\"top_logprobs\":21", "top_logprobs must be a whole number between 0 and 20 (got 21)"),
        ("\"n\":1,\"n\":2", "n"),
        ("\"tools\":\"x\"", "tools must be a list (got \"x\")"), ("\"tools\":[1]", "tools[0]: an object was expected"),
        ("\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name: a name is required"),
        ("\"tools\":[{\"type\":\"function\",\"function\":[]}]", "tools[0].function: an object was expected"),
        ("\"tools\":[{\"function\":{\"name\":\"f\",\"x\":1}},{\"type\":\"web_search\"},{\"name\":\"g\"}]", nil),
        ("\"tools\":[],\"tool_choice\":\"auto\",\"stop\":null,\"seed\":null", nil),
        ("\"tool_choice\":3", "tool_choice must be a string or an object (got 3)"),
        ("\"stop\":5", "stop must be a string or a list of strings (got 5)"), ("\"stop\":[\"a\",\"b\"]", nil),
        ("\"stop\":[\"a\",5]", "stop[1]: a string was expected"),
        ("\"seed\":\"a\"", "seed must be a number (got \"a\")"), ("\"seed\":-1", nil),
        ("\"response_format\":\"json\"", "response_format must be an object (got \"json\")"),
        ("\"unknown\":[1],\"user\":5", nil),
        ("\"temperature\":\"\(String(repeating: "x", count: 100))\"", "…"),
    ]

    @Test("Known members are checked in repair mode, and left alone in exact mode", arguments: checks)
    func ranges(member: String, expected: String?) {
        let text = "{\"model\":\"m\",\(member),\(Make.messages)}"
        var message: String?
        if case .refuse(let error) = decide(text) {
            message = error.message
            #expect(error.code == .invalidRequest)
            #expect(error.param != nil)
        }
        if let expected { #expect(message?.contains(expected) == true) } else { #expect(message == nil) }
        if case .refuse(let error) = decide(text, .exact) { Issue.record("exact mode refuses: \(error.message)") }
    }

    @Test(
        "Messages must be there, and be some",
        arguments: [
            ("", "messages is required"), (",\"messages\":null", "messages must be an array"),
            (",\"messages\":{}", "messages must be an array"),
            (",\"messages\":[]", "at least one message"), (",\"messages\":[ \n ]", "at least one message"),
            (",\"messages\":[{}],\"messages\":[]", "messages"),
        ])
    func messages(member: String, expected: String) {
        guard case .refuse(let error) = decide("{\"model\":\"m\"\(member)}") else {
            Issue.record("not refused")
            return
        }
        #expect(error.message.contains(expected))
        #expect(error.param == "messages")
    }

    static let kinds: [(String, String?)] = [
        ("1", "messages[1]: an object was expected"), ("{}", "messages[1].role: a role is required"),
        ("{\"content\":\"x\"}", "messages[1].role: a role is required"),
        ("{\"role\":1,\"content\":\"x\"}", "messages[1].role: a string was expected"),
        (
            "{\"role\":\"wizard\",\"content\":\"x\"}",
            "messages[1].role: \"wizard\" is not a role; use system, user, assistant or tool"
        ),
        ("{\"role\":\"us\\u0065r\",\"content\":\"x\",\"extra\":[1]}", nil),
        ("{\"role\":\"user\"}", "messages[1].content: a string or a list of parts is required"),
        ("{\"role\":\"user\",\"content\":null}", "messages[1].content: a string or a list of parts is required"),
        (
            "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":{}}",
            "messages[1].content: a string or a list of parts was expected"
        ),
        ("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\"}]}", nil),
        ("{\"role\":\"assistant\",\"tool_calls\":{}}", "messages[1].tool_calls: a list was expected"),
        ("{\"role\":\"assistant\",\"tool_calls\":[7]}", "messages[1].tool_calls[0]: an object was expected"),
        ("{\"role\":\"user\",\"content\":[\"x\",{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"input_audio\"}]}", nil),
        ("{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}", "messages[1].content[0].type: a part needs a type"),
        ("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}", "messages[1].content[0].text: is required"),
        ("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}", "content[0].text: a string was expected"),
        ("{\"role\":\"user\",\"content\":[3]}", "messages[1].content[0]: an object was expected"),
        ("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}", "content[0].image_url: is required"),
        (
            "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}",
            "content[0].image_url.url: an address is required"
        ),
        (image, nil),
    ]

    static let image =
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,aaaa\"}}]}"

    @Test("Messages are of the kinds they should be, or refused where they are not", arguments: kinds)
    func messageKinds(message: String, expected: String?) {
        let text = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},\(message)]}"
        var found: String?
        if case .refuse(let error) = decide(text) {
            found = error.message
            #expect(error.code == .invalidRequest)
        }
        if let expected { #expect(found?.contains(expected) == true, "\(found ?? "-")") } else { #expect(found == nil) }
        if case .refuse(let error) = decide(text, .exact) { Issue.record("exact mode refuses: \(error.message)") }
    }
}

extension String {
    /// How often the part stands in it.
    fileprivate func components(_ part: String) -> Int {
        split(separator: part, omittingEmptySubsequences: false).count - 1
    }

    fileprivate func replacingStream(with value: String) -> String {
        split(separator: "\"stream\":true", maxSplits: 1).joined(separator: "\"stream\":\(value)")
    }
}
