import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Replies as Responses streams")
struct ReplyResponsesTests {
    static let text = ReplyAnthropicTests.text
    static let think = ReplyAnthropicTests.think
    static let call = ReplyAnthropicTests.call
    static let more = ReplyAnthropicTests.more
    static let finishCalls = ReplyAnthropicTests.finishCalls
    static let finishLength = ReplyAnthropicTests.finishLength
    static let filter = chunk("{}", finish: "\"content_filter\"")

    /// With tools of every kind, a summary and sealed reasoning.
    static let request =
        #"{"model":"m","input":"x","reasoning":{"summary":"auto"},"include":["reasoning.encrypted_content"],"tools":[{"type":"function","name":"a"},{"type":"custom","name":"patch"},{"type":"namespace","name":"multi_agent_v1","tools":[{"type":"function","name":"spawn_agent"},{"type":"custom","name":"note"}]},{"type":"local_shell"},{"type":"shell"},{"type":"apply_patch"},{"type":"tool_search","execution":"client"}]}"#

    /// What a strict client makes of it; a fault, or another result for another cut, fails the test.
    func decode(_ stream: String, _ context: ReplyContext = ReplyContext()) -> StrictResponsesReader {
        let relayed = asResponses(stream, context)
        let reader = StrictResponsesReader(relayed.text)
        #expect(reader.faults == [], "\(relayed.text)")
        for cut in [1, 7] { #expect(asResponses(stream, context, cut: cut) == relayed) }
        return reader
    }

    @Test("6.2: reasoning with summary, text, a function call and a custom call that interleave")
    func golden() throws {
        let stream =
            chunk(json("{'role':'assistant'}")) + Self.think("hm") + Self.text("Hi") + Self.call(0, "call_1", "a", "")
            + Self.call(1, "call_2", "patch", "") + Self.more(0, "{}") + Self.more(1, "{\"input\":\"x\"}")
            + Self.finishCalls + done
        let reader = decode(stream, try responsesContext(Self.request))
        #expect(
            reader.types == [
                "created", "in_progress", "output_item.added[0]", "reasoning_summary_part.added[0]",
                "reasoning_summary_text.delta[0]", "reasoning_summary_text.done[0]", "reasoning_summary_part.done[0]",
                "output_item.done[0]", "output_item.added[1]", "content_part.added[1]", "output_text.delta[1]",
                "output_text.done[1]", "content_part.done[1]", "output_item.done[1]", "output_item.added[2]",
                "function_call_arguments.delta[2]", "output_item.added[3]", "custom_tool_call_input.delta[3]",
                "function_call_arguments.done[2]", "custom_tool_call_input.done[3]", "output_item.done[2]",
                "output_item.done[3]", "completed",
            ])
        let text = asResponses(stream, try responsesContext(Self.request)).text
            .replacing(/(msg|fc)_[0-9a-f]{48}/) { "\($0.output.1)_1" }
        let lines = [
            #"{"type":"response.output_text.delta","sequence_number":10,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"Hi","logprobs":[]}"#,
            #"{"type":"response.output_item.done","sequence_number":20,"output_index":2,"item":{"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"a","arguments":"{}"}}"#,
        ]
        for line in lines { #expect(text.contains("data: \(line)\n\n"), "\(text)") }
    }

    @Test("0.2: the sign of life is a comment, once the reply has begun")
    func keepAlive() {
        var pipe = Dialects.pipe(from: .chat, to: responsesTarget())
        var out = ByteBuffer()
        pipe.keepAlive(into: &out)
        pipe.keepAlive(into: &out)
        #expect(out.string.hasSuffix("\n\n: keepalive\n\n"))
        #expect(out.string.hasPrefix("event: response.created\n"))
        _ = pipe.pass(ByteBuffer(string: Self.text("a") + finishStop + done), into: &out)
        #expect(StrictResponsesReader(out.string).faults == [])
    }

    @Test("2.6: a text, event by event")
    func plain() {
        let reader = decode(Self.text("a") + Self.text("b\n\"é") + finishStop + done)
        #expect(
            reader.types == [
                "created", "in_progress", "output_item.added[0]", "content_part.added[0]", "output_text.delta[0]",
                "output_text.delta[0]", "output_text.done[0]", "content_part.done[0]", "output_item.done[0]",
                "completed",
            ])
        #expect(reader.output[0]["content"]?[0]?["text"] == "ab\n\"é")
        #expect(reader.response["status"] == "completed")
    }

