import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Requests for a Responses upstream")
struct ResponsesRequestWriterTests {
    let tool = #"{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}"#

    @Test("2.8: an Anthropic request as it stands at the upstream")
    func anthropicWhole() throws {
        let made = try anthropicToResponses(
            #"\#(userHi),{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a": 1.0}}]},\#(user(result("toolu_1", "\"out\""), text("next")))"#,
            #""system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"You code."}],"tools":[\#(tool)],"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#
        )
        #expect(
            made.text
                == #"{"model":"gpt","instructions":"You code.","input":["#
                + #"{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},"#
                + #"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]},"#
                + #"{"type":"function_call","call_id":"toolu_1","name":"f","arguments":"{\"a\": 1.0}"},"#
                + #"{"type":"function_call_output","call_id":"toolu_1","output":"out"},"#
                + #"{"type":"message","role":"user","content":[{"type":"input_text","text":"next"}]}],"#
                + #""tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}},"strict":false}],"#
                + #""max_output_tokens":100,"reasoning":{"effort":"high","summary":"auto"},"store":false,"include":["reasoning.encrypted_content"]}"#
        )
        #expect(made.request.dropped == [])
    }

    @Test("2.8: a Chat request as it stands at the upstream")
    func chatWhole() throws {
        let made = try chatToResponses(
            #"{"role":"system","content":"S"},{"role":"developer","content":"D"},\#(userHi),{"role":"assistant","content":"text","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"c2","content":"two"},{"role":"tool","tool_call_id":"c1","content":"one"}"#,
            #""tools":[{"type":"function","function":{"name":"f","strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"why","schema":{"type":"object"},"strict":false}},"temperature":0.70,"top_p":1.0,"stop":["X"],"seed":7,"max_completion_tokens":5"#
        )
        #expect(
            made.text
                == #"{"model":"gpt","instructions":"S\n\nD","input":["#
                + #"{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},"#
                + #"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"text"}]},"#
                + #"{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},"#
                + #"{"type":"function_call","call_id":"c2","name":"f","arguments":"{\"x\":1}"},"#
                + #"{"type":"function_call_output","call_id":"c1","output":"one"},"#
                + #"{"type":"function_call_output","call_id":"c2","output":"two"}],"#
                + #""tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":true}],"#
                + #""tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,"#
                + #""text":{"format":{"type":"json_schema","name":"n","description":"why","schema":{"type":"object"},"strict":false}},"#
                + #""max_output_tokens":16,"temperature":0.70,"top_p":1.0,"store":false,"include":["reasoning.encrypted_content"]}"#
        )
        #expect(made.request.dropped == ["seed"])
        #expect(made.request.context.stops == ["X"])
        #expect(made.request.context.wantsJSON)
    }

    @Test("D9, B2, B3: leading system text is instructions, later text a developer's message in its place")
    func system() throws {
        let late = #"{"role":"system","content":"late"}"#
        let messages = "\(userHi),\(late),\(calls("a")),\(user(result("a", "\"x\""))),\(late)"
        let made = try anthropicToResponses(messages, #""system":"S""#)
        #expect(made.json["instructions"] == "S")
        #expect(
            made.inputTypes == ["user", "developer", "function_call", "function_call_output", "developer"])
        let plain = try anthropicToResponses(messages, #""system":"S""#) { $0.developerRole = false }
        #expect(plain.inputTypes.filter { $0 == "system" }.count == 2)
        let spoken = try anthropicToResponses(messages, #""system":"S""#) { $0.systemLate = .user }
        #expect(spoken.inputTypes == ["user", "function_call", "function_call_output", "user"])
        #expect(spoken.json["instructions"] == "S\n\nlate")
        let alone = try chatToResponses(#"{"role":"system","content":"S"},{"role":"developer","content":"go"}"#)
        #expect(alone.json["instructions"] == "S")
        #expect(alone.inputTypes == ["user"])
    }

    @Test("B1: an accounting line is left out")
    func billing() throws {
        let made = try anthropicToResponses(
            userHi, #""system":[{"type":"text","text":"x-anthropic-billing-header: cch=9;"}]"#)
        #expect(made.json["instructions"] == nil)
    }

    @Test("limits below the API's bound are raised to it", arguments: [(1, 16), (15, 16), (16, 16), (4000, 4000)])
    func limit(given: Int, written: Int) throws {
        #expect(try anthropicToResponses(userHi, limit: given).json["max_output_tokens"]?.int == written)
    }

    @Test("a limit of 0 asks for nothing")
    func warmUp() throws {
        #expect(try anthropicToResponses(userHi, limit: 0).request.answer == .nothing)
    }

    @Test("stop strings are matched by the gateway, and a reply ends there")
    func stops() throws {
        let made = try anthropicToResponses(userHi, #""stop_sequences":["END"]"#)
        #expect(made.json["stop"] == nil && made.json["stop_sequences"] == nil)
        let stream =
            RStream.created + RStream.text("so far E") + RStream.text("ND and more") + RStream.text("!")
            + RStream.end("completed", RStream.usage)
        let relayed = fromResponses(stream, to: .anthropic, made.request.context)
        let reader = StrictAnthropicReader(relayed.text)
        #expect(reader.faults == [])
        #expect(reader.message["content"] == [["type": "text", "text": "so far "]])
        #expect(reader.message["stop_reason"] == "stop_sequence")
        #expect(reader.message["stop_sequence"] == "END")
    }

    @Test(
        "D22: strict is said of every tool, and true only where it was asked for",
        arguments: [("", false), (#","strict":true"#, true), (#","strict":false"#, false), (#","strict":null"#, false)])
    func strict(member: String, written: Bool) throws {
        let tools = #""tools":[{"type":"function","function":{"name":"f"\#(member)}}]"#
        #expect(try chatToResponses(userHi, tools).json["tools"]?[0]?["strict"] == .bool(written))
        #expect(try chatToResponses(userHi, tools) { $0.strictTools = false }.json["tools"]?[0]?["strict"] == false)
    }

    static let forms: [(schema: String, said: String, written: Bool)] = [
        (strictForm, "", true), (strictForm, #","strict":false"#, false),
        (looseForm, "", false), (looseForm, #","strict":true"#, true),
        (referring, "", true),
        (
            #"{"type":"object","properties":{"a":{"type":"object"}},"required":["a"],"additionalProperties":false}"#,
            "",
            false
        ),
        (#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#, "", false),
        (#"{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}"#, "", false),
        (
            #"{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"#
                + #""additionalProperties":false}"#, "", false
        ),
        (
            #"{"type":"object","properties":{"a":{"type":"array","items":{"oneOf":[{"type":"null"}]}}},"#
                + #""required":["a"],"additionalProperties":false}"#, "", false
        ),
        (#"{"type":"array","items":{"type":"string"}}"#, "", false), ("{}", "", false),
    ]
    static let referring = json(
        "{'type':'object','properties':{'a':{'$ref':'#/$defs/b'}},'required':['a'],'additionalProperties':false,"
            + "'$defs':{'b':{'anyOf':[{'type':'string','format':'uuid'},{'type':['array','null'],'items':"
            + "{'type':'object','properties':{},'additionalProperties':false}}]}}}")
    static let strictForm =
        #"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}"#
    static let looseForm =
        #"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"],"#
        + #""additionalProperties":false}"#

    @Test(
        "D22: an answer's form is strict where the client says so, or the schema is by OpenAI's rules", arguments: forms
    )
    func strictness(_ schema: String, _ said: String, _ written: Bool) throws {
        let chat =
            #""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":\#(schema)\#(said)}}"#
        #expect(try chatToResponses(userHi, chat).json["text"]?["format"]?["strict"] == .bool(written))
        // What was refused is not asked for again.
        let simpler = try chatToResponses(userHi, chat) { $0.schemaProfile = .minimal }
        #expect(simpler.json["text"]?["format"]?["strict"] == false)
        guard said.isEmpty else { return }
        let anthropic = #""output_config":{"format":{"type":"json_schema","schema":\#(schema)}}"#
        #expect(try anthropicToResponses(userHi, anthropic).json["text"]?["format"]?["strict"] == .bool(written))
        let sent = try translatedToChat(userHi, anthropic) { $0.schemaProfile = .none }.json
        #expect(sent["response_format"]?["json_schema"]?["strict"] == .bool(written))
    }

    @Test(
        "every choice among tools",
        arguments: [
            (#"{"type":"auto"}"#, nil, nil, nil), (#"{"type":"none"}"#, #""none""#, #""none""#, nil),
            (#"{"type":"any"}"#, #""required""#, #""required""#, nil),
            (#"{"type":"tool","name":"f"}"#, #"{"type":"function","name":"f"}"#, #""required""#, nil),
        ] as [(String, String?, String?, String?)])
    func choices(choice: String, full: String?, strings: String?, none: String?) throws {
        let more = #""tools":[\#(tool),{"name":"g"}],"tool_choice":\#(choice)"#
        for (form, expected) in [(Capabilities.ToolChoiceForm.full, full), (.strings, strings), (.none, none)] {
            let made = try anthropicToResponses(userHi, more) { $0.toolChoice = form }
            #expect(try made.json["tool_choice"] == expected.map { try JSON(parsing: $0) }, "\(form)")
        }
        let narrowed = try anthropicToResponses(userHi, more) { $0.toolChoice = .strings }
        #expect(narrowed.toolNames == (choice.contains("tool\"") ? ["f"] : ["f", "g"]))
    }

    @Test("a choice of no tool is refused")
    func noTool() throws {
        let error = refusal {
            try anthropicToResponses(userHi, #""tools":[\#(tool)],"tool_choice":{"type":"tool","name":"z"}"#)
        }
        #expect(error?.code == .invalidRequest && error?.param == "tool_choice")
    }

    @Test("E10: calls at once are said where they are off by default")
    func parallel() throws {
        let more = #""tools":[\#(tool)]"#
        #expect(try anthropicToResponses(userHi, more).json["parallel_tool_calls"] == nil)
        #expect(
            try anthropicToResponses(userHi, more) { $0.parallelIsOffByDefault = true }.json["parallel_tool_calls"]
                == true)
    }

    @Test("D4, B10, B11: tools of the API's own are left out and named, or answered when they are all there is")
    func hosted() throws {
        let search = #"{"type":"web_search_20250305","name":"web_search"}"#
        let made = try anthropicToResponses(userHi, #""tools":[\#(tool),\#(search)]"#)
        #expect(made.toolNames == ["f"])
        #expect(made.request.dropped == ["tools.web_search_20250305"])
        #expect(
            try anthropicToResponses(userHi, #""tools":[\#(search)]"#).request.answer
                == .unavailable(tool: "web_search", type: "web_search_20250305"))
        #expect(
            try anthropicToResponses(userHi, #""tools":[{"type":"bash_20250124","name":"bash"}]"#).toolNames == ["bash"]
        )
    }

    @Test("a custom tool is a function of one string, in calls too")
    func custom() throws {
        let made = try chatToResponses(
            #"\#(userHi),{"role":"assistant","tool_calls":[{"id":"c","type":"custom","custom":{"name":"patch","input":"a\"b"}}]},{"role":"tool","tool_call_id":"c","content":"ok"}"#,
            #""tools":[{"type":"custom","custom":{"name":"patch"}}]"#)
        #expect(made.json["tools"]?[0]?["type"] == "function")
        #expect(made.json["tools"]?[0]?["parameters"]?["required"] == ["input"])
        #expect(made.input[1]["arguments"] == #"{"input":"a\"b"}"#)
    }

    @Test("E16, D13, B28: names and ids as the upstream takes them, alike in calls and results")
    func identifiers() throws {
        let long = String(repeating: "x", count: 80)
        let made = try chatToResponses(
            #"\#(userHi),{"role":"assistant","tool_calls":[{"id":"\#(long)","type":"function","function":{"name":"mcp.server/tool","arguments":"{}"}}]},{"role":"tool","tool_call_id":"\#(long)","content":"ok"}"#,
            #""tools":[{"type":"function","function":{"name":"mcp.server/tool"}}]"#)
        #expect(made.toolNames == ["mcp_server_tool"])
        #expect(made.input[1]["name"] == "mcp_server_tool")
        let id = try #require(made.input[1]["call_id"]?.string)
        #expect(id.utf8.count <= 64 && made.input[2]["call_id"]?.string == id)
        let stream =
            RStream.created + RStream.added(0, RStream.call(0, name: "mcp_server_tool"))
            + RStream.done(0, RStream.call(0, "{}", name: "mcp_server_tool")) + RStream.end()
        #expect(fromResponses(stream, to: .chat, made.request.context).text.contains(#""name":"mcp.server/tool""#))
    }

    @Test("B5, B8: results in the order of their calls, errors marked, lost ones answered")
    func results() throws {
        let made = try anthropicToResponses(
            #"\#(userHi),\#(calls("a", "b", "c")),{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"B","is_error":true},\#(result("a", #"[\#(text("one")),\#(text("two"))]"#))]}"#
        )
        #expect(
            made.input.filter { $0["type"] == "function_call_output" }.map { $0["output"]?.string } == [
                "one\n\ntwo", "[tool error] B", "[no result: the call was interrupted]",
            ])
        let orphan = try anthropicToResponses(user(result("z", "\"x\"")))
        #expect(orphan.inputTypes == ["user"])
    }

    @Test("B6: images in results go along, or below where the upstream takes none there")
    func resultImages() throws {
        let messages = "\(userHi),\(calls("a")),\(user(result("a", "[\(text("shot")),\(pixelBlock)]")))"
        let inside = try anthropicToResponses(messages)
        #expect(
            inside.input.last?["output"] == [
                ["type": "input_text", "text": "shot"],
                ["type": "input_image", "image_url": .string("data:image/png;base64,\(pixel)"), "detail": "auto"],
            ])
        let below = try anthropicToResponses(messages) { $0.imageInTool = false }
        #expect(below.input[2]["output"] == "shot\n\n[image 1 attached below]")
        #expect(below.input[3]["content"]?[1]?["type"] == "input_image")
    }

    @Test("images, files and sound")
    func media() throws {
        let made = try chatToResponses(
            #"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}},{"type":"input_audio","input_audio":{"data":"BBBB","format":"wav"}}]}"#
        )
        #expect(
            made.input[0]["content"] == [
                ["type": "input_image", "image_url": "https://x/y.png", "detail": "low"],
                ["type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"],
                ["type": "input_audio", "input_audio": ["data": "BBBB", "format": "wav"]],
            ])
        let deaf = try chatToResponses(
            #"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"BBBB","format":"wav"}}]}"#
        ) { $0.audio = false }
        #expect(deaf.input[0]["content"]?[0]?["text"] == "[audio omitted: this model cannot hear]")
        #expect(deaf.request.dropped == ["audio"])
        let documents = try anthropicToResponses(
            user(
                #"{"type":"document","title":"T","source":{"type":"url","url":"https://x/y.pdf"}}"#,
                #"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}}"#,
                #"{"type":"document","source":{"type":"base64","media_type":"application/zip","data":"AAAA"}}"#))
        #expect(
            documents.input[0]["content"] == [
                ["type": "input_file", "filename": "T", "file_url": "https://x/y.pdf"],
                ["type": "input_text", "text": "words"],
                ["type": "input_text", "text": "[document omitted: application/zip]"],
            ])
        #expect(documents.request.dropped == ["content.document"])
        let local = try anthropicToResponses(user(pixelBlock)) { $0.images = .none }
        #expect(local.input[0]["content"]?[0]?["text"] == "[image omitted: this model cannot see images]")
    }

    @Test("2.9.10: structured output, or words where the upstream has none")
    func formats() throws {
        let object = #""response_format":{"type":"json_object"}"#
        #expect(try chatToResponses(userHi, object).json["text"] == ["format": ["type": "json_object"]])
        let schema = try chatToResponses(userHi, object) { $0.jsonObject = .none }
        #expect(schema.json["text"]?["format"]?["schema"] == ["type": "object"])
        let words = try chatToResponses(userHi, object) {
            $0.jsonObject = .none
            $0.jsonSchema = .none
        }
        #expect(words.json["text"] == nil)
        #expect(words.json["instructions"] == "Answer with one JSON object and nothing else.")
        let anthropic = try anthropicToResponses(
            userHi, #""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#)
        #expect(anthropic.json["text"]?["format"]?["name"] == "output")
    }

    static let wishes: [(String, String?)] = [
        ("", nil), (#""thinking":{"type":"disabled"}"#, #"{"effort":"none"}"#),
        (#""thinking":{"type":"adaptive"}"#, #"{"summary":"auto"}"#),
        (#""thinking":{"type":"enabled","budget_tokens":1024}"#, #"{"effort":"minimal","summary":"auto"}"#),
        (#""thinking":{"type":"enabled","budget_tokens":4096}"#, #"{"effort":"medium","summary":"auto"}"#),
        (#""thinking":{"type":"enabled","budget_tokens":31999}"#, #"{"effort":"high","summary":"auto"}"#),
        (
            #""thinking":{"type":"enabled","budget_tokens":31999},"output_config":{"effort":"low"}"#,
            #"{"effort":"low","summary":"auto"}"#
        ),
        (#""output_config":{"effort":"xhigh"}"#, #"{"effort":"xhigh","summary":"auto"}"#),
    ]

    @Test("2.9.1: how much to think, and whether to tell", arguments: wishes)
    func thinking(more: String, reasoning: String?) throws {
        let made = try anthropicToResponses(userHi, more)
        #expect(try made.json["reasoning"] == reasoning.map { try JSON(parsing: $0) })
        let untold = try anthropicToResponses(userHi, more) {
            $0.reasoningSummary = false
            $0.efforts = [.low, .medium]
        }
        #expect(untold.json["reasoning"]?["summary"] == nil)
        if let effort = untold.json["reasoning"]?["effort"]?.string {
            #expect(["none", "low", "medium"].contains(effort))
        }
        #expect(try anthropicToResponses(userHi, more) { $0.thinkingControl = .none }.json["reasoning"] == nil)
    }

    @Test("thinking that cannot be switched off is hidden, and what is lost is named")
    func noControl() throws {
        let off = try anthropicToResponses(userHi, #""thinking":{"type":"disabled"}"#) { $0.effortNone = false }
        #expect(off.json["reasoning"] == nil && off.request.context.hidesReasoning)
        let lost = try chatToResponses(userHi, #""reasoning_effort":"high","logprobs":true,"top_k":3"#) {
            $0.thinkingControl = .none
        }
        #expect(lost.request.dropped == ["logprobs", "top_k", "reasoning_effort"])
        #expect(refusal { try chatToResponses(userHi, #""seed":1"#, strict: true) }?.param == "seed")
        #expect(refusal { try chatToResponses(userHi, #""n":2"#) }?.param == "n")
        #expect(
            refusal { try anthropicToResponses(userHi, #""mcp_servers":[{"type":"url"}]"#) }?.param == "mcp_servers")
    }

    @Test("an assistant's last word is refused, or repeated by the upstream and cut off")
    func prefill() throws {
        let messages = #"\#(userHi),{"role":"assistant","content":"Sure"}"#
        #expect(refusal { try anthropicToResponses(messages) }?.param == "messages")
        let made = try anthropicToResponses(messages) { $0.prefill = true }
        #expect(made.request.context.prefill?.unescaped() == "Sure")
        #expect(made.inputTypes == ["user", "assistant"])
    }

    @Test("what stays at home: no reply is stored, and sealed reasoning asked for only where there is any")
    func store() throws {
        let local = try anthropicToResponses(userHi) { $0.sealedReasoning = false }
        #expect(local.json["store"] == false && local.json["include"] == nil)
        let unreasoning = try anthropicToResponses(userHi) { $0.thinkingControl = .none }
        #expect(unreasoning.json["store"] == false && unreasoning.json["include"] == nil)
        #expect(try responsesBody(#"{"messages":[\#(userHi)],"stream":true}"#, from: .chat).json["stream"] == nil)
        let streamed = try responsesBody(#"{"messages":[\#(userHi)]}"#, from: .chat, streams: true)
        #expect(streamed.json["stream"] == true && streamed.json["stream_options"] == nil)
    }

    @Test("refusals stay refusals, server tools' traces become text")
    func history() throws {
        let refused = try chatToResponses(
            #"\#(userHi),{"role":"assistant","content":null,"refusal":"no"},\#(userHi)"#)
        #expect(refused.input[1]["content"] == [["type": "refusal", "refusal": "no"]])
        let searched = try anthropicToResponses(
            #"\#(userHi),{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"T","url":"u"}]},\#(text("so"))]},\#(userHi)"#
        )
        #expect(searched.inputTypes == ["user", "assistant", "assistant", "assistant", "user"])
        #expect(searched.text.contains(#"[web_search {\"query\":\"q\"}]"#))
    }
}
