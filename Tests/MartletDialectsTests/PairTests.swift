import MartletDialects
import MartletWire
import NIOCore
import Testing

/// What holds for every pair of a client's and an upstream's dialect.
@Suite("All pairs of dialects")
struct PairTests {
    static let pairs =
        (DialectTableTests.conversations.map(UpstreamDialect.init) + [.lmstudio]).flatMap { upstream in
            DialectID.allCases.map { (upstream, $0) }
        } + [(.completions, .completions)]

    func relayed(_ pieces: [ByteBuffer], _ upstream: UpstreamDialect, _ client: DialectID) -> Relayed {
        var target = replyTarget(client, usage: .asked, thinking: true)
        target.clock = { 9 }
        return run(Dialects.pipe(from: upstream, to: target), pieces)
    }

    @Test("F2: any cut of a transcript's bytes gives the same output", arguments: pairs)
    func cuts(upstream: UpstreamDialect, client: DialectID) {
        let streams = FuzzCorpus.streams(upstream)
        #expect(!streams.isEmpty)
        for stream in streams {
            let text = String(decoding: stream, as: UTF8.self)
            let whole = relayed(reads(text, of: 0), upstream, client)
            for size in [1, 5, 100] {
                #expect(relayed(reads(text, of: size), upstream, client) == whole, "pieces of \(size)")
            }
        }
    }

    /// Thinking, text and a call.
    static let short: [UpstreamDialect: String] = [
        .chat: chunk("{'reasoning_content':'hm'}") + chunk("{'content':'é\\n'}")
            + chunk("{'tool_calls':[{'index':0,'id':'c1','type':'function','function':{'name':'f','arguments':'{}'}}]}")
            + chunk("{}", finish: "'tool_calls'") + done,
        .anthropic: ReplyChatTests.start + ReplyChatTests.text(0, "é", "b") + ReplyChatTests.call(1, "t", "{", "}")
            + ReplyChatTests.end("tool_use"),
        .responses: RStream.created + RStream.added(0, RStream.message) + RStream.text("é")
            + RStream.done(0, RStream.message("é")) + RStream.added(1, RStream.call(1))
            + RStream.done(1, RStream.call(1, "{}")) + RStream.end("completed", RStream.usage) + done,
        .lmstudio:
            ([
                "{'type':'chat.start','model_instance_id':'m'}", "{'type':'reasoning.start'}",
                "{'type':'reasoning.delta','content':'hm'}", "{'type':'reasoning.end'}", "{'type':'message.start'}",
                "{'type':'message.delta','content':'é\\n'}", "{'type':'message.end'}",
                "{'type':'chat.end','result':{'model_instance_id':'m','output':[{'type':'reasoning','content':'hm'},{'type':'message','content':'é\\n'}],'stats':{'input_tokens':3,'total_output_tokens':2,'reasoning_output_tokens':1}}}",
            ].map { event in
                let type = event.split(separator: "'")[2]
                return json("event: \(type)\ndata: \(event)\n\n")
            }).joined(),
        .completions: json(
            "data: {'id':'c','object':'text_completion','created':1,'model':'u','choices':[{'index':0,'text':'é\\n','finish_reason':null}]}\n\ndata: {'id':'c','object':'text_completion','created':1,'model':'u','choices':[{'index':0,'text':'','finish_reason':'stop'}]}\n\ndata: [DONE]\n\n"
        ),
    ]

