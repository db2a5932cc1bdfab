import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Responses requests for a Chat upstream: settings and items")
struct RequestResponsesTests {
    static let hi = #"{"role":"user","content":"hi"}"#

    static func call(_ id: String, _ name: String = "f", _ arguments: String = "{}", _ more: String = "") -> String {
        #"{"type":"function_call","call_id":"\#(id)","name":"\#(name)","arguments":"\#(arguments)"\#(more)}"#
    }

    static func output(_ id: String, _ output: String) -> String {
        #"{"type":"function_call_output","call_id":"\#(id)","output":\#(output)}"#
    }

    // MARK: - 2.4.1

    @Test("2.4.1: a text is a user message, behind the instructions")
    func plain() throws {
        let made = try responsesToChat(#"{"model":"m","instructions":"brief","input":"hi\n\u00e9"}"#)
        #expect(
            made.text
                == #"{"model":"local","messages":[{"role":"system","content":"brief"},{"role":"user","content":"hi\n\u00e9"}]}"#
        )
        #expect(made.request.dropped == [])
    }

    @Test("2.4.1: limits, sampling, effort and parallel calls")
    func settings() throws {
        let made = try responsesToChat(
            #"{"model":"m","input":"x","max_output_tokens":50,"temperature":0.70,"top_p":1.0,"presence_penalty":0.5,"frequency_penalty":-1,"reasoning":{"effort":"low","summary":"auto"},"parallel_tool_calls":false,"tools":[{"type":"function","name":"f","parameters":null}]}"#
        ) { $0.thinkingControl = .effort }
        #expect(made.json["max_tokens"] == 50)
        #expect(made.text.contains(#""temperature":0.70,"top_p":1.0,"presence_penalty":0.5,"frequency_penalty":-1"#))
        #expect(made.json["reasoning_effort"] == "low")
        #expect(made.json["parallel_tool_calls"] == false)
        #expect(made.request.context.echo?.wantsSummary == true)
    }

