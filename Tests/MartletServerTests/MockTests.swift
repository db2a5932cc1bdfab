import MartletGateway
import MartletServer
import MartletTransport
import MartletWire
import NIOCore
import Testing

@Suite("The mock upstream")
struct MockTests {
    /// What a mock answers: its status and its body.
    static func ask(_ body: String, _ url: String = "mock:") async throws -> (status: Int, body: ByteBuffer) {
        let settings = try #require(MockSettings(url))
        return try await Loop.run { loop in
            let host = MockHost(group: loop.group, home: "/nonexistent")
            defer { host.close() }
            let upstream = Upstream(
                name: "mock", profile: .mock, location: .url(BaseURL(origin: try await host.start(settings))))
            let reply = try await loop.calls.post(
                "/v1/chat/completions", ByteBuffer(string: body), at: upstream, timeout: .seconds(20))
            return (reply.head.status, reply.body)
        }
    }

    static func reply(_ rest: String, _ url: String = "mock:") async throws -> JSON {
        try JSON(parsing: try await ask("{\"model\":\"mock\",\(rest)}", url).body)
    }

    /// The events of a stream as JSON, without the last `[DONE]`; nil when that is missing.
    static func events(_ rest: String, _ url: String = "mock:") async throws -> [JSON]? {
        let body = try await ask("{\"model\":\"mock\",\"stream\":true,\(rest)}", url).body
        var data = String(buffer: body).split(separator: "\n\n").map { String($0.dropFirst("data: ".count)) }
        guard data.popLast() == "[DONE]" else { return nil }
        return try data.map { try JSON(parsing: $0) }
    }

    static let hello = "\"messages\":[{\"role\":\"user\",\"content\":\"one  two\\nthree\"}]"

    @Test("It says the user's last text behind a phrase, and counts words as tokens")
    func echo() async throws {
        let reply = try await Self.reply(Self.hello)
        #expect(reply["choices"]?[0]?["message"]?["content"] == "The mock heard: one  two\nthree")
        #expect(reply["choices"]?[0]?["finish_reason"] == "stop")
        #expect(reply["usage"] == ["prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9])
    }

    @Test("The same request gets the same bytes")
    func deterministic() async throws {
        let first = try await Self.ask("{\"model\":\"mock\",\(Self.hello)}").body
        #expect(try await Self.ask("{\"model\":\"mock\",\(Self.hello)}").body == first)
    }