    @Test("F2: a cut at any byte of a stream gives the same output", arguments: pairs)
    func everyCut(upstream: UpstreamDialect, client: DialectID) throws {
        let bytes = Array(try #require(Self.short[upstream]).utf8)
        let whole = relayed([ByteBuffer(bytes: bytes)], upstream, client)
        #expect(whole.finding == .complete)
        for cut in 1..<bytes.count {
            let parts = [ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])]
            #expect(relayed(parts, upstream, client) == whole, "cut at \(cut)")
        }
    }

    static let agents: [(DialectID, String)] =
        FuzzCorpus.files("responses", "request.json").map { (.responses, String(decoding: $0, as: UTF8.self)) }
        + [0, 1, 9].map { (.anthropic, RequestPropertyTests().agentBody(turn: $0)) }
        + [
            (.chat, #"{"model":"m","messages":[\#(chatTask)],"tools":[\#(chatTool)],"stream":true}"#),
            (
                .chat,
                #"{"model":"m","messages":[\#(chatTask),\#(chatCall)],"tools":[\#(chatTool)],"tool_choice":"auto","parallel_tool_calls":true,"stream":true,"stream_options":{"include_usage":true}}"#
            ),
        ]

    static let chatTask =
        #"{"role":"system","content":"You are an agent."},{"role":"user","content":[{"type":"text","text":"Fix it."}]}"#
    static let chatTool =
        #"{"type":"function","function":{"name":"bash","description":"Runs it.","parameters":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}}"#
    static let chatCall =
        #"{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"bash","arguments":"{\"command\":\"ls\"}"}}]},{"role":"tool","tool_call_id":"call_1","content":"a.txt"}"#

    @Test(
        "F1: what agents send at their first and later turns is taken by every upstream, and twice the same",
        arguments: agents)
    func agentBodies(client: DialectID, body: String) throws {
        for upstream in DialectTableTests.upstreams {
            func translated() throws -> TranslatedRequest {
                try Dialects.translateRequest(
                    JSONDocument(checking: ByteBuffer(string: body)), from: client, to: upstream.dialect,
                    for: WriteTarget(model: "up", capabilities: upstream.capabilities, streams: true))
            }
            let first = try translated()
            #expect(first.answer == nil && (first.dropped.isEmpty || client != .chat), "\(first.dropped)")
            #expect(try JSON(parsing: first.body)["model"] == "up")
            #expect(try translated() == first)
        }
    }

    @Test("what is dropped is named in the client's own word")
    func names() throws {
        let anthropic = try translatedToChat(userHi, #""output_config":{"effort":"low"}"#)
        #expect(anthropic.request.dropped == ["output_config.effort"])
        let responses = try responsesToChat(#"{"input":"x","reasoning":{"effort":"low"}}"#)
        #expect(responses.request.dropped == ["reasoning.effort"])
        let chat = try chatToResponses(userHi, #""reasoning_effort":"low""#) { $0.thinkingControl = .none }
        #expect(chat.request.dropped == ["reasoning_effort"])
    }

    @Test(
        "nothing but tools the API itself runs is answered here, whatever the upstream",
        arguments: DialectTableTests.conversations)
    func hostedAlone(client: DialectID) throws {
        let bodies: [DialectID: String] = [
            .chat: #"{"messages":[\#(userHi)],"tools":[{"type":"web_search"}]}"#,
            .anthropic:
                #"{"max_tokens":9,"messages":[\#(userHi)],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#,
            .responses: #"{"input":"x","tools":[{"type":"web_search"}]}"#,
        ]
        let document = try JSONDocument(checking: ByteBuffer(string: try #require(bodies[client])))
        for upstream in DialectTableTests.upstreams where upstream.dialect != UpstreamDialect(client) {
            let target = WriteTarget(model: "up", capabilities: upstream.capabilities, streams: false)
            let made = try Dialects.translateRequest(document, from: client, to: upstream.dialect, for: target)
            guard case .unavailable(let tool, _) = made.answer else {
                Issue.record("\(upstream.name): \(made.body.string)")
                continue
            }
            #expect(tool == "web_search")
        }
    }

    @Test("a file that was uploaded to somebody else is words before Anthropic")
    func uploaded() throws {
        let image = #"{"type":"input_image","file_id":"file-1"}"#
        let made = try responsesToAnthropic(items(#"{"role":"user","content":[\#(image)]}"#))
        #expect(!made.text.contains("file-1"))
        #expect(made.text.contains("[image omitted: uploaded files are not available]"))
        #expect(made.request.dropped == ["content.image_url"])
    }

    @Test("penalties go where there are some, and are named where there are none")
    func penalties() throws {
        let asked = #""presence_penalty":0.5,"frequency_penalty":-1.50"#
        let made = try chatToResponses(userHi, asked)
        #expect(made.text.contains(#""presence_penalty":0.5,"frequency_penalty":-1.50"#))
        #expect(made.request.dropped == [])
        #expect(try translatedToAnthropic(userHi, asked).request.dropped == ["presence_penalty", "frequency_penalty"])
        #expect(try translatedToAnthropic(userHi, #""presence_penalty":0.0"#).request.dropped == [])
    }
}
