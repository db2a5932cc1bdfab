import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Chat chunks as events")
struct ChatStreamReaderTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var stream: String
        var events: [String]

        init(_ name: String, _ stream: String, _ events: [String]) {
            testDescription = name
            self.stream = json(stream)
            self.events = events.map(json)
        }
    }

    static let role = chunk("{'role':'assistant','content':''}")
    static func text(_ text: String) -> String { chunk("{'content':'\(text)'}") }
    static func call(_ piece: String) -> String { chunk("{'tool_calls':[\(piece)]}") }

    static let cases = [
        Case(
            "plainText", role + text("Hi") + text(" th\\u00e9re") + finishStop + done,
            [
                "started c m", "open 0.0 text", "delta 0.0 Hi", "delta 0.0  th\\u00e9re", "close 0.0", "finish 0 stop",
                "ended",
            ]),
        Case(
            "roleOnlyAndNullContent", role + chunk("{'content':null}") + finishStop + done,
            ["started c m", "finish 0 stop", "ended"]),
        Case(
            "thinkingThenText",
            chunk("{'reasoning_content':'hm'}") + chunk("{'reasoning_content':'m'}") + text("a") + finishStop
                + done,
            [
                "started c m", "open 0.0 reasoning", "delta 0.0 hm", "delta 0.0 m", "close 0.0", "open 0.1 text",
                "delta 0.1 a", "close 0.1", "finish 0 stop", "ended",
            ]),
        Case(
            "thinkingAfterText", text("a") + chunk("{'reasoning':'hm'}") + text("b") + finishStop + done,
            [
                "started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "open 0.1 reasoning", "delta 0.1 hm",
                "close 0.1", "open 0.2 text", "delta 0.2 b", "close 0.2", "finish 0 stop", "ended",
            ]),
        Case(
            "C13 mirroredReasoning", chunk("{'reasoning':'x','reasoning_content':'x'}") + finishStop + done,
            ["started c m", "open 0.0 reasoning", "delta 0.0 x", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "reasoningDetails",
            chunk("{'reasoning_details':[{'type':'t','text':'x'},{'text':'y'}]}") + finishStop + done,
            [
                "started c m", "open 0.0 reasoning", "delta 0.0 x", "delta 0.0 y", "close 0.0", "finish 0 stop",
                "ended",
            ]),
        Case(
            "contentParts",
            chunk("{'content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]}")
                + finishStop + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "delta 0.0 b", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "refusal", chunk("{'refusal':'no'}") + finishStop + done,
            ["started c m", "open 0.0 refusal", "delta 0.0 no", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "A2 interleavedCalls",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':''}}")
                + call("{'index':1,'id':'b','function':{'name':'g','arguments':''}}")
                + call("{'index':0,'function':{'arguments':'{\\'x\\''}}")
                + call("{'index':1,'function':{'arguments':'{}'}}")
                + call("{'index':0,'function':{'arguments':':1}'}}")
                + chunk("{}", finish: "'tool_calls'") + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {\\'x\\'", "open 0.1 call function b g",
                "delta 0.1 {}", "delta 0.0 :1}", "close 0.0", "close 0.1", "finish 0 toolCalls", "ended",
            ]),
        Case(
            "A3 argumentsInTheOpeningPiece",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{\\'a\\''}}")
                + call("{'index':0,'function':{'arguments':':1}'}}") + finishStop + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {\\'a\\'", "delta 0.0 :1}", "close 0.0",
                "finish 0 toolCalls", "ended",
            ]),
        Case(
            "A4 emptyChoicesAnywhere",
            head + "'choices':[]}\n\n" + text("a") + head + "'choices':[]}\n\n" + text("b") + finishStop + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "delta 0.0 b", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "A6 toolCallsWithoutACall", text("a") + chunk("{}", finish: "'tool_calls'") + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "A10 cutArgumentsAreLength",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{\\'path\\':\\'/a'}}")
                + chunk("{}", finish: "'length'") + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {\\'path\\':\\'/a", "close 0.0",
                "finish 0 length", "ended",
            ]),
        Case(
            "A19 usageAfterFinish",
            finishStop + head + "'choices':[],'usage':{'prompt_tokens':10,'completion_tokens':5,"
                + "'prompt_tokens_details':{'cached_tokens':3,'cache_write_tokens':2},"
                + "'completion_tokens_details':{'reasoning_tokens':4}}}\n\n" + done,
            ["started c m", "finish 0 stop", "usage 10 3 2 5 4", "ended"]),
        Case(
            "usageNullAndNegative",
            text("a").with("}\n", ",'usage':null}\n")
                + chunk("{}", finish: "'stop'", more: ",'usage':{'prompt_tokens':-1,'completion_tokens':2.0}")
                + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "finish 0 stop", "usage - - - 2 -", "ended"]),
        Case(
            "timingsCountTheCache",
            chunk("{}", finish: "'stop'", more: ",'timings':{'cache_n':8,'prompt_n':2,'predicted_n':3}")
                + done,
            ["started c m", "finish 0 stop", "usage 10 8 - 3 -", "ended"]),
        Case(
            "deepseekCacheHits",
            chunk("{}", finish: "'stop'", more: ",'usage':{'prompt_tokens':9,'prompt_cache_hit_tokens':4}")
                + done,
            ["started c m", "finish 0 stop", "usage 9 4 - - -", "ended"]),
        Case(
            "promptProgress",
            chunk(
                "{'content':null}",
                more: ",'prompt_progress':{'total':4,'cache':0,'processed':1,'time_ms':2}")
                + finishStop + done,
            ["started c m", "progress prefill 0.25", "finish 0 stop", "ended"]),
        Case(
            "severalChoices",
            chunk("{'content':'a'}") + chunk("{'content':'b'}", index: 1) + chunk("{'content':'c'}")
                + chunk("{}", finish: "'stop'", index: 1) + finishStop + done,
            [
                "started c m", "open 0.0 text", "delta 0.0 a", "open 1.0 text", "delta 1.0 b", "delta 0.0 c",
                "close 1.0",
                "finish 1 stop", "close 0.0", "finish 0 stop", "ended",
            ]),
        Case(
            "C2 C3 callsWithoutIdAndIndex",
            call("{'function':{'name':'f','arguments':'{'}}") + call("{'function':{'arguments':'}'}}")
                + finishStop + done,
            [
                "started c m", "open 0.0 call function  f", "delta 0.0 {", "delta 0.0 }", "close 0.0",
                "finish 0 toolCalls", "ended",
            ]),
        Case(
            "twoWholeCallsWithoutIndexInOneChunk",
            call(
                "{'function':{'name':'f','arguments':'{}'}},{'function':{'name':'f','arguments':'{}'}}"
            )
                + finishStop + done,
            [
                "started c m", "open 0.0 call function  f", "delta 0.0 {}", "open 0.1 call function  f", "delta 0.1 {}",
                "close 0.0", "close 0.1", "finish 0 toolCalls", "ended",
            ]),
        Case(
            "everyCallHasIndexZero",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{}'}}")
                + call("{'index':0,'id':'b','function':{'name':'f','arguments':'{}'}}") + finishStop
                + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {}", "open 0.1 call function b f",
                "delta 0.1 {}",
                "close 0.0", "close 0.1", "finish 0 toolCalls", "ended",
            ]),
        Case(
            "C1 nameAndIdRepeated",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{'}}")
                + call("{'index':0,'id':'a','function':{'name':'f','arguments':'}'}}") + finishStop
                + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {", "delta 0.0 }", "close 0.0",
                "finish 0 toolCalls", "ended",
            ]),
        Case(
            "nameComesLate",
            call("{'index':0,'id':'a','function':{'arguments':'{'}}")
                + call("{'index':0,'function':{'name':'f','arguments':'}'}}") + finishStop + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {", "delta 0.0 }", "close 0.0",
                "finish 0 toolCalls", "ended",
            ]),
        Case(
            "argumentsAsObject",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':{'x':'y'}}}") + finishStop
                + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {\\'x\\':\\'y\\'}", "close 0.0",
                "finish 0 toolCalls", "ended",
            ]),
        Case(
            "customCall",
            call("{'index':0,'id':'a','type':'custom','custom':{'name':'f','input':'x'}}")
                + finishStop + done,
            ["started c m", "open 0.0 call custom a f", "delta 0.0 x", "close 0.0", "finish 0 toolCalls", "ended"]),
        Case(
            "oldFunctionCall",
            chunk("{'function_call':{'name':'f','arguments':'{}'}}")
                + chunk("{}", finish: "'function_call'") + done,
            ["started c m", "open 0.0 call function  f", "delta 0.0 {}", "close 0.0", "finish 0 toolCalls", "ended"]),
        Case(
            "textBetweenCalls",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{}'}}") + text("t")
                + call("{'index':1,'id':'b','function':{'name':'g','arguments':'{}'}}") + finishStop
                + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {}", "open 0.1 text", "delta 0.1 t",
                "close 0.1",
                "open 0.2 call function b g", "delta 0.2 {}", "close 0.0", "close 0.2", "finish 0 toolCalls", "ended",
            ]),
        Case(
            "secondFinishAndTextBehindIt", text("a") + finishStop + text("b") + finishStop + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "matchedStop",
            text("a")
                + head
                + "'choices':[{'index':0,'delta':{},'finish_reason':'stop','stop_reason':'END'}]}\n\n"
                + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "finish 0 stop at END", "ended"]),
        Case(
            "wholeMessageInAChunk",
            head + "'choices':[{'message':{'content':'a'},'finish_reason':'stop'}]}\n\n" + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "halfACharacterPerChunk", text("a\\ud83d") + text("\\ude00b") + text("c") + finishStop + done,
            [
                "started c m", "open 0.0 text", "delta 0.0 a", "delta 0.0 \\ud83d\\ude00b", "delta 0.0 c", "close 0.0",
                "finish 0 stop", "ended",
            ]),
        Case(
            "doneInfersStop", text("a") + done,
            ["started c m", "open 0.0 text", "delta 0.0 a", "close 0.0", "finish 0 stop", "ended"]),
        Case(
            "doneInfersToolCalls",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{\\'x\\':['}}")
                + call("{'index':0,'function':{'arguments':'1]}'}}") + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {\\'x\\':[", "delta 0.0 1]}", "close 0.0",
                "finish 0 toolCalls", "ended",
            ]),
        Case(
            "doneWithACutCallInfersStop",
            call("{'index':0,'id':'a','function':{'name':'f','arguments':'{\\'x\\':\\'}'}}") + done,
            [
                "started c m", "open 0.0 call function a f", "delta 0.0 {\\'x\\':\\'}", "close 0.0", "finish 0 stop",
                "ended",
            ]),
        Case("doneAlone", done, ["failed upstream_bad_reply: the upstream sent no reply"]),
        Case("nothing", "", ["unfinished: the stream ended before its finish reason"]),
        Case(
            "A16 endWithoutFinish", text("a"),
            ["started c m", "open 0.0 text", "delta 0.0 a", "unfinished: the stream ended before its finish reason"]),
        Case("finishWithoutDone", finishStop, ["started c m", "finish 0 stop"]),
        Case("lastBlankLineMissing", finishStop.with("\n\n", ""), ["started c m", "finish 0 stop"]),
        Case(
            "textAfterDone", finishStop + done + text("a") + "data: {}\n\n", ["started c m", "finish 0 stop", "ended"]),
        Case("errorAsString", "data: {'error':'boom'}\n\n", ["failed upstream_failed: boom"]),
        Case(
            "errorAsObject", text("a") + "data: {'error':{'message':'boom','code':429}}\n\n",
            ["started c m", "open 0.0 text", "delta 0.0 a", "failed rate_limited: boom"]),
        Case(
            "errorNested", "data: {'error':{'error':{'message':'boom'}},'message':'x'}\n\n",
            ["failed upstream_failed: boom"]),
        Case("errorEvent", "event: error\ndata: {'message':'boom'}\n\n", ["failed upstream_failed: boom"]),
        Case("errorEventInPlainText", "event: error\ndata: boom\n\n", ["failed upstream_failed: boom"]),
        Case(
            "errorObject", "data: {'object':'error','message':'boom','code':400}\n\n",
            ["failed invalid_request: boom"]),
        Case(
            "errorBesideChoices",
            head + "'choices':[{'index':0,'delta':{'content':'a'}}],'error':{'message':'boom'}}\n\n",
            ["failed upstream_failed: boom"]),
        Case(
            "errorNullIsNone", chunk("{}", finish: "'stop'", more: ",'error':null") + done,
            ["started c m", "finish 0 stop", "ended"]),
        Case(
            "finishReasonError", text("a") + chunk("{}", finish: "'error'"),
            [
                "started c m", "open 0.0 text", "delta 0.0 a",
                "failed upstream_failed: the upstream gave up in the middle of the reply",
                "unfinished: the stream ended before its finish reason",
            ]),
        Case(
            "membersOfWrongKinds",
            "data: {'id':5,'model':null,'choices':[7,{'index':'x','delta':[],'finish_reason':3},"
                + "{'index':0,'delta':{'content':{},'tool_calls':'x','refusal':[]}}],'usage':[],'timings':1}\n\n"
                + finishStop + done,
            ["started  ", "finish 0 stop", "ended"]),
        Case(
            "notJSON", "data: {'id':\n\n" + finishStop + done,
            ["unreadable: malformed JSON at byte 6: the text ends too early", "started c m", "finish 0 stop", "ended"]),
        Case(
            "choiceOutOfRange", chunk("{'content':'a'}", index: 128) + finishStop + done,
            ["unreadable: choices[].index: 128 is no choice of this reply", "started c m", "finish 0 stop", "ended"]),
        Case(
            "commentsAndEmptyData", ": hi\n\ndata:\n\n" + finishStop + done, ["started c m", "finish 0 stop", "ended"]),
    ]

    @Test("a chunk means what its table row says", arguments: cases)
    func table(_ row: Case) {
        #expect(events(row.stream) == row.events)
        #expect(events(row.stream, fast: false) == row.events)
    }

    @Test(
        "finish reasons of every spelling are read",
        arguments: [
            ("stop", "stop"), ("eos", "stop"), ("end_turn", "stop"), ("eos_token", "stop"), ("whatever", "stop"),
            ("length", "length"), ("max_tokens", "length"), ("max_output_tokens", "length"),
            ("content_filter", "contentFilter"),
        ])
    func finishReasons(word: String, reason: String) {
        #expect(events(chunk("{}", finish: "'\(word)'")).last == "finish 0 \(reason)")
    }

    @Test("an empty finish reason is none")
    func emptyFinish() {
        #expect(events(chunk("{'content':'a'}", finish: "''") + finishStop + done).contains("finish 0 stop"))
        #expect(events(chunk("{'content':'a'}", finish: "''")).last?.hasPrefix("unfinished") == true)
    }

    @Test("more calls than the limit are refused")
    func tooManyCalls() {
        let calls = (0...1024).map {
            "{'index':\($0),'id':'c\($0)','function':{'name':'f','arguments':'{}'}}"
        }
        let lines = events(Self.call(calls.joined(separator: ",")))
        #expect(lines.contains { $0.hasPrefix("unreadable: choices[].delta.tool_calls") })
    }
}
