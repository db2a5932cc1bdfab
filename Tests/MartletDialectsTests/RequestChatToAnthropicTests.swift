import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Chat requests for an Anthropic upstream")
struct RequestChatToAnthropicTests {
    /// An assistant's message with calls of these ids, all to `f`.
    func calling(_ ids: String..., arguments: String = "{}", content: String = "null") -> String {
        let calls = ids.map {
            #"{"id":"\#($0)","type":"function","function":{"name":"f","arguments":\#(JSON.string(arguments).text)}}"#
        }
        return #"{"role":"assistant","content":\#(content),"tool_calls":[\#(calls.joined(separator: ","))]}"#
    }

    func answer(_ id: String, _ content: String = "out") -> String {
        #"{"role":"tool","tool_call_id":"\#(id)","content":"\#(content)"}"#
    }

    @Test(
        "a budget beyond any number of tokens is read as a large one",
        arguments: [
            #""thinking":{"type":"enabled","budget_tokens":9223372036854775807}"#,
            #""reasoning":{"max_tokens":9223372036854775807}"#, #""thinking_budget_tokens":9223372036854775807"#,
            #""reasoning":{"max_tokens":-9223372036854775808}"#,
        ])
    func hugeBudget(wish: String) throws {
        let made = try translatedToAnthropic(userHi, wish)
        #expect((made.json["max_tokens"]?.int ?? 0) > (made.json["thinking"]?["budget_tokens"]?.int ?? 0))
    }

