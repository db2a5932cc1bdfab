import MartletDialects

/// One thing a request can say, in a body that says it and in one that does not: what comes out differently is what becomes
/// of it. `~` marks the values to look for.
struct Probe {
    /// As the page shows it.
    var name: String
    var body: String
    var without: String

    static func requests(_ client: DialectID) -> [Probe] {
        switch client {
        case .chat: chat
        case .completions: completions
        case .anthropic: anthropic
        case .responses: responses
        case .lmstudio: lmstudio
        }
    }

    /// A member beside others.
    static func member(_ name: String, _ text: String, in body: (String) -> String, beside more: String = "")
        -> Probe
    {
        Probe(
            name: name, body: body(more.isEmpty ? text : "\(more),\(text)"), without: body(more))
    }

    static let schema = "{'type':'object','properties':{'q':{'type':'string','description':'~schema'}}}"
    static let pixel = "iVBORw0KGgo="

    // MARK: - Chat Completions

    private static func chatBody(_ messages: String, _ more: String = "") -> String {
        json("{'model':'m','messages':[\(messages)]\(more.isEmpty ? "" : ",\(more)")}")
    }

    private static let chatHi = "{'role':'user','content':'hi'}"
    private static let chatTool = "{'type':'function','function':{'name':'f','parameters':{'type':'object'}}}"
    private static let chatCall =
        "{'role':'assistant','content':null,'tool_calls':[{'id':'call_1','type':'function','function':{'name':'f','arguments':'{}'}}]}"

    private static func chatSetting(_ name: String, _ text: String) -> Probe {
        member(name, text, in: { chatBody(chatHi, $0) })
    }

    private static func chatChoice(_ name: String, _ text: String) -> Probe {
        member(name, text, in: { chatBody(chatHi, $0) }, beside: "'tools':[\(chatTool),\(chatTool.with("'f'", "'g'"))]")
    }

    private static func chatMessages(_ name: String, _ messages: String, without: String = chatHi) -> Probe {
        Probe(name: name, body: chatBody(messages), without: chatBody(without))
    }

    private static func chatPart(_ name: String, _ part: String) -> Probe {
        let words = "{'type':'text','text':'hi'}"
        return chatMessages(
            name, "{'role':'user','content':[\(words),\(part)]}", without: "{'role':'user','content':[\(words)]}")
    }