    @Test("D20: without a summary asked for, reasoning is text; Open Responses has another name for it")
    func reasoningText() {
        let stream = Self.think("hm") + Self.text("a") + finishStop + done
        let reader = decode(stream)
        #expect(reader.types.contains("reasoning_text.delta[0]") && reader.types.contains("content_part.added[0]"))
        #expect(reader.output[0]["content"] == [["type": "reasoning_text", "text": "hm"]])
        #expect(reader.output[0]["summary"] == [] && reader.output[0]["encrypted_content"] == nil)
        let open = run(
            Dialects.pipe(from: .chat, to: responsesTarget(isOpenResponses: true)), reads(stream, of: 0)
        ).text
        #expect(StrictResponsesReader(open).faults == [])
        #expect(open.contains("event: response.reasoning.delta\n") && !open.contains("reasoning_text.delta"))
    }

    @Test("2.5, 2.9.1: sealed reasoning comes back as what it was")
    func encrypted() throws {
        let reader = decode(Self.think("hm\n") + Self.text("a") + finishStop + done, try responsesContext(Self.request))
        let sealed = try #require(reader.output[0]["encrypted_content"]?.string)
        #expect(sealed.hasPrefix("gw1."))
        let turn = items(
            "\(RequestResponsesTests.hi),\(reader.output[0].text),\(reader.output[1].text),\(RequestResponsesTests.hi)")
        let made = try responsesToChat(turn) { $0.reasoningIn = .field("reasoning_content") }
        #expect(made.messages[1]["reasoning_content"] == "hm\n")
        #expect(made.content(1) == "a")
    }

