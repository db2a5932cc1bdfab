import MartletDialects
import MartletWire
import NIOCore
import Testing

/// A request for structured output, its upstream being one that cannot be held to a form, and what becomes of its replies.
struct FormAsked {
    /// Those that have a word for it.
    static let dialects: [DialectID] = [.chat, .anthropic, .responses]
    static let schema =
        #"{"type":"object","properties":{"age":{"type":"integer"}},"required":["age"],"additionalProperties":false}"#

    var client: DialectID
    var upstream: DialectID
    var request: TranslatedRequest

    init(
        _ client: DialectID = .anthropic, _ upstream: DialectID = .chat, schema: String? = FormAsked.schema,
        more: String = "", streams: Bool = false, strict: Bool = false, after misfit: AnswerMisfit? = nil,
        _ change: (inout Capabilities) -> Void = { _ in }
    ) throws {
        self.client = client
        self.upstream = upstream
        var flags: Capabilities =
            switch upstream {
            case .chat, .completions, .lmstudio: Capabilities()
            case .anthropic: .anthropic
            case .responses: .responses
            }
        flags.jsonSchema = .none
        flags.jsonObject = .none
        change(&flags)
        let body = #"{"model":"m",\#(Self.body(client, schema))\#(streams ? #","stream":true"# : "")\#(more)}"#
        request = try Dialects.translateRequest(
            JSONDocument(checking: ByteBuffer(string: body)), from: client, to: UpstreamDialect(upstream),
            for: WriteTarget(model: "u", capabilities: flags, streams: streams, isStrict: strict), after: misfit)
    }

