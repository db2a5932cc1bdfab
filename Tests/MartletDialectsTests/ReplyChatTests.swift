import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Anthropic replies as Chat streams")
struct ReplyChatTests {
    static let start = messageEvent(
        "{'type':'message_start','message':{'id':'msg_u','type':'message','role':'assistant','model':'up','content':[],"
            + "'stop_reason':null,'stop_sequence':null,'usage':{'input_tokens':10,'cache_read_input_tokens':3,"
            + "'cache_creation_input_tokens':2,'output_tokens':1}}}")

    static func open(_ index: Int, _ block: String) -> String {
        messageEvent("{'type':'content_block_start','index':\(index),'content_block':\(block)}")
    }

    static func delta(_ index: Int, _ delta: String) -> String {
        messageEvent("{'type':'content_block_delta','index':\(index),'delta':\(delta)}")
    }

    static func close(_ index: Int) -> String { messageEvent("{'type':'content_block_stop','index':\(index)}") }

    static func text(_ index: Int, _ pieces: String...) -> String {
        open(index, "{'type':'text','text':''}")
            + pieces.map { delta(index, "{'type':'text_delta','text':'\($0)'}") }.joined() + close(index)
    }

    static func call(_ index: Int, _ id: String, _ pieces: String...) -> String {
        open(index, "{'type':'tool_use','id':'\(id)','name':'f','input':{}}")
            + pieces.map { delta(index, "{'type':'input_json_delta','partial_json':'\($0)'}") }.joined() + close(index)
    }

    static func end(_ reason: String) -> String {
        messageEvent(
            "{'type':'message_delta','delta':{'stop_reason':'\(reason)','stop_sequence':null},'usage':{'output_tokens':7}}"
        )
            + messageEvent("{'type':'message_stop'}")
    }

    /// The chunks a strict client gets; a fault fails the test, and so does another result for another cut.
    func chunks(
        _ stream: String, _ context: ReplyContext = ReplyContext(), usage: ChatFrameEdit.UsagePlacement = .hidden,
        thinking: Bool = false
    ) -> [JSON] {
        let relayed = asChat(stream, context, usage: usage, thinking: thinking)
        #expect(strictFaults(relayed.text) == [], "\(relayed.text)")
        for cut in [1, 7] { #expect(asChat(stream, context, usage: usage, thinking: thinking, cut: cut) == relayed) }
        return parsed(relayed.text)
    }

    func parsed(_ text: String) -> [JSON] {
        text.split(separator: "\n\n").compactMap { try? JSON(parsing: String($0.dropFirst(6))) }
    }

    func deltas(_ chunks: [JSON]) -> [JSON] { chunks.compactMap { $0["choices"]?[0]?["delta"] }.filter { $0 != [:] } }

    func reason(_ chunks: [JSON]) -> JSON? {
        chunks.compactMap { $0["choices"]?[0]?["finish_reason"] }.last { !$0.isNull }
    }

    @Test("blocks whose beginning was not sent are those of their deltas; arguments without a name are refused")
    func impliedBlocks() {
        let thought = Self.delta(0, "{'type':'thinking_delta','thinking':'hm'}")
        let said = Self.delta(1, "{'type':'text_delta','text':'a'}") + Self.delta(1, "{'type':'text_delta','text':'b'}")
        let found = deltas(chunks(Self.start + thought + said + Self.end("end_turn")))
        #expect(found.compactMap { $0["reasoning_content"]?.string }.joined() == "hm")
        #expect(found.compactMap { $0["content"]?.string }.joined() == "ab")
        let call = Self.delta(0, "{'type':'input_json_delta','partial_json':'{}'}")
        guard case .failed(let error) = asChat(Self.start + call + Self.end("tool_use")).finding else {
            Issue.record("a call without a name goes by")
            return
        }
        #expect(error.code == .upstreamBadReply)
    }

    @Test("a stream that came where a whole reply was asked for is told as a whole one, also within one dialect")
    func streamForWhole() throws {
        let stream = Self.start + Self.text(0, "a", "b") + Self.end("end_turn")
        let message = try JSON(
            parsing: Dialects.translateWhole(
                ByteBuffer(string: stream), from: .anthropic, to: replyTarget(.anthropic, model: "shown")
            ).pieces.joinedText)
        #expect(message["model"] == "shown" && message["content"]?[0]?["text"] == "ab")
        #expect(message["stop_reason"] == "end_turn")
        let chat = chunk("{'content':'a'}") + chunk("{'content':'b'}") + finishStop + done
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            var target = replyTarget(.chat, model: "shown")
            target.mode = mode
            let reply = try Dialects.translateWhole(ByteBuffer(string: json(chat)), from: .chat, to: target)
            let whole = try JSON(parsing: reply.pieces.joinedText)
            #expect(whole["object"] == "chat.completion" && whole["model"] == "shown")
            #expect(whole["choices"]?[0]?["message"]?["content"] == "ab")
            #expect(reply.summary.finishes == [.stop])
        }
    }

