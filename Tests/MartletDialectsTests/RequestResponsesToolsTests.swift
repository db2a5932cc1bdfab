import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Responses requests for a Chat upstream: tools")
struct RequestResponsesToolsTests {
    static let f =
        #"{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}"#

    func made(_ tools: String, _ more: String = "", strictTools: Bool = false) throws -> Translation {
        try responsesToChat(
            #"{"model":"m","input":"x","tools":[\#(tools)]\#(more.isEmpty ? "" : "," + more)}"#
        ) {
            $0.toolChoice = .full
            $0.strictTools = strictTools
        }
    }

    func function(_ made: Translation, _ index: Int) -> JSON? { made.json["tools"]?[index]?["function"] }

    @Test("2.4.5, D22: a function stays one; no parameters are an empty object, strict is said only where it was")
    func functions() throws {
        let made = try made(
            #"\#(Self.f),{"type":"function","name":"g","description":"d","parameters":null,"strict":null},{"type":"function","name":"h","parameters":{"type":"object"},"strict":true}"#,
            strictTools: true)
        #expect(made.toolNames == ["f", "g", "h"])
        #expect(function(made, 1)?["parameters"]?["type"] == "object" && function(made, 1)?["description"] == "d")
        #expect(function(made, 0)?["strict"] == nil && function(made, 1)?["strict"] == nil)
        #expect(function(made, 2)?["strict"] == true)
    }

    @Test("2.4.5, D5: a namespace is taken apart; its purpose is said once")
    func namespaces() throws {
        let made = try made(
            #"{"type":"namespace","name":"agents","description":"All about agents.","tools":[{"type":"function","name":"spawn","description":"Spawns."},{"type":"function","name":"close"},{"type":"custom","name":"note"}]}"#
        )
        #expect(made.toolNames == ["agents__spawn", "agents__close", "agents__note"])
        #expect(function(made, 0)?["description"] == "All about agents.\n\nSpawns.")
        #expect(function(made, 1)?["description"] == nil)
        let tools = made.request.context.echo?.tools
        #expect(tools?["agents__spawn"] == ResponsesTool(.function, name: "spawn", namespace: "agents"))
        #expect(tools?["agents__note"] == ResponsesTool(.custom, name: "note", namespace: "agents"))
    }

    @Test("a function that has a namespaced one's flat name already: both are offered, under two names")
    func collision() throws {
        let made = try made(
            #"{"type":"function","name":"a__b"},{"type":"namespace","name":"a","tools":[{"type":"function","name":"b"}]}"#
        )
        #expect(made.toolNames.count == 2 && Set(made.toolNames).count == 2 && made.toolNames[0] == "a__b")
        let tools = made.request.context.echo?.tools
        #expect(tools?[made.toolNames[1]] == ResponsesTool(.function, name: "b", namespace: "a"))
        #expect(throws: GatewayError.self) { try self.made("\(Self.f),\(Self.f)") }
    }