    /// - Parameter schema: nil for any object.
    static func body(_ client: DialectID, _ schema: String?) -> String {
        let turn = #"[{"role":"user","content":"hi"}]"#
        switch client {
        case .chat, .completions, .lmstudio:
            let format =
                schema.map { #"{"type":"json_schema","json_schema":{"name":"o","schema":\#($0)}}"# }
                ?? #"{"type":"json_object"}"#
            return #""messages":\#(turn),"response_format":\#(format)"#
        case .anthropic:
            return
                #""max_tokens":9,"messages":\#(turn),"output_config":{"format":{"type":"json_schema","schema":\#(schema ?? "{}")}}"#
        case .responses:
            let format =
                schema.map { #"{"type":"json_schema","name":"o","schema":\#($0)}"# } ?? #"{"type":"json_object"}"#
            return #""input":"hi","text":{"format":\#(format)}"#
        }
    }

    /// A whole reply of the upstream, for the client.
    func reply(_ text: String, finish: String = "stop", usage: (Int, Int) = (10, 5)) throws -> WholeReply {
        let said = JSON.string(text).text
        let body =
            switch upstream {
            case .chat, .completions, .lmstudio:
                #"{"id":"c","object":"chat.completion","created":1,"model":"u","choices":[{"index":0,"message":{"role":"assistant","content":\#(said)},"finish_reason":"\#(finish)"}],"usage":{"prompt_tokens":\#(usage.0),"completion_tokens":\#(usage.1),"total_tokens":\#(usage.0 + usage.1)}}"#
            case .anthropic:
                #"{"id":"m","type":"message","role":"assistant","model":"u","content":[{"type":"text","text":\#(said)}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":\#(usage.0),"output_tokens":\#(usage.1)}}"#
            case .responses:
                #"{"id":"r","object":"response","status":"completed","model":"u","output":[{"type":"message","id":"i","role":"assistant","status":"completed","content":[{"type":"output_text","text":\#(said),"annotations":[]}]}],"usage":{"input_tokens":\#(usage.0),"output_tokens":\#(usage.1),"total_tokens":\#(usage.0 + usage.1)}}"#
            }
        return try Dialects.translateWhole(
            ByteBuffer(string: body), from: UpstreamDialect(upstream), to: Self.target(client), context: request.context
        )
    }

    static func target(_ client: DialectID) -> ReplyTarget {
        ReplyTarget(
            dialect: client, model: "m", usage: .asked, mode: .repair, created: 1, ids: IDSource(seed: 1),
            requestID: "req", showsThinkingBlocks: false, clock: { 1 })
    }

    /// The text a client reads in a whole reply.
    static func text(_ reply: WholeReply, _ client: DialectID) throws -> String? {
        let json = try JSON(parsing: reply.pieces.map { String(buffer: $0) }.joined())
        return switch client {
        case .chat, .completions: json["choices"]?[0]?["message"]?["content"]?.string
        case .anthropic: json["content"]?[0]?["text"]?.string
        case .responses: json["output"]?[0]?["content"]?[0]?["text"]?.string
        case .lmstudio: json["output"]?[0]?["content"]?.string
        }
    }
}

@Suite("Answers in a form their upstream cannot be held to")
struct AnswerFormTests {
    static let pairs = FormAsked.dialects.flatMap { client in
        FormAsked.dialects.filter { $0 != client }.map { (client, $0) }
    }

    @Test("the form is asked for in words, and nowhere else", arguments: pairs)
    func words(_ client: DialectID, _ upstream: DialectID) throws {
        let asked = try FormAsked(client, upstream)
        let text = asked.request.body.string
        #expect(
            text.contains(
                JSON.string("Answer with JSON that fits this JSON Schema, and nothing else:\n\(FormAsked.schema)").text
                    .dropFirst().dropLast()))
        for name in ["response_format", "output_config", #""text":{"#] { #expect(!text.contains(name)) }
        #expect(asked.request.context.answerForm == .schema(ByteBuffer(string: FormAsked.schema)))
        #expect(asked.request.dropped == [])
    }

    @Test("any object is asked for in words too", arguments: [DialectID.chat, .responses])
    func objects(_ client: DialectID) throws {
        for upstream in FormAsked.dialects where upstream != client {
            let asked = try FormAsked(client, upstream, schema: nil)
            #expect(asked.request.body.string.contains("Answer with one JSON object and nothing else."))
            #expect(asked.request.context.answerForm == .object)
            #expect(try asked.reply("[1]").misfit?.violation == "the JSON must be an object")
            #expect(try asked.reply("{}").misfit == nil)
        }
    }

    @Test("an upstream that can be held to it is, and its answer is not checked", arguments: pairs)
    func native(_ client: DialectID, _ upstream: DialectID) throws {
        let asked = try FormAsked(client, upstream) { $0.jsonSchema = .native }
        #expect(!asked.request.body.string.contains("Answer with JSON"))
        #expect(asked.request.context.answerForm == nil)
        #expect(try FormAsked.text(asked.reply("no JSON"), client) == "no JSON")
    }

    @Test(
        "a stream is only asked for it, which is named by the client's word; strictly, it is refused", arguments: pairs)
    func streamed(_ client: DialectID, _ upstream: DialectID) throws {
        let asked = try FormAsked(client, upstream, streams: true)
        #expect(asked.request.body.string.contains("Answer with JSON"))
        #expect(asked.request.context.answerForm == nil)
        let name = [DialectID.chat: "response_format", .anthropic: "output_config.format", .responses: "text.format"]
        #expect(asked.request.dropped == [name[client]])
        let error = #expect(throws: GatewayError.self) { try FormAsked(client, upstream, streams: true, strict: true) }
        #expect(error?.code == .invalidRequest && error?.param == name[client])
        #expect(throws: Never.self) { try FormAsked(client, upstream, strict: true) }
    }

    @Test("an answer that fits stays as it is, byte for byte", arguments: pairs)
    func fits(_ client: DialectID, _ upstream: DialectID) throws {
        let answer = "\n {\"age\" : 7.0}\n"
        #expect(try FormAsked.text(FormAsked(client, upstream).reply(answer), client) == answer)
    }

    @Test(
        "a code fence or a remark around an answer that fits is taken away",
        arguments: [
            "```json\n{\"age\": 7}\n```", "Here it is:\n\n```\n{\"age\": 7}\n```\nDone.", "Sure! {\"age\": 7}",
            "{\"age\": 7}\n\nI hope that helps.",
        ])
    func wrapped(_ answer: String) throws {
        for (client, upstream) in Self.pairs {
            #expect(try FormAsked.text(FormAsked(client, upstream).reply(answer), client) == "{\"age\": 7}")
        }
    }

    @Test(
        "what is wrong is told with its place; what could be two answers is none",
        arguments: [
            (#"{"age":"x"}"#, "/age must be of type integer, and is a string"),
            ("```json\n{\"age\":1.5}\n```", "/age must be of type integer, and is a number"),
            ("{}", #"the JSON must have a member "age""#), ("", "the answer is empty"),
            (#"{"age":1,"x":2}"#, #"the JSON must not have a member "x""#),
            (#"Either {"age":1} or {"age":2}"#, nil), ("```\n{\"age\":1}\n```\n```\n{\"age\":2}\n```", nil),
            (#"[see] {"age":1}"#, nil), (#"{"age":1,"age":2}"#, nil), (#"{"age":1"#, nil), ("seven", nil),
        ] as [(String, String?)])
    func misfits(_ answer: String, _ violation: String?) throws {
        for (client, upstream) in Self.pairs {
            let misfit = try #require(try FormAsked(client, upstream).reply(answer).misfit, "\(answer)")
            if let violation { #expect(misfit.violation == violation) }
            if violation == nil { #expect(misfit.violation.hasPrefix("it is not JSON, ")) }
            #expect(misfit.text.unescaped() == answer)
            #expect(misfit.usage.input == 10 && misfit.usage.output == 5)
        }
    }

    @Test("calls, answers that were cut off and answers to a beginning of the client's are not checked")
    func unchecked() throws {
        #expect(try FormAsked().reply(#"{"age""#, finish: "length").misfit == nil)
        #expect(try FormAsked().reply("", finish: "content_filter").misfit == nil)
        let call =
            #"{"id":"c","model":"u","choices":[{"index":0,"message":{"role":"assistant","content":"Let me see.","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#
        let context = try FormAsked().request.context
        let made = try Dialects.translateWhole(
            ByteBuffer(string: call), from: .chat, to: FormAsked.target(.anthropic), context: context)
        #expect(made.misfit == nil)
        var continued = context
        continued.prefill = EscapedText(escaping: "{")
        let rest = try FormAsked().reply(#""age":1}"#)
        #expect(rest.misfit != nil)
        var asked = try FormAsked()
        asked.request.context = continued
        #expect(try asked.reply(#""age":1}"#).misfit == nil)
    }

    @Test(
        "asked again, the model sees its answer and what is wrong with it; the usage is that of both", arguments: pairs)
    func again(_ client: DialectID, _ upstream: DialectID) throws {
        let first = try FormAsked(client, upstream)
        let misfit = try #require(try first.reply(#"{"age":"x"}"#).misfit)
        let second = try FormAsked(client, upstream, after: misfit)
        let json = try JSON(parsing: second.request.body.string)
        let turns = try #require((json["messages"] ?? json["input"])?.array).suffix(2)
        #expect(turns.map { $0["role"]?.string } == ["assistant", "user"])
        #expect(turns.first?.text.contains(#"{\"age\":\"x\"}"#) == true)
        #expect(turns.last?.text.contains("/age must be of type integer, and is a string") == true)
        let reply = try second.reply(#"{"age":1}"#, usage: (30, 6))
        #expect(reply.summary.usage.input == 40 && reply.summary.usage.output == 11)
        let usage = try JSON(parsing: reply.pieces.map { String(buffer: $0) }.joined())["usage"]
        #expect((usage?["input_tokens"] ?? usage?["prompt_tokens"])?.int == 40)
        #expect((usage?["output_tokens"] ?? usage?["completion_tokens"])?.int == 11)
    }

    @Test("E7: an answer in the place of thinking is moved before it is checked")
    func inThinking() throws {
        let body =
            #"{"id":"c","model":"u","choices":[{"index":0,"message":{"role":"assistant","content":"","reasoning_content":"{\"age\":1}"},"finish_reason":"stop"}]}"#
        let asked = try FormAsked(.responses)
        let reply = try Dialects.translateWhole(
            ByteBuffer(string: body), from: .chat, to: FormAsked.target(.responses), context: asked.request.context)
        #expect(reply.misfit == nil)
        #expect(try FormAsked.text(reply, .responses) == #"{"age":1}"#)
    }
}
