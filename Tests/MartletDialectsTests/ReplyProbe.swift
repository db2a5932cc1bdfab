import MartletDialects

/// One thing a whole reply can say; see `Probe`.
enum ReplyProbe {
    static func replies(_ upstream: DialectID) -> [Probe] {
        switch upstream {
        case .chat: chat
        case .completions, .lmstudio: []
        case .anthropic: anthropic
        case .responses: responses
        }
    }

    // MARK: - Chat Completions

    private static func chatReply(_ message: String, finish: String = "stop", choice: String = "", more: String = "")
        -> String
    {
        json(
            "{'id':'c','object':'chat.completion','created':1,'model':'up','choices':[{'index':0,'message':{'role':'assistant',\(message)},'finish_reason':'\(finish)'\(choice)}],"
                + "'usage':{'prompt_tokens':90,'completion_tokens':40\(more)}")
    }

    private static func chatMessage(_ name: String, _ message: String, finish: String = "stop") -> Probe {
        Probe(
            name: name, body: chatReply(message, finish: finish, more: "}"),
            without: chatReply("'content':'b'", more: "}"))
    }

    private static func chatEnd(_ reason: String, without: String = "stop") -> Probe {
        Probe(
            name: "finish_reason: \(reason)", body: chatReply("'content':'b'", finish: reason, more: "}"),
            without: chatReply("'content':'b'", finish: without, more: "}"))
    }

    private static let call =
        "{'id':'call_1','type':'function','function':{'name':'f','arguments':'{\\'q\\':\\'~text\\'}'}}"

    private static let chat: [Probe] = [
        chatMessage("content", "'content':'~text'"),
        chatMessage("reasoning_content", "'content':'b','reasoning_content':'~text'"),
        chatMessage("reasoning", "'content':'b','reasoning':'~text'"),
        chatMessage("refusal", "'content':null,'refusal':'~text'"),
        chatMessage("tool_calls", "'content':'b','tool_calls':[\(call)]", finish: "tool_calls"),
        chatMessage("annotations", "'content':'b','annotations':[{'type':'url_citation','url_citation':{'url':'~u'}}]"),
        chatMessage("audio", "'content':'b','audio':{'id':'a','data':'~data','transcript':'~text'}"),
        Probe(
            name: "logprobs",
            body: chatReply(
                "'content':'b'", choice: ",'logprobs':{'content':[{'token':'~b','logprob':-1}]}", more: "}"),
            without: chatReply("'content':'b'", more: "}")),
        Probe(
            name: "a second choice",
            body: chatReply(
                "'content':'b'",
                choice: "},{'index':1,'message':{'role':'assistant','content':'~text'},'finish_reason':'stop'",
                more: "}"),
            without: chatReply("'content':'b'", more: "}")),
        chatEnd("length"), chatEnd("content_filter"), chatEnd("stop", without: "length"),
        Probe(
            name: "usage: cached_tokens",
            body: chatReply("'content':'b'", more: ",'prompt_tokens_details':{'cached_tokens':77}}"),
            without: chatReply("'content':'b'", more: "}")),
        Probe(
            name: "usage: reasoning_tokens",
            body: chatReply("'content':'b'", more: ",'completion_tokens_details':{'reasoning_tokens':7}}"),
            without: chatReply("'content':'b'", more: "}")),
        Probe(
            name: "system_fingerprint, service_tier, timings",
            body: chatReply(
                "'content':'b'",
                more: "},'system_fingerprint':'~fp','service_tier':'~tier','timings':{'predicted_n':77}"),
            without: chatReply("'content':'b'", more: "}")),
    ]

    // MARK: - Anthropic Messages

    private static func message(_ blocks: String, reason: String = "end_turn", usage: String = "", more: String = "")
        -> String
    {
        json(
            "{'id':'msg_1','type':'message','role':'assistant','model':'up','content':[\(blocks)],'stop_reason':'\(reason)'\(more),"
                + "'usage':{'input_tokens':90,'output_tokens':40\(usage)}}")
    }

    private static let words = "{'type':'text','text':'b'}"

    private static func blocks(_ name: String, _ blocks: String, reason: String = "end_turn") -> Probe {
        Probe(name: name, body: message(blocks, reason: reason), without: message(words))
    }

    private static func reason(_ reason: String, without: String = "end_turn", more: String = "") -> Probe {
        Probe(
            name: "stop_reason: \(reason)", body: message(words, reason: reason, more: more),
            without: message(words, reason: without))
    }

