import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Chat replies as Anthropic streams")
struct ReplyAnthropicTests {
    static let finishCalls = chunk("{}", finish: "\"tool_calls\"")
    static let finishLength = chunk("{}", finish: "\"length\"")

    static func call(_ index: Int, _ id: String, _ name: String, _ arguments: String) -> String {
        chunk(
            json(
                "{'tool_calls':[{'index':\(index),'id':'\(id)','type':'function','function':{'name':'\(name)','arguments':"
            )
                + JSON.string(arguments).text + "}}]}")
    }

    static func more(_ index: Int, _ arguments: String) -> String {
        chunk(json("{'tool_calls':[{'index':\(index),'function':{'arguments':") + JSON.string(arguments).text + "}}]}")
    }

    static func named(_ index: Int, _ name: String, _ arguments: String) -> String {
        chunk(
            json("{'tool_calls':[{'index':\(index),'function':{'name':'\(name)','arguments':")
                + JSON.string(arguments).text + "}}]}")
    }

    static func text(_ text: String) -> String { chunk("{\"content\":" + JSON.string(text).text + "}") }

    static func think(_ text: String) -> String { chunk("{\"reasoning_content\":" + JSON.string(text).text + "}") }

    static func usage(_ usage: String) -> String { head + json("'choices':[],'usage':\(usage)}") + "\n\n" }

    /// What a strict client makes of it; a fault fails the test.
    func decode(_ stream: String, _ context: ReplyContext = ReplyContext()) -> JSON {
        let relayed = asAnthropic(stream, context)
        let reader = StrictAnthropicReader(relayed.text)
        #expect(reader.faults == [], "\(relayed.text)")
        for cut in [1, 7] { #expect(asAnthropic(stream, context, cut: cut) == relayed) }
        return reader.message
    }

    func types(_ message: JSON) -> [String?] { (message["content"]?.array ?? []).map { $0["type"]?.string } }

    @Test("6.1: reasoning, then two calls whose arguments interleave")
    func golden() {
        let stream =
            chunk(json("{'role':'assistant'}")) + Self.think("hm") + Self.call(0, "call_1", "a", "")
            + Self.call(1, "call_2", "b", "") + Self.more(0, "{\"x\"") + Self.more(1, "{}") + Self.more(0, ":1}")
            + Self.finishCalls
            + Self.usage("{'prompt_tokens':10,'completion_tokens':5,'prompt_tokens_details':{'cached_tokens':3}}")
            + done
        let lines = [
            "{'type':'message_start','message':{'id':'msg_1','type':'message','role':'assistant','model':'m','content':[],"
                + "'stop_reason':null,'stop_sequence':null,'usage':{'input_tokens':0,'output_tokens':0}}}",
            "{'type':'ping'}",
            "{'type':'content_block_start','index':0,'content_block':{'type':'thinking','thinking':'','signature':''}}",
            "{'type':'content_block_delta','index':0,'delta':{'type':'thinking_delta','thinking':'hm'}}",
            "{'type':'content_block_delta','index':0,'delta':{'type':'signature_delta','signature':'gw1.5f3a'}}",
            "{'type':'content_block_stop','index':0}",
            "{'type':'content_block_start','index':1,'content_block':{'type':'tool_use','id':'call_1','name':'a','input':{}}}",
            "{'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':'{\\'x\\''}}",
            "{'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':':1}'}}",
            "{'type':'content_block_stop','index':1}",
            "{'type':'content_block_start','index':2,'content_block':{'type':'tool_use','id':'call_2','name':'b','input':{}}}",
            "{'type':'content_block_delta','index':2,'delta':{'type':'input_json_delta','partial_json':'{}'}}",
            "{'type':'content_block_stop','index':2}",
            "{'type':'message_delta','delta':{'stop_reason':'tool_use','stop_sequence':null},'usage':{'input_tokens':7,"
                + "'cache_read_input_tokens':3,'cache_creation_input_tokens':0,'output_tokens':5}}",
            "{'type':'message_stop'}",
        ]
        let given = asAnthropic(stream).text.replacing(/msg_[0-9A-Za-z]{24}/, with: "msg_1")
            .replacing(/gw1\.[0-9a-f]{16}/, with: "gw1.5f3a")
        #expect(given == lines.map(messageEvent).joined())
        _ = decode(stream)
    }

    @Test("6.3, A16: a failure after commitment is an error event, and nothing follows")
    func failure() {
        let relayed = asAnthropic(Self.text("a"))
        #expect(relayed.finding == .failed(.closedEarly))
        let error = json(
            "{'type':'error','error':{'type':'api_error','message':'upstream closed the stream early'},'request_id':'req_1'}"
        )
        #expect(relayed.text.hasSuffix("event: error\ndata: \(error)\n\n"))
        #expect(!relayed.text.contains("message_stop") && !relayed.text.contains("content_block_stop"))
    }

    @Test("A1, A11: every change of kind closes a block and opens another")
    func kinds() {
        let message = decode(Self.think("a") + Self.text("b") + Self.think("c") + finishStop + done)
        #expect(types(message) == ["thinking", "text", "thinking"])
        #expect(message["stop_reason"] == "end_turn")
    }

    @Test("A9: blocks are numbered without gaps across kinds")
    func indices() {
        let stream = asAnthropic(Self.text("a") + Self.call(0, "c1", "f", "{}") + finishStop + done).text
        let starts = stream.split(separator: "\n").filter {
            $0.contains("content_block_start") && $0.hasPrefix("data:")
        }
        let blocks = starts.compactMap { try? JSON(parsing: String($0.dropFirst(6))) }
        #expect(blocks.map { $0["index"]?.int } == [0, 1])
        #expect(blocks.map { $0["content_block"]?["type"] } == ["text", "tool_use"])
    }

    @Test("A2: interleaved calls each keep their arguments")
    func parallel() {
        let message = decode(
            Self.call(0, "c1", "f", "{\"a\"") + Self.call(1, "c2", "g", "{\"b\"") + Self.more(1, ":2}")
                + Self.more(0, ":1}")
                + Self.finishCalls + done)
        #expect(message["content"]?[0]?["input"] == ["a": 1])
        #expect(message["content"]?[1]?["input"] == ["b": 2])
        #expect(message["content"]?[1]?["id"] == "c2")
    }

    @Test("a whole call ends as soon as the next begins, so that calls in a row are not held back")
    func inRow() {
        let relayed = asAnthropic(Self.call(0, "c1", "f", "{}") + Self.call(1, "c2", "g", "{\"b\""))
        #expect(relayed.text.contains("\"id\":\"c2\"") && relayed.text.contains("{\\\"b\\\""))
    }

    @Test("text that comes while a call is incomplete waits for it")
    func textInCall() {
        let message = decode(
            Self.call(0, "c1", "f", "{\"a\"") + Self.text("wait") + Self.more(0, ":1}") + Self.text(" a bit")
                + Self.finishCalls + done)
        #expect(message["content"]?[0]?["input"] == ["a": 1])
        #expect(
            (message["content"]?.array ?? []).dropFirst().compactMap { $0["text"]?.string }.joined() == "wait a bit")
    }