    @Test("A stream has the same text, a word an event, and usage only when it is asked for")
    func stream() async throws {
        let events = try #require(try await Self.events("\"stream_options\":{\"include_usage\":true},\(Self.hello)"))
        let pieces = events.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }
        #expect(pieces == ["", "The", " mock", " heard:", " one", "  two", "\nthree"])
        #expect(events.last?["usage"]?["completion_tokens"] == 6)
        #expect(events.dropLast().last?["choices"]?[0]?["finish_reason"] == "stop")
        let silent = try #require(try await Self.events(Self.hello))
        #expect(silent.allSatisfy { $0["usage"] == nil })
    }

    @Test(
        "Limits and stop strings end the text",
        arguments: [
            ("\"max_tokens\":4", "The mock heard: one", "length"),
            ("\"max_completion_tokens\":1", "The", "length"),
            ("\"max_tokens\":6", "The mock heard: one  two\nthree", "stop"),
            ("\"max_tokens\":-1", "The mock heard: one  two\nthree", "stop"),
            ("\"stop\":\"two\"", "The mock heard: one  ", "stop"),
            ("\"stop\":[\"three\",\"heard\"]", "The mock ", "stop"),
            ("\"stop\":[]", "The mock heard: one  two\nthree", "stop"),
        ])
    func ends(setting: String, text: String, finish: String) async throws {
        let reply = try await Self.reply("\(setting),\(Self.hello)")
        #expect(reply["choices"]?[0]?["message"]?["content"] == .string(text))
        #expect(reply["choices"]?[0]?["finish_reason"] == .string(finish))
    }

    static let tools = """
        "tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{
        "city":{"type":"string"},"days":{"type":"integer","minimum":2},"unit":{"enum":["C","F"]},
        "places":{"type":"array","items":{"$ref":"#/$defs/place"}},"more":{"type":"string"}},
        "required":["city","days","unit","places"],"$defs":{"place":{"type":"object","properties":{
        "near":{"$ref":"#/$defs/place"}},"required":[]}}}}},
        {"type":"function","function":{"name":"other","parameters":{"type":"object","properties":{"x":{"type":"boolean"}}}}}]
        """

    @Test(
        "A tool is called when the choice or the text wants it",
        arguments: [
            ("\"tool_choice\":\"required\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]", "weather"),
            ("\"messages\":[{\"role\":\"user\",\"content\":\"Call a tool now\"}]", "weather"),
            (
                "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"other\"}},"
                    + "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]", "other"
            ),
            ("\"tool_choice\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"call a tool\"}]", nil),
            ("\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]", nil),
        ] as [(String, String?)])
    func toolChoice(rest: String, name: String?) async throws {
        let choice = try await Self.reply("\(Self.tools),\(rest)")["choices"]?[0]
        #expect(choice?["message"]?["tool_calls"]?[0]?["function"]?["name"]?.string == name)
        #expect(choice?["finish_reason"] == (name == nil ? "stop" : "tool_calls"))
    }

    @Test("Arguments have the schema's shape, streamed as well as whole, and a schema that holds itself ends")
    func arguments() async throws {
        let asked = "\(Self.tools),\"messages\":[{\"role\":\"user\",\"content\":\"call a tool\"}]"
        let call = try await Self.reply(asked)["choices"]?[0]?["message"]?["tool_calls"]?[0]
        let text = try #require(call?["function"]?["arguments"]?.string)
        let made = try JSON(parsing: text)
        #expect(made.object?.keys == ["city", "days", "unit", "places"])
        #expect(made["city"] == "city")
        #expect(made["days"] == 2)
        #expect(made["unit"] == "C")
        #expect(made["places"]?[0]?["near"]?.object != nil)
        let events = try #require(try await Self.events(asked))
        let calls = events.compactMap { $0["choices"]?[0]?["delta"]?["tool_calls"]?[0] }
        #expect(calls.compactMap { $0["function"]?["arguments"]?.string }.joined() == text)
        #expect(calls.compactMap { $0["function"]?["name"]?.string } == ["weather"])
    }

    @Test("A tool's result is said, so that an agent's loop ends")
    func result() async throws {
        let asked = """
            \(Self.tools),"messages":[{"role":"user","content":"call a tool"},{"role":"assistant","tool_calls":[]},
            {"role":"tool","tool_call_id":"x","content":"42"}]
            """
        #expect(try await Self.reply(asked)["choices"]?[0]?["message"]?["content"] == "The tool said: 42")
    }

    @Test("A response format is answered with JSON of its schema")
    func format() async throws {
        let asked = """
            "response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object",
            "properties":{"ok":{"type":"boolean"},"n":{"type":"number"}}}}},\(Self.hello)
            """
        let text = try await Self.reply(asked)["choices"]?[0]?["message"]?["content"]?.string
        #expect(text == "{\"ok\":true,\"n\":1}")
    }

    @Test(
        "A length is kept by repeating or cutting the answer",
        arguments: [(2, "The mock"), (8, "The mock heard: a The mock heard: a")])
    func tokens(count: Int, text: String) async throws {
        let reply = try await Self.reply(
            "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]", "mock:?tokens=\(count)")
        #expect(reply["choices"]?[0]?["message"]?["content"] == .string(text))
        #expect(reply["usage"]?["completion_tokens"] == .int(count))
    }

    @Test("A pace takes its time, streamed or not", arguments: [true, false])
    func pace(streams: Bool) async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let body = "{\"model\":\"mock\",\"stream\":\(streams),\(Self.hello)}"
        #expect(try await Self.ask(body, "mock:?pace=20ms&first=60ms").status == 200)
        #expect(clock.now - start >= .milliseconds(streams ? 60 + 5 * 20 : 60 + 6 * 20))
    }

    @Test(
        "What it cannot do is said",
        arguments: [
            ("{\"model\":\"gpt\",\(hello)}", 404, "the mock has no model \"gpt\", only mock"),
            ("{\"model\":\"mock\",\"n\":2,\(hello)}", 400, "the mock gives one choice, n must be 1"),
            ("{\"model\":\"mock\",\"messages\":[]}", 400, "messages must hold at least one message"),
        ])
    func refused(body: String, status: Int, sentence: String) async throws {
        let reply = try await Self.ask(body)
        #expect(reply.status == status)
        #expect(try JSON(parsing: reply.body)["error"]?["message"] == .string(sentence))
    }

    @Test("A long answer arrives whole")
    func long() async throws {
        let events = try #require(try await Self.events(Self.hello, "mock:?tokens=5000"))
        #expect(events.count == 5000 + 2)
    }

    @Test(
        "Its URL says how it answers, and nothing else",
        arguments: [
            ("", true), ("mock:", true), ("mock:?pace=20ms&tokens=50", true), ("mock:?models=a,b", true),
            ("mock:?pace=2", false), ("mock:?tokens=0", false), ("mock:?speed=1s", false), ("mock:x", false),
            ("mock:?pace", false), ("mock:?models=", false), ("http://a", false),
        ])
    func url(text: String, isGood: Bool) {
        #expect((MockSettings(text) != nil) == isGood)
    }

    @Test("It is there only when it is named")
    func named() throws {
        let flags = Written.flags { $0.kinds = ["mock"] }
        #expect(try Written.load(flags: flags).configuration.upstreams.map(\.kind) == ["mock"])
        let url = Written.flags { $0.upstreams = ["mock:?pace=5ms"] }
        #expect(try Written.load(flags: url).configuration.upstreams.map(\.url) == ["mock:?pace=5ms"])
        #expect(try Written.load().configuration.upstreams.isEmpty)
        #expect(Written.refusal("upstreams: { a: { url: 'mock:?speed=1' } }")?.contains("mock:?pace=20ms") == true)
        #expect(!Discovery.places.contains { $0.kind == "mock" })
    }
}