    private static let anthropic: [Probe] = [
        blocks("text", "{'type':'text','text':'~text'}"),
        blocks(
            "text: citations",
            "{'type':'text','text':'b','citations':[{'type':'char_location','cited_text':'~text','document_index':0}]}"),
        blocks("thinking", "{'type':'thinking','thinking':'~text','signature':''},\(words)"),
        Probe(
            name: "thinking: signature",
            body: message("{'type':'thinking','thinking':'b','signature':'~sig'},\(words)"),
            without: message("{'type':'thinking','thinking':'b','signature':''},\(words)")),
        blocks("redacted_thinking", "{'type':'redacted_thinking','data':'~data'},\(words)"),
        blocks(
            "tool_use", "\(words),{'type':'tool_use','id':'toolu_1','name':'f','input':{'q':'~text'}}",
            reason: "tool_use"),
        blocks(
            "server_tool_use, and its result",
            "{'type':'server_tool_use','id':'srvtoolu_1','name':'web_search','input':{'query':'~text'}},"
                + "{'type':'web_search_tool_result','tool_use_id':'srvtoolu_1','content':[]},\(words)"),
        reason("end_turn", without: "max_tokens"), reason("max_tokens"),
        reason("stop_sequence", without: "max_tokens", more: ",'stop_sequence':'~stop'"),
        reason("pause_turn", without: "max_tokens"), reason("refusal"), reason("model_context_window_exceeded"),
        Probe(
            name: "usage: cache_read_input_tokens", body: message(words, usage: ",'cache_read_input_tokens':77"),
            without: message(words)),
        Probe(
            name: "usage: cache_creation_input_tokens",
            body: message(words, usage: ",'cache_creation_input_tokens':77"),
            without: message(words)),
        Probe(name: "container", body: message(words, more: ",'container':{'id':'~id'}"), without: message(words)),
    ]

    // MARK: - Responses

    private static func response(
        _ output: String, status: String = "completed", details: String = "null", cached: Int = 0, reasoning: Int = 0
    ) -> String {
        json(
            "{'id':'resp_1','object':'response','created_at':1,'status':'\(status)','model':'up','output':[\(output)],'error':null,'incomplete_details':\(details),"
                + "'usage':{'input_tokens':90,'input_tokens_details':{'cached_tokens':\(cached)},'output_tokens':40,'output_tokens_details':{'reasoning_tokens':\(reasoning)},'total_tokens':130}}"
        )
    }

    private static func said(_ text: String, annotations: String = "[]", more: String = "") -> String {
        "{'type':'message','id':'msg_1','role':'assistant','status':'completed','content':[{'type':'output_text','text':'\(text)','annotations':\(annotations)\(more)}]}"
    }

    private static func output(_ name: String, _ output: String) -> Probe {
        Probe(name: name, body: response(output), without: response(said("b")))
    }

    private static let responses: [Probe] = [
        output("output_text", said("~text")),
        output("output_text: annotations", said("b", annotations: "[{'type':'url_citation','url':'~u'}]")),
        output("output_text: logprobs", said("b", more: ",'logprobs':[{'token':'~b','logprob':-1}]")),
        output(
            "refusal",
            "{'type':'message','id':'msg_1','role':'assistant','status':'completed','content':[{'type':'refusal','refusal':'~text'}]}"
        ),
        output(
            "reasoning: text",
            "{'type':'reasoning','id':'rs_1','summary':[],'content':[{'type':'reasoning_text','text':'~text'}]},\(said("b"))"
        ),
        output(
            "reasoning: summary",
            "{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'~text'}]},\(said("b"))"),
        output(
            "reasoning: encrypted_content",
            "{'type':'reasoning','id':'rs_1','summary':[],'encrypted_content':'~gAAAA'},\(said("b"))"),
        output(
            "function_call",
            "\(said("b")),{'type':'function_call','id':'fc_1','call_id':'call_1','name':'f','arguments':'{\\'q\\':\\'~text\\'}','status':'completed'}"
        ),
        output(
            "custom_tool_call",
            "\(said("b")),{'type':'custom_tool_call','id':'ctc_1','call_id':'call_1','name':'f','input':'~text','status':'completed'}"
        ),
        output(
            "web_search_call",
            "{'type':'web_search_call','id':'ws_1','status':'completed','action':{'type':'search','query':'~text'}},\(said("b"))"
        ),
        Probe(
            name: "incomplete: max_output_tokens",
            body: response(said("b"), status: "incomplete", details: "{'reason':'max_output_tokens'}"),
            without: response(said("b"))),
        Probe(
            name: "incomplete: content_filter",
            body: response(said("b"), status: "incomplete", details: "{'reason':'content_filter'}"),
            without: response(said("b"))),
        Probe(name: "usage: cached_tokens", body: response(said("b"), cached: 77), without: response(said("b"))),
        Probe(name: "usage: reasoning_tokens", body: response(said("b"), reasoning: 7), without: response(said("b"))),
    ]
}