    @Test("2.4.1: `text.format` is nested again", arguments: [true, false])
    func format(strict: Bool) throws {
        let made = try responsesToChat(
            #"{"input":"x","text":{"format":{"type":"json_schema","name":"P","strict":\#(strict),"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}}"#
        )
        let format = made.json["response_format"]
        #expect(format?["type"] == "json_schema")
        #expect(format?["json_schema"]?["name"] == "P")
        #expect(format?["json_schema"]?["strict"] == .bool(strict))
        #expect(format?["json_schema"]?["schema"]?["properties"]?["a"]?["type"] == "string")
        #expect(made.request.context.wantsJSON)
        let text = try responsesToChat(#"{"input":"x","text":{"format":{"type":"text"}}}"#)
        #expect(text.json["response_format"] == nil)
        let object = try responsesToChat(#"{"input":"x","text":{"format":{"type":"json_object"}}}"#)
        #expect(object.json["response_format"] == ["type": "json_object"])
    }

    @Test("2.4.1: effort none is thinking off; what nobody can carry is named, hints are not")
    func classes() throws {
        let made = try responsesToChat(
            #"{"input":"x","reasoning":{"effort":"none"},"top_logprobs":3,"max_tool_calls":2,"truncation":"auto","text":{"verbosity":"low"},"store":true,"metadata":{"a":"b"},"client_metadata":{},"prompt_cache_key":"k","service_tier":"auto","user":"u","include":["x"],"zz":1}"#
        ) { $0.thinkingControl = .enableThinking }
        #expect(made.json["chat_template_kwargs"]?["enable_thinking"] == false)
        #expect(made.request.dropped == ["text.verbosity", "top_logprobs", "max_tool_calls", "truncation"])
        for name in ["store", "metadata", "client_metadata", "prompt_cache_key", "service_tier", "user", "zz"] {
            #expect(made.json[name] == nil)
        }
        let quiet = try responsesToChat(
            #"{"input":"x","top_logprobs":0,"truncation":"disabled","text":{"verbosity":"medium"}}"#)
        #expect(quiet.request.dropped == [])
    }

    @Test("D17: a request without a model is read; the caller chooses one")
    func noModel() throws {
        let request = try ResponsesRequest.read(JSONDocument(checking: ByteBuffer(string: #"{"input":"x"}"#)))
        #expect(request.model == "")
    }

    @Test(
        "D18: an empty input is a warm-up, answered with nothing",
        arguments: [
            #"{"model":"m","input":"","max_output_tokens":1}"#, #"{"model":"m","input":[],"max_output_tokens":1}"#,
            #"{"model":"m","input":""}"#, #"{"model":"m","instructions":"x","input":"","max_output_tokens":1}"#,
        ])
    func warmUp(body: String) throws {
        let made = try responsesToChat(body)
        #expect(made.request.answer == .nothing)
        let reply = Dialects.writeLocal(
            LocalAnswer.nothing.events(id: "i", callID: "c", model: "m", input: 3), to: responsesTarget(),
            context: made.request.context, streams: false)
        let response = try JSON(parsing: reply)
        #expect(StrictResponsesReader.faults(of: response) == [])
        #expect(response["status"] == "completed" && response["output"] == [])
    }

    @Test("an input with something in it is no warm-up")
    func notWarmUp() throws {
        #expect(try responsesToChat(#"{"input":"x","max_output_tokens":1}"#).request.answer == nil)
        #expect(try responsesToChat(#"{"instructions":"x","input":""}"#).request.answer == nil)
    }

    static let refused: [(String, String)] = [
        (#"{"input":"x","conversation":"conv_1"}"#, "conversation"),
        (#"{"input":"x","conversation":{"id":"c"}}"#, "conversation"),
        (#"{"input":"x","prompt":{"id":"p"}}"#, "prompt"), (#"{"model":"m"}"#, "input"),
        (#"{"input":[{"role":"wizard","content":"x"}]}"#, "input[0].role"),
        (#"{"input":[{"role":"user","content":[{"type":"input_text"}]}]}"#, "input[0].content[0].text"),
        (#"{"input":[{"type":"function_call","call_id":"c"}]}"#, "input[0].name"),
        (#"{"input":[{"type":"function_call_output","output":"x"}]}"#, "input[0].call_id"),
        (#"{"input":"x","tools":[{"type":"function"}]}"#, "tools[0].name"),
        (#"{"input":"x","text":{"format":{"type":"json_schema"}}}"#, "text.format.schema"),
        (#"{"input":"x","max_output_tokens":"many"}"#, "max_output_tokens"),
    ]

    @Test("what must be honoured and cannot be, or cannot be read, is a 400 that names it", arguments: refused)
    func refusals(body: String, param: String) {
        let error = refusal { try responsesToChat(body) }
        #expect(error?.code == .invalidRequest && error?.param == param, "\(String(describing: error))")
    }

    @Test("1.4.3: what a request says is repeated in the reply, what it does not has its default")
    func echo() throws {
        let tools = #"[{"type":"function","name":"f","parameters":{}},{"type":"web_search"}]"#
        let body =
            #"{"model":"m","input":"x","instructions":"be\nbrief","max_output_tokens":99,"temperature":0.20,"tools":\#(tools),"tool_choice":{"type":"function","name":"f"},"metadata":{"a":"b"},"store":false,"reasoning":{"effort":"low"},"text":{"verbosity":"low"},"parallel_tool_calls":false,"user":"me","prompt_cache_key":null}"#
        let reply = asResponses(ReplyAnthropicTests.text("a") + finishStop + done, try responsesContext(body))
        let reader = StrictResponsesReader(reply.text)
        #expect(reader.faults == [])
        let response = reader.response
        #expect(response["instructions"] == "be\nbrief" && response["max_output_tokens"] == 99)
        #expect(reply.text.contains(#""temperature":0.20"#))
        #expect(
            response["tools"]?[0] == [
                "type": "function", "name": "f", "parameters": [:], "description": nil, "strict": nil,
            ])
        #expect(response["tools"]?[1] == ["type": "web_search"])
        #expect(response["tool_choice"] == ["type": "function", "name": "f"])
        #expect(response["metadata"] == ["a": "b"] && response["store"] == false && response["user"] == "me")
        #expect(response["reasoning"] == ["effort": "low", "summary": nil])
        #expect(response["text"] == ["verbosity": "low", "format": ["type": "text"]])
        #expect(response["parallel_tool_calls"] == false && response["prompt_cache_key"]?.isNull == true)
        #expect(response["created_at"] == 7 && response["completed_at"] == 9)
    }

    @Test("a request written on several lines is repeated on one")
    func echoLines() throws {
        let body =
            "{\"input\":\"x\",\n \"metadata\": {\n\"a\":\r\n\"b\"}, \"tools\":[{\n\"type\":\"function\",\"name\":\"f\"}]}"
        let reply = asResponses(ReplyAnthropicTests.text("a") + finishStop + done, try responsesContext(body))
        #expect(StrictResponsesReader(reply.text).faults == [])
    }

    // MARK: - 2.4.2

    @Test("D9: leading system and developer messages are one system text, behind the instructions")
    func leading() throws {
        let made = try responsesToChat(
            items(
                #"{"type":"message","role":"developer","content":[{"type":"input_text","text":"a"}]},{"role":"system","content":[{"type":"input_text","text":"b"},{"type":"input_text","text":"c"}]},\#(Self.hi)"#,
                #""instructions":"lead""#))
        #expect(made.roles == ["system", "user"])
        #expect(made.content(0) == "lead\n\na\n\nb\n\nc")
    }

    @Test("2.4.2: developer text between user items before the first reply folds too; later it stays in its place")
    func lateDeveloper() throws {
        let note = #"{"role":"developer","content":"note"}"#
        let early = try responsesToChat(items("\(Self.hi),\(note),\(Self.hi)", #""instructions":"lead""#))
        #expect(early.roles == ["system", "user"] && early.content(0) == "lead\n\nnote")
        let late = try responsesToChat(
            items(#"\#(Self.hi),{"role":"assistant","content":"yes"},\#(note),\#(Self.hi)"#))
        #expect(late.roles == ["user", "assistant", "user"])
        #expect(late.content(2) == "<system-reminder>\nnote\n</system-reminder>\n\nhi")
    }

    @Test("2.4.2: parts of a user message", arguments: [Capabilities.ImageForm.data, .url])
    func parts(images: Capabilities.ImageForm) throws {
        let made = try responsesToChat(
            items(
                #"{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,\#(pixel)","detail":"low"},{"type":"input_image","image_url":"https://x/y.png"},{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},{"type":"input_file","filename":"n.txt","file_data":"data:text/plain;base64,aGV5"},{"type":"input_file","filename":"d.pdf","file_data":"data:application/pdf;base64,JVBE"},{"type":"text","text":"z"},{"type":"odd"}]}"#
            )
        ) {
            $0.images = images
            $0.audio = true
            $0.files = true
        }
        let parts = made.messages[0]["content"]?.array ?? []
        #expect(parts[0] == ["type": "text", "text": "a"])
        #expect(parts[1]["image_url"]?["url"] == .string("data:image/png;base64,\(pixel)"))
        #expect(parts[2]["type"] == (images == .url ? "image_url" : "text"))
        #expect(parts[3] == ["type": "input_audio", "input_audio": ["data": "AAAA", "format": "wav"]])
        #expect(parts[4]["text"] == "n.txt\n\nhey")
        #expect(parts[5]["file"]?["filename"] == "d.pdf")
        #expect(parts[6]["text"] == "z")
        #expect(made.request.dropped.contains("content.odd"))
    }

    @Test("2.4.2: the assistant's texts are joined by nothing, a refusal is text, plain strings are taken")
    func assistant() throws {
        let made = try responsesToChat(
            items(
                #"\#(Self.hi),{"type":"message","role":"assistant","id":"msg_1","status":"completed","phase":"commentary","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]},{"type":"output_text","text":"b"},{"type":"refusal","refusal":"c"}]},{"role":"assistant","content":"d"},\#(Self.hi)"#
            ))
        #expect(made.roles == ["user", "assistant", "user"])
        #expect(made.content(1) == "abcd")
    }

    @Test("D8, D12: reasoning, text and parallel calls side by side are one assistant message")
    func grouped() throws {
        let made = try responsesToChat(
            items(
                #"\#(Self.hi),{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},{"role":"assistant","content":"so"},\#(Self.call("c1")),\#(Self.call("c2", "g", #"{\"a\": 1.0}"#)),\#(Self.output("c2", "\"two\"")),\#(Self.output("c1", "\"one\""))"#
            )
        ) { $0.reasoningIn = .field("reasoning_content") }
        #expect(made.roles == ["user", "assistant", "tool", "tool"])
        #expect(made.messages[1]["reasoning_content"] == "hm")
        #expect(made.content(1) == "so")
        #expect(made.messages[1]["tool_calls"]?[1]?["function"]?["arguments"] == #"{"a": 1.0}"#)
        #expect(made.messages[2]["tool_call_id"] == "c1" && made.content(2) == "one")
    }

    @Test("D10: a list as output: texts are joined, images follow in a user message")
    func listOutput() throws {
        let made = try responsesToChat(
            items(
                #"\#(Self.hi),\#(Self.call("c1")),\#(Self.output("c1", #"[{"type":"input_text","text":"shot"},{"type":"input_image","image_url":"data:image/png;base64,\#(pixel)"}]"#))"#
            ))
        #expect(made.roles == ["user", "assistant", "tool", "user"])
        #expect(made.content(2) == "shot\n\n[image 1 attached below]")
        #expect(made.messages[3]["content"]?[1]?["type"] == "image_url")
    }

    @Test("2.4.2: an output that is neither text nor a list is its JSON", arguments: [#"{"ok":true}"#, "7", "true"])
    func oddOutput(output: String) throws {
        let made = try responsesToChat(items("\(Self.hi),\(Self.call("c1")),\(Self.output("c1", output))"))
        #expect(made.content(2) == output)
    }

    @Test("2.4.2: calls without output and outputs without call")
    func unpaired() throws {
        let made = try responsesToChat(items("\(Self.hi),\(Self.call("c1")),\(Self.output("c9", "\"x\""))"))
        #expect(made.roles == ["user", "assistant", "tool", "user"])
        #expect(made.content(2) == "[no result: the call was interrupted]")
        #expect(made.content(3) == "[result of an earlier tool call c9]\n\nx")
    }

    @Test("2.9.6: a call that was cut off and never answered is not said again")
    func cutCall() throws {
        let cut = Self.call("c1", "f", #"{\"a\""#, #","status":"incomplete""#)
        #expect(try responsesToChat(items("\(Self.hi),\(cut),\(Self.hi)")).roles == ["user"])
        let answered = try responsesToChat(items("\(Self.hi),\(cut),\(Self.output("c1", "\"x\""))"))
        #expect(answered.roles == ["user", "assistant", "tool"])
    }

    @Test("D13: a call id over 64 characters is shortened, at both ends alike")
    func longID() throws {
        let id = "call_" + String(repeating: "x", count: 80)
        let made = try responsesToChat(items("\(Self.hi),\(Self.call(id)),\(Self.output(id, "\"x\""))"))
        let short = made.messages[1]["tool_calls"]?[0]?["id"]?.string ?? ""
        #expect((1...64).contains(short.utf8.count))
        #expect(made.messages[2]["tool_call_id"]?.string == short)
    }

    static let reasoning: [(String, String?)] = [
        (
            #""summary":[{"type":"summary_text","text":"s"}],"content":[{"type":"reasoning_text","text":"a"},{"type":"reasoning_text","text":"b"}]"#,
            "a\nb"
        ),
        (#""summary":[{"type":"summary_text","text":"s"},{"type":"summary_text","text":"t"}]"#, "s\n\nt"),
        (#""summary":[],"encrypted_content":"gAAAforeign""#, nil),
        (#""summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"gAAAforeign""#, "s"),
        (#""summary":[],"encrypted_content":"gw1.eyJ0IjoiYVxuYiJ9""#, "a\nb"),
        (#""summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"gw1.!""#, "s"),
    ]

    @Test(
        "D11: reasoning is its text, what we sealed, or its summary; what others encrypted is dropped",
        arguments: reasoning)
    func reasoningItems(members: String, text: String?) throws {
        let made = try responsesToChat(
            items(#"\#(Self.hi),{"type":"reasoning","id":"rs_1",\#(members)},\#(Self.call("c1"))"#)
        ) { $0.reasoningIn = .field("reasoning") }
        #expect(made.messages[1]["reasoning"]?.string == text)
    }

    @Test("a seal that does not open what comes back leaves the summary")
    func sealed() throws {
        let seal = ReasoningSeal(
            close: { ByteBuffer(bytes: $0.readableBytesView.map { $0 ^ 0x5A }) },
            open: { $0.readableBytes > 4 ? ByteBuffer(bytes: $0.readableBytesView.map { $0 ^ 0x5A }) : nil })
        let text = seal.sealed(Reasoning(text: EscapedText(escaping: "é\n\"x\""))).unescaped()
        #expect(text.hasPrefix("gw1.") && !text.contains("eyJ"))
        let body = items(
            #"\#(Self.hi),{"type":"reasoning","summary":[],"encrypted_content":"\#(text)"},\#(Self.call("c1"))"#)
        func thinking(_ seal: ReasoningSeal) throws -> JSON? {
            try responsesToChat(body, seal: seal) { $0.reasoningIn = .field("reasoning") }.messages[1]["reasoning"]
        }
        #expect(try thinking(seal) == "é\n\"x\"")
        #expect(try thinking(.plain) == nil)
        #expect(try responsesToChat(body, seal: seal).request.dropped == [])
        #expect(try responsesToChat(body, seal: .plain).request.dropped == ["input.reasoning.encrypted_content"])
    }

    @Test("2.4.2: calls of the API's own kinds and their outputs")
    func builtins() throws {
        let made = try responsesToChat(
            items(
                #"\#(Self.hi),{"type":"custom_tool_call","call_id":"c1","name":"apply","input":"*** \"x\"\n"},{"type":"custom_tool_call_output","call_id":"c1","output":"done"},{"type":"local_shell_call","id":"l","call_id":"c2","action":{"type":"exec","command":["ls","-l"],"working_directory":"/tmp","env":{}},"status":"completed"},{"type":"local_shell_call_output","id":"c2","output":"files"},{"type":"shell_call","call_id":"c3","action":{"commands":["a","b"],"timeout_ms":5,"max_output_length":null}},{"type":"shell_call_output","call_id":"c3","output":[{"stdout":"out","stderr":"","outcome":{"type":"exit","exit_code":2}}]},{"type":"apply_patch_call","call_id":"c4","operation":{"type":"delete_file","path":"p"}},{"type":"apply_patch_call_output","call_id":"c4","status":"failed","output":"no"}"#
            ))
        let calls = made.messages.compactMap { $0["tool_calls"]?[0]?["function"] }
        #expect(calls[0] == ["name": "apply", "arguments": .string(#"{"input":"*** \"x\"\n"}"#)])
        #expect(
            calls[1] == ["name": "local_shell", "arguments": .string(#"{"command":["ls","-l"],"workdir":"/tmp"}"#)])
        #expect(calls[2] == ["name": "shell", "arguments": .string(#"{"commands":["a","b"],"timeout_ms":5}"#)])
        #expect(
            calls[3] == [
                "name": "apply_patch", "arguments": .string(#"{"operation":{"type":"delete_file","path":"p"}}"#),
            ])
        let results = made.messages.filter { $0["role"] == "tool" }.compactMap { $0["content"]?.string }
        #expect(results == ["done", "files", "out\n\n[exit code 2]", "[tool error] no"])
    }

    @Test("D26: an agent's message and other texts nobody knows are the user's; nothing unknown is a 400")
    func unknown() throws {
        let made = try responsesToChat(
            items(
                #"{"type":"agent_message","author":"worker","content":[{"type":"input_text","text":"ready"}]},{"type":"brand_new","text":"news"},{"type":"web_search_call","id":"ws","status":"completed","action":{"type":"search","query":"q"}},{"type":"mcp_list_tools","tools":[{"name":"x"}]},{"type":"compaction_trigger"},{"type":"image_generation_call","result":"AAAA"},{"status":"x"},\#(Self.hi)"#
            ))
        #expect(made.roles == ["user"])
        #expect(made.content(0) == "worker: ready\n\nnews\n\nhi")
        // A list of tools that was given with an earlier answer is part of no prompt: tools are listed anew each time.
        #expect(
            made.request.dropped == [
                "input.brand_new", "input.web_search_call", "input.compaction_trigger",
                "input.image_generation_call", "input.item",
            ])
        // Not even in strict mode, in which best effort is not good enough.
        #expect(try responsesToChat(items(#"{"type":"brand_new"},\#(Self.hi)"#), strict: true).roles == ["user"])
    }

    @Test("2.4.2: a compaction of ours is its summary, another's is dropped")
    func compaction() throws {
        let made = try responsesToChat(
            items(
                #"{"type":"compaction","encrypted_content":"gw1.eyJ0IjoiYVxuYiJ9"},{"type":"compaction","encrypted_content":"zz"},\#(Self.hi)"#
            ))
        #expect(made.content(0) == "a\nb\n\nhi")
        #expect(made.request.dropped == ["input.compaction"])
    }

    @Test(
        "2.4.2: a reference nobody resolved is a 404, with or without its type",
        arguments: [#""type":"item_reference","#, #""type":null,"#, ""])
    func reference(type: String) {
        let error = refusal { try responsesToChat(items(#"{\#(type)"id":"msg_9"},\#(Self.hi)"#)) }
        #expect(error?.code == .notFound && error?.message.contains("msg_9") == true)
    }

    @Test("D19: members nobody knows, ids on items and phases are no errors")
    func extras() throws {
        let made = try responsesToChat(
            items(
                #"{"type":"message","id":"msg_1","role":"user","phase":"x","zz":[1],"content":[{"type":"input_text","text":"hi","zz":{}}]}"#,
                #""client_metadata":{"a":1},"zz":null"#))
        #expect(made.messages == [["role": "user", "content": "hi"]])
    }

    @Test("2.8: for an Anthropic upstream, sealed signatures become thinking blocks again, in their place")
    func signatures() throws {
        var reasoning = Reasoning(text: EscapedText(escaping: "hm"))
        reasoning.blobs = [OpaqueBlob(origin: .anthropic, kind: .signature, text: EscapedText(escaping: "sig=="))]
        let sealed = ReasoningSeal.plain.sealed(reasoning).unescaped()
        let body = items(
            #"\#(Self.hi),{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"shown"}],"encrypted_content":"\#(sealed)"},\#(Self.call("c1")),\#(Self.output("c1", "\"x\""))"#,
            #""max_output_tokens":9,"instructions":"lead""#)
        let made = try responsesToAnthropic(body)
        #expect(made.messages[1]["content"]?[0] == ["type": "thinking", "thinking": "hm", "signature": "sig=="])
        #expect(made.messages[1]["content"]?[1]?["type"] == "tool_use")
        #expect(made.json["system"] == "lead" || made.json["system"]?[0]?["text"] == "lead")
    }
}
