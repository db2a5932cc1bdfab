import MartletDialects
import Testing

/// Something a request says, and what has to become of it.
struct LossCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var client: DialectID
    var upstream: String
    var body: String
    /// What the upstream's request contains.
    var carried: [String]
    var dropped: [String]

    /// - Parameters:
    ///   - messages: the list of the client's turns.
    ///   - up: as `DialectTableTests.upstreams` calls it.
    init(
        _ name: String, _ client: DialectID, _ messages: String, _ more: String = "", up: String,
        carried: [String] = [], dropped: [String] = []
    ) {
        testDescription = "\(name), \(client.rawValue) → \(up)"
        self.client = client
        upstream = up
        let list =
            switch client {
            case .chat: "'messages':[\(messages)]"
            case .completions: "'prompt':'hi'"
            case .anthropic: "'max_tokens':9,'messages':[\(messages)]"
            case .responses, .lmstudio: "'input':[\(messages)]"
            }
        body = json("{'model':'m',\(list)\(more.isEmpty ? "" : ",\(more)")}")
        self.carried = carried.map(json)
        self.dropped = dropped
    }
}

extension LossCase {
    static let claude = "Anthropic"
    static let gpt = "Responses"
    static let local = "Chat, unknown server"
    static let able = "Chat, all capabilities"
    static let studio = "LM Studio's own"

    static let hi = "{'role':'user','content':'hi'}"
    static let pixel = "{'type':'image','source':{'type':'base64','media_type':'image/png','data':'iVBORw0KGgo='}}"
    static let notes = "data:text/csv;base64,YSxi"

    /// What the API ran itself, between two questions.
    static func found(_ type: String, _ content: String) -> String {
        let kind = type.hasPrefix("mcp") ? "mcp_tool_use','server_name':'wiki" : "server_tool_use"
        let use = "{'type':'\(kind)','id':'srvtoolu_1','name':'look','input':{}}"
        let result = "{'type':'\(type)','tool_use_id':'srvtoolu_1','content':\(content)}"
        return "\(hi),{'role':'assistant','content':[\(use),\(result)]},\(hi)"
    }

    static func page(_ source: String) -> String {
        found(
            "web_fetch_tool_result",
            "{'type':'web_fetch_result','url':'https://a.example/','content':{'type':'document','title':'Home','source':\(source)}}"
        )
    }

    static let text = "{'type':'text','media_type':'text/plain','data':'the page'}"
    static let pdf = "{'type':'base64','media_type':'application/pdf','data':'JVBERi0='}"

    static let histories: [LossCase] =
        [local, able, gpt].map {
            LossCase(
                "a fetched page", .anthropic, page(text), up: $0, carried: ["https://a.example/", "Home\\n\\nthe page"])
        } + [
            LossCase(
                "a fetched PDF", .anthropic, page(pdf), up: able, carried: ["[document omitted]"],
                dropped: ["content.document"]),
            LossCase(
                "a search result of an MCP server", .anthropic,
                found(
                    "mcp_tool_result",
                    "[{'type':'search_result','source':'https://b.example/','title':'B','content':[{'type':'text','text':'said'}]}]"
                ), up: local, carried: ["https://b.example/", "said"]),
            LossCase(
                "an image of an MCP server", .anthropic, found("mcp_tool_result", "[\(pixel)]"), up: able,
                carried: ["data:image/png;base64,iVBORw0KGgo="]),
            LossCase(
                "an image the assistant gave", .anthropic,
                "\(hi),{'role':'assistant','content':[{'type':'text','text':'x'},\(pixel)]},\(hi)", up: gpt,
                carried: ["[image omitted]"], dropped: ["content.image"]),
            LossCase(
                "an image the assistant gave", .anthropic,
                "\(hi),{'role':'assistant','content':[{'type':'text','text':'x'},\(pixel)]},\(hi)", up: able,
                carried: ["[image omitted]"], dropped: ["content.image"]),
            LossCase(
                "an answer in speech", .chat, "\(hi),{'role':'assistant','content':null,'audio':{'id':'a'}},\(hi)",
                up: claude, dropped: ["messages.audio"]),
        ]
        + ["user", "system", "assistant"].map {
            LossCase(
                "who speaks", .chat, "\(hi),{'role':'\($0)','name':'ann','content':'I'},\(hi)", up: gpt,
                dropped: ["messages.name"])
        } + [
            LossCase(
                "the name of a tool", .chat,
                "\(hi),{'role':'assistant','tool_calls':[{'id':'c','function':{'name':'f','arguments':'{}'}}]},{'role':'tool','name':'f','tool_call_id':'c','content':'r'}",
                up: gpt)
        ]

