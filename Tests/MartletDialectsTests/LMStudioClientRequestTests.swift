import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Requests of clients of LM Studio's own API.
@Suite("Requests of clients of LM Studio's own API")
struct LMStudioClientRequestTests {
    static func document(_ text: String) throws -> JSONDocument {
        try JSONDocument(checking: ByteBuffer(string: json(text)))
    }

    static func settled(_ text: String, _ form: NativeForm = .strict) throws -> JSON {
        try JSON(parsing: LMStudioRequest.settled(document(text), form).bytes)
    }

    static func translated(
        _ text: String, to upstream: UpstreamDialect = .chat, _ change: (inout Capabilities) -> Void = { _ in }
    ) throws -> Translation {
        var flags = Capabilities()
        flags.localSampling = .repeatPenalty
        flags.topK = true
        change(&flags)
        return try Translation(
            Dialects.translateRequest(
                LMStudioRequest.settled(document(text), .extended), from: .lmstudio, to: upstream,
                for: WriteTarget(model: "up", capabilities: flags, streams: false)))
    }

    @Test("every member LM Studio takes is taken")
    func all() throws {
        let body = try Self.settled(
            """
            {'model':'m','input':[{'type':'text','content':'a'},{'type':'image','data_url':'data:image/png;base64,\(pixel)'}],
            'system_prompt':'s','integrations':['mcp/files',{'type':'plugin','id':'mcp/x','allowed_tools':['t']},
            {'type':'ephemeral_mcp','server_label':'w','server_url':'https://e.example/mcp','allowed_tools':[],'headers':{'A':'b'}}],
            'stream':true,'temperature':1,'top_p':0.5,'top_k':40,'min_p':0.05,'repeat_penalty':1.1,'max_output_tokens':9,
            'reasoning':'on','context_length':4096,'store':false,'previous_response_id':'resp_1'}
            """)
        #expect(
            body["input"] == [
                ["type": "message", "role": "system", "content": [["type": "input_text", "text": "s"]]],
                [
                    "type": "message", "role": "user",
                    "content": [
                        ["type": "input_text", "text": "a"],
                        ["type": "input_image", "image_url": "data:image/png;base64,\(pixel)"],
                    ],
                ],
            ])
        #expect(body["system_prompt"] == nil && body["context_length"] == 4096)
    }

    /// The body, what code it is refused with, the member at fault, and what the sentence says.
    static let refused: [(String, ErrorCode, String?, String)] = [
        ("{'input':'a'}", .missingParameter, "model", "\"model\" is required"),
        ("{'model':'m'}", .missingParameter, "input", "\"input\" is required"),
        ("{'model':null,'input':'a'}", .missingParameter, "model", "\"model\" is required"),
        ("{'model':'m','input':7}", .invalidUnion, "input", "a string or a list"),
        ("{'model':'m','input':[{'type':'audio'}]}", .invalidUnion, "input", "input[0].type"),
        ("{'model':'m','input':['a']}", .invalidUnion, "input", "input[0]"),
        ("{'model':'m','input':[{'type':'text'}]}", .missingParameter, "input[0].content", "is required"),
        ("{'model':'m','input':[{'type':'text','content':7}]}", .invalidRequest, "input[0].content", "a string"),
        (
            "{'model':'m','input':[{'type':'text','content':'a','text':'b'}]}", .unrecognizedKeys, "input[0]",
            "Unrecognized key(s) in object: 'text'"
        ),
        (
            "{'model':'m','input':[{'role':'assistant','content':'a'}]}", .invalidUnion, "input", "input[0].type"
        ),
        (
            "{'model':'m','input':[{'type':'image','data_url':'https://a.example/a.png'}]}", .invalidRequest,
            "input[0].data_url", "data URL"
        ),
        (
            "{'model':'m','input':'a','stop':['x'],'seed':1}", .unrecognizedKeys, nil,
            "Unrecognized key(s) in object: 'stop', 'seed'. With server.native: extended this server takes stop, seed"
        ),
        ("{'model':'m','input':'a','messages':[]}", .unrecognizedKeys, nil, "object: 'messages'"),
        ("{'model':'m','input':'a','temperature':1.5}", .invalidRequest, "temperature", "between 0 and 1 (got 1.5)"),
        ("{'model':'m','input':'a','repeat_penalty':0}", .invalidRequest, "repeat_penalty", "above 0 (got 0)"),
        ("{'model':'m','input':'a','temperature':'1'}", .invalidRequest, "temperature", "a number"),
        ("{'model':'m','input':'a','stream':1}", .invalidRequest, "stream", "true or false"),
        ("{'model':'m','input':'a','reasoning':'xhigh'}", .invalidRequest, "reasoning", "off, low, medium, high, on"),
        ("{'model':'m','input':'a','context_length':0}", .invalidRequest, "context_length", "at least 1"),
        (
            "{'model':'m','input':'a','previous_response_id':'chat_1'}", .invalidRequest, "previous_response_id",
            "begins with resp_"
        ),
        ("{'model':'m','input':'a','integrations':'mcp/files'}", .invalidRequest, "integrations", "a list"),
        ("{'model':'m','input':'a','integrations':[{'type':'x'}]}", .invalidUnion, "integrations", "integrations[0]"),
        (
            "{'model':'m','input':'a','integrations':[{'type':'ephemeral_mcp','server_label':'w'}]}", .missingParameter,
            "integrations[0].server_url", "is required"
        ),
        (
            "{'model':'m','input':'a','integrations':[{'type':'plugin','id':'mcp/x','url':'y'}]}", .unrecognizedKeys,
            "integrations[0]", "'url'"
        ),
        ("{'model':'m','input':''}", .invalidRequest, "input", "says something"),
        ("{'model':'m','input':[]}", .invalidRequest, "input", "says something"),
        ("{'model':'m','input':'a','model':'b'}", .invalidRequest, "model", "model"),
    ]

    @Test("what it would refuse is refused, with the member and the code it has for that", arguments: refused)
    func strict(body: String, code: ErrorCode, param: String?, sentence: String) {
        let error = #expect(throws: GatewayError.self) { try Self.settled(body) }
        #expect(error?.code == code)
        #expect(error?.param == param)
        #expect(error?.message.contains(sentence) == true, "\(error?.message ?? "")")
    }

    @Test("settings go up as the upstream has them")
    func settings() throws {
        let body = try Self.translated(
            "{'model':'m','input':'hi','temperature':0.20,'top_p':0.9,'top_k':40,'min_p':0.05,'repeat_penalty':1.10,'max_output_tokens':9}"
        ).json
        #expect(body["temperature"]?.double == 0.20 && body["top_p"]?.double == 0.9 && body["top_k"] == 40)
        #expect(body["min_p"]?.double == 0.05 && body["repeat_penalty"]?.double == 1.10 && body["max_tokens"] == 9)
        #expect(body["messages"] == [["role": "user", "content": "hi"]])
        let other = try Self.translated("{'model':'m','input':'hi','repeat_penalty':1.10}") {
            $0.localSampling = .repetitionPenalty
        }
        #expect(other.json["repetition_penalty"]?.double == 1.1 && other.request.dropped == [])
        let none = try Self.translated("{'model':'m','input':'hi','min_p':0.1}") { $0.localSampling = .none }
        #expect(none.request.dropped == ["min_p"])
    }

    @Test(
        "reasoning is switched, or an effort asked for, as the upstream has it",
        arguments: [
            ("off", "none", false), ("low", "low", true), ("medium", "medium", true), ("high", "high", true),
            ("on", "medium", true),
        ])
    func reasoning(word: String, effort: String, isOn: Bool) throws {
        let body = "{'model':'m','input':'hi','reasoning':'\(word)'}"
        let asked = try Self.translated(body) { $0.thinkingControl = .effort }
        #expect(asked.json["reasoning_effort"]?.string == effort)
        let switched = try Self.translated(body) { $0.thinkingControl = .enableThinking }
        #expect(switched.json["chat_template_kwargs"]?["enable_thinking"] == .bool(isOn))
        let own = try Self.translated(body, to: .lmstudio)
        #expect(own.json["reasoning"]?.string == word)
    }

    @Test("what only an extended request may say goes up as in Chat")
    func extended() throws {
        let more =
            "'stop':'x','seed':7,'ttl':60,'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':'required',"
            + "'response_format':{'type':'json_object'}"
        let body = try Self.translated("{'model':'m','input':'hi',\(more)}").json
        #expect(body["stop"] == ["x"] && body["seed"] == 7 && body["tool_choice"] == "required")
        #expect(body["tools"]?[0]?["function"]?["name"] == "f" && body["response_format"]?["type"] == "json_object")
        #expect(body["ttl"] == nil)
    }

    @Test("turns of an extended request are those of the conversation")
    func turns() throws {
        let body = try Self.translated(
            """
            {'model':'m','system_prompt':'s','input':[{'type':'text','content':'a'},{'role':'assistant','content':'b'},
            {'type':'text','role':'user','content':'c'},{'type':'function_call','call_id':'k','name':'f','arguments':'{}'},
            {'type':'function_call_output','call_id':'k','output':'r'}]}
            """
        ).json
        #expect(
            body["messages"]?.array?.compactMap { $0["role"]?.string } == [
                "system", "user", "assistant", "user", "assistant", "tool",
            ])
        #expect(body["messages"]?[4]?["tool_calls"]?[0]?["id"] == "k")
    }

    @Test("one system prompt goes up, the newest, whatever the conversation began with")
    func systemPrompt() throws {
        func message(_ role: String, _ text: String) -> ByteBuffer {
            ByteBuffer(json: "{'type':'message','role':'\(role)','content':'\(text)'}")
        }
        let before = [message("system", "old"), message("user", "a"), message("assistant", "b")]
        let document = try Self.document("{'model':'m','input':[],'system_prompt':'gone'}")
        let renewed = try LMStudioRequest.led(
            document, before: before, own: [message("system", "new"), message("user", "c")])
        #expect(renewed.before == [message("system", "new")] + before.dropFirst())
        #expect(renewed.own == [message("user", "c")])
        let kept = try LMStudioRequest.led(document, before: before, own: [message("user", "c")])
        #expect(kept.before == before)
        for (document, prompt) in [(renewed.document, "new"), (kept.document, "old")] {
            let body = try Translation(
                Dialects.translateRequest(
                    document, from: .lmstudio, to: .chat,
                    for: WriteTarget(model: "up", capabilities: Capabilities(), streams: false))
            ).json
            let roles = body["messages"]?.array?.compactMap { $0["role"]?.string }
            #expect(roles == ["system", "user", "assistant", "user"])
            #expect(body["messages"]?[0]?["content"]?.string == prompt)
        }
    }

    @Test("what LM Studio's own API cannot carry is known before it is asked")
    func fits() throws {
        for (body, fits) in [
            ("{'model':'m','system_prompt':'s','input':'a'}", true),
            ("{'model':'m','input':[{'type':'text','content':'a'},{'role':'assistant','content':'b'}]}", false),
            ("{'model':'m','input':'a','tools':[]}", false), ("{'model':'m','input':'a','stop':'x'}", false),
        ] {
            #expect(LMStudioRequest.fitsOwnAPI(try LMStudioRequest.settled(Self.document(body), .extended)) == fits)
        }
    }

    @Test("the tools of MCP servers are read with all that is said of them")
    func integrations() throws {
        let request = try LMStudioRequest.read(
            Self.document(
                "{'model':'m','input':'a','integrations':['mcp/files',{'type':'plugin','id':'mcp/x','allowed_tools':['t']},"
                    + "{'type':'ephemeral_mcp','server_label':'w','server_url':'https://e.example/mcp','headers':{'A':'b'}}]}"
            ))
        #expect(
            request.integrations == [
                Integration(.installed(label: "files")), Integration(.installed(label: "x"), allowedTools: ["t"]),
                Integration(.ephemeral(label: "w", url: "https://e.example/mcp", headers: ["A": "b"])),
            ])
        #expect(
            refusal { try Self.translated("{'model':'m','input':'a','integrations':['mcp/x']}") }?.code == .mcpDenied)
    }
}
