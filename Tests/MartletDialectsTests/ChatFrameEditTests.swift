import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Chat streams relayed and repaired")
struct ChatFrameEditTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var stream: String
        var relayed: String
        var usage: ChatFrameEdit.UsagePlacement

        init(
            _ name: String, _ stream: String, _ relayed: String, usage: ChatFrameEdit.UsagePlacement = .hidden
        ) {
            testDescription = name
            self.stream = json(stream)
            self.relayed = json(relayed)
            self.usage = usage
        }
    }

    static let a = chunk("{'content':'a'}")
    static let b = chunk("{'content':'b'}")
    static let finishCalls = chunk("{}", finish: "'tool_calls'")
    static let count = "{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3}"
    static let usageChunk = head + "'choices':[],'usage':\(count)}\n\n"
    static func call(_ piece: String) -> String { chunk("{'tool_calls':[\(piece)]}") }
    static let callHead = call(
        "{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':''}}")
    static let callRest = call("{'index':0,'function':{'arguments':'{}'}}")
    /// The first id of the seed that the tests use.
    static let minted: (completion: String, call: String) = {
        var first = IDSource(seed: 1)
        var second = IDSource(seed: 1)
        return (first.chatCompletion(), second.chatCall())
    }()

    static let cases: [Case] = structure + calls + usage + reasoning

    static let structure = [
        Case("nothingToRepair", a + b + finishStop + done, a + b + finishStop + done),
        Case(
            "unknownMembersStay",
            chunk("{'content':'a','x':{'\\u0079': 1.0 }}", more: ",'z':[1E5, '\\/']") + finishStop + done,
            chunk("{'content':'a','x':{'\\u0079': 1.0 }}", more: ",'z':[1E5, '\\/']") + finishStop + done),
        Case(
            "unknownMembersStayBesideARepair",
            chunk("{'content':'a','x':{'\\u0079': 1.0 }}", more: ",'z':[1E5, '\\/']").with("'m'", "'up'")
                + finishStop + done,
            chunk("{'content':'a','x':{'\\u0079': 1.0 }}", more: ",'z':[1E5, '\\/']") + finishStop + done),
        Case(
            "modelIsTheClients", (a + b + finishStop).with("'m'", "'upstream/m'") + done,
            a + b + finishStop + done),
        Case(
            "modelMissing", a.with("'model':'m',", "") + finishStop + done,
            "data: {'id':'c','object':'chat.completion.chunk','created':1,"
                + "'choices':[{'index':0,'delta':{'content':'a'},'finish_reason':null}],'model':'m'}\n\n"
                + finishStop + done),
        Case(
            "objectWrong", a.with("chat.completion.chunk", "text_completion") + finishStop + done,
            a + finishStop + done),
        Case(
            "idVaries", a + b.with("'c'", "'d'") + finishStop.with("'c'", "''") + done,
            a + b + finishStop + done),
        Case(
            "idMissing", (a + finishStop).with("'id':'c',", "'id':'',") + done,
            (a + finishStop).with("'c'", "'\(minted.completion)'") + done),
        Case(
            "createdMissing", finishStop.with("'created':1,", "'created':null,") + done,
            finishStop.with("'created':1,", "'created':7,") + done),
        Case("C12 finishMissing", a + done, a + finishStop + done),
        Case("doneMissing", a + finishStop, a + finishStop + done),
        Case("lastBlankLineMissing", a + String(finishStop.dropLast(2)), a + finishStop + done),
        Case("lastLineEndMissing", a + String(finishStop.dropLast(1)), a + finishStop + done),
        Case("secondFinish", a + finishStop + finishStop + done, a + finishStop + done),
        Case("textBehindFinish", a + finishStop + b + done, a + finishStop + done),
        Case("finishOfAnotherSpelling", a + chunk("{}", finish: "'eos'") + done, a + finishStop + done),
        Case(
            "finishLength", a + chunk("{}", finish: "'max_tokens'") + done,
            a + chunk("{}", finish: "'length'") + done),
        Case("finishEmpty", chunk("{'content':'a'}", finish: "''") + finishStop + done, a + finishStop + done),
        Case("finishToolCallsWithoutACall", a + finishCalls + done, a + finishStop + done),
        Case(
            "A4 emptyChoices", head + "'choices':[]}\n\n" + a + head + "'choices':[]}\n\n" + b + finishStop + done,
            a + b + finishStop + done),
        Case(
            "indexAndDeltaMissing",
            head + "'choices':[{'finish_reason':'stop'}]}\n\n" + done,
            head + "'choices':[{'finish_reason':'stop','index':0,'delta':{}}]}\n\n" + done),
        Case(
            "messageInsteadOfDelta",
            head + "'choices':[{'index':0,'message':{'content':'a'},'finish_reason':'stop'}]}\n\n" + done,
            head + "'choices':[{'index':0,'delta':{'content':'a'},'finish_reason':'stop'}]}\n\n" + done),
        Case(
            "severalChoices",
            a + chunk("{'content':'b'}", index: 1) + chunk("{}", finish: "'eos'", index: 1) + done,
            a + chunk("{'content':'b'}", index: 1) + chunk("{}", finish: "'stop'", index: 1) + finishStop + done),
        Case("C6 emptyDataBecomesAComment", "data:\n\n" + a + finishStop + done, ":\n\n" + a + finishStop + done),
        Case(
            "commentsAndPingsStay", ": hi\n\n" + a + ": hi\r\n\r\nevent: ping\n\n" + finishStop + done,
            ": hi\n\n" + a + ": hi\r\n\r\nevent: ping\n\n" + finishStop + done),
        Case(
            "unknownEventStays", a + "data: {'type':'status'}\n\n" + finishStop + done,
            a + "data: {'type':'status'}\n\n" + finishStop + done),
        Case(
            "otherLinesOfAFrameStay", ": x\nid: 5\n" + a.with("'m'", "'up'") + finishStop + done,
            ": x\nid: 5\n" + a + finishStop + done),
        Case(
            "dataOverSeveralLines",
            a.with("'choices'", "\ndata: 'choices'").with("'m'", "'up'") + finishStop
                + done,
            a.with("'up'", "'m'") + finishStop + done),
        Case(
            "C9 errorMidway", a + "data: {'error':'boom'}\n\n" + done,
            a
                + "data: {'error':{'message':'boom','type':'server_error','param':null,'code':'upstream_error'}}\n\n"
        ),
        Case(
            "errorEvent",
            a + "event: error\ndata: {'error':{'message':'boom','type':'invalid_request_error'}}\n\n",
            a
                + "data: {'error':{'message':'boom','type':'invalid_request_error','param':null,'code':null}}\n\n"
        ),
        Case(
            "A16 cutOff", a,
            a
                + "data: {'error':{'message':'upstream closed the stream early','type':'server_error','param':null,'code':'upstream_closed'}}\n\n"
        ),
        Case(
            "notJSON", a + "data: oops\n\n" + finishStop + done,
            a
                + "data: {'error':{'message':'the upstream sent a reply that could not be read','type':'server_error','param':null,'code':'upstream_bad_reply'}}\n\n"
        ),
        Case(
            "C11 leakedToolCallStays", chunk("{'content':'<tool_call>{}'}") + finishStop + done,
            chunk("{'content':'<tool_call>{}'}") + finishStop + done),
    ]

    static let calls = [
        Case("wellFormedCall", callHead + callRest + finishCalls + done, callHead + callRest + finishCalls + done),
        Case(
            "A5 finishStopWithACall", callHead + callRest + finishStop + done, callHead + callRest + finishCalls + done),
        Case(
            "A10 finishLengthWithACall",
            callHead + chunk("{'tool_calls':[{'index':0,'function':{'arguments':'{'}}]}")
                + chunk("{}", finish: "'length'") + done,
            callHead + chunk("{'tool_calls':[{'index':0,'function':{'arguments':'{'}}]}")
                + chunk("{}", finish: "'length'") + done),
        Case(
            "C1 nameIdTypeRepeated",
            callHead
                + call(
                    "{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}"
                ) + finishCalls + done,
            callHead + callRest + finishCalls + done),
        Case(
            "nameInPieces",
            call("{'index':0,'id':'a','type':'function','function':{'name':'get_','arguments':''}}")
                + call("{'index':0,'function':{'name':'weather','arguments':''}}") + callRest + finishCalls + done,
            call("{'index':0,'id':'a','type':'function','function':{'name':'get_','arguments':''}}")
                + call("{'index':0,'function':{'name':'weather','arguments':''}}") + callRest + finishCalls + done),
        Case(
            "nameGrowing",
            call("{'index':0,'id':'a','type':'function','function':{'name':'get_','arguments':''}}")
                + call("{'index':0,'function':{'name':'get_weather','arguments':''}}") + callRest + finishCalls + done,
            call("{'index':0,'id':'a','type':'function','function':{'name':'get_','arguments':''}}")
                + call("{'index':0,'function':{'name':'weather','arguments':''}}") + callRest + finishCalls + done),
        Case(
            "nameNullInLaterPieces",
            callHead + call("{'index':0,'id':null,'type':null,'function':{'name':null,'arguments':'{}'}}")
                + finishCalls + done,
            callHead + callRest + finishCalls + done),
        Case(
            "C2 idMissing",
            callHead.with("'id':'a',", "'id':'',") + callRest + finishCalls + done,
            callHead.with("'id':'a'", "'id':'\(minted.call)'") + callRest + finishCalls + done),
        Case(
            "B28 idIllFormed",
            callHead.with("'id':'a'", "'id':'functions.f:0'") + callRest + finishCalls + done,
            callHead.with("'id':'a'", "'id':'\(minted.call)'") + callRest + finishCalls + done),
        Case(
            "C3 indexMissing",
            (callHead + callRest).with("'index':0,'id'", "'id'").with("{'index':0,'function'", "{'function'")
                + finishCalls + done,
            call("{'id':'a','type':'function','function':{'name':'f','arguments':''},'index':0}")
                + call("{'function':{'arguments':'{}'},'index':0}") + finishCalls + done),
        Case(
            "C7 firstIndexIsOne",
            (callHead + callRest).with("[{'index':0,'id'", "[{'index':1,'id'").with(
                "[{'index':0,'function'", "[{'index':1,'function'") + finishCalls + done,
            callHead + callRest + finishCalls + done),
        Case(
            "typeAndFunctionMissing",
            call("{'index':0,'id':'a','function':{'name':'f'}}") + call("{'index':0}") + callRest
                + finishCalls + done,
            call("{'index':0,'id':'a','function':{'name':'f','arguments':''},'type':'function'}")
                + call("{'index':0,'function':{'arguments':''}}") + callRest + finishCalls + done),
        Case(
            "argumentsAsObject",
            call(
                "{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':{'x':1.0}}}"
            ) + finishCalls + done,
            call(
                "{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':'{\\'x\\':1.0}'}}"
            ) + finishCalls + done),
        Case("C8 callWithoutArguments", callHead + finishCalls + done, callHead + callRest + finishCalls + done),
        Case(
            "callWithoutArgumentsInTheFinishChunk",
            chunk(
                "{'tool_calls':[{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':''}}]}",
                finish: "'tool_calls'") + done,
            chunk(
                "{'tool_calls':[{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':''}},"
                    + "{'index':0,'function':{'arguments':'{}'}}]}", finish: "'tool_calls'") + done),
        Case("callWithoutArgumentsAndFinish", callHead + done, callHead + callRest + finishCalls + done),
        Case(
            "C10 emptyToolCalls", chunk("{'content':'a','tool_calls':[]}") + finishStop + done,
            a + finishStop + done),
        Case(
            "repeatedIdOfAnotherCall",
            callHead + callRest
                + call(
                    "{'index':1,'id':'a','type':'function','function':{'name':'g','arguments':'{}'}}"
                ) + finishCalls + done,
            callHead + callRest
                + call(
                    "{'index':1,'id':'\(minted.call)','type':'function','function':{'name':'g','arguments':'{}'}}"
                ) + finishCalls + done),
        Case(
            "oldFunctionCallStays",
            chunk("{'function_call':{'name':'f','arguments':'{}'}}")
                + chunk("{}", finish: "'function_call'") + done,
            chunk("{'function_call':{'name':'f','arguments':'{}'}}")
                + chunk("{}", finish: "'function_call'") + done),
    ]

    static let usage = [
        Case("C4 usageUnasked", a + finishStop + usageChunk + done, a + finishStop + done),
        Case(
            "C4 usageInEachChunk",
            chunk("{'content':'a'}", more: ",'usage':null")
                + chunk("{}", finish: "'stop'", more: ",'usage':\(count)") + done,
            a + finishStop + done),
        Case("usageAsked", a + finishStop + usageChunk + done, a + finishStop + usageChunk + done, usage: .asked),
        Case(
            "usageAskedNullsStay",
            chunk("{'content':'a'}", more: ",'usage':null") + finishStop + usageChunk + done,
            chunk("{'content':'a'}", more: ",'usage':null") + finishStop + usageChunk + done, usage: .asked),
        Case(
            "C5 usageBesideChoices",
            a + chunk("{}", finish: "'stop'", more: ",'usage':\(count)") + done, a + finishStop + usageChunk + done,
            usage: .asked),
        Case(
            "usageBeforeFinish", a + usageChunk + finishStop + done, a + finishStop + usageChunk + done, usage: .asked),
        Case(
            "usageRunning",
            chunk("{'content':'a'}", more: ",'usage':{'prompt_tokens':1}") + finishStop + usageChunk + done,
            a + finishStop + usageChunk + done, usage: .asked),
        Case(
            "usageOfASecondFinish",
            a + finishStop + chunk("{}", finish: "'stop'", more: ",'usage':\(count)") + done,
            a + finishStop + usageChunk + done, usage: .asked),
        Case("usageWithoutDone", a + finishStop + usageChunk, a + finishStop + usageChunk + done, usage: .asked),
        Case(
            "usageChunkKeepsItsMembers",
            a + finishStop + head + "'choices':[],'usage':\(count),'timings':{'cache_n':0}}\n\n" + done,
            a + finishStop + head + "'choices':[],'usage':\(count),'timings':{'cache_n':0}}\n\n" + done,
            usage: .asked),
        Case(
            "usageInsideTheFinishChunk", a + finishStop + usageChunk + done,
            a + chunk("{}", finish: "'stop'", more: ",'usage':\(count)") + done, usage: .finalChunk),
        Case(
            "usageInsideAnInferredFinishChunk", a + usageChunk + done,
            a + chunk("{}", finish: "'stop'", more: ",'usage':\(count)") + done, usage: .finalChunk),
        Case("usageNeverCame", a + finishStop + done, a + finishStop + done, usage: .finalChunk),
    ]

    static let reasoning = [
        Case(
            "C13 reasoningRenamed", chunk("{'reasoning':'x'}") + finishStop + done,
            chunk("{'reasoning_content':'x'}") + finishStop + done),
        Case(
            "C13 reasoningMirrored", chunk("{'reasoning':'x','reasoning_content':'x'}") + finishStop + done,
            chunk("{'reasoning_content':'x'}") + finishStop + done),
        Case(
            "thinkingRenamed", chunk("{'content':'','thinking':'x'}") + finishStop + done,
            chunk("{'content':'','reasoning_content':'x'}") + finishStop + done),
        Case(
            "reasoningDetails", chunk("{'reasoning_details':[{'text':'x'}]}") + finishStop + done,
            chunk("{'reasoning_details':[{'text':'x'}],'reasoning_content':'x'}") + finishStop + done),
        Case(
            "reasoningObjectStays", chunk("{'content':'a','reasoning':{}}") + finishStop + done,
            chunk("{'content':'a','reasoning':{}}") + finishStop + done),
    ]

    @Test("a repaired stream is what its table row says", arguments: cases)
    func table(_ row: Case) {
        let whole = run(chatPipe(.repair, usage: row.usage), reads(row.stream, of: 0))
        #expect(whole.text == row.relayed)
        #expect(run(chatPipe(.repair, usage: row.usage, fast: false), reads(row.stream, of: 0)) == whole)
    }

    @Test("repairing a repaired stream changes nothing", arguments: cases)
    func idempotent(_ row: Case) {
        #expect(relay(row.relayed, usage: row.usage).text == row.relayed || row.relayed.contains(json("'error'")))
    }

    @Test("exact mode changes the model and nothing else", arguments: cases)
    func exact(_ row: Case) {
        let renamed = row.stream.with("'model':'m'", "'model': 'up/m'")
        let relayed = relay(renamed, .exact)
        let expected = ["'up/m'", "'up'", "'upstream/m'"].reduce(renamed) { $0.with($1, "'m'") }
        switch relayed.finding {
        case .failed(let error) where error.code == .upstreamClosedEarly: #expect(relayed.text.hasPrefix(expected))
        case .failed: #expect(relayed.text + done == expected || relayed.text == expected)
        // The lines of data become one.
        default: #expect(relayed.text == expected || row.testDescription == "dataOverSeveralLines")
        }
    }

    @Test(
        "exact mode touches no byte when the names agree", arguments: cases.filter { !$0.stream.contains(json("'up")) })
    func exactSame(_ row: Case) {
        let relayed = relay(row.stream, .exact)
        if case .failed = relayed.finding {
            #expect(
                relayed.text.hasPrefix(row.stream) || relayed.text + done == row.stream || relayed.text == row.stream)
        } else {
            #expect(relayed.text == row.stream)
        }
    }

    @Test("Progress that only we asked for is a sign of life; a client that asked gets it")
    func progress() {
        let role = "{'role':'assistant','content':null}"
        let steps = [256, 512].map {
            chunk(role, more: ",'prompt_progress':{'total':600,'cache':0,'processed':\($0),'time_ms':1}")
        }
        let reply = chunk(role) + Self.a + finishStop + done
        func relayed(hides: Bool) -> String {
            let edit = ChatFrameEdit(
                mode: .repair, model: "m", created: 7, ids: IDSource(seed: 1),
                context: ReplyContext(hidesProgress: hides))
            let pipe = ReplyPipe(reader: ChatStreamReader(), edit: edit, dialect: .chat)
            return run(pipe, reads(steps.joined() + reply, of: 0)).text
        }
        #expect(relayed(hides: true) == ": keepalive\n\n: keepalive\n\n" + reply)
        #expect(relayed(hides: false).contains("'prompt_progress'".replacing("'", with: "\"")))
    }
}