    static let instructions: [LossCase] = [
        LossCase(
            "a search result in the system text", .anthropic, hi,
            "'system':[{'type':'text','text':'a'},{'type':'search_result','source':'s','title':'t','content':[{'type':'text','text':'known'}]}]",
            up: local, carried: ["known"]),
        LossCase(
            "an image and a new block in the system text", .anthropic, hi,
            "'system':[{'type':'text','text':'a'},\(pixel),{'type':'zz','text':'z'}]", up: local, carried: ["'a'"],
            dropped: ["content.image", "content.zz"]),
        LossCase(
            "an image in a later system message", .anthropic,
            "\(hi),{'role':'assistant','content':'x'},\(hi),{'role':'system','content':[{'type':'text','text':'z'},\(pixel)]}",
            up: gpt, dropped: ["content.image"]),
        LossCase(
            "an image in a system message", .chat,
            "{'role':'system','content':[{'type':'text','text':'a'},{'type':'image_url','image_url':{'url':'data:image/png;base64,iVBORw0KGgo='}}]},\(hi)",
            up: claude, dropped: ["content.image"]),
        LossCase(
            "a new part in a developer message", .responses,
            "{'role':'developer','content':[{'type':'input_text','text':'a'},{'type':'zz'}]},\(hi)", up: local,
            carried: ["'a'"], dropped: ["content.zz"]),
        LossCase(
            "instructions as a list of messages", .responses, hi,
            "'instructions':[{'role':'developer','content':'Be brief.'},{'role':'system','content':[{'type':'input_text','text':'Be kind.'}]}]",
            up: local, carried: ["Be brief.\\n\\nBe kind."]),
    ]

    static let files: [LossCase] =
        [
            LossCase(
                "what a PDF is about", .anthropic,
                "{'role':'user','content':[{'type':'document','title':'t.pdf','context':'of May','source':\(pdf)}]}",
                up: gpt,
                carried: ["'of May'", "'t.pdf'", "JVBERi0="]),
            LossCase(
                "what a PDF is about", .anthropic,
                "{'role':'user','content':[{'type':'document','title':'t.pdf','context':'of May','source':\(pdf)}]}",
                up: able, carried: ["'of May'", "'t.pdf'", "JVBERi0="]),
            LossCase(
                "what a PDF is about that cannot be read", .anthropic,
                "{'role':'user','content':[{'type':'document','context':'of May','source':\(pdf)}]}", up: local,
                carried: ["of May\\n\\n[document omitted: application/pdf]"], dropped: ["content.document"]),
        ]
        + [studio, able, gpt, claude].map {
            LossCase(
                "a text file", .responses,
                "{'role':'user','content':[{'type':'input_file','filename':'a.csv','file_data':'\(notes)'}]}", up: $0,
                carried: ["a,b"])
        }
        + [studio, gpt, claude].map {
            LossCase(
                "a text file", .chat,
                "{'role':'user','content':[{'type':'file','file':{'filename':'a.csv','file_data':'\(notes)'}}]}",
                up: $0,
                carried: ["a,b"])
        }
        + [("low", "low"), ("high", "high"), ("auto", "auto"), ("original", "high")].map { said, told in
            LossCase(
                "how closely an image is looked at", .responses,
                "{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,iVBORw0KGgo=','detail':'\(said)'}]}",
                up: local, carried: ["'detail':'\(told)'"])
        } + [
            LossCase(
                "how closely an image is looked at", .responses,
                "{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,iVBORw0KGgo=','detail':'zz'}]}",
                up: local, dropped: ["image_url.detail"]),
            LossCase(
                "how closely an image is looked at", .responses,
                "{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,iVBORw0KGgo=','detail':'low'}]}",
                up: studio, dropped: ["image_url.detail"]),
        ]

    static let extras =
        "'min_p':0.1,'typical_p':0.9,'top_a':0.2,'mirostat':2,'repeat_penalty':1.1,'repetition_penalty':1.2,'ttl':60,'draft_model':'d','keep_alive':'5m'"
    static let named = [
        "min_p", "top_a", "mirostat", "ttl", "draft_model", "keep_alive", "typical_p", "repeat_penalty",
        "repetition_penalty",
    ]
    static let forms = "'grammar':'root ::= x','guided_regex':'x','guided_choice':['x'],'guided_grammar':'x'"
    static let schema =
        "{'type':'object','properties':{'q':{'type':'string'}},'required':['q'],'additionalProperties':false}"