    @Test("A3: the chunk that opens a call also brings its first arguments")
    func firstArguments() {
        let message = decode(
            Self.text("x") + Self.call(0, "c1", "f", "{\"a\"") + Self.more(0, ":1}") + Self.finishCalls + done)
        #expect(message["content"]?[1]?["input"] == ["a": 1])
    }

    @Test("A4: chunks without choices change nothing, wherever they stand")
    func emptyChoices() {
        let parts = [Self.think("a"), Self.text("b"), Self.call(0, "c1", "f", "{}"), Self.finishCalls, done]
        let plain = asAnthropic(parts.joined())
        for place in parts.indices {
            var with = parts
            with.insert(head + "\"choices\":[]}\n\n", at: place)
            #expect(asAnthropic(with.joined()).text == plain.text)
        }
    }

    @Test("A5, A6: the stop reason agrees with the calls")
    func agreement() {
        #expect(decode(Self.call(0, "c1", "f", "{}") + finishStop + done)["stop_reason"] == "tool_use")
        #expect(decode(Self.text("a") + Self.finishCalls + done)["stop_reason"] == "end_turn")
    }

    @Test("A7: no empty text block")
    func noEmptyText() {
        let empty = chunk(json("{'role':'assistant','content':''}"))
        #expect(types(decode(empty + Self.call(0, "c1", "f", "{}") + Self.finishCalls + done)) == ["tool_use"])
        #expect(types(decode(empty + finishStop + done)) == [])
    }

