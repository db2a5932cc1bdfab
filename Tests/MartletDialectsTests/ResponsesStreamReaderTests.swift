import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Responses upstreams: streams")
struct ResponsesStreamReaderTests {
    let text = ["open 0.0 text", "delta 0.0 Hi", "close 0.0", "finish 0 stop", "ended"]

    @Test("a plain text")
    func plain() {
        let stream =
            RStream.created + RStream.added(0, RStream.message) + RStream.text("H") + RStream.text("i")
            + responsesEvent(
                "{'type':'response.output_text.done','item_id':'msg_1','output_index':0,'content_index':0,'text':'Hi'}")
            + RStream.done(0, RStream.message("Hi")) + RStream.end("completed", RStream.usage)
        #expect(
            responsesMeaning(stream) == [
                "started resp_1 up", "open 0.0 text", "delta 0.0 H", "delta 0.0 i", "close 0.0", "usage 9 4 - 3 1",
                "finish 0 stop", "ended",
            ])
    }

    /// Whatever a server leaves out, the reply is the same.
    static let lacking: [(String, String)] = [
        ("noAdded", RStream.text("Hi") + RStream.done(0, RStream.message("Hi")) + RStream.end()),
        ("onlyDeltas", RStream.text("Hi") + RStream.end()),
        ("noDeltas", RStream.added(0, RStream.message) + RStream.done(0, RStream.message("Hi")) + RStream.end()),
        ("onlyDone", RStream.done(0, RStream.message("Hi")) + RStream.end()),
        (
            "onlyTextDone",
            responsesEvent("{'type':'response.output_text.done','item_id':'msg_1','text':'Hi'}") + RStream.end()
        ),
        (
            "onlyPartDone",
            responsesEvent(
                "{'type':'response.content_part.done','item_id':'msg_1','part':{'type':'output_text','text':'Hi'}}")
                + RStream.end()
        ),
        (
            "onlyTheEnd",
            responsesEvent(
                "{'type':'response.completed','response':{'id':'resp_1','model':'up','status':'completed',"
                    + "'output':[\(RStream.message("Hi"))]}}")
        ),
        (
            "noIndices",
            responsesEvent("{'type':'response.output_item.added','item':\(RStream.message)}")
                + responsesEvent("{'type':'response.output_text.delta','item_id':'msg_1','delta':'Hi'}")
                + responsesEvent("{'type':'response.output_item.done','item':\(RStream.message("Hi"))}") + RStream.end()
        ),
        (
            "idsDiffer",
            RStream.added(0, RStream.message) + RStream.text("Hi", 0, "chatcmpl-7")
                + RStream.done(0, RStream.message("Hi").replacing("msg_1", with: "msg_9")) + RStream.end()
        ),
        (
            "idsDifferAndNoIndices",
            responsesEvent("{'type':'response.output_item.added','item':\(RStream.message)}")
                + responsesEvent("{'type':'response.output_text.delta','item_id':'x','delta':'Hi'}")
                + responsesEvent(
                    "{'type':'response.completed','response':{'output':["
                        + RStream.message("Hi").replacing("msg_1", with: "y") + "]}}")
        ),
        ("doneWithoutTerminal", RStream.text("Hi") + done),
        ("nullError", RStream.text("Hi") + RStream.end("completed", ",'error':null")),
        (
            "statusOfAnotherEvent",
            RStream.text("Hi") + responsesEvent("{'type':'response.done','response':\(RStream.response("completed"))}")
        ),
    ]

    @Test("what a server leaves out is not missed, and nothing is said twice", arguments: lacking)
    func lacks(name: String, stream: String) {
        for created in [RStream.created, ""] {
            let meaning = responsesMeaning(created + stream)
            #expect(Array(meaning.dropFirst()) == text, "\(name)")
            #expect(meaning.first?.hasPrefix("started") == true, "\(name)")
            #expect(responsesMeaning((created + stream).replacing(/event: [^\n]*\n/, with: "")) == meaning, "\(name)")
            #expect(responsesMeaning(created + stream + done) == meaning, "\(name)")
        }
    }

    @Test("a final list with items nobody has told of adds them, and only them")
    func finalItems() {
        let output = "[\(RStream.message("Hi")),\(RStream.call(1, "{}"))]"
        let stream =
            RStream.created + RStream.added(0, RStream.message) + RStream.text("Hi")
            + responsesEvent(
                "{'type':'response.completed','response':{'id':'resp_1','status':'completed','output':\(output)}}")
        #expect(
            responsesMeaning(stream) == [
                "started resp_1 up", "open 0.0 text", "delta 0.0 Hi", "close 0.0", "open 0.1 call function call_1 f",
                "delta 0.1 {}", "close 0.1", "finish 0 toolCalls", "ended",
            ])
    }

    @Test("two texts, a refusal, reasoning in two paragraphs and sealed")
    func kinds() {
        let reasoning = "{'id':'rs_1','type':'reasoning','summary':[]}"
        let sealed =
            "{'id':'rs_1','type':'reasoning','encrypted_content':'gAAA==',"
            + "'summary':[{'type':'summary_text','text':'a'},{'type':'summary_text','text':'b'}]}"
        let part = { (text: String, index: Int) in
            responsesEvent(
                "{'type':'response.reasoning_summary_text.delta','item_id':'rs_1','output_index':0,"
                    + "'summary_index':\(index),'delta':'\(text)'}")
        }
        let content = { (name: String, index: Int, text: String) in
            responsesEvent(
                "{'type':'response.\(name).delta','item_id':'msg_1','output_index':1,'content_index':\(index),"
                    + "'delta':'\(text)'}")
        }
        let stream =
            RStream.created + RStream.added(0, reasoning) + part("a", 0) + part("b", 1) + RStream.done(0, sealed)
            + RStream.added(1, RStream.message) + content("output_text", 0, "x") + content("output_text", 1, "y")
            + content("refusal", 2, "no") + RStream.end()
        #expect(
            responsesMeaning(stream) == [
                "started resp_1 up", "open 0.0 reasoning", "delta 0.0 a", "delta 0.0 \\n\\n", "delta 0.0 b",
                "blob 0.0 encrypted gAAA==", "close 0.0", "open 0.1 text", "delta 0.1 x", "close 0.1", "open 0.2 text",
                "delta 0.2 y", "close 0.2", "open 0.3 refusal", "delta 0.3 no", "close 0.3", "finish 0 stop", "ended",
            ])
    }

    @Test(
        "D20: reasoning by every name it has",
        arguments: [
            "reasoning_text", "reasoning", "reasoning_content", "reasoning_summary_text", "reasoning_summary",
        ])
    func reasoningNames(name: String) {
        let stream = RStream.created + RStream.delta(name, 0, "rs_1", "hm") + RStream.text("Hi", 1) + RStream.end()
        #expect(
            responsesMeaning(stream) == [
                "started resp_1 up", "open 0.0 reasoning", "delta 0.0 hm", "close 0.0", "open 0.1 text", "delta 0.1 Hi",
                "close 0.1", "finish 0 stop", "ended",
            ])
    }

    @Test("reasoning that comes as text and as a summary counts once")
    func mirroredReasoning() {
        let item =
            "{'id':'rs_1','type':'reasoning','summary':[{'type':'summary_text','text':'hm'}],"
            + "'content':[{'type':'reasoning_text','text':'hm'}]}"
        let stream =
            RStream.created + RStream.delta("reasoning_text", 0, "rs_1", "hm")
            + RStream.delta("reasoning_summary_text", 0, "rs_1", "hm", part: "summary_index") + RStream.done(0, item)
            + RStream.end()
        #expect(responsesMeaning(stream).filter { $0.hasPrefix("delta") } == ["delta 0.0 hm"])
        #expect(
            responsesMeaning(RStream.created + RStream.done(0, item) + RStream.end()).filter { $0.hasPrefix("delta") }
                == ["delta 0.0 hm"])
    }

    @Test("sealed reasoning without a word of it is a block all the same; without either it is none")
    func sealedOnly() {
        let item = "{'id':'rs_1','type':'reasoning','summary':[],'encrypted_content':'gA'}"
        let meaning = responsesMeaning(RStream.created + RStream.done(0, item) + RStream.end())
        #expect(Array(meaning[1...3]) == ["open 0.0 reasoning", "blob 0.0 encrypted gA", "close 0.0"])
        let empty = "{'id':'rs_1','type':'reasoning','summary':[]}"
        #expect(
            responsesMeaning(RStream.created + RStream.added(0, empty) + RStream.done(0, empty) + RStream.end())
                == ["started resp_1 up", "finish 0 stop", "ended"])
    }

    @Test("calls side by side, one without fragments, a custom tool's, and arguments that are no string")
    func calls() {
        let custom = "{'id':'ctc_1','type':'custom_tool_call','call_id':'call_9','name':'patch','input':''}"
        let stream =
            RStream.created + RStream.added(0, RStream.call(0)) + RStream.added(1, RStream.call(1))
            + RStream.delta("function_call_arguments", 0, "fc_0", "{") + RStream.added(2, custom)
            + RStream.delta("custom_tool_call_input", 2, "ctc_1", "*** x")
            + RStream.delta("function_call_arguments", 0, "fc_0", "}") + RStream.done(0, RStream.call(0, "{}"))
            + RStream.done(1, RStream.call(1).with("'arguments':''", "'arguments':{'a':1}"))
            + RStream.done(2, custom.with("'input':''", "'input':'*** x'")) + RStream.end()
        #expect(
            responsesMeaning(stream) == [
                "started resp_1 up", "open 0.0 call function call_0 f", "open 0.1 call function call_1 f",
                "delta 0.0 {", "open 0.2 call custom call_9 patch", "delta 0.2 *** x", "delta 0.0 }", "close 0.0",
                #"delta 0.1 {\"a\":1}"#, "close 0.1", "close 0.2", "finish 0 toolCalls", "ended",
            ])
    }

    @Test("fragments wait for a name that comes last, and go by the call's id where a server uses that")
    func lateNames() {
        let late =
            RStream.created + RStream.delta("function_call_arguments", 0, "fc_0", "{}")
            + RStream.done(0, RStream.call(0, "{}")) + RStream.end()
        #expect(
            Array(responsesMeaning(late)[1...3]) == ["open 0.0 call function call_0 f", "delta 0.0 {}", "close 0.0"])
        let item = { (id: String) in "{'type':'function_call','call_id':'\(id)','name':'f','arguments':''}" }
        let byCall = { (id: String, text: String) in
            responsesEvent("{'type':'response.function_call_arguments.delta','item_id':'\(id)','delta':'\(text)'}")
        }
        let add = { (id: String) in responsesEvent("{'type':'response.output_item.added','item':\(item(id))}") }
        let stream =
            RStream.created + add("fc_a") + add("fc_b") + byCall("fc_b", "2") + byCall("fc_a", "1") + RStream.end()
        #expect(
            responsesMeaning(stream).filter { $0.hasPrefix("delta") || $0.hasPrefix("open") } == [
                "open 0.0 call function fc_a f", "open 0.1 call function fc_b f", "delta 0.1 2", "delta 0.0 1",
            ])
    }

    @Test("calls nothing has announced are told apart by their ids")
    func unannouncedCalls() {
        let stream =
            RStream.created
            + ["fc_0", "fc_1"].map {
                responsesEvent("{'type':'response.function_call_arguments.delta','item_id':'\($0)','delta':'{}'}")
            }.joined()
            + RStream.end("completed").with(
                "'output':[]", "'output':[\(RStream.call(0, "{}")),\(RStream.call(1, "{}"))]")
        #expect(
            responsesMeaning(stream).filter { $0.hasPrefix("delta") } == ["delta 0.0 {}", "delta 0.1 {}"])
    }

    @Test("what the API ran itself is opaque, once, and its progress is nothing")
    func hosted() {
        let item = "{'id':'ws_1','type':'web_search_call','status':'completed','action':{'type':'search','query':'q'}}"
        let stream =
            RStream.created + RStream.added(0, item)
            + responsesEvent("{'type':'response.web_search_call.searching','item_id':'ws_1','output_index':0}")
            + RStream.done(0, item) + RStream.text("Hi", 1)
            + RStream.end("completed").with("'output':[]", "'output':[\(item),\(RStream.message("Hi"))]")
        let meaning = responsesMeaning(stream)
        #expect(meaning.filter { $0.contains("web_search_call") } == ["open 0.0 responses \(json(item))"])
        #expect(meaning.suffix(5) == ["open 0.1 text", "delta 0.1 Hi", "close 0.1", "finish 0 stop", "ended"])
    }

    static let ends: [(String, String)] = [
        (RStream.end("completed"), "finish 0 stop"),
        (RStream.end("incomplete", ",'incomplete_details':{'reason':'max_output_tokens'}"), "finish 0 length"),
        (RStream.end("incomplete", ",'incomplete_details':{'reason':'content_filter'}"), "finish 0 contentFilter"),
        (RStream.end("incomplete", ",'incomplete_details':null"), "finish 0 length"),
        (
            RStream.end("completed").with("'status':'completed'", "'status':'incomplete'"), "finish 0 length"
        ),
        (
            RStream.end("failed", ",'error':{'code':'server_error','message':'boom'}"),
            "failed upstream_failed: boom"
        ),
        (
            RStream.end("failed", ",'error':{'code':'rate_limit_exceeded','message':'slow'}"),
            "failed rate_limited: slow"
        ),
        (
            RStream.end("failed", ",'error':{'code':'invalid_prompt','message':'no'}"), "failed invalid_request: no"
        ),
        (
            RStream.end(
                "failed", ",'error':{'code':'context_length_exceeded','message':'Your input exceeds the window'}"),
            "failed context_overflow: the prompt does not fit in the model's context window"
        ),
        (
            RStream.end("failed"), "failed upstream_failed: the upstream gave up in the middle of the reply"
        ),
        (
            RStream.end("cancelled"), "failed upstream_failed: the upstream gave up in the middle of the reply"
        ),
        (
            responsesEvent("{'type':'error','code':'server_error','message':'flat','param':null}"),
            "failed upstream_failed: flat"
        ),
        (
            responsesEvent("{'type':'error','error':{'type':'rate_limit_error','code':null,'message':'nested'}}"),
            "failed rate_limited: nested"
        ),
        ("data: {\"error\":{\"message\":\"bare\",\"code\":500}}\n\n", "failed upstream_failed: bare"),
        ("event: error\ndata: {\"message\":\"named\"}\n\n", "failed upstream_failed: named"),
        (
            responsesEvent(
                "{'type':'error','message':'request (9000 tokens) exceeds the available context size (4096 tokens)'}"),
            "failed context_overflow: the prompt does not fit in the model's context window"
        ),
        ("", "unfinished: the stream ended before its terminal event"),
        ("data: {\"type\":\"response.output_te", "unfinished: the stream ended before its terminal event"),
    ]

    @Test("every way to end", arguments: ends)
    func endings(end: String, meaning: String) {
        let lines = responsesMeaning(RStream.created + RStream.text("Hi") + end)
        #expect(lines.last == meaning || lines.suffix(2) == [meaning, "ended"], "\(lines)")
    }

    @Test("a call cut by the limit ends as such; only whole calls are inferred from [DONE]")
    func cutCalls() {
        let head = RStream.created + RStream.added(0, RStream.call(0))
        let cut = RStream.delta("function_call_arguments", 0, "fc_0", "{\\'a")
        #expect(responsesMeaning(head + cut + RStream.end("incomplete")).contains("finish 0 length"))
        #expect(responsesMeaning(head + cut + done).contains("finish 0 stop"))
        let pieces = ["{\\'a\\'", ":", "1", "}"].map { RStream.delta("function_call_arguments", 0, "fc_0", $0) }
        #expect(responsesMeaning(head + pieces.joined() + done).contains("finish 0 toolCalls"))
        #expect(responsesMeaning(head + pieces.dropLast().joined() + done).contains("finish 0 stop"))
    }

    @Test("0.5: a stream that only says [DONE] is no reply")
    func nothing() {
        #expect(responsesMeaning(done) == ["failed upstream_bad_reply: the upstream sent no reply"])
        let begun = responsesMeaning(RStream.created + done)
        #expect(begun.last == "failed upstream_bad_reply: the upstream's reply has no output")
        #expect(responsesMeaning("") == ["unfinished: the stream ended before its terminal event"])
    }

    @Test("queued is progress, and what nobody knows is nothing")
    func unknown() {
        let stream =
            RStream.created
            + responsesEvent("{'type':'response.queued','response':\(RStream.response("queued"))}")
            + responsesEvent("{'type':'response.hologram.delta','delta':'x','item_id':'h'}")
            + responsesEvent("{'type':'keepalive','sequence_number':3}") + ": ping\n\ndata:\n\n"
            + RStream.text("Hi") + responsesEvent("{'type':'response.output_text.annotation.added','annotation':{}}")
            + RStream.end() + RStream.text("behind")
        #expect(responsesMeaning(stream) == ["started resp_1 up", "progress queue -1.0"] + text)
    }

    @Test("a relay that passes on everything ends with [DONE] or with the upstream")
    func awaitsDone() {
        let stream = RStream.created + RStream.text("Hi") + RStream.end()
        #expect(!responsesMeaning(stream, awaitsDone: true).contains("ended"))
        #expect(responsesMeaning(stream + done, awaitsDone: true).last == "ended")
        let failed =
            RStream.created + responsesEvent("{'type':'error','message':'first'}")
            + RStream.end("failed", ",'error':{'code':'server_error','message':'second'}")
        #expect(responsesMeaning(failed, awaitsDone: true).last == "failed upstream_failed: first")
        let torn = RStream.created + responsesEvent("{'type':'error','message':'first'}")
        #expect(responsesMeaning(torn, awaitsDone: true).last == "failed upstream_failed: first")
    }

    @Test("deltas that differ in text, number and padding only are known again; others are not")
    func fastPath() throws {
        func frame(_ data: String) throws -> SSEFrame {
            var framer = SSEFramer()
            _ = framer.take(ByteBuffer(string: "\n" + responsesEvent(data)))
            _ = framer.next()
            let frame = framer.next()
            return try #require(frame)
        }
        for (before, behind) in [
            ("'sequence_number':#,", ",'obfuscation':'?'"), ("'obfuscation':'?',", ",'sequence_number':#"),
        ] {
            var reader = ResponsesStreamReader()
            func known(_ number: String, _ text: String, _ padding: String, item: String = "m") throws -> String? {
                let head = before.replacing("#", with: number).replacing("?", with: padding)
                let tail = behind.replacing("#", with: number).replacing("?", with: padding)
                let frame = try frame(
                    "{'type':'response.output_text.delta',\(head)'item_id':'\(item)','content_index':0,'delta':'\(text)'\(tail)}"
                )
                if let delta = reader.readKnown(frame) { return delta.text(of: frame).unescaped() }
                var events: [ReplyEvent] = []
                let event = try #require(frame.event)
                try? reader.read(event, into: &events)
                return nil
            }
            // The first opens the block, the second is learned.
            #expect(try known("8", "a", "x") == nil)
            #expect(try known("9", "b", "") == nil)
            #expect(try known("10", "cd", "yyy") == "cd")
            #expect(try known("0", "e", "y") == "e")
            #expect(try known("12345", "", "y") == nil)
            #expect(try known("13", "f", "y") == nil)
            #expect(try known("14", "g", "y") == "g")
            #expect(try known("014", "h", "y") == nil)
            #expect(try known("15", "i", "y", item: "n") == nil)
        }
    }

    @Test("half a character waits for the other half")
    func halves() {
        let stream =
            RStream.created + RStream.text("a\\\\ud83d").replacing("\\\\", with: "\\")
            + RStream.text("\\\\ude00b").replacing("\\\\", with: "\\") + RStream.end()
        #expect(
            responsesMeaning(stream).filter { $0.hasPrefix("delta") } == ["delta 0.0 a", #"delta 0.0 \ud83d\ude00b"#])
    }

    @Test("more items than a reply has are refused")
    func limit() {
        let items = (0...4096).map { RStream.added($0, RStream.call($0)) }.joined()
        #expect(responsesMeaning(RStream.created + items).contains { $0.hasPrefix("unreadable: output: more than") })
    }
}