    static let settings: [LossCase] =
        [(DialectID.chat, claude), (.chat, gpt), (.completions, claude), (.anthropic, local), (.responses, local)].map {
            LossCase("what local servers know", $0, hi, extras, up: $1, dropped: named)
        } + [
            LossCase(
                "what local servers know, asking for nothing", .chat, hi,
                "'min_p':0,'typical_p':1.0,'repeat_penalty':1,'repetition_penalty':1,'ttl':null,'grammar':'','guided_json':{},'guided_choice':[]",
                up: claude),
            LossCase(
                "what LM Studio knows", .chat, hi, extras, up: studio,
                carried: ["'min_p':0.1", "'repeat_penalty':1.1"],
                dropped: named.filter { !["min_p", "repeat_penalty", "repetition_penalty"].contains($0) }),
            LossCase(
                "LM Studio's other word", .chat, hi, "'repetition_penalty':1.2", up: studio,
                carried: ["'repeat_penalty':1.2"]),
            LossCase(
                "forms of answers that are no schema", .chat, hi, forms + ",'structured_outputs':{'regex':'x'}",
                up: claude,
                dropped: ["grammar", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"]),
            LossCase(
                "a second form of the answer", .chat, hi,
                "'response_format':{'type':'json_object'},'guided_json':\(schema)", up: gpt, dropped: ["guided_json"]),
        ]
        + ["'json_schema':~", "'guided_json':~", "'structured_outputs':{'json':~}"].map {
            LossCase(
                "a local server's schema", .chat, hi, $0.replacing("~", with: schema), up: claude,
                carried: ["'output_config':{'format':{'type':'json_schema','schema':\(schema)"])
        }
        + [
            LossCase(
                "what OpenAI's two dialects share", .chat, hi,
                "'verbosity':'low','service_tier':'flex','metadata':{'a':'b'},'prompt_cache_key':'k','prompt_cache_retention':'24h','user':'u'",
                up: gpt,
                carried: [
                    "'text':{'verbosity':'low'}", "'service_tier':'flex'", "'metadata':{'a':'b'}",
                    "'prompt_cache_key':'k'", "'prompt_cache_retention':'24h'", "'safety_identifier':'u'",
                ]),
            LossCase(
                "a verbosity beside a form", .chat, hi,
                "'verbosity':'low','response_format':{'type':'json_object'}", up: gpt,
                carried: ["'text':{'format':{'type':'json_object'},'verbosity':'low'}"]),
            LossCase(
                "what OpenAI's two dialects share", .chat, hi, "'verbosity':'low','service_tier':'flex'", up: claude,
                dropped: ["verbosity", "service_tier"]),
        ]
        + [
            (DialectID.chat, "'reasoning_effort':'ultra'", "reasoning_effort"),
            (.chat, "'reasoning':{'effort':'ultra'}", "reasoning_effort"),
            (.anthropic, "'output_config':{'effort':'ultra'}", "output_config.effort"),
            (.responses, "'reasoning':{'effort':'ultra'}", "reasoning.effort"),
        ].map { LossCase("an effort nobody knows", $0, hi, $1, up: $0 == .chat ? claude : able, dropped: [$2]) }
        + [
            LossCase(
                "an effort nobody knows, of a turn", .anthropic,
                "\(hi),{'role':'system','content':'x','output_config':{'effort':'ultra'}}", up: able,
                dropped: ["output_config.effort"]),
            LossCase(
                "what a form is for", .chat, hi,
                "'response_format':{'type':'json_schema','json_schema':{'name':'n','description':'the answer','schema':\(schema)}}",
                up: claude, carried: ["'description':'the answer'"]),
            LossCase(
                "what a form is for", .chat, hi,
                "'response_format':{'type':'json_schema','json_schema':{'name':'n','description':'the answer','schema':\(schema)}}",
                up: studio, carried: ["the answer"]),
            LossCase(
                "what a form is for", .responses, hi,
                "'text':{'format':{'type':'json_schema','name':'n','description':'the answer','schema':\(schema)}}",
                up: local, carried: ["'json_schema':{'name':'n','description':'the answer'"]),
        ]
}