    @Test("2.4.5: a custom tool is a function of one string, its grammar in the description")
    func custom() throws {
        let made = try made(
            #"{"type":"custom","name":"apply_patch","description":"Edits.","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},{"type":"custom","name":"free","format":{"type":"text"}}"#
        )
        #expect(function(made, 0)?["parameters"]?["properties"]?["input"] == ["type": "string"])
        #expect(
            function(made, 0)?["description"]
                == "Edits.\n\nThe input follows this grammar:\n```lark\nstart: x\n```")
        #expect(made.request.context.toolNames.isWrapped("apply_patch"))
        #expect(function(made, 1)?["parameters"]?["required"] == ["input"])
    }

    @Test("2.4.5: local_shell, shell, apply_patch and the client's tool search are functions")
    func builtins() throws {
        let made = try made(
            #"{"type":"local_shell"},{"type":"shell"},{"type":"apply_patch"},{"type":"tool_search","execution":"client","description":"Find.","parameters":{"type":"object","properties":{"goal":{"type":"string"}}}}"#
        )
        #expect(made.toolNames == ["local_shell", "shell", "apply_patch", "tool_search"])
        #expect(function(made, 0)?["parameters"]?["properties"]?["command"]?["type"] == "array")
        #expect(function(made, 1)?["parameters"]?["required"] == ["commands"])
        #expect(function(made, 2)?["parameters"]?["required"] == ["operation"])
        #expect(
            function(made, 3)?["parameters"]?["properties"]?["goal"] != nil
                && function(made, 3)?["description"] == "Find.")
        #expect(made.request.dropped == [])
    }

    @Test(
        "D4: hosted tools among others are dropped and named",
        arguments: [
            "web_search", "web_search_2025_08_26", "web_search_preview", "file_search", "code_interpreter",
            "image_generation", "computer_use_preview", "mcp", "programmatic_tool_calling", "tool_search",
        ])
    func hosted(type: String) throws {
        let made = try made(#"{"type":"\#(type)","server_label":"s"},\#(Self.f)"#)
        #expect(made.toolNames == ["f"])
        #expect(made.request.dropped == ["tools.\(type)"])
        #expect(made.request.answer == nil)
    }

    @Test("2.9.7: nothing but hosted tools, or one forced, is answered with a sentence")
    func onlyHosted() throws {
        for (tools, more) in [
            (#"{"type":"web_search"}"#, ""),
            (#"{"type":"web_search"},\#(Self.f)"#, #""tool_choice":{"type":"web_search_preview"}"#),
        ] {
            let made = try made(tools, more)
            #expect(made.request.answer == .unavailable(tool: "web_search", type: "web_search"))
            let events = LocalAnswer.unavailable(tool: "web_search", type: "web_search")
                .events(id: "i", callID: "c", model: "m", input: 3)
            for streams in [true, false] {
                let reply = Dialects.writeLocal(
                    events, to: responsesTarget(), context: made.request.context, streams: streams)
                let response = streams ? StrictResponsesReader(reply.string).response : try JSON(parsing: reply)
                #expect(StrictResponsesReader.faults(of: response) == [])
                #expect(response["output"]?.array?.count == 1)
                #expect(response["output"]?[0]?["content"]?[0]?["text"] == "The tool web_search is not available here.")
                if streams { #expect(StrictResponsesReader(reply.string).faults == []) }
            }
        }
    }

    static let choices: [(String, JSON?)] = [
        (#""auto""#, nil), (#""none""#, "none"), (#""required""#, "required"),
        (#"{"type":"function","name":"f"}"#, ["type": "function", "function": ["name": "f"]]),
        (#"{"type":"custom","name":"c"}"#, ["type": "function", "function": ["name": "c"]]),
        (#"{"type":"function","name":"g","namespace":"N"}"#, ["type": "function", "function": ["name": "N__g"]]),
        (#"{"type":"function","name":"g"}"#, ["type": "function", "function": ["name": "N__g"]]),
        (#"{"type":"function","name":"N__g"}"#, ["type": "function", "function": ["name": "N__g"]]),
        (#"{"type":"apply_patch"}"#, ["type": "function", "function": ["name": "apply_patch"]]),
        (#"{"type":"file_search"}"#, nil),
    ]

    @Test("2.4.5: the choice", arguments: choices)
    func choice(choice: String, said: JSON?) throws {
        let made = try made(
            #"\#(Self.f),{"type":"custom","name":"c"},{"type":"namespace","name":"N","tools":[{"type":"function","name":"g"}]},{"type":"apply_patch"}"#,
            #""tool_choice":\#(choice)"#)
        #expect(made.json["tool_choice"] == said)
        #expect(made.request.dropped == (choice.contains("file_search") ? ["tool_choice"] : []))
    }

    @Test("2.4.5: allowed tools are a hard filter, with their mode")
    func allowed() throws {
        let tools =
            #"\#(Self.f),{"type":"custom","name":"c"},{"type":"namespace","name":"N","tools":[{"type":"function","name":"g"},{"type":"function","name":"h"}]},{"type":"web_search"}"#
        func names(_ allowed: String) throws -> [String] {
            try self.made(
                tools, #""tool_choice":{"type":"allowed_tools","mode":"required","tools":[\#(allowed)]}"#
            ).toolNames
        }
        #expect(try names(#"{"type":"function","name":"f"},{"type":"custom","name":"c"}"#) == ["f", "c"])
        #expect(try names(#"{"type":"namespace","name":"N"}"#) == ["N__g", "N__h"])
        #expect(try names(#"{"type":"function","name":"h","namespace":"N"}"#) == ["N__h"])
        let made = try self.made(
            tools, #""tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]}"#
        )
        #expect(made.json["tool_choice"] == "required" && made.request.dropped == [])
    }

    @Test("D6: tools declared in the input are offered")
    func additional() throws {
        let made = try responsesToChat(
            items(
                #"{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"N","tools":[{"type":"function","name":"g"}]},{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start"}}]},\#(RequestResponsesTests.hi)"#,
                #""tool_choice":{"type":"custom","name":"apply_patch"}"#)
        ) { $0.toolChoice = .full }
        #expect(made.toolNames == ["N__g", "apply_patch"])
        #expect(made.roles == ["user"])
        #expect(made.json["tool_choice"]?["function"]?["name"] == "apply_patch")
    }

    @Test("2.4.2: a search loads its tools; until then deferred ones are not offered")
    func search() throws {
        let tools =
            #""tools":[{"type":"tool_search","execution":"client","parameters":{"type":"object"}},{"type":"function","name":"late","defer_loading":true}]"#
        let before = try responsesToChat(items(RequestResponsesTests.hi, tools))
        #expect(before.toolNames == ["tool_search"])
        let after = try responsesToChat(
            items(
                #"\#(RequestResponsesTests.hi),{"type":"tool_search_call","call_id":"c1","execution":"client","arguments":{"query":"q"},"status":"completed"},{"type":"tool_search_output","call_id":"c1","execution":"client","status":"completed","tools":[{"type":"namespace","name":"N","tools":[{"type":"function","name":"found","description":"d"}]}]}"#,
                tools))
        #expect(after.toolNames == ["tool_search", "N__found"])
        #expect(after.messages[1]["tool_calls"]?[0]?["function"]?["arguments"] == #"{"query":"q"}"#)
        #expect(after.content(2) == "Tool loaded: N__found")
    }

    @Test("calls in history go by the flat name, also of tools that are offered no more")
    func history() throws {
        let made = try responsesToChat(
            items(
                #"\#(RequestResponsesTests.hi),{"type":"function_call","call_id":"c1","namespace":"N","name":"gone","arguments":"{}"},\#(RequestResponsesTests.output("c1", "\"x\"")),{"type":"function_call","call_id":"c2","name":"N__g","arguments":"{}"}"#,
                #""tools":[{"type":"namespace","name":"N","tools":[{"type":"function","name":"g"}]}]"#))
        let names = made.messages.compactMap { $0["tool_calls"]?[0]?["function"]?["name"]?.string }
        #expect(names == ["N__gone", "N__g"])
        #expect(made.toolNames == ["N__g"])
    }

    @Test("E16: a flat name over 64 characters is shortened, and comes back as it was declared")
    func longName() throws {
        let name = String(repeating: "n", count: 60)
        let body =
            #"{"input":"x","tools":[{"type":"namespace","name":"\#(name)","tools":[{"type":"function","name":"spawn"}]}]}"#
        let made = try responsesToChat(body)
        let short = made.toolNames[0]
        #expect(short.utf8.count <= 64)
        let stream = ReplyAnthropicTests.call(0, "c1", short, "{}") + ReplyAnthropicTests.finishCalls + done
        let item = StrictResponsesReader(asResponses(stream, made.request.context).text).output[0]
        #expect(item["name"] == "spawn" && item["namespace"] == .string(name))
    }
}