    @Test("a plain request")
    func plain() throws {
        let made = try translatedToAnthropic(
            body:
                #"{"model":"m","messages":[{"role":"system","content":"brief"},{"role":"user","content":"hi\n\u00e9"}],"max_completion_tokens":50,"stream":true,"stream_options":{"include_usage":true}}"#
        )
        #expect(
            made.text
                == #"{"model":"claude","max_tokens":50,"system":[{"type":"text","text":"brief"}],"messages":[{"role":"user","content":[{"type":"text","text":"hi\n\u00e9"}]}]}"#
        )
        #expect(made.request.context.includesUsage)
        #expect(made.request.dropped == [])
    }

    @Test("leading instructions are system blocks, one per message; cache markers are kept")
    func system() throws {
        let made = try translatedToAnthropic(
            #"{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b","cache_control":{"type":"ephemeral"}},{"type":"text","text":"c"}]},\#(userHi)"#
        )
        #expect(made.json["system"]?.array?.compactMap { $0["text"]?.string } == ["a", "b", "c"])
        #expect(made.json["system"]?[1]?["cache_control"] == ["type": "ephemeral"])
    }

    @Test("later instructions are reminders, or system messages where the model takes them and the place is legal")
    func lateSystem() throws {
        let turns = #"\#(userHi),{"role":"assistant","content":"yo"},\#(userHi),{"role":"system","content":"now"}"#
        let made = try translatedToAnthropic(turns)
        #expect(made.roles == ["user", "assistant", "user"])
        #expect(made.messages[2]["content"]?[1]?["text"] == "<system-reminder>\nnow\n</system-reminder>")
        let kept = try translatedToAnthropic(turns) { $0.systemLate = .keep }
        #expect(kept.roles == ["user", "assistant", "user", "system"])
        let inside = try translatedToAnthropic(#"\#(turns),\#(userHi)"#) { $0.systemLate = .keep }
        #expect(inside.roles == ["user", "assistant", "user"])
        #expect(inside.messages[2]["content"]?.array?.count == 3)
    }

    @Test("a request of instructions alone is asked in the user's name")
    func onlySystem() throws {
        let made = try translatedToAnthropic(
            #"{"role":"system","content":"a"},{"role":"system","content":"write a haiku"}"#)
        #expect(made.roles == ["user"])
        #expect(made.json["system"]?.array?.count == 1)
    }

    @Test("results of tools are one user turn with what the user says next, in the order of the calls")
    func results() throws {
        let made = try translatedToAnthropic(
            #"\#(userHi),\#(calling("a", "b", content: "\"go\"")),\#(answer("b", "B")),\#(answer("a", "A")),\#(userHi)"#
        )
        #expect(made.roles == ["user", "assistant", "user"])
        let said = made.messages[1]["content"]?.array ?? []
        #expect(said.compactMap { $0["type"]?.string } == ["text", "tool_use", "tool_use"])
        let blocks = made.messages[2]["content"]?.array ?? []
        #expect(blocks.compactMap { $0["type"]?.string } == ["tool_result", "tool_result", "text"])
        #expect(blocks[0] == ["type": "tool_result", "tool_use_id": "a", "content": "A"])
    }

    @Test(
        "arguments are an object, whatever they were",
        arguments: [
            (#"{"z": 1.0, "a":"é"}"#, #"{"z": 1.0, "a":"é"}"#), ("", "{}"), ("  ", "{}"), ("null", "{}"),
            (#"{"cut":"#, #"{"_raw":"{\"cut\":"}"#), ("[1]", #"{"value":[1]}"#), ("7", #"{"value":7}"#),
            (#""{\"a\":1}""#, #"{"a":1}"#), (#""word""#, #"{"value":"word"}"#),
        ])
    func arguments(_ arguments: String, _ input: String) throws {
        let made = try translatedToAnthropic(#"\#(userHi),\#(calling("a", arguments: arguments)),\#(answer("a"))"#)
        #expect(made.text.contains(#""input":\#(input)}"#), "\(made.text)")
    }

    @Test("B27: empty texts and the messages they leave empty are dropped, calls are kept")
    func emptyContent() throws {
        let made = try translatedToAnthropic(
            #"\#(userHi),{"role":"assistant","content":""},{"role":"user","content":""},\#(calling("a", content: "\"\"")),\#(answer("a", ""))"#
        )
        #expect(made.roles == ["user", "assistant", "user"])
        #expect(made.messages[1]["content"]?.array?.count == 1)
        #expect(made.messages[2]["content"]?[0] == ["type": "tool_result", "tool_use_id": "a"])
    }

    @Test(
        "B28: ids the API refuses are fixed, in call and result alike", arguments: ["functions.read:0", "a b", "x/y"])
    func oddIDs(_ id: String) throws {
        let made = try translatedToAnthropic(#"\#(userHi),\#(calling(id)),\#(answer(id))"#)
        let fixed = made.messages[1]["content"]?[0]?["id"]?.string ?? ""
        #expect(!fixed.isEmpty && fixed.utf8.allSatisfy { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "z") })
        #expect(fixed.wholeMatch(of: /[a-zA-Z0-9_-]+/) != nil)
        #expect(made.messages[2]["content"]?[0]?["tool_use_id"]?.string == fixed)
    }

    @Test("calls without a result and results without a call")
    func unpaired() throws {
        let made = try translatedToAnthropic(#"\#(userHi),\#(calling("a")),\#(userHi),\#(answer("z", "lost"))"#)
        #expect(made.messages[2]["content"]?[0]?["content"] == "[no result: the call was interrupted]")
        #expect(made.messages[2]["content"]?[1]?["text"] == "[result of an earlier tool call z]")
    }

    @Test("F3: a call of a type nobody knows is left out and named, its neighbours stay; one that is broken is refused")
    func unknownCalls() throws {
        func turns(_ call: String) -> String {
            calling("call_1").replacing(#""tool_calls":["#, with: #""tool_calls":[\#(call),"#)
        }
        let made = try translatedToAnthropic(
            "\(userHi),\(turns(#"{"type":"zz_new","id":"z","zz_new":{}}"#)),\(answer("call_1"))")
        #expect(made.request.dropped == ["tool_calls.zz_new"])
        #expect(made.messages[1]["content"]?.array?.compactMap { $0["id"]?.string } == ["call_1"])
        for broken in [#"{"type":"function","id":"z"}"#, #"{"id":"z"}"#, "{}"] {
            let error = refusal { try translatedToAnthropic("\(userHi),\(turns(broken))") }
            #expect(error?.param == "messages[1].tool_calls[0].function")
        }
    }

    @Test("function_call and its result without an id are paired by their place")
    func functions() throws {
        let made = try translatedToAnthropic(
            #"\#(userHi),{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"out"}"#,
            #""functions":[{"name":"f","parameters":{"type":"object","properties":{}}}],"function_call":{"name":"f"}"#)
        #expect(made.messages[2]["content"]?[0]?["content"] == "out")
        #expect(made.toolNames == ["f"])
        #expect(made.json["tool_choice"] == ["type": "tool", "name": "f"])
    }

    @Test("B18, B19: thinking goes back only as Anthropic signed it, byte for byte and in its place")
    func thinking() throws {
        func said(_ blocks: String) -> String {
            #"\#(userHi),{"role":"assistant","content":"so","reasoning_content":"local","thinking_blocks":[\#(blocks)]},\#(userHi)"#
        }
        let genuine =
            #"{"type":"thinking","thinking":"h\u00e9","signature":"Eqk/="},{"type":"redacted_thinking","data":"zz=="}"#
        let made = try translatedToAnthropic(said(genuine))
        #expect(made.text.contains(#""content":[\#(genuine),{"type":"text","text":"so"}]"#), "\(made.text)")
        let ours = try translatedToAnthropic(said(#"{"type":"thinking","thinking":"x","signature":"gw1.abc"}"#))
        #expect(ours.messages[1]["content"] == [["type": "text", "text": "so"]])
        #expect(try translatedToAnthropic(said("")).messages[1]["content"] == [["type": "text", "text": "so"]])
    }

    @Test("images and files")
    func media() throws {
        let made = try translatedToAnthropic(
            #"{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(pixel)","detail":"low"}},{"type":"image_url","image_url":{"url":"https://example.org/a.png"}},{"type":"file","file":{"filename":"p.pdf","file_data":"data:application/pdf;base64,JVBERg=="}},{"type":"file","file":{"filename":"n.txt","file_data":"data:text/plain;base64,aMOpIQ=="}}]}"#
        )
        let blocks = made.messages[0]["content"]?.array ?? []
        #expect(blocks[1]["source"] == ["type": "base64", "media_type": "image/png", "data": .string(pixel)])
        #expect(blocks[2]["source"] == ["type": "url", "url": "https://example.org/a.png"])
        #expect(
            blocks[3] == [
                "type": "document", "source": ["type": "base64", "media_type": "application/pdf", "data": "JVBERg=="],
                "title": "p.pdf",
            ])
        #expect(blocks[4]["source"]?["data"] == "hé!")
        #expect(made.request.dropped == ["image_url.detail"])
    }

    @Test(
        "what must be honoured and cannot be is refused by name",
        arguments: [
            (
                #"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}"#, "",
                "messages"
            ),
            (userHi, #""n":2"#, "n"), (userHi, #""modalities":["text","audio"]"#, "modalities"),
            (userHi, #""response_format":{"type":"someday"}"#, "response_format.type"),
            (
                userHi,
                #""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}}"#,
                "tool_choice"
            ),
        ])
    func refused(_ messages: String, _ more: String, _ param: String) {
        let error = refusal { try translatedToAnthropic(messages, more) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.param == param)
    }

    @Test("what is honoured at best effort is dropped and named, in the order of its appearance; hints silently")
    func dropped() throws {
        let more =
            #""seed":7,"logit_bias":{"1":2},"frequency_penalty":0.5,"presence_penalty":0,"logprobs":false,"metadata":{"a":"b"},"prompt_cache_key":"k","service_tier":"auto","store":true,"top_p":0.9,"quux":[1]"#
        let made = try translatedToAnthropic(userHi, more)
        #expect(made.request.dropped == ["logit_bias", "store", "seed", "frequency_penalty"])
        #expect(made.json["top_p"]?.double == 0.9)
        #expect(refusal { try translatedToAnthropic(userHi, #""seed":7"#, strict: true) }?.param == "seed")
    }

    @Test("limits, stops, sampling and the user's name")
    func settings() throws {
        #expect(try translatedToAnthropic(userHi).json["max_tokens"] == 4096)
        #expect(try translatedToAnthropic(userHi, #""max_tokens":-1"#).json["max_tokens"] == 4096)
        #expect(try translatedToAnthropic(userHi, #""max_tokens":9,"max_completion_tokens":8"#).json["max_tokens"] == 8)
        #expect(try translatedToAnthropic(userHi, #""stop":["END","\n ",""]"#).json["stop_sequences"] == ["END"])
        #expect(try translatedToAnthropic(userHi, #""stop":"END""#).json["stop_sequences"] == ["END"])
        #expect(try translatedToAnthropic(userHi, #""temperature":1.7"#).json["temperature"] == 1)
        #expect(try translatedToAnthropic(userHi, #""temperature":0.20"#).text.contains(#""temperature":0.20"#))
        #expect(try translatedToAnthropic(userHi, #""user":"u1""#).json["metadata"] == ["user_id": "u1"])
        let newer = try translatedToAnthropic(userHi, #""temperature":0.5"#) { $0.sampling = false }
        #expect(newer.json["temperature"] == nil)
        #expect(newer.request.dropped == ["temperature"])
    }

    @Test(
        "tool_choice and parallel calls",
        arguments: [
            (#""tool_choice":"none""#, #"{"type":"none"}"#), (#""tool_choice":"auto""#, #"{"type":"auto"}"#),
            (#""tool_choice":"required""#, #"{"type":"any"}"#),
            (#""tool_choice":{"type":"function","function":{"name":"f"}}"#, #"{"type":"tool","name":"f"}"#),
            (#""tool_choice":{"type":"any"}"#, #"{"type":"any"}"#),
            (#""tool_choice":{"type":"none"}"#, #"{"type":"none"}"#),
            (#""tool_choice":"f""#, #"{"type":"tool","name":"f"}"#),
            (#""parallel_tool_calls":false"#, #"{"type":"auto","disable_parallel_tool_use":true}"#),
            (
                #""tool_choice":"required","parallel_tool_calls":false"#,
                #"{"type":"any","disable_parallel_tool_use":true}"#
            ),
            (#""parallel_tool_calls":true"#, nil),
        ] as [(String, String?)])
    func choice(_ choice: String, _ said: String?) throws {
        let tools =
            #""tools":[{"type":"function","function":{"name":"f","description":"d","strict":false,"parameters":{"type":"object","properties":{}}}}]"#
        let made = try translatedToAnthropic(userHi, "\(tools),\(choice)")
        #expect(made.json["tool_choice"]?.text == said)
        #expect(
            made.text.contains(
                #"{"name":"f","description":"d","input_schema":{"type":"object","properties":{}},"strict":false}"#))
    }

    @Test("allowed_tools filters the list")
    func allowed() throws {
        let tools = ["f", "g"].map { #"{"type":"function","function":{"name":"\#($0)"}}"# }.joined(separator: ",")
        let made = try translatedToAnthropic(
            userHi,
            #""tools":[\#(tools)],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}"#
        )
        #expect(made.toolNames == ["g"])
        #expect(made.json["tool_choice"] == ["type": "any"])
    }

    @Test("a custom tool is a function of one string, in the list and in the history")
    func custom() throws {
        let made = try translatedToAnthropic(
            #"\#(userHi),{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"custom","custom":{"name":"patch","input":"*** a\n\"b\""}}]},\#(answer("c"))"#,
            #""tools":[{"type":"custom","custom":{"name":"patch","description":"d","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: X"}}}}]"#
        )
        #expect(made.messages[1]["content"]?[0]?["input"] == ["input": "*** a\n\"b\""])
        #expect(
            made.json["tools"]?[0]?["description"] == "d\n\nThe input follows this grammar:\n```lark\nstart: X\n```")
        #expect(made.request.context.toolNames.isWrapped("patch"))
    }

    @Test("structured output is a format whose objects are closed; one JSON object is asked for in words")
    func format() throws {
        let made = try translatedToAnthropic(
            userHi,
            #""response_format":{"type":"json_schema","json_schema":{"name":"P","strict":true,"schema":{"title":"P","type":"object","properties":{"age":{"type":"integer","minimum":0},"in":{"type":"object","properties":{}}},"required":["age"]}}}"#
        )
        let schema = made.json["output_config"]?["format"]?["schema"]
        #expect(schema?["additionalProperties"] == false)
        #expect(schema?["properties"]?["in"]?["additionalProperties"] == false)
        #expect(schema?["properties"]?["age"]?["minimum"] == nil)
        let object = try translatedToAnthropic(userHi, #""response_format":{"type":"json_object"}"#)
        #expect(object.json["system"]?[0]?["text"]?.string?.contains("JSON object") == true)
        #expect(try translatedToAnthropic(userHi, #""response_format":{"type":"text"}"#).json["output_config"] == nil)
    }

    @Test(
        "a schema that closing would empty of its meaning is asked for in words, and checked",
        arguments: [
            #"{"type":"object","properties":{"scores":{"type":"object","additionalProperties":{"type":"integer"}}}}"#,
            #"{"type":"object","properties":{"meta":{"type":["object","null"]}}}"#,
            ##"{"type":"object","properties":{"m":{"$ref":"#/$defs/M"}},"$defs":{"M":{"type":"object","patternProperties":{"^a":{}}}}}"##,
            #"{"type":"array","items":{"type":"object","additionalProperties":true}}"#, #"{"type":"object"}"#,
        ])
    func openObjects(_ schema: String) throws {
        let form =
            #""response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":\#(schema)}}"#
        let made = try translatedToAnthropic(userHi, form)
        #expect(made.json["output_config"] == nil)
        #expect(made.json["system"]?[0]?["text"]?.string?.hasSuffix(schema) == true)
        #expect(made.request.context.answerForm == .schema(ByteBuffer(string: schema)))
        let streamed = try translatedToAnthropic(userHi, form + #","stream":true"#)
        #expect(streamed.request.dropped == ["response_format"])
        let tool = #"{"type":"function","function":{"name":"f","strict":true,"parameters":\#(schema)}}"#
        let offered = try translatedToAnthropic(userHi, #""tools":[\#(tool)]"#)
        #expect(offered.json["tools"]?[0]?["strict"] == nil && offered.request.dropped == ["tools.strict"])
        #expect(!offered.text.contains(#""additionalProperties":false"#))
    }

    @Test(
        "effort and budget",
        arguments: [
            (#""reasoning_effort":"none""#, #""thinking":{"type":"disabled"}"#, 4096),
            (#""reasoning_effort":"low""#, #""thinking":{"type":"enabled","budget_tokens":2048}"#, 6144),
            (
                #""reasoning_effort":"high","max_tokens":20000"#,
                #""thinking":{"type":"enabled","budget_tokens":15000}"#, 20000
            ),
            (#""reasoning_effort":"high","max_tokens":500"#, nil, 500),
            (#""reasoning":{"max_tokens":3000}"#, #""thinking":{"type":"enabled","budget_tokens":3000}"#, 7096),
            (#""chat_template_kwargs":{"enable_thinking":false}"#, #""thinking":{"type":"disabled"}"#, 4096),
            (#""reasoning_effort":"galactic""#, nil, 4096),
        ] as [(String, String?, Int)])
    func effort(_ wish: String, _ said: String?, _ limit: Int) throws {
        let made = try translatedToAnthropic(userHi, wish)
        #expect(made.json["max_tokens"]?.int == limit)
        #expect(made.json["thinking"].map { #""thinking":\#($0.text)"# } == said)
        let style = try translatedToAnthropic(userHi, #""reasoning_effort":"xhigh""#) { $0.thinkingControl = .effort }
        #expect(style.json["thinking"] == ["type": "adaptive"])
        #expect(style.json["output_config"] == ["effort": "xhigh"])
    }

    @Test("thinking is not switched on beside a forced call, or in a tool loop whose thinking did not come back")
    func noThinking() throws {
        let tools = #""tools":[{"type":"function","function":{"name":"f"}}]"#
        let forced = try translatedToAnthropic(userHi, #"\#(tools),"tool_choice":"required","reasoning_effort":"low""#)
        #expect(forced.json["thinking"] == nil)
        #expect(forced.request.dropped == ["reasoning_effort"])
        let loop = try translatedToAnthropic(
            #"\#(userHi),\#(calling("a")),\#(answer("a"))"#, #"\#(tools),"reasoning_effort":"low","temperature":0.5"#)
        #expect(loop.json["thinking"] == nil)
        #expect(loop.json["temperature"]?.double == 0.5)
        let plain = try translatedToAnthropic(userHi, #"\#(tools),"reasoning_effort":"low","temperature":0.5"#)
        #expect(plain.json["thinking"] != nil)
        #expect(plain.json["temperature"] == nil)
    }

    @Test("a prefill loses the white space at its end")
    func prefill() throws {
        let made = try translatedToAnthropic(#"\#(userHi),{"role":"assistant","content":"Sure: \n"}"#)
        #expect(made.messages[1]["content"]?[0]?["text"] == "Sure:")
        #expect(
            refusal {
                try translatedToAnthropic(#"\#(userHi),{"role":"assistant","content":"x"}"#) { $0.prefill = false }
            } != nil
        )
    }

    @Test(
        "what cannot be read is refused with its path",
        arguments: [
            (#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
            (
                #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:oops"}}]}]}"#,
                "messages[0].content[0].image_url.url"
            ),
            (
                #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}"#,
                "messages[0].content[0].image_url.url"
            ),
            (#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages[0].tool_call_id"),
            (#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]}"#, "messages[0].tool_calls[0].function"),
            (#"{"messages":[{"role":"elf"}]}"#, "messages[0].role"), (#"{"model":"m"}"#, "messages"),
            (#"{"messages":[],"n":"two"}"#, "n"), (#"{"messages":[]}"#, "messages"),
            (#"{"messages":[{"role":"user","content":""}]}"#, "messages"),
            (#"{"messages":[\#(userHi)],"temperature":2.5}"#, "temperature"),
            (#"{"messages":[],"tools":[{"type":"function","function":{}}]}"#, "tools[0].function.name"),
        ])
    func paths(_ body: String, _ path: String) {
        let error = refusal { try translatedToAnthropic(body: body) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.param == path, "\(error?.message ?? "")")
    }
}