    @Test("2.8: a signature travels in the sealed reasoning, and redacted thinking is an item of its own")
    func signature() throws {
        let stream =
            ReplyChatTests.start + ReplyChatTests.open(0, "{'type':'thinking','thinking':'','signature':''}")
            + ReplyChatTests.delta(0, "{'type':'thinking_delta','thinking':'hm'}")
            + ReplyChatTests.delta(0, "{'type':'signature_delta','signature':'sig'}") + ReplyChatTests.close(0)
            + ReplyChatTests.open(1, "{'type':'redacted_thinking','data':'zzz'}") + ReplyChatTests.close(1)
            + ReplyChatTests.call(2, "toolu_1", "{}") + ReplyChatTests.end("tool_use")
        let relayed = asResponses(stream, try responsesContext(Self.request), from: .anthropic)
        let reader = StrictResponsesReader(relayed.text)
        #expect(reader.faults == [], "\(relayed.text)")
        #expect(reader.output.map { $0["type"] } == ["reasoning", "reasoning", "function_call"])
        let made = try responsesToAnthropic(
            items(
                "\(RequestResponsesTests.hi),\(reader.output.map(\.text).joined(separator: ",")),\(RequestResponsesTests.output("toolu_1", "\"x\""))"
            ))
        #expect(
            Array(made.messages[1]["content"]?.array?.prefix(2) ?? []) == [
                ["type": "thinking", "thinking": "hm", "signature": "sig"],
                ["type": "redacted_thinking", "data": "zzz"],
            ])
        // Who did not ask for it gets no item without text.
        #expect(StrictResponsesReader(asResponses(stream, from: .anthropic).text).output.count == 2)
    }

    @Test("A1, A11: each change of kind ends an item and begins another")
    func kinds() {
        let reader = decode(Self.think("a") + Self.text("b") + Self.think("c") + finishStop + done)
        #expect(reader.output.map { $0["type"] } == ["reasoning", "message", "reasoning"])
    }

    @Test("D1, D25: ids and order of items are the same throughout, also where calls interleave")
    func interleaved() {
        let reader = decode(
            Self.call(0, "c1", "f", "{\"a\"") + Self.call(1, "c2", "g", "{\"b\"") + Self.more(1, ":2}")
                + Self.text("t") + Self.more(0, ":1}") + Self.finishCalls + done)
        #expect(reader.output.map { $0["type"] } == ["function_call", "function_call", "message"])
        #expect(reader.output[0]["arguments"] == "{\"a\":1}" && reader.output[1]["arguments"] == "{\"b\":2}")
        #expect(reader.output[0]["call_id"] == "c1" && reader.output[1]["name"] == "g")
    }

    @Test("no item grows behind another: LangChain loses such arguments")
    func oneAfterAnother() {
        let held = decode(
            Self.call(0, "c1", "f", "{\"a\"") + Self.call(1, "c2", "g", "{\"b\"") + Self.more(0, ":1}")
                + Self.more(1, ":2}") + Self.call(2, "c3", "h", "{}") + Self.finishCalls + done)
        #expect(
            held.types == [
                "created", "in_progress", "output_item.added[0]", "function_call_arguments.delta[0]",
                "function_call_arguments.delta[0]", "output_item.added[1]", "function_call_arguments.delta[1]",
                "function_call_arguments.delta[1]", "output_item.added[2]", "function_call_arguments.delta[2]",
                "function_call_arguments.done[0]", "function_call_arguments.done[1]", "function_call_arguments.done[2]",
                "output_item.done[0]", "output_item.done[1]", "output_item.done[2]", "completed",
            ])
        let cut = StrictResponsesReader(
            asResponses(Self.call(0, "c1", "f", "{\"a\"") + Self.call(1, "c2", "g", "{}") + Self.text("t")).text)
        #expect(cut.faults == [] && cut.output.map { $0["type"] } == ["function_call", "function_call", "message"])
        #expect(cut.output.map { $0["status"] } == ["incomplete", "incomplete", "incomplete"])
    }

    @Test("C8: a call without arguments has an empty object")
    func noArguments() {
        let reader = decode(Self.call(0, "c1", "f", "") + Self.finishCalls + done)
        #expect(reader.output[0]["arguments"] == "{}" && reader.output[0]["status"] == "completed")
    }

    @Test("2.9.3: ids that are missing, ill-formed or used before are minted")
    func callIDs() throws {
        var context = ReplyContext()
        context.callIDs = ["old"]
        let reader = decode(
            Self.call(0, "functions.f:0", "f", "{}") + Self.call(1, "old", "f", "{}") + Self.call(2, "new", "f", "{}")
                + Self.finishCalls + done, context)
        let ids = reader.output.compactMap { $0["call_id"]?.string }
        #expect(ids[0].hasPrefix("call_") && ids[1].hasPrefix("call_") && ids[2] == "new")
        #expect(Set(ids).count == 3)
    }

    @Test("D5: a namespaced call comes back in two pieces")
    func namespace() throws {
        let reader = decode(
            Self.call(0, "c1", "multi_agent_v1__spawn_agent", "{}")
                + Self.call(1, "c2", "multi_agent_v1__note", "{\"input\":\"n\"}") + Self.call(2, "c3", "invented", "{}")
                + Self.finishCalls + done, try responsesContext(Self.request))
        #expect(reader.output[0]["name"] == "spawn_agent" && reader.output[0]["namespace"] == "multi_agent_v1")
        #expect(reader.output[1]["type"] == "custom_tool_call" && reader.output[1]["namespace"] == "multi_agent_v1")
        #expect(reader.output[1]["input"] == "n" && reader.output[1]["name"] == "note")
        #expect(reader.output[2]["name"] == "invented" && reader.output[2]["namespace"] == nil)
    }

    @Test("D7: a custom tool gets its text, decoded as it comes")
    func custom() throws {
        let patch = "*** Begin\n+\"é\\😀\"\n\t"
        let wrapped = JSON.object(["input": .string(patch)]).text
        let pieces = wrapped.unicodeScalars.map { Self.more(0, String($0)) }.joined()
        let reader = decode(
            Self.call(0, "c1", "patch", "") + pieces + Self.finishCalls + done, try responsesContext(Self.request))
        #expect(reader.output[0]["type"] == "custom_tool_call" && reader.output[0]["input"] == .string(patch))
        #expect(reader.types.filter { $0.contains("input.delta") }.count > 10)
    }

    static let shapes: [(String, String)] = [
        (#"{"input":"a\u00e9\ud83d\ude00\n"}"#, "aé😀\n"), (#" { "input" : "x" , "more": 1 }"#, "x"),
        (#"{"patch":"p"}"#, "p"), (#"{"why":"w","input":"i"}"#, "i"), (#""text""#, "text"),
        ("*** Begin Patch", "*** Begin Patch"), (#"{"input":{"a":1}}"#, #"{"a":1}"#),
        (#"{"a":"x","b":"y"}"#, #"{"a":"x","b":"y"}"#),
        ("{}", ""), ("", ""), (#"{"input":"bad \x escape"}"#, #"bad \x escape"#),
        (#"{"input":"half \ud83d x"}"#, "half \u{FFFD} x"),
        (#"{"input":"odd \u00zz"}"#, #"odd \u00zz"#), ("{\"input\":\"raw\nline\"}", "raw\nline"),
    ]

    @Test("2.6.3: arguments of whatever shape become the most plausible text", arguments: shapes)
    func customShapes(arguments: String, input: String) throws {
        let context = try responsesContext(Self.request)
        for size in [1, 3, 1000] {
            var pieces = ""
            var rest = Array(arguments.unicodeScalars)[...]
            while !rest.isEmpty {
                pieces += Self.more(0, String(String.UnicodeScalarView(rest.prefix(size))))
                rest = rest.dropFirst(size)
            }
            let reader = decode(Self.call(0, "c1", "patch", "") + pieces + Self.finishCalls + done, context)
            #expect(reader.output[0]["input"] == .string(input))
        }
    }

    @Test("2.4.5, D24: every kind of call comes back as the kind it was declared as")
    func builtins() throws {
        let reader = decode(
            Self.call(0, "c1", "local_shell", #"{"command":["ls"],"workdir":"/w","timeout_ms":5,"env":{"A":"b"}}"#)
                + Self.call(1, "c2", "shell", "{\"commands\":[\"a\"],\n\"timeout_ms\":7}")
                + Self.call(2, "c3", "apply_patch", #"{"operation":{"type":"delete_file","path":"p"}}"#)
                + Self.call(3, "c4", "tool_search", #"{"query":"q"}"#)
                + Self.call(4, "c5", "local_shell", #"{"command":"ls | wc"}"#)
                + Self.finishCalls + done, try responsesContext(Self.request))
        let output = reader.output
        #expect(
            output.map { $0["type"] } == [
                "local_shell_call", "shell_call", "apply_patch_call", "tool_search_call", "local_shell_call",
            ])
        #expect(
            output[0]["action"] == [
                "type": "exec", "command": ["ls"], "env": ["A": "b"], "working_directory": "/w", "timeout_ms": 5,
            ])
        #expect(output[1]["action"] == ["commands": ["a"], "timeout_ms": 7, "max_output_length": nil])
        #expect(output[2]["operation"] == ["type": "delete_file", "path": "p"])
        #expect(output[3]["arguments"] == ["query": "q"] && output[3]["execution"] == "client")
        #expect(output[4]["action"]?["command"] == ["bash", "-lc", "ls | wc"])
        #expect(output.map { $0["call_id"] } == ["c1", "c2", "c3", "c4", "c5"])
    }

    static let unfitting: [(String, String)] = [
        ("local_shell", "notjson"), ("local_shell", "{}"), ("local_shell", #"{"command":[]}"#),
        ("local_shell", #"{"command":["a",1]}"#), ("local_shell", #"{"command":["a"]}{"command":["b"]}"#),
        ("local_shell", #"{"command":["a""#), ("shell", #"{"commands":""}"#),
        ("shell", #"{"command":["ls","-l"]}"#),
        ("apply_patch", #"{"input":"*** Begin Patch"}"#), ("apply_patch", #"{"path":"p"}"#),
        ("apply_patch", #"{"operation":{"type":"delete_file"}}"#),
        ("apply_patch", #"{"operation":{"type":"create_file","path":"p","content":"c"}}"#),
        ("apply_patch", #"{"operation":{"path":"p","diff":"d"}}"#),
    ]

    @Test(
        "D24: a call of a tool built in whose arguments it has no place for is none of it: nothing is made up",
        arguments: unfitting)
    func unfit(_ name: String, _ arguments: String) throws {
        let context = try responsesContext(Self.request)
        for size in [1, 1000] {
            let reader = decode(
                Self.call(0, "c1", name, "")
                    + Calls.cut(arguments, size).map { Self.more(0, $0) }.joined()
                    + Self.call(1, "c2", "shell", #"{"commands":["ls"]}"#) + Self.finishCalls + done, context)
            #expect(reader.faults == [])
            #expect(reader.output.map { $0["type"] } == ["function_call", "shell_call"])
            #expect(reader.output[0]["arguments"] == .string(arguments) && reader.output[0]["name"] == .string(name))
            #expect(reader.output[0]["call_id"] == "c1" && reader.output[0]["id"]?.string?.hasPrefix("fc_") == true)
        }
        let cut = decode(Self.call(0, "c1", name, #"{"command":["rm","/tmp"#) + Self.finishLength + done, context)
        #expect(cut.output[0]["status"] == "incomplete" && cut.output[0]["type"] == "function_call")
    }

    @Test("an earlier call without arguments has an object, streamed or whole, however the reply ends")
    func emptyArguments() throws {
        let streamed = decode(
            Self.call(0, "c1", "f", "") + Self.call(1, "c2", "g", #"{"a"#) + Self.finishLength + done)
        #expect(streamed.output[0]["arguments"] == "{}")
        let body = ByteBuffer(
            string: json(
                "{'id':'c','choices':[{'index':0,'message':{'tool_calls':["
                    + "{'id':'c1','type':'function','function':{'name':'f','arguments':''}},"
                    + "{'id':'c2','type':'function','function':{'name':'g','arguments':'{'}}]},"
                    + "'finish_reason':'length'}]}"
            ))
        let whole = try Dialects.translateWhole(body, from: .chat, to: responsesTarget())
        #expect(try JSON(parsing: whole.pieces[0])["output"]?[0]?["arguments"] == "{}")
    }

    static let endings: [(String, String, String?, String)] = [
        (text("a") + finishStop, "completed", nil, "completed"),
        (text("a") + finishLength, "incomplete", "max_output_tokens", "incomplete"),
        (text("a") + filter, "incomplete", "content_filter", "incomplete"),
        (call(0, "c1", "f", "{\"a\"") + finishLength, "incomplete", "max_output_tokens", "incomplete"),
        (call(0, "c1", "f", "{}") + finishLength, "incomplete", "max_output_tokens", "completed"),
        (call(0, "c1", "f", "{}") + finishStop, "completed", nil, "completed"),
        (call(0, "c1", "f", "{\"a\"") + finishCalls, "completed", nil, "completed"),
    ]

    @Test("2.5: how a reply ends, and what that makes of its last item", arguments: endings)
    func ending(stream: String, status: String, reason: String?, item: String) {
        let reader = decode(stream + done)
        #expect(reader.response["status"]?.string == status && reader.types.last == status)
        #expect(reader.response["incomplete_details"]?["reason"]?.string == reason)
        #expect(reader.output[0]["status"]?.string == item)
    }

    @Test("an item before the one a limit ended is complete")
    func earlierItems() {
        let reader = decode(Self.think("a") + Self.text("b") + Self.finishLength + done)
        #expect(reader.output.map { $0["status"] } == ["completed", "incomplete"])
    }

    @Test("2.5: a refusal is a part of its own kind")
    func refusal() {
        let reader = decode(chunk("{'refusal':'no'}") + finishStop + done)
        #expect(reader.output[0]["content"] == [["type": "refusal", "refusal": "no"]])
        #expect(reader.types.contains("refusal.delta[0]") && reader.types.contains("refusal.done[0]"))
    }

    @Test("D15: usage is always whole, counted or estimated")
    func usage() {
        let counted = decode(
            Self.text("a") + finishStop
                + ReplyAnthropicTests.usage(
                    "{'prompt_tokens':10,'completion_tokens':5,'prompt_tokens_details':{'cached_tokens':3},'completion_tokens_details':{'reasoning_tokens':2}}"
                ) + done)
        #expect(
            counted.response["usage"] == [
                "input_tokens": 10, "input_tokens_details": ["cached_tokens": 3, "cache_write_tokens": 0],
                "output_tokens": 5,
                "output_tokens_details": ["reasoning_tokens": 2], "total_tokens": 15,
            ])
        var context = ReplyContext()
        context.inputEstimate = 8
        let guessed = decode(Self.text(String(repeating: "x", count: 32)) + finishStop + done, context)
        #expect(guessed.response["usage"]?["input_tokens"] == 8 && guessed.response["usage"]?["output_tokens"] == 10)
        #expect(guessed.response["usage"]?["total_tokens"] == 18)
    }

    @Test("only the first choice is shown")
    func choices() {
        let reader = decode(
            chunk("{'content':'a'}") + chunk("{'content':'b'}", index: 1) + finishStop
                + chunk("{}", finish: "'stop'", index: 1) + done)
        #expect(reader.output.count == 1 && reader.output[0]["content"]?[0]?["text"] == "a")
    }

    @Test("halves of a character in two fragments of arguments are joined")
    func surrogates() {
        let stream =
            Self.call(0, "c1", "f", "{\"a\":\"")
            + chunk(json("{'tool_calls':[{'index':0,'function':{'arguments':'\\ud83d'}}]}"))
            + chunk(json("{'tool_calls':[{'index':0,'function':{'arguments':'\\ude00'}}]}")) + Self.more(0, "\"}")
            + Self.finishCalls + done
        #expect(decode(stream).output[0]["arguments"] == "{\"a\":\"😀\"}")
    }

    @Test("the object kept for later is the one of the last event, in a stream and whole")
    func finalObject() throws {
        var pipe = Dialects.pipe(from: .chat, to: responsesTarget(), context: try responsesContext(Self.request))
        var out = ByteBuffer()
        _ = pipe.pass(ByteBuffer(string: Self.think("hm") + Self.text("a") + finishStop), into: &out)
        #expect(pipe.finalObject == nil)
        _ = pipe.pass(ByteBuffer(string: done), into: &out)
        let object = try #require(pipe.finalObject)
        #expect(out.string.contains(#""response":\#(object.string)}"#))
        let body = json(
            "{'id':'c','choices':[{'index':0,'message':{'role':'assistant','content':'a','reasoning_content':'hm'},'finish_reason':'stop'}]}"
        )
        let whole = try Dialects.translateWhole(
            ByteBuffer(string: body), from: .chat, to: responsesTarget(), context: try responsesContext(Self.request))
        #expect(whole.pieces[0].string == object.string)
    }
}