    static let chat: [Probe] = [
        chatSetting("max_tokens", "'max_tokens':77"),
        chatSetting("max_completion_tokens", "'max_completion_tokens':77"),
        chatSetting("temperature", "'temperature':0.625"), chatSetting("top_p", "'top_p':0.625"),
        chatSetting("top_k", "'top_k':77"), chatSetting("seed", "'seed':77"),
        chatSetting("frequency_penalty", "'frequency_penalty':0.625"),
        chatSetting("presence_penalty", "'presence_penalty':0.625"), chatSetting("stop", "'stop':['~stop']"),
        chatSetting("n: 2", "'n':2"), chatSetting("logit_bias", "'logit_bias':{'77':1}"),
        chatSetting("logprobs", "'logprobs':true"), chatSetting("top_logprobs", "'logprobs':true,'top_logprobs':7"),
        chatSetting("stream_options.include_usage", "'stream_options':{'include_usage':true}"),
        chatSetting("user", "'user':'~user'"), chatSetting("safety_identifier", "'safety_identifier':'~user'"),
        chatSetting("metadata", "'metadata':{'a':'~meta'}"), chatSetting("store", "'store':true"),
        chatSetting("service_tier", "'service_tier':'flex'"), chatSetting("verbosity", "'verbosity':'low'"),
        chatSetting("prediction", "'prediction':{'type':'content','content':'~text'}"),
        chatSetting("web_search_options", "'web_search_options':{'search_context_size':'low'}"),
        chatSetting("modalities: audio", "'modalities':['text','audio']"),
        chatSetting("prompt_cache_key", "'prompt_cache_key':'~key'"),
        chatSetting("reasoning_effort", "'reasoning_effort':'high'"),
        chatSetting("reasoning_effort: none", "'reasoning_effort':'none'"),
        chatSetting("reasoning.max_tokens", "'reasoning':{'max_tokens':7777}"),
        chatSetting("reasoning.exclude", "'reasoning':{'exclude':true}"),
        chatSetting("chat_template_kwargs.enable_thinking: false", "'chat_template_kwargs':{'enable_thinking':false}"),
        chatSetting("response_format: json_object", "'response_format':{'type':'json_object'}"),
        chatSetting(
            "response_format: json_schema",
            "'response_format':{'type':'json_schema','json_schema':{'name':'a','schema':\(schema)}}"),
        chatSetting(
            "response_format: description",
            "'response_format':{'type':'json_schema','json_schema':{'name':'a','description':'~for','schema':{'type':'object','properties':{},'additionalProperties':false}}}"
        ),
        chatSetting("reasoning_effort: unknown", "'reasoning_effort':'zz'"),
        chatSetting("max_tokens: 0", "'max_tokens':0"),
        chatSetting("tool_choice: required, without tools", "'tool_choice':'required'"),
        chatSetting("guided_json, json_schema", "'guided_json':\(schema)"),
        chatSetting("grammar, guided_regex", "'grammar':'~g','guided_regex':'~r'"),
        chatSetting("min_p", "'min_p':0.625"), chatSetting("repetition_penalty", "'repetition_penalty':0.625"),
        chatSetting("ttl, draft_model, keep_alive", "'ttl':77,'draft_model':'~d','keep_alive':'~k'"),
        chatSetting("a member nobody knows", "'zz_unknown':'~x'"),
        chatSetting(
            "tools: function",
            "'tools':[{'type':'function','function':{'name':'f','description':'~what','parameters':\(schema)}}]"),
        Probe(
            name: "tools: function.strict",
            body: chatBody(chatHi, "'tools':[\(chatTool.with("'name':'f'", "'name':'f','strict':true"))]"),
            without: chatBody(chatHi, "'tools':[\(chatTool)]")),
        chatSetting("tools: custom", "'tools':[{'type':'custom','custom':{'name':'f','description':'~what'}}]"),
        chatSetting("functions", "'functions':[{'name':'f','description':'~what','parameters':{'type':'object'}}]"),
        chatChoice("tool_choice: auto", "'tool_choice':'auto'"),
        chatChoice("tool_choice: none", "'tool_choice':'none'"),
        chatChoice("tool_choice: required", "'tool_choice':'required'"),
        chatChoice("tool_choice: a function", "'tool_choice':{'type':'function','function':{'name':'f'}}"),
        chatChoice(
            "tool_choice: allowed_tools",
            "'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':'auto','tools':[{'type':'function','function':{'name':'f'}}]}}"
        ),
        chatChoice("parallel_tool_calls: false", "'parallel_tool_calls':false"),
        chatMessages("system, leading", "{'role':'system','content':'~text'},\(chatHi)"),
        chatMessages("developer, leading", "{'role':'developer','content':'~text'},\(chatHi)"),
        chatMessages(
            "system, later",
            "\(chatHi),{'role':'assistant','content':'b'},{'role':'system','content':'~text'},\(chatHi)",
            without: "\(chatHi),{'role':'assistant','content':'b'},\(chatHi)"),
        chatMessages("a participant's name", "{'role':'user','name':'~name','content':'hi'}"),
        chatPart("content: text", "{'type':'text','text':'~text'}"),
        chatPart("content: image, data", "{'type':'image_url','image_url':{'url':'data:image/png;base64,\(pixel)'}}"),
        chatPart("content: image, address", "{'type':'image_url','image_url':{'url':'https://a.example/~x.png'}}"),
        Probe(
            name: "image_url.detail",
            body: chatBody(
                "{'role':'user','content':[{'type':'image_url','image_url':{'url':'data:image/png;base64,\(pixel)','detail':'high'}}]}"
            ),
            without: chatBody(
                "{'role':'user','content':[{'type':'image_url','image_url':{'url':'data:image/png;base64,\(pixel)'}}]}")
        ),
        chatPart("content: input_audio", "{'type':'input_audio','input_audio':{'data':'\(pixel)','format':'wav'}}"),
        chatPart(
            "content: file, PDF",
            "{'type':'file','file':{'filename':'~a.pdf','file_data':'data:application/pdf;base64,JVBERi0='}}"),
        chatPart(
            "content: file, text",
            "{'type':'file','file':{'filename':'a.txt','file_data':'data:text/plain;base64,fnRleHQ='}}"),
        chatPart("content: file, uploaded", "{'type':'file','file':{'file_id':'~id'}}"),
        chatPart("content: unknown part", "{'type':'zz_part','text':'~text'}"),
        chatMessages(
            "assistant: text", "\(chatHi),{'role':'assistant','content':'~text'},\(chatHi)",
            without: "\(chatHi),\(chatHi)"),
        chatMessages(
            "assistant: refusal", "\(chatHi),{'role':'assistant','content':null,'refusal':'~text'},\(chatHi)",
            without: "\(chatHi),\(chatHi)"),
        chatMessages(
            "assistant: reasoning_content",
            "\(chatHi),{'role':'assistant','content':'b','reasoning_content':'~text'},\(chatHi)",
            without: "\(chatHi),{'role':'assistant','content':'b'},\(chatHi)"),
        chatMessages(
            "assistant: thinking_blocks, signed",
            "\(chatHi),{'role':'assistant','content':'b','thinking_blocks':[{'type':'thinking','thinking':'~text','signature':'~sig'}]},\(chatHi)",
            without: "\(chatHi),{'role':'assistant','content':'b'},\(chatHi)"),
        chatMessages(
            "assistant: audio", "\(chatHi),{'role':'assistant','content':null,'audio':{'id':'~id'}},\(chatHi)",
            without: "\(chatHi),\(chatHi)"),
        chatMessages(
            "system, an image",
            "{'role':'system','content':[{'type':'text','text':'s'},{'type':'image_url','image_url':{'url':'data:image/png;base64,\(pixel)'}}]},\(chatHi)",
            without: "{'role':'system','content':'s'},\(chatHi)"),
        chatMessages(
            "assistant: tool_calls",
            "\(chatHi),\(chatCall.with("'{}'", "'{\\'q\\':\\'~text\\'}'")),{'role':'tool','tool_call_id':'call_1','content':'r'}",
            without: chatHi),
        chatMessages("assistant, last (prefill)", "\(chatHi),{'role':'assistant','content':'~text'}"),
        chatMessages(
            "tool: text", "\(chatHi),\(chatCall),{'role':'tool','tool_call_id':'call_1','content':'~text'}",
            without: "\(chatHi),\(chatCall),{'role':'tool','tool_call_id':'call_1','content':'r'}"),
        chatMessages(
            "tool: image",
            "\(chatHi),\(chatCall),{'role':'tool','tool_call_id':'call_1','content':[{'type':'text','text':'r'},{'type':'image_url','image_url':{'url':'data:image/png;base64,\(pixel)'}}]}",
            without:
                "\(chatHi),\(chatCall),{'role':'tool','tool_call_id':'call_1','content':[{'type':'text','text':'r'}]}"),
    ]
}