    @Test("A8, A15: usage is never missing: estimates stand in")
    func estimates() {
        let message = decode(Self.text("12345678") + finishStop + done, ReplyContext(inputEstimate: 40))
        #expect(message["usage"]?["input_tokens"] == 40)
        #expect(message["usage"]?["output_tokens"] == 3)
        #expect(
            asAnthropic(Self.text("a"), ReplyContext(inputEstimate: 40)).text.contains(
                "\"input_tokens\":40,\"output_tokens\":0}}}"))
    }

    @Test("A10: a call cut off by the limit is max_tokens, and its arguments get an end")
    func cutCall() {
        let message = decode(Self.call(0, "c1", "f", "{\"path\":\"/a") + Self.finishLength + done)
        #expect(message["stop_reason"] == "max_tokens")
        #expect(message["content"]?[0]?["input"] == ["path": "/a"])
    }

    @Test("A12: thinking has one signature, with the gateway's mark")
    func signature() {
        let once = decode(Self.think("ab") + finishStop + done)["content"]?[0]?["signature"]?.string
        let twice = decode(Self.think("a") + Self.think("b") + finishStop + done)["content"]?[0]?["signature"]?.string
        #expect(once?.hasPrefix("gw1.") == true)
        #expect(once == twice)
        #expect(once != decode(Self.think("ac") + finishStop + done)["content"]?[0]?["signature"]?.string)
    }

    @Test("A13, A14: every event has its name, and message_stop is the last")
    func names() {
        let relayed = asAnthropic(Self.text("a") + finishStop + done + Self.text("b"))
        #expect(StrictAnthropicReader(relayed.text).types.last == "message_stop")
        #expect(!relayed.text.contains("[DONE]"))
    }

    @Test("A17: a sign of life before any event begins the message, and later ones are pings")
    func pings() {
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.anthropic))
        var out = ByteBuffer()
        pipe.keepAlive(into: &out)
        pipe.keepAlive(into: &out)
        #expect(StrictAnthropicReader(out.string).types == ["message_start", "ping", "ping"])
        _ = pipe.pass(ByteBuffer(string: Self.text("a") + finishStop + done), into: &out)
        let reader = StrictAnthropicReader(out.string)
        #expect(reader.faults == [])
        #expect(reader.types.filter { $0 == "message_start" }.count == 1)
        let size = out.readableBytes
        pipe.keepAlive(into: &out)
        #expect(out.readableBytes == size)
    }

    @Test("A19, A20: usage behind the finish counts, cached tokens are no input")
    func cached() {
        let usage = Self.usage(
            "{'prompt_tokens':100,'completion_tokens':7,'prompt_tokens_details':{'cached_tokens':60,"
                + "'cache_write_tokens':30},'completion_tokens_details':{'reasoning_tokens':4}}")
        let message = decode(Self.text("a") + finishStop + usage + done)
        #expect(
            message["usage"] == [
                "input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30,
                "output_tokens": 7,
                "output_tokens_details": ["thinking_tokens": 4],
            ])
        let odd = Self.usage("{'prompt_tokens':1,'completion_tokens':7,'prompt_tokens_details':{'cached_tokens':60}}")
        #expect(decode(Self.text("a") + finishStop + odd + done)["usage"]?["input_tokens"] == 0)
    }

    static let argumentForms: [(String, JSON)] = [
        ("", [:]), ("null", [:]), (" \n", [:]), ("{}", [:]), (" {\"a\":1}", ["a": 1]), ("[1]", ["value": [1]]),
        ("12", ["value": 12]), ("\"{\\\"a\\\":1}\"", ["a": 1]), ("\"\"", [:]), ("\"x\"", ["value": "x"]),
        ("oops", ["_raw": "oops"]), ("{\"e\":\"\\u00e9\\/\"}", ["e": "é/"]),
        ("{\"n\":1.50}", ["n": JSON.number(JSONNumber(literal: "1.50") ?? JSONNumber(0))]),
    ]

    @Test("arguments become an object whatever they are, streamed or whole", arguments: argumentForms)
    func argumentForm(text: String, input: JSON) throws {
        #expect(decode(Self.call(0, "c1", "f", text) + Self.finishCalls + done)["content"]?[0]?["input"] == input)
        let pieces = text.map { Self.more(0, String($0)) }.joined()
        #expect(
            decode(Self.call(0, "c1", "f", "") + pieces + Self.finishCalls + done)["content"]?[0]?["input"] == input)
        let body =
            json(
                "{'id':'c','choices':[{'index':0,'message':{'tool_calls':[{'id':'c1','type':'function','function':{'name':'f','arguments':"
            )
            + JSON.string(text).text + json("}}]},'finish_reason':'tool_calls'}]}")
        let reply = try Dialects.translateWhole(ByteBuffer(string: body), from: .chat, to: replyTarget(.anthropic))
        #expect(try JSON(parsing: reply.pieces[0])["content"]?[0]?["input"] == input)
    }

    @Test(
        "arguments that begin as an object and are none fail the reply, streamed or whole: no call is better than a wrong one",
        arguments: ["{\"a\": tru", "{\"a\": tru}", "{\"a\":1}}", "{\"a\":", "{a:1}"])
    func brokenArguments(text: String) {
        let relayed = asAnthropic(Self.text("t") + Self.call(0, "c1", "f", text) + Self.finishCalls + done)
        guard case .failed(let error) = relayed.finding else {
            Issue.record("streamed as is: \(relayed.text)")
            return
        }
        #expect(error.code == .upstreamBadReply && error.message.contains("\"f\""))
        #expect(!relayed.text.contains("message_delta") && relayed.text.contains("event: error"))
        let reader = StrictAnthropicReader(relayed.text)
        #expect(reader.faults == [] && reader.types.last == "error")
        let before = Self.call(0, "c1", "f", text) + Self.call(1, "c2", "g", "{}") + Self.text("b")
        #expect(asAnthropic(before + Self.finishCalls + done).finding == .failed(error))
        for cut in [1, 7] { #expect(asAnthropic(before + Self.finishCalls + done, cut: cut).finding == .failed(error)) }
        let body =
            json(
                "{'id':'c','choices':[{'index':0,'message':{'tool_calls':[{'id':'c1','type':'function','function':{'name':'f','arguments':"
            )
            + JSON.string(text).text + json("}}]},'finish_reason':'tool_calls'}]}")
        #expect(throws: error) {
            try Dialects.translateWhole(ByteBuffer(string: body), from: .chat, to: replyTarget(.anthropic))
        }
    }

    @Test("two calls that a token limit cuts off both get an end")
    func cutSideBySide() {
        let message = decode(
            Self.call(0, "c1", "f", "{\"a\":") + Self.call(1, "c2", "g", "{\"b\":[1") + Self.finishLength + done)
        #expect(message["content"]?[0]?["input"] == ["a": .null])
        #expect(message["content"]?[1]?["input"] == ["b": [1]])
    }

    @Test("a name in pieces is one name")
    func splitName() {
        let split = Self.call(0, "c1", "get_", "") + Self.named(0, "weather", "") + Self.more(0, "{}")
        #expect(decode(split + Self.finishCalls + done)["content"]?[0]?["name"] == "get_weather")
        let grown = Self.call(0, "c1", "get_", "") + Self.named(0, "get_weather", "{}")
        #expect(decode(grown + Self.finishCalls + done)["content"]?[0]?["name"] == "get_weather")
        let again = Self.call(0, "c1", "f", "") + Self.named(0, "f", "{") + Self.named(0, "f", "}")
        #expect(decode(again + Self.finishCalls + done)["content"]?[0]?["name"] == "f")
        #expect(decode(Self.call(0, "c1", "f", "") + Self.finishCalls + done)["content"]?[0]?["name"] == "f")
        let order = decode(Self.call(0, "c1", "f", "") + Self.text("x") + Self.finishCalls + done)
        #expect(types(order) == ["tool_use", "text"])
    }

    @Test("a call that is cut off anywhere still gets valid arguments", arguments: 2..<60)
    func cuts(length: Int) throws {
        let whole = "{\"a\":[1,{\"b\":\"x\\n\\u00e9\"}],\"c\":null,\"d\":\"e\",\"f\":true,\"g\":-1.5e+3}"
        let text = String(whole.prefix(length))
        let stream = Self.call(0, "c1", "f", text) + Self.finishLength + done
        let reader = StrictAnthropicReader(asAnthropic(stream).text)
        #expect(reader.faults == [], "\(text)")
        #expect(reader.message["stop_reason"] == "max_tokens")
    }

    @Test("a call that is cut off and was no object before fails, as one that was not cut off")
    func brokenBeforeItsCut() {
        let stream = Self.call(0, "c1", "f", "{\"\"c") + Self.finishLength + done
        guard case .failed(let error) = asAnthropic(stream).finding else {
            Issue.record("sent as it was")
            return
        }
        #expect(error.code == .upstreamBadReply && error.message.contains("\"f\""))
    }

    @Test("ids: the upstream's where it is fit and new, else a fresh one")
    func callIDs() {
        func id(_ id: String) -> String? {
            decode(Self.call(0, id, "f", "{}") + Self.finishCalls + done, ReplyContext(callIDs: ["old"]))["content"]?[
                0]?["id"]?.string
        }
        #expect(id("call_1") == "call_1")
        for bad in ["", "a b", "old", String(repeating: "x", count: 65)] {
            #expect(id(bad)?.hasPrefix("toolu_") == true, "\(bad)")
        }
        let message = decode(
            Self.call(0, "same", "f", "{}") + Self.call(1, "same", "f", "{}") + Self.finishCalls + done)
        let ids = (message["content"]?.array ?? []).compactMap { $0["id"]?.string }
        #expect(Set(ids).count == ids.count)
    }

    @Test("a refusal is text, and the reason says so")
    func refusal() {
        let message = decode(chunk(json("{'refusal':'no'}")) + finishStop + done)
        #expect(message["content"] == [["type": "text", "text": "no"]])
        #expect(message["stop_reason"] == "refusal")
        #expect(message["stop_details"]?["type"] == "refusal")
        #expect(decode(Self.text("a") + chunk("{}", finish: "\"content_filter\"") + done)["stop_reason"] == "refusal")
    }

    @Test("a stop string is reported only where it is one of the client's")
    func stopString() {
        let stream = Self.text("a") + chunk("{}", finish: "\"stop\",\"stop_reason\":\"END\"") + done
        #expect(decode(stream)["stop_reason"] == "end_turn")
        let message = decode(stream, ReplyContext(clientStops: ["END"]))
        #expect(message["stop_reason"] == "stop_sequence" && message["stop_sequence"] == "END")
    }

    @Test("a full context window is told from the client's limit")
    func window() {
        let stream =
            Self.text("a") + Self.finishLength + Self.usage("{'prompt_tokens':90,'completion_tokens':10}") + done
        #expect(decode(stream)["stop_reason"] == "max_tokens")
        #expect(decode(stream, ReplyContext(contextWindow: 200))["stop_reason"] == "max_tokens")
        #expect(decode(stream, ReplyContext(contextWindow: 100))["stop_reason"] == "model_context_window_exceeded")
    }

    @Test("A18: the same request unstreamed gives one Message")
    func whole() throws {
        let body = json(
            "{'id':'c','model':'up','choices':[{'index':0,'message':{'role':'assistant','reasoning_content':'hm','content':'hi'},"
                + "'finish_reason':'stop'}],'usage':{'prompt_tokens':9,'completion_tokens':2}}")
        let reply = try Dialects.translateWhole(ByteBuffer(string: body), from: .chat, to: replyTarget(.anthropic))
        let message = try JSON(parsing: reply.pieces[0])
        #expect(message["type"] == "message" && message["model"] == "m" && message["stop_reason"] == "end_turn")
        #expect(message["content"]?[1] == ["type": "text", "text": "hi"])
        #expect(message["usage"]?["input_tokens"] == 9)
        #expect(reply.summary.usage.output == 2 && reply.summary.model == "up")
    }

    @Test("a stream that came where a whole reply was asked for is put together; one that breaks off is an error")
    func wholeOfStream() throws {
        let stream = Self.think("hm") + Self.text("a") + Self.text("b") + finishStop + done
        let reply = try Dialects.translateWhole(ByteBuffer(string: stream), from: .chat, to: replyTarget(.anthropic))
        let message = try JSON(parsing: reply.pieces[0])
        #expect(message["content"] == StrictAnthropicReader(asAnthropic(stream).text).message["content"])
        #expect(throws: GatewayError.closedEarly) {
            try Dialects.translateWhole(ByteBuffer(string: Self.text("a")), from: .chat, to: replyTarget(.anthropic))
        }
    }

    @Test(
        "a 200 that carries an error, or no choice, is an error",
        arguments: ["{'error':'boom'}", "{'choices':[]}", "<html>", ""])
    func wholeError(body: String) {
        #expect(throws: GatewayError.self) {
            try Dialects.translateWhole(ByteBuffer(json: body), from: .chat, to: replyTarget(.anthropic))
        }
    }
}
