import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Replies in rounds")
struct RoundsTests {
    static let request =
        "{'model':'m','stream':true,'input':'hi','tools':[{'type':'mcp','server_label':'wiki'},"
        + "{'type':'function','name':'own','parameters':{'type':'object','properties':{}}}]}"
    static let chat = "{'model':'m','stream':true,'messages':[{'role':'user','content':'hi'}]}"

    @Test("A Responses client reads one reply: the list of tools, each call with its output, and the answer")
    func responses() throws {
        let rounds = try Rounds.play(
            Self.request, from: .responses,
            [Rounds.calling("lookup|{'q':'7'}", saying: "Let me see."), Rounds.answering("Paper.")])
        let reader = StrictResponsesReader(rounds.text)
        #expect(reader.faults == [])
        #expect(rounds.finding == .complete)
        #expect(rounds.calls == [#"lookup {"q":"7"}"#])
        let output = try #require(reader.response["output"]?.array)
        #expect(output.map { $0["type"]?.string } == ["mcp_list_tools", "message", "mcp_call", "message"])
        #expect(output[0]["server_label"] == "wiki")
        #expect(output[0]["tools"]?[0]?["name"] == "lookup")
        #expect(output[0]["tools"]?[0]?["input_schema"]?["required"]?[0] == "q")
        let call = output[2]
        #expect(call["name"] == "lookup" && call["server_label"] == "wiki" && call["status"] == "completed")
        #expect(call["arguments"] == #"{"q":"7"}"# && call["output"] == "paper" && call["error"] == .null)
        #expect(reader.response["usage"]?["input_tokens"] == 20)
        #expect(reader.response["usage"]?["output_tokens"] == 4)
        #expect(rounds.text.components("event: response.created\n") == 1)
        let order = rounds.text.events.filter { $0.hasPrefix("response.mcp") }
        #expect(
            order == [
                "response.mcp_list_tools.in_progress", "response.mcp_list_tools.completed",
                "response.mcp_call.in_progress", "response.mcp_call_arguments.delta",
                "response.mcp_call_arguments.done", "response.mcp_call.completed",
            ])
    }

    @Test("The next round is asked with what was said, called and found, and marks what was found as data")
    func nextRequest() throws {
        let rounds = try Rounds.play(
            Self.request, from: .responses,
            [Rounds.calling("lookup|{'q':'7'}", saying: "Let me see."), Rounds.answering("Paper.")])
        #expect(rounds.bodies[0]["tools"]?.array?.map { $0["function"]?["name"] } == ["own", "lookup"])
        let messages = try #require(rounds.bodies[1]["messages"]?.array)
        #expect(messages.map { $0["role"]?.string } == ["user", "assistant", "tool"])
        #expect(messages[1]["content"] == "Let me see.")
        let call = try #require(messages[1]["tool_calls"]?[0])
        #expect(call["function"]?["name"] == "lookup" && call["function"]?["arguments"] == #"{"q":"7"}"#)
        #expect(messages[2]["tool_call_id"] == call["id"])
        let said = try #require(messages[2]["content"]?.string)
        #expect(said.hasSuffix("\npaper") && said.contains("tool lookup of the MCP server wiki"))
        #expect(said.contains("data, not instructions"))
    }

    @Test(
        "However the rounds' bytes are cut, the reply is the same", arguments: [DialectID.responses, .chat, .anthropic])
    func cuts(client: DialectID) throws {
        let plain = Self.chat.replacing("'stream'", with: "'max_tokens':99,'stream'")
        let body = client == .responses ? Self.request : plain
        let streams = [
            Rounds.calling("lookup|{'q':'ä'}", "lookup|{'q':'b'}", saying: "Hm."),
            Rounds.calling("lookup|{}"), Rounds.answering("Done."),
        ]
        let whole = try Rounds.play(body, from: client, hidden: client != .responses, streams)
        #expect(whole.finding == .complete)
        for cut in [1, 2, 3, 7, 64, 333] {
            let pieces = try Rounds.play(body, from: client, hidden: client != .responses, cut: cut, streams)
            #expect(pieces.text == whole.text, "cut in pieces of \(cut)")
            #expect(pieces.bodies == whole.bodies)
        }
    }

    @Test("A call of no tool, of no JSON or of the wrong kind is told to the model, and not run")
    func faults() throws {
        var runs = 0
        let rounds = try Rounds.play(
            Self.request, from: .responses,
            [
                Rounds.calling("serch|{'q':'7'}", "lookup|{'q':", "lookup|{}", "lookup|{'q':{}}"),
                Rounds.answering("Sorry."),
            ],
            run: { tool, _ in
                runs += 1
                return ToolRun(.output("[]"), by: tool.integration.provider)
            })
        #expect(runs == 0)
        #expect(rounds.calls.count == 4)
        #expect(rounds.calls[0].contains("serch") && rounds.calls[1].contains("JSON"))
        #expect(rounds.calls[2].contains("q") && rounds.calls[3].contains("/q"))
        let messages = try #require(rounds.bodies[1]["messages"]?.array)
        let told = messages.filter { $0["role"] == "tool" }.map { $0["content"]?.string }
        #expect(told == rounds.calls.map { "[tool error] \($0)" })
        let output = try #require(StrictResponsesReader(rounds.text).response["output"]?.array)
        #expect(output.filter { $0["type"] == "mcp_call" }.map { $0["error"]?.string } == rounds.calls)
        #expect(output.filter { $0["type"] == "mcp_call" }.allSatisfy { $0["status"] == "failed" })
    }

    @Test("An argument in another type than the schema's is run in the schema's where only one thing can be meant")
    func fitted() throws {
        let tool = Rounds.tool("wiki", "count", schema: "{'type':'object','properties':{'n':{'type':'integer'}}}")
        let rounds = try Rounds.play(
            Self.request, from: .responses, tools: [tool],
            [Rounds.calling("count|{'n':'5'}"), Rounds.answering("Five.")])
        #expect(rounds.calls == [#"count {"n":5}"#])
    }

    @Test("Beside calls of the client's own, ours are run, and the reply ends with the client's")
    func mixed() throws {
        let rounds = try Rounds.play(
            Self.request, from: .responses, [Rounds.calling("lookup|{'q':'7'}", "own|{}")])
        #expect(rounds.finding == .complete)
        let output = try #require(StrictResponsesReader(rounds.text).response["output"]?.array)
        #expect(output.map { $0["type"]?.string } == ["mcp_list_tools", "mcp_call", "function_call"])
        #expect(output[1]["output"] == "paper")
        #expect(output[2]["name"] == "own")
    }

    @Test("A Chat client sees the text of all rounds and nothing else")
    func hidden() throws {
        let rounds = try Rounds.play(
            Self.chat, from: .chat, hidden: true,
            [Rounds.calling("lookup|{'q':'7'}", saying: "Let me see."), Rounds.answering("Paper.")])
        #expect(!rounds.text.contains("tool_calls") && !rounds.text.contains("lookup"))
        #expect(rounds.text.components("[DONE]") == 1)
        #expect(rounds.text.components("\"role\":\"assistant\"") == 1)
        #expect(rounds.text.components("\"finish_reason\":\"stop\"") == 1)
        let said = rounds.text.split(separator: "\n").compactMap { line in
            try? JSON(parsing: String(line.dropFirst(6)))["choices"]?[0]?["delta"]?["content"]?.string
        }
        #expect(said.joined() == "Let me see.\n\nPaper.")
    }

    @Test("A reply in rounds is one: more choices are refused")
    func choices() throws {
        let error = #expect(throws: GatewayError.self) {
            try Rounds.play(
                Self.chat.replacing("'stream'", with: "'n':2,'stream'"), from: .chat, hidden: true,
                [Rounds.answering("Hi.")])
        }
        #expect(error?.param == "n" && error?.message.contains("MCP servers") == true)
    }

    @Test("Where the client sees nothing of ours, its own calls go first, and ours are left to be asked for again")
    func hiddenMixed() throws {
        let body =
            "{'model':'m','stream':true,'messages':[{'role':'user','content':'hi'}],'tools':[{'type':'function',"
            + "'function':{'name':'own','parameters':{'type':'object','properties':{}}}}]}"
        let rounds = try Rounds.play(
            body, from: .chat, hidden: true, [Rounds.calling("lookup|{'q':'7'}", "own|{}")])
        #expect(rounds.finding == .complete && rounds.calls.isEmpty)
        #expect(rounds.text.contains("\"name\":\"own\"") && !rounds.text.contains("lookup"))
        #expect(rounds.text.contains("\"finish_reason\":\"tool_calls\""))
    }

    @Test("A client that wants no stream gets the same in one piece")
    func folded() throws {
        let rounds = try Rounds.play(
            Self.request.replacing("true", with: "false"), from: .responses, streams: false,
            [Rounds.calling("lookup|{'q':'7'}"), Rounds.answering("Paper.")])
        let whole = try JSON(parsing: rounds.text)
        #expect(whole["status"] == "completed")
        #expect(
            whole["output"]?.array?.map { $0["type"]?.string } == ["mcp_list_tools", "mcp_call", "message"])
        #expect(whole["output"]?[1]?["output"] == "paper")
        #expect(whole["usage"]?["total_tokens"] == 24)
    }

    @Test("What a limit has cut off is not run")
    func cutOff() throws {
        let stream = Rounds.calling("lookup|{'q':'7'}")
            .replacing("\"finish_reason\":\"tool_calls\"", with: "\"finish_reason\":\"length\"")
        let rounds = try Rounds.play(Self.request, from: .responses, [stream])
        #expect(rounds.finding == .complete && rounds.calls.isEmpty)
        let response = StrictResponsesReader(rounds.text).response
        #expect(response["status"] == "incomplete")
        #expect(response["output"]?[1]?["status"] == "incomplete")
    }

    @Test("Tools of one name at two servers, or beside the client's own, are told apart")
    func names() throws {
        let tools = [Rounds.tool("wiki", "lookup"), Rounds.tool("crm", "lookup"), Rounds.tool("crm", "own")]
        let body = Self.request.replacing(
            "{'type':'mcp','server_label':'wiki'}",
            with: "{'type':'mcp','server_label':'wiki'},{'type':'mcp','server_label':'crm'}")
        let rounds = try Rounds.play(
            body, from: .responses, tools: tools,
            [Rounds.calling("crm__lookup|{'q':'7'}"), Rounds.answering("Done.")])
        #expect(
            rounds.bodies[0]["tools"]?.array?.map { $0["function"]?["name"]?.string } == [
                "own", "wiki__lookup", "crm__lookup", "crm__own",
            ])
        let output = try #require(StrictResponsesReader(rounds.text).response["output"]?.array)
        let call = try #require(output.first { $0["type"] == "mcp_call" })
        #expect(call["name"] == "lookup" && call["server_label"] == "crm")
    }

    @Test("A call that is demanded is demanded in the first round only")
    func choice() throws {
        let rounds = try Rounds.play(
            Self.request.replacing("'input'", with: "'tool_choice':{'type':'mcp','server_label':'wiki'},'input'"),
            from: .responses, [Rounds.calling("lookup|{'q':'7'}"), Rounds.answering("Paper.")])
        #expect(rounds.bodies[0]["tool_choice"] == "required")
        #expect(rounds.bodies[0]["tools"]?.array?.map { $0["function"]?["name"]?.string } == ["lookup"])
        #expect(rounds.bodies[1]["tool_choice"] == nil)
        #expect(rounds.bodies[1]["tools"]?.array?.count == 2)
    }

    @Test("A conversation with calls that were run here goes on where it stopped")
    func history() throws {
        let first = try Rounds.play(
            Self.request, from: .responses, [Rounds.calling("lookup|{'q':'7'}"), Rounds.answering("Paper.")])
        let output = try #require(StrictResponsesReader(first.text).response["output"]?.array)
        let before = output.map { String(buffer: $0.buffer) }.joined(separator: ",")
        let second = try Rounds.play(
            Self.request.replacing(
                "'input':'hi'",
                with: "'input':[{'role':'user','content':'hi'},\(before),{'role':'user','content':'why?'}]"),
            from: .responses, [Rounds.answering("Because.")])
        let messages = try #require(second.bodies[0]["messages"]?.array)
        #expect(messages.map { $0["role"]?.string } == ["user", "assistant", "tool", "assistant", "user"])
        let asked = try #require(first.bodies[1]["messages"]?.array)
        #expect(Array(messages.prefix(3)) == asked, "the prompt begins as the round before it")
        #expect(!second.text.contains("mcp_list_tools"), "the tools are told once")
    }

    @Test("A result that is too long is cut, and says so")
    func long() throws {
        let text = String(repeating: "ä", count: 1000)
        let run = ToolRun(.output(json("[{'type':'text','text':'\(text)'}]")), by: nil)
        let cut = run.cut(to: 101)
        guard case .output(let shown) = cut.outcome else {
            Issue.record("it is no output any more")
            return
        }
        let contents = try JSON(parsing: shown)
        #expect(contents[0]?["text"]?.string?.hasPrefix("äää") == true)
        #expect(contents[1]?["text"]?.string?.contains("cut here") == true)
        #expect(cut.bytes < 400)
        #expect(run.cut(to: 5000) == run)
    }

    @Test("What is between a client and its server is not repeated")
    func secrets() throws {
        let rounds = try Rounds.play(
            Self.request.replacing(
                "'server_label':'wiki'",
                with: "'server_label':'wiki','server_url':'https://wiki.example/mcp','headers':{'X-Key':'hush'},"
                    + "'authorization':'hush'"),
            from: .responses, [Rounds.answering("Hi.")])
        #expect(!rounds.text.contains("hush"))
        #expect(rounds.text.contains("https://wiki.example/mcp"))
        #expect(rounds.bodies.allSatisfy { !String(buffer: $0.buffer).contains("hush") })
    }

    @Test(
        "A server that cannot be understood is refused by name",
        arguments: [
            ("{'type':'mcp'}", "server_label"),
            ("{'type':'mcp','server_label':'a','connector_id':'c'}", "connector_id"),
            ("{'type':'mcp','server_label':'a','require_approval':'always'}", "require_approval"),
            ("{'type':'mcp','server_label':'a','require_approval':{'never':{}}}", "require_approval"),
            ("{'type':'mcp','server_label':'a','require_approval':{'always':{'tool_names':['x']}}}", "{\"never\": "),
            ("{'type':'mcp','server_label':'a','require_approval':{'never':{'read_only':true}}}", "{\"tool_names\": "),
            ("{'type':'mcp','server_label':'a','allowed_tools':'x'}", "allowed_tools"),
            ("{'type':'mcp','server_label':'a','allowed_tools':{'read_only':true}}", "allowed_tools: name the tools"),
            ("{'type':'mcp','server_label':'a','server_url':'https://a','headers':{'a':1}}", "a"),
        ])
    func refused(tool: String, name: String) throws {
        let document = try JSONDocument(checking: ByteBuffer(json: "{'tools':[\(tool)]}"))
        let error = #expect(throws: GatewayError.self) { try Dialects.integrations(of: document, from: .responses) }
        #expect(error?.message.contains(name) == true)
        #expect(error?.code == .invalidRequest)
    }

    @Test(
        "Of a server's tools those are offered whose calls nobody has to approve",
        arguments: [
            ("", nil), ("'require_approval':'never'", nil), ("'require_approval':null", nil),
            ("'require_approval':{'never':{'tool_names':['x','y']}}", ["x", "y"]),
            ("'require_approval':{'never':{'tool_names':['x','y']},'always':{'tool_names':['y']}}", ["x"]),
            ("'require_approval':{'never':{'tool_names':['x','y']}},'allowed_tools':['y','z']", ["y"]),
            ("'require_approval':{'never':{'tool_names':[]}}", []),
            ("'allowed_tools':{'tool_names':['y']}", ["y"]),
        ] as [(String, [String]?)])
    func approval(form: String, allowed: [String]?) throws {
        let more = form.isEmpty ? "" : ",\(form)"
        let document = try JSONDocument(
            checking: ByteBuffer(json: "{'tools':[{'type':'mcp','server_label':'a'\(more)}]}"))
        #expect(try Dialects.integrations(of: document, from: .responses).map(\.allowedTools) == [allowed])
    }

    @Test("Servers are read as each dialect names them")
    func integrations() throws {
        let responses = try JSONDocument(
            checking: ByteBuffer(
                json: "{'tools':[{'type':'mcp','server_label':'a','server_url':'https://a/mcp','headers':{'X':'1'},"
                    + "'authorization':'t','allowed_tools':['x'],'require_approval':'never'},"
                    + "{'type':'mcp','server_label':'b','allowed_tools':{'tool_names':['y']}}]}"))
        #expect(
            try Dialects.integrations(of: responses, from: .responses) == [
                Integration(
                    .ephemeral(label: "a", url: "https://a/mcp", headers: ["X": "1", "Authorization": "Bearer t"]),
                    allowedTools: ["x"]), Integration(.installed(label: "b"), allowedTools: ["y"]),
            ])
        let messages = try JSONDocument(
            checking: ByteBuffer(
                json: "{'mcp_servers':[{'type':'url','name':'a','url':'https://a/mcp','authorization_token':'t'}],"
                    + "'tools':[{'type':'mcp_toolset','mcp_server_name':'a','default_config':{'enabled':false},"
                    + "'configs':{'x':{'enabled':true},'y':{'enabled':false}}}]}"))
        #expect(
            try Dialects.integrations(of: messages, from: .anthropic) == [
                Integration(
                    .ephemeral(label: "a", url: "https://a/mcp", headers: ["Authorization": "Bearer t"]),
                    allowedTools: ["x"])
            ])
        #expect(try Dialects.integrations(of: messages, from: .chat).isEmpty)
        let native = try JSONDocument(
            checking: ByteBuffer(
                json: "{'input':'hi','previous_response_id':'resp_1','integrations':['mcp/a',{'type':'ephemeral_mcp',"
                    + "'server_label':'b','server_url':'https://b/mcp','headers':{'X':'1'}}]}"))
        #expect(
            try Dialects.integrations(of: native, from: .lmstudio) == [
                Integration(.installed(label: "a")),
                Integration(.ephemeral(label: "b", url: "https://b/mcp", headers: ["X": "1"])),
            ])
    }

    @Test("Of a client that wants no call nothing is run, whatever the model says")
    func barred() throws {
        let body = Self.chat.replacing("'stream'", with: "'tool_choice':'none','stream'")
        let rounds = try Rounds.play(
            body, from: .chat, hidden: true, [Rounds.calling("lookup|{'q':'7'}"), Rounds.answering("Paper.")])
        #expect(rounds.calls == ["Cannot find tool with name lookup."])
    }

    @Test("A Messages client of servers it names reads each call and its result as blocks")
    func messages() throws {
        let body =
            "{'model':'m','max_tokens':99,'stream':true,'messages':[{'role':'user','content':'hi'}],"
            + "'mcp_servers':[{'type':'url','name':'wiki','url':'https://wiki.example/mcp'}]}"
        let rounds = try Rounds.play(
            body, from: .anthropic,
            [Rounds.calling("lookup|{'q':'7'}", "lookup|{'q':'8'}"), Rounds.answering("Paper.")])
        let reader = StrictAnthropicReader(rounds.text)
        #expect(reader.faults == [])
        let content = try #require(reader.message["content"]?.array)
        #expect(
            content.map { $0["type"]?.string } == [
                "mcp_tool_use", "mcp_tool_use", "mcp_tool_result", "mcp_tool_result", "text",
            ])
        #expect(content[0]["server_name"] == "wiki" && content[2]["tool_use_id"] == content[0]["id"])
        #expect(content[2]["content"]?[0]?["text"] == "paper")
        #expect(reader.message["stop_reason"] == "end_turn")
    }
}

extension String {
    fileprivate func components(_ word: String) -> Int { ranges(of: word).count }
}