    @Test("text, thinking and a call, chunk by chunk")
    func grammar() {
        let stream =
            Self.start + messageEvent("{'type':'ping'}")
            + Self.open(0, "{'type':'thinking','thinking':'','signature':''}")
            + Self.delta(0, "{'type':'thinking_delta','thinking':'hm'}")
            + Self.delta(0, "{'type':'signature_delta','signature':'sig'}") + Self.close(0)
            + Self.text(1, "a", "b", "c")
            + Self.call(2, "toolu_1", "", "{\\'x\\'", ":1}") + Self.end("tool_use")
        let chunks = chunks(stream)
        #expect(
            deltas(chunks) == [
                ["role": "assistant", "content": ""], ["reasoning_content": "hm"], ["content": "a"], ["content": "b"],
                ["content": "c"],
                [
                    "tool_calls": [
                        ["index": 0, "id": "toolu_1", "type": "function", "function": ["name": "f", "arguments": ""]]
                    ]
                ],
                ["tool_calls": [["index": 0, "function": ["arguments": "{\"x\""]]]],
                ["tool_calls": [["index": 0, "function": ["arguments": ":1}"]]]],
            ])
        #expect(reason(chunks) == "tool_calls")
        #expect(
            Set(chunks.map { $0["id"]?.string }).count == 1
                && chunks.allSatisfy { $0["model"] == "m" && $0["created"] == 7 })
        #expect(asChat(stream).text.contains(": keepalive\n\n"))
    }

    @Test("C1, C7: calls are counted from 0 whatever blocks stand before them, and named once")
    func callIndex() {
        let deltas = deltas(
            chunks(
                Self.start + Self.text(0, "a") + Self.call(1, "t1", "{}") + Self.call(2, "t2", "{}")
                    + Self.end("tool_use")))
        let calls = deltas.compactMap { $0["tool_calls"]?[0] }
        #expect(calls.map { $0["index"]?.int } == [0, 0, 1, 1])
        #expect(calls.compactMap { $0["id"]?.string } == ["t1", "t2"])
        #expect(calls.compactMap { $0["function"]?["name"]?.string } == ["f", "f"])
    }

    @Test("C2: a call without an id gets one")
    func mintedID() {
        let deltas = deltas(chunks(Self.start + Self.call(0, "", "{}") + Self.end("tool_use")))
        #expect(deltas[1]["tool_calls"]?[0]?["id"]?.string?.hasPrefix("call_") == true)
    }

    @Test("C4, C5: usage comes only when asked, in a chunk without choices")
    func usage() {
        let stream = Self.start + Self.text(0, "a") + Self.end("end_turn")
        #expect(chunks(stream).allSatisfy { $0["usage"] == nil })
        let asked = chunks(stream, usage: .asked)
        #expect(asked.last?["choices"] == [])
        #expect(
            asked.last?["usage"] == [
                "prompt_tokens": 15, "completion_tokens": 7, "total_tokens": 22,
                "prompt_tokens_details": ["cached_tokens": 3, "cache_write_tokens": 2],
            ])
        #expect(asked.dropLast().allSatisfy { $0["usage"] == .null })
        let final = parsed(asChat(stream, usage: .finalChunk).text)
        #expect(final.last?["usage"]?["total_tokens"] == 22 && final.last?["choices"]?[0]?["finish_reason"] == "stop")
    }

    @Test("C6: a sign of life is a comment")
    func keepAlive() {
        var pipe = Dialects.pipe(from: .anthropic, to: replyTarget(.chat))
        var out = ByteBuffer()
        pipe.keepAlive(into: &out)
        #expect(out.string == ": keepalive\n\n")
    }

    @Test("C8: a call without arguments gets an empty object; one that began with its input gets that")
    func noArguments() {
        func arguments(_ stream: String) -> String {
            deltas(chunks(Self.start + stream + Self.end("tool_use"))).compactMap {
                $0["tool_calls"]?[0]?["function"]?["arguments"]?.string
            }.joined()
        }
        #expect(arguments(Self.call(0, "t")) == "{}")
        #expect(arguments(Self.call(0, "t", "")) == "{}")
        let early = Self.open(0, "{'type':'tool_use','id':'t','name':'f','input':{'a':1.0}}") + Self.close(0)
        #expect(arguments(early) == "{\"a\":1.0}")
    }

    @Test("C9: an error is an error line, without [DONE]")
    func errorEvent() {
        let relayed = asChat(
            Self.start + Self.text(0, "a")
                + messageEvent("{'type':'error','error':{'type':'overloaded_error','message':'busy'}}"))
        #expect(
            relayed.text.hasSuffix(
                "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_unavailable\"}}\n\n"
            ))
        #expect(!relayed.text.contains("[DONE]"))
        let cut = asChat(Self.start + Self.text(0, "a"))
        #expect(cut.finding == .failed(.closedEarly) && !cut.text.contains("[DONE]"))
    }

    @Test("C10: no tool_calls in a plain answer, and server tools leave nothing")
    func plain() {
        let server =
            Self.open(0, "{'type':'server_tool_use','id':'s','name':'web_search','input':{}}")
            + Self.delta(0, "{'type':'input_json_delta','partial_json':'{}'}") + Self.close(0)
        let chunks = chunks(Self.start + server + Self.text(1, "a") + Self.end("end_turn"))
        #expect(deltas(chunks) == [["role": "assistant", "content": ""], ["content": "a"]])
    }

    @Test(
        "C12: every reason has its word",
        arguments: [
            ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"), ("refusal", "content_filter"), ("tool_use", "stop"),
            ("odd", "stop"),
        ])
    func reasons(given: String, word: String) {
        #expect(reason(chunks(Self.start + Self.text(0, "a") + Self.end(given))) == .string(word))
    }

    @Test("unknown events, blocks, deltas and members change nothing")
    func unknown() {
        let plain = Self.start + Self.text(0, "a", "b") + Self.end("end_turn")
        let noise =
            messageEvent("{'type':'new_event','x':{}}")
            + Self.delta(0, "{'type':'citations_delta','citation':{'text':'no'}}")
        let with = plain.replacing(Self.close(0), with: noise + Self.close(0))
        #expect(with != plain)
        #expect(asChat(with).text == asChat(plain).text)
    }

    @Test("thinking blocks go along with their signatures where that is switched on")
    func thinkingBlocks() {
        let stream =
            Self.start + Self.open(0, "{'type':'thinking','thinking':'','signature':''}")
            + Self.delta(0, "{'type':'thinking_delta','thinking':'h'}")
            + Self.delta(0, "{'type':'thinking_delta','thinking':'m'}")
            + Self.delta(0, "{'type':'signature_delta','signature':'sig'}") + Self.close(0)
            + Self.open(1, "{'type':'redacted_thinking','data':'xyz'}") + Self.close(1) + Self.text(2, "a")
            + Self.end("end_turn")
        #expect(!asChat(stream).text.contains("thinking_blocks"))
        let blocks = deltas(chunks(stream, thinking: true)).compactMap { $0["thinking_blocks"]?[0] }
        #expect(
            blocks == [
                ["type": "thinking", "thinking": "hm", "signature": "sig"],
                ["type": "redacted_thinking", "data": "xyz"],
            ])
    }

    @Test("a character cut in two halves is put together again")
    func halves() {
        let relayed = asChat(Self.start + Self.text(0, "a\\ud83d", "\\ude00", "\\ud83d") + Self.end("end_turn"))
        let text = deltas(parsed(relayed.text)).compactMap { $0["content"]?.string }.joined()
        #expect(text == "a😀\u{FFFD}")
    }

    @Test("a whole Message as a whole reply")
    func whole() throws {
        let body = json(
            "{'id':'msg_u','type':'message','role':'assistant','model':'up','content':[{'type':'thinking','thinking':'hm','signature':'s'},"
                + "{'type':'text','text':'a'},{'type':'text','text':'b'},{'type':'tool_use','id':'t1','name':'f','input':{'x':1.0}},"
                + "{'type':'tool_use','id':'t2','name':'g','input':{}}],'stop_reason':'tool_use','stop_sequence':null,"
                + "'usage':{'input_tokens':1,'cache_read_input_tokens':2,'output_tokens':3,'output_tokens_details':{'thinking_tokens':1}}}"
        )
        let reply = try Dialects.translateWhole(ByteBuffer(string: body), from: .anthropic, to: replyTarget(.chat))
        let written = try JSON(parsing: reply.pieces[0])
        #expect(written["object"] == "chat.completion" && written["model"] == "m" && written["created"] == 7)
        let message = written["choices"]?[0]?["message"]
        #expect(message?["content"] == "ab" && message?["reasoning_content"] == "hm")
        #expect(
            message?["tool_calls"]?[0] == [
                "id": "t1", "type": "function", "function": ["name": "f", "arguments": "{\"x\":1.0}"],
            ])
        #expect(message?["tool_calls"]?[1]?["function"]?["arguments"] == "{}")
        #expect(written["choices"]?[0]?["finish_reason"] == "tool_calls")
        #expect(
            written["usage"] == [
                "prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6,
                "prompt_tokens_details": ["cached_tokens": 2],
                "completion_tokens_details": ["reasoning_tokens": 1],
            ])
        #expect(reply.summary.toolCalls == 2 && reply.summary.id == "msg_u")
    }

    @Test("C16, C17: a 200 with an error is one, in its own words")
    func wholeError() {
        let body = ByteBuffer(json: "{'type':'error','error':{'type':'overloaded_error','message':'busy'}}")
        for client in DialectID.allCases {
            do throws(GatewayError) {
                _ = try Dialects.translateWhole(body, from: .anthropic, to: replyTarget(client))
                Issue.record("no error")
            } catch {
                #expect(error.code == .upstreamOverloaded && error.message == "busy")
            }
        }
    }

    @Test("a wrapped tool's call is unwrapped")
    func wrapped() throws {
        let document = try JSONDocument(
            checking: ByteBuffer(
                json: "{'model':'m','messages':[{'role':'user','content':'x'}],"
                    + "'tools':[{'type':'custom','custom':{'name':'f'}}]}"))
        let target = WriteTarget(model: "up", capabilities: .anthropic, streams: true, defaults: .init(maxTokens: 100))
        let context = try Dialects.translateRequest(document, from: .chat, to: .anthropic, for: target).context
        let stream = Self.start + Self.call(0, "t1", "{\\'inp", "ut\\':\\'a\\\\nb\\'}") + Self.end("tool_use")
        let call = deltas(parsed(asChat(stream, context).text))[1]["tool_calls"]?[0]
        #expect(call == ["index": 0, "id": "t1", "type": "custom", "custom": ["name": "f", "input": "a\nb"]])
    }

    @Test("a relay to an Anthropic client changes nothing but the model", arguments: [0, 1, 7])
    func relay(cut: Int) {
        let stream =
            ": hello\n\n" + Self.start + messageEvent("{'type':'future','model':'up'}") + Self.text(0, "a", "b", "c")
            + Self.end("end_turn")
        let relayed = run(Dialects.pipe(from: .anthropic, to: replyTarget(.anthropic)), reads(stream, of: cut))
        let place = stream.firstRange(of: "\"model\":\"up\"")
        #expect(relayed.text == stream.replacing("\"model\":\"up\"", with: "\"model\":\"m\"", maxReplacements: 1))
        #expect(place != nil && relayed.finding == .complete && relayed.tally.usage.output == 7)
        let whole = json("{'id':'x','model':'up','content':[],'stop_reason':'end_turn','new':1}")
        let pieces = try? Dialects.translateWhole(
            ByteBuffer(string: whole), from: .anthropic, to: replyTarget(.anthropic)
        ).pieces
        #expect(pieces?.map(\.string).joined() == whole.replacing("up", with: "m"))
    }

    @Test("a relayed stream that has its reason and lacks its end gets one")
    func endlessRelay() {
        let stop = messageEvent("{'type':'message_stop'}")
        let stream = Self.start + Self.text(0, "a") + Self.end("end_turn")
        let relayed = run(
            Dialects.pipe(from: .anthropic, to: replyTarget(.anthropic, model: "up")),
            reads(String(stream.dropLast(stop.count)), of: 0))
        #expect(relayed.text == stream && relayed.finding == .complete)
    }

    @Test("a whole Message where a stream was asked for becomes one")
    func wholeAsStream() {
        let body = json(
            "{'id':'msg_9','type':'message','role':'assistant','model':'up','content':[{'type':'text','text':'a'},"
                + "{'type':'tool_use','id':'t1','name':'f','input':{'x':1}}],'stop_reason':'tool_use','stop_sequence':null,"
                + "'usage':{'input_tokens':1,'output_tokens':3}}")
        let relayed = run(Dialects.pipe(from: .anthropic, to: replyTarget(.anthropic)), reads(body, of: 5))
        let reader = StrictAnthropicReader(relayed.text)
        #expect(reader.faults == [] && reader.message["id"] == "msg_9" && reader.message["model"] == "m")
        #expect(reader.message["content"]?[1]?["input"] == ["x": 1])
        #expect(deltas(parsed(asChat(body).text))[1]["content"] == "a")
        let error = json("{'type':'error','error':{'type':'api_error','message':'no'}}")
        guard case .failed(let failure) = asChat(error).finding else {
            Issue.record("not failed")
            return
        }
        #expect(failure.message == "no")
    }
}

extension [ByteBuffer] {
    fileprivate var joinedText: String { map(\.string).joined() }
}
