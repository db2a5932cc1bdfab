import MartletDialects
import MartletWire
import Testing

@Suite("Anthropic requests for a Chat upstream: tools and settings")
struct RequestAnthropicToChatToolsTests {
    let weather =
        #"{"name":"get_weather","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}"#
    let search = #"{"type":"web_search_20250305","name":"web_search","max_uses":8}"#

    func tools(_ tools: String..., choice: String? = nil) -> String {
        #""tools":[\#(tools.joined(separator: ","))]"# + (choice.map { #","tool_choice":\#($0)"# } ?? "")
    }

    @Test("a client's tool is a function with its schema as it was")
    func clientTool() throws {
        let made = try translatedToChat(userHi, tools(weather))
        #expect(
            made.text.contains(
                #""tools":[{"type":"function","function":{"name":"get_weather","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]"#
            ))
        #expect(made.json["tool_choice"] == nil)
        let bare = try translatedToChat(userHi, tools(#"{"name":"f"}"#))
        #expect(bare.json["tools"]?[0]?["function"]?["parameters"] == ["type": "object", "properties": [:]])
    }

    @Test("B10: tools of the API's own are left out and named")
    func serverTool() throws {
        let made = try translatedToChat(userHi, tools(weather, search))
        #expect(made.toolNames == ["get_weather"])
        #expect(made.request.dropped == ["tools.web_search_20250305"])
    }

    @Test("B11: only such tools, or one forced, is answered by the gateway")
    func onlySearch() throws {
        let answer = LocalAnswer.unavailable(tool: "web_search", type: "web_search_20250305")
        #expect(try translatedToChat(userHi, tools(search)).request.answer == answer)
        let forced = tools(weather, search, choice: #"{"type":"tool","name":"web_search"}"#)
        #expect(try translatedToChat(userHi, forced).request.answer == answer)
        #expect(try translatedToChat(userHi, tools(weather)).request.answer == nil)
    }

    let finder = #"{"name":"ToolSearch","input_schema":{"type":"object","properties":{}}}"#
    let hidden = #"{"name":"Hidden","defer_loading":true,"input_schema":{"type":"object","properties":{}}}"#
    let placeholder = #"{"name":"DeferredToolPlaceholder","defer_loading":true,"input_schema":{}}"#

    @Test("B12: a deferred tool is offered once it was found, behind the others")
    func deferred() throws {
        let all = tools(finder, hidden, placeholder, weather)
        #expect(try translatedToChat(userHi, all).toolNames == ["ToolSearch", "get_weather"])
        let found =
            #"\#(userHi),\#(calls("a")),\#(user(result("a", #"[{"type":"tool_reference","tool_name":"Hidden"}]"#)))"#
        let made = try translatedToChat(found, all)
        #expect(made.toolNames == ["ToolSearch", "get_weather", "Hidden"])
        #expect(made.content(2) == "Tool loaded: Hidden")
        let called =
            #"\#(userHi),{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Hidden","input":{}}]},\#(user(result("a", "\"x\"")))"#
        #expect(try translatedToChat(called, all).toolNames == ["ToolSearch", "get_weather", "Hidden"])
        // Where nothing could find it, it is there from the start.
        #expect(try translatedToChat(userHi, tools(hidden, weather)).toolNames == ["Hidden", "get_weather"])
    }

    @Test("tools come and go by system messages")
    func changes() throws {
        let add =
            #"{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":\#(weather)}},{"type":"tool_addition","tool":{"type":"tool_reference","name":"Hidden"}}]}"#
        let more = try translatedToChat(#"\#(userHi),\#(add)"#, tools(finder, hidden))
        #expect(more.toolNames == ["ToolSearch", "get_weather", "Hidden"])
        #expect(more.roles == ["user"])
        let remove =
            #"{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"get_weather"}}]}"#
        #expect(try translatedToChat(#"\#(userHi),\#(remove)"#, tools(finder, weather)).toolNames == ["ToolSearch"])
    }

    @Test("B13: blocks and members nobody knows are no errors")
    func unknownBlocks() throws {
        let made = try translatedToChat(
            user(#"{"type":"hologram","beam":{"x":[1]}}"#, text("hi")),
            #""quux":{"a":1},"betas":["b"],"container":"c","service_tier":"auto""#)
        #expect(made.content(0) == "hi")
        #expect(made.request.dropped == ["content.hologram"])
        #expect(!made.text.contains("quux"))
    }

    @Test(
        "B14: tool_choice, by what the upstream takes",
        arguments: [
            (#"{"type":"auto"}"#, Capabilities.ToolChoiceForm.full, nil, 2),
            (#"{"type":"any"}"#, .full, #""required""#, 2),
            (#"{"type":"any"}"#, .strings, #""required""#, 2),
            (#"{"type":"any"}"#, .none, nil, 2),
            (#"{"type":"tool","name":"f"}"#, .full, #"{"type":"function","function":{"name":"f"}}"#, 2),
            (#"{"type":"tool","name":"f"}"#, .strings, #""required""#, 1),
            (#"{"type":"tool","name":"f"}"#, .none, nil, 1),
            (#"{"type":"none"}"#, .full, #""none""#, 2),
            (#"{"type":"none"}"#, .strings, #""none""#, 2),
            (#"{"type":"none"}"#, .none, nil, 0),
            (#"{"type":"someday"}"#, .full, nil, 2),
        ] as [(String, Capabilities.ToolChoiceForm, String?, Int)])
    func choice(_ choice: String, _ form: Capabilities.ToolChoiceForm, _ said: String?, _ count: Int) throws {
        let made = try translatedToChat(userHi, tools(#"{"name":"f"}"#, weather, choice: choice)) {
            $0.toolChoice = form
        }
        #expect(made.json["tool_choice"]?.text == said)
        #expect(made.toolNames.count == count)
        let demands = form == .none && (choice.contains("any") || choice.contains("tool"))
        #expect(made.roles == (demands ? ["system", "user"] : ["user"]))
    }

    @Test("B15: an upstream that takes strings only is offered the one tool")
    func oneTool() throws {
        let made = try translatedToChat(
            userHi, tools(#"{"name":"f"}"#, weather, choice: #"{"type":"tool","name":"get_weather"}"#))
        #expect(made.toolNames == ["get_weather"])
        #expect(made.json["tool_choice"] == "required")
        let unknown = tools(weather, choice: #"{"type":"tool","name":"nope"}"#)
        #expect(refusal { try translatedToChat(userHi, unknown) }?.param == "tool_choice")
    }

    @Test("E10: parallel calls are switched on where they are off by default, off where the client says so")
    func parallel() throws {
        let single = tools(weather, choice: #"{"type":"auto","disable_parallel_tool_use":true}"#)
        #expect(try translatedToChat(userHi, single).json["parallel_tool_calls"] == false)
        #expect(try translatedToChat(userHi, tools(weather)).json["parallel_tool_calls"] == nil)
        let on = try translatedToChat(userHi, tools(weather)) { $0.parallelIsOffByDefault = true }
        #expect(on.json["parallel_tool_calls"] == true)
        let strict = try translatedToChat(userHi, single, strict: true) { $0.parallelToolCalls = false }
        #expect(strict.request.context.keepsFirstCallOnly)
        #expect(strict.json["parallel_tool_calls"] == nil)
    }

    @Test("E16: odd names are mapped, in tools, history and choice, and come back")
    func names() throws {
        let odd = #"{"name":"mcp.server/tool"}"#
        let said = #"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"mcp.server/tool","input":{}}]}"#
        let made = try translatedToChat(
            #"\#(userHi),\#(said),\#(user(result("a", "\"x\"")))"#,
            tools(odd, choice: #"{"type":"tool","name":"mcp.server/tool"}"#)
        ) { $0.toolChoice = .full }
        #expect(made.toolNames == ["mcp_server_tool"])
        #expect(made.messages[1]["tool_calls"]?[0]?["function"]?["name"] == "mcp_server_tool")
        #expect(made.json["tool_choice"]?["function"]?["name"] == "mcp_server_tool")
        let names = made.request.context.toolNames
        #expect(names.client("mcp_server_tool") == "mcp.server/tool")
        #expect(names.client("invented") == "invented")
        let long = String(repeating: "n", count: 80)
        let two = try translatedToChat(userHi, tools(#"{"name":"a.b"}"#, #"{"name":"a_b"}"#, #"{"name":"\#(long)"}"#))
        #expect(Set(two.toolNames).count == 3)
        #expect(two.toolNames[1] == "a_b")
        #expect(two.toolNames.allSatisfy { $0.utf8.count <= 64 })
        #expect(two.toolNames.map(two.request.context.toolNames.client) == ["a.b", "a_b", long])
    }

    @Test("tools whose type says their arguments are functions; a computer is refused")
    func typedTools() throws {
        let made = try translatedToChat(
            userHi,
            tools(
                #"{"type":"bash_20250124","name":"bash"}"#, #"{"type":"text_editor_20250728","name":"edit"}"#,
                #"{"type":"memory_20250818","name":"memory"}"#))
        #expect(made.toolNames == ["bash", "edit", "memory"])
        #expect(
            made.json["tools"]?[0]?["function"]?["parameters"]?["properties"]?.object?.keys == ["command", "restart"])
        #expect(
            refusal { try translatedToChat(userHi, tools(#"{"type":"computer_20250124","name":"computer"}"#)) }?.code
                == .invalidRequest)
    }

    @Test(
        "B16: any kind of thinking is taken, and adaptive forces nothing on",
        arguments: [
            #"{"type":"adaptive"}"#, #"{"type":"adaptive","display":"updates"}"#, #"{"type":"between_tools"}"#,
            #"{"type":"x"}"#,
        ])
    func adaptive(_ thinking: String) throws {
        for control: Capabilities.ThinkingControl in [.effort, .enableThinking, .budget, .none] {
            let made = try translatedToChat(userHi, #""thinking":\#(thinking)"#) { $0.thinkingControl = control }
            #expect(made.json.object?.keys == ["model", "messages", "max_tokens"])
        }
    }

    @Test(
        "E11: thinking and effort, by the upstream's control",
        arguments: [
            (#""thinking":{"type":"disabled"}"#, Capabilities.ThinkingControl.effort, #""reasoning_effort":"none""#),
            (#""thinking":{"type":"disabled"}"#, .enableThinking, #""chat_template_kwargs":{"enable_thinking":false}"#),
            (#""thinking":{"type":"disabled"}"#, .budget, #""thinking_budget_tokens":0"#),
            (#""thinking":{"type":"enabled","budget_tokens":5000}"#, .effort, #""reasoning_effort":"medium""#),
            (#""thinking":{"type":"enabled","budget_tokens":1024}"#, .effort, #""reasoning_effort":"low""#),
            (#""thinking":{"type":"enabled","budget_tokens":5000}"#, .budget, #""thinking_budget_tokens":5000"#),
            (
                #""thinking":{"type":"enabled","budget_tokens":5000}"#, .enableThinking,
                #""chat_template_kwargs":{"enable_thinking":true}"#
            ),
            (#""output_config":{"effort":"max"}"#, .effort, #""reasoning_effort":"high""#),
            (
                #""thinking":{"type":"enabled","budget_tokens":5000},"output_config":{"effort":"low"}"#, .budget,
                #""thinking_budget_tokens":2048"#
            ),
            (
                #""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#, .effort,
                #""reasoning_effort":"high""#
            ),
        ] as [(String, Capabilities.ThinkingControl, String)])
    func thinking(_ wish: String, _ control: Capabilities.ThinkingControl, _ said: String) throws {
        let made = try translatedToChat(userHi, wish) { $0.thinkingControl = control }
        #expect(made.text.hasSuffix(#""max_tokens":100,\#(said)}"#), "\(made.text)")
        #expect(!made.request.context.hidesReasoning)
    }

    @Test("thinking off without a control hides the reasoning; an effort that nobody takes is named")
    func noControl() throws {
        #expect(try translatedToChat(userHi, #""thinking":{"type":"disabled"}"#).request.context.hidesReasoning)
        let effort = #""output_config":{"effort":"high"}"#
        #expect(try translatedToChat(userHi, effort).request.dropped == ["output_config.effort"])
        #expect(refusal { try translatedToChat(userHi, effort, strict: true) }?.param == "output_config.effort")
    }

    @Test(
        "E6: a forced call and thinking are not combined where the engine cannot, by the upstream's control",
        arguments: [
            (.enableThinking, #""chat_template_kwargs":{"enable_thinking":false}"#),
            (.effort, #""reasoning_effort":"none""#), (.budget, #""thinking_budget_tokens":0"#),
        ] as [(Capabilities.ThinkingControl, String)], ["", #","thinking":{"type":"enabled","budget_tokens":5000}"#])
    func forcedWithThinking(_ control: (Capabilities.ThinkingControl, String), wish: String) throws {
        let made = try translatedToChat(userHi, tools(weather, choice: #"{"type":"any"}"#) + wish) {
            $0.thinkingControl = control.0
            $0.forcedCallWithThinking = false
        }
        #expect(made.text.contains(control.1), "\(made.text)")
    }

    @Test("E11: a title with thinking switched off has its few tokens for itself")
    func title() throws {
        let made = try translatedToChat(
            userHi, #""thinking":{"type":"disabled"},"system":"Give a title as JSON.""#
        ) { $0.thinkingControl = .enableThinking }
        #expect(made.json["max_tokens"] == 100 && made.json["chat_template_kwargs"] == ["enable_thinking": false])
    }

    @Test("B24: max_tokens is clamped to what the context leaves")
    func clamp() throws {
        let body =
            #"{"model":"m","max_tokens":32000,"messages":[{"role":"user","content":"\#(String(repeating: "word ", count: 800))"}]}"#
        let made = try translatedToChat(body: body, window: 8192)
        let limit = made.json["max_tokens"]?.int ?? 0
        #expect(limit > 1024 && limit <= 8192 - made.request.context.inputEstimate)
        #expect(try translatedToChat(body: body).json["max_tokens"] == 32000)
        #expect(made.request.dropped == ["max_tokens"])
        #expect(try translatedToChat(body: body, window: 200_000).request.dropped == [])
        #expect(try translatedToChat(body: body, window: 200_000).json["max_tokens"] == 32000)
        #expect(try translatedToChat(body: body, window: 1000).json["max_tokens"] == 125)
        let field = try translatedToChat(userHi) { $0.maxTokensField = .maxCompletionTokens }
        #expect(field.json["max_completion_tokens"] == 100)
    }

    @Test("max_tokens 0 is answered by the gateway")
    func nothing() throws {
        let made = try translatedToChat(body: #"{"model":"m","max_tokens":0,"messages":[\#(userHi)]}"#)
        #expect(made.request.answer == .nothing)
    }

    @Test(
        "B26: the suffix for a long context is no part of the name",
        arguments: [
            ("name[1m]", "name"), ("name", "name"), ("a[b]", "a[b]"), ("[1m]", "[1m]"), ("x[200k]", "x"),
        ])
    func suffix(_ name: String, _ found: String) {
        #expect(CanonicalRequest.lookupName(name) == found)
    }

    @Test("structured output, by what the upstream can")
    func format() throws {
        let wish =
            #""output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false}}}"#
        let native = try translatedToChat(userHi, wish)
        #expect(
            native.text.contains(
                #""response_format":{"type":"json_schema","json_schema":{"name":"output","schema":{"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false},"strict":true}}"#
            ))
        #expect(native.request.context.wantsJSON)
        let older = try translatedToChat(userHi, #""output_format":{"type":"json_schema","schema":{}}"#)
        #expect(older.json["response_format"]?["type"] == "json_schema")
        let prompt = try translatedToChat(userHi, wish) { $0.jsonSchema = .none }
        #expect(prompt.json["response_format"] == nil)
        #expect(prompt.content(0)?.contains(#""required":["title"]"#) == true)
        let both = try translatedToChat(userHi, "\(wish),\(tools(weather))") { $0.jsonSchema = .grammar }
        #expect(both.json["response_format"] == nil)
        #expect(both.toolNames == ["get_weather"])
    }

    @Test("stop strings beyond the upstream's limit are the gateway's to match")
    func stops() throws {
        #expect(try translatedToChat(userHi, #""stop_sequences":[]"#).json["stop"] == nil)
        let few = try translatedToChat(userHi, #""stop_sequences":["a","b"]"#)
        #expect(few.json["stop"] == ["a", "b"])
        #expect(few.request.context.stops == [])
        #expect(few.request.context.clientStops == ["a", "b"])
        let many = try translatedToChat(userHi, #""stop_sequences":["a","b","c","d","e"]"#)
        #expect(many.json["stop"] == nil)
        #expect(many.request.context.stops.count == 5)
    }

    @Test("sampling keeps its spelling; top_k is dropped and named where it is unknown")
    func sampling() throws {
        let made = try translatedToChat(userHi, #""temperature":0.70,"top_p":0.95,"top_k":40"#)
        #expect(made.text.contains(#""temperature":0.70,"top_p":0.95"#))
        #expect(made.request.dropped == ["top_k"])
        #expect(try translatedToChat(userHi, #""top_k":40"#) { $0.topK = true }.json["top_k"] == 40)
    }

    @Test("MCP servers are refused by name, an empty list of them is not")
    func mcp() throws {
        #expect(refusal { try translatedToChat(userHi, #""mcp_servers":[{"type":"url"}]"#) }?.param == "mcp_servers")
        #expect(try translatedToChat(userHi, #""mcp_servers":[]"#).roles == ["user"])
        let toolset = #"{"type":"mcp_toolset","mcp_server_name":"m"}"#
        for offered in [tools(toolset), tools(weather, toolset)] {
            #expect(refusal { try translatedToChat(userHi, offered) }?.param == "tools")
        }
    }

    @Test(
        "what cannot be read is refused with its path",
        arguments: [
            (#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
            (#"{"messages":[{"role":"user","content":7}]}"#, "messages[0].content"),
            (#"{"messages":[{"role":"elf","content":"x"}]}"#, "messages[0].role"),
            (#"{"messages":[{"content":"x"}]}"#, "messages[0].role"),
            (#"{"messages":[{"role":"user","role":"user","content":"x"}]}"#, "messages[0].role"),
            (#"{"messages":{}}"#, "messages"),
            (#"{"model":"m"}"#, "messages"),
            (#"{"messages":[],"max_tokens":"9"}"#, "max_tokens"),
            (#"{"messages":[],"max_tokens":-1}"#, "max_tokens"),
            (#"{"messages":[],"model":"a","model":"b"}"#, "model"),
            (#"{"messages":[],"tools":[{"description":"d"}]}"#, "tools[0].name"),
            (#"{"messages":[],"tools":[{"name":"f"},{"name":"f"}]}"#, "tools[1].name"),
            (
                #"{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":3}]}]}]}"#,
                "messages[0].content[0].content[0].text"
            ),
            (#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
            (#"{"messages":[{"role":"user","content":null}]}"#, "messages[0].content"),
            (#"{"messages":[{"role":"user","content":[{"type":"image"}]}]}"#, "messages[0].content[0].source"),
            (#"{"messages":[{"role":"user","content":[{"type":"document"}]}]}"#, "messages[0].content[0].source"),
            (
                #"{"messages":[{"role":"user","content":[{"type":"image","source":{"data":"aaaa"}}]}]}"#,
                "messages[0].content[0].source.type"
            ),
            (
                #"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url"}}]}]}"#,
                "messages[0].content[0].source.url"
            ),
            (
                #"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"@@@"}}]}]}"#,
                "messages[0].content[0].source.data"
            ),
            (#"{"messages":[]}"#, "messages"),
            (#"{"messages":[{"role":"user","content":""}]}"#, "messages"),
            (#"{"messages":[\#(userHi)],"temperature":7}"#, "temperature"),
            (#"{"messages":[\#(userHi)],"temperature":1e999}"#, "temperature"),
            (#"{"messages":[\#(userHi)],"temperature":-1}"#, "temperature"),
            (#"{"messages":[\#(userHi)],"top_p":1.5}"#, "top_p"),
            (#"[]"#, nil),
        ] as [(String, String?)])
    func paths(_ body: String, _ path: String?) throws {
        let error = refusal { try translatedToChat(body: body) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.param == path, "\(error?.message ?? "")")
        if let path { #expect(error?.message.hasPrefix("\(path): ") == true) }
    }
}
