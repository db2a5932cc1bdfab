extension Probe {
    private static let hi = "{'role':'user','content':'hi'}"
    private static let tool = "{'type':'function','name':'f','parameters':{'type':'object'}}"
    private static let call = "{'type':'function_call','call_id':'call_1','name':'f','arguments':'{}'}"

    private static func body(_ input: String, _ more: String = "") -> String {
        json("{'model':'m','input':[\(input)]\(more.isEmpty ? "" : ",\(more)")}")
    }

    private static func setting(_ name: String, _ text: String) -> Probe { member(name, text, in: { body(hi, $0) }) }

    private static func choice(_ name: String, _ text: String) -> Probe {
        member(name, text, in: { body(hi, $0) }, beside: "'tools':[\(tool),\(tool.with("'f'", "'g'"))]")
    }

    private static func tools(_ name: String, _ tool: String, beside other: String = "") -> Probe {
        Probe(
            name: name, body: body(hi, "'tools':[\(other)\(other.isEmpty ? "" : ",")\(tool)]"),
            without: body(hi, other.isEmpty ? "" : "'tools':[\(other)]"))
    }

    private static func items(_ name: String, _ items: String, without: String = hi) -> Probe {
        Probe(name: name, body: body(items), without: body(without))
    }

    /// Between the user's message and another one.
    private static func item(_ name: String, _ text: String) -> Probe {
        items(name, "\(hi),\(text),\(hi)", without: "\(hi),\(hi)")
    }

    /// Before the assistant's message.
    private static func thought(_ name: String, _ item: String) -> Probe {
        let said = "{'role':'assistant','content':'b'},\(hi)"
        return items(name, "\(hi),\(item),\(said)", without: "\(hi),\(said)")
    }

    private static func part(_ name: String, _ part: String) -> Probe {
        let words = "{'type':'input_text','text':'hi'}"
        return items(
            name, "{'role':'user','content':[\(words),\(part)]}", without: "{'role':'user','content':[\(words)]}")
    }

    private static func output(_ name: String, _ value: String, without: String = "'r'") -> Probe {
        func turns(_ value: String) -> String {
            "\(hi),\(call),{'type':'function_call_output','call_id':'call_1','output':\(value)}"
        }
        return items(name, turns(value), without: turns(without))
    }

    static let responses: [Probe] = [
        setting("instructions", "'instructions':'~text'"),
        setting("instructions: messages", "'instructions':[{'role':'developer','content':'~text'}]"),
        setting("max_output_tokens", "'max_output_tokens':77"),
        setting("temperature", "'temperature':0.625"), setting("top_p", "'top_p':0.625"),
        setting("presence_penalty", "'presence_penalty':0.625"),
        setting("frequency_penalty", "'frequency_penalty':0.625"),
        setting("top_logprobs", "'top_logprobs':7"), setting("max_tool_calls", "'max_tool_calls':7"),
        setting("truncation: auto", "'truncation':'auto'"), setting("user", "'user':'~user'"),
        setting("metadata", "'metadata':{'a':'~meta'}"), setting("prompt_cache_key", "'prompt_cache_key':'~key'"),
        setting("service_tier", "'service_tier':'flex'"), setting("client_metadata", "'client_metadata':{'a':'~meta'}"),
        setting("store: false", "'store':false"), setting("background", "'background':true"),
        setting("conversation", "'conversation':'~id'"), setting("prompt", "'prompt':{'id':'~id'}"),
        setting("previous_response_id, unknown", "'previous_response_id':'~id'"),
        setting("reasoning.effort", "'reasoning':{'effort':'high'}"),
        setting("reasoning.effort: none", "'reasoning':{'effort':'none'}"),
        setting("reasoning.summary", "'reasoning':{'summary':'auto'}"),
        setting("include: reasoning.encrypted_content", "'include':['reasoning.encrypted_content']"),
        setting("reasoning.effort: unknown", "'reasoning':{'effort':'zz'}"),
        setting(
            "text.format: description",
            "'text':{'format':{'type':'json_schema','name':'a','description':'~for','schema':{'type':'object','properties':{},'additionalProperties':false}}}"
        ),
        setting("text.verbosity", "'text':{'verbosity':'low'}"),
        setting("text.format: json_object", "'text':{'format':{'type':'json_object'}}"),
        setting("text.format: json_schema", "'text':{'format':{'type':'json_schema','name':'a','schema':\(schema)}}"),
        setting("a member nobody knows", "'zz_unknown':'~x'"),
        tools("tools: function", "{'type':'function','name':'f','description':'~what','parameters':\(schema)}"),
        Probe(
            name: "tools: strict", body: body(hi, "'tools':[\(tool.with("'name'", "'strict':true,'name'"))]"),
            without: body(hi, "'tools':[\(tool)]")),
        tools("tools: custom", "{'type':'custom','name':'f','description':'~what'}"),
        tools("tools: namespace", "{'type':'namespace','name':'ns','description':'~what','tools':[\(tool)]}"),
        tools("tools: local_shell", "{'type':'local_shell'}"), tools("tools: shell", "{'type':'shell'}"),
        tools("tools: apply_patch", "{'type':'apply_patch'}"),
        tools("tools: tool_search", "{'type':'tool_search','execution':'client'}"),
        tools("tools: web_search alone", "{'type':'web_search'}"),
        tools("tools: web_search among others", "{'type':'web_search'}", beside: tool),
        tools(
            "tools: mcp among others", "{'type':'mcp','server_label':'a','server_url':'https://a.example'}",
            beside: tool),
        choice("tool_choice: auto", "'tool_choice':'auto'"), choice("tool_choice: none", "'tool_choice':'none'"),
        choice("tool_choice: required", "'tool_choice':'required'"),
        choice("tool_choice: a function", "'tool_choice':{'type':'function','name':'f'}"),
        choice(
            "tool_choice: allowed_tools",
            "'tool_choice':{'type':'allowed_tools','mode':'auto','tools':[{'type':'function','name':'f'}]}"),
        choice("parallel_tool_calls: false", "'parallel_tool_calls':false"),
        items("system message, leading", "{'role':'system','content':'~text'},\(hi)"),
        items("developer message, leading", "{'role':'developer','content':'~text'},\(hi)"),
        items(
            "developer message, later",
            "\(hi),{'role':'assistant','content':'b'},{'role':'developer','content':'~text'},\(hi)",
            without: "\(hi),{'role':'assistant','content':'b'},\(hi)"),
        part("content: input_text", "{'type':'input_text','text':'~text'}"),
        part("content: input_image, data", "{'type':'input_image','image_url':'data:image/png;base64,\(pixel)'}"),
        part("content: input_image, address", "{'type':'input_image','image_url':'https://a.example/~x.png'}"),
        Probe(
            name: "input_image.detail",
            body: body(
                "{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,\(pixel)','detail':'high'}]}"
            ),
            without: body(
                "{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,\(pixel)'}]}")),
        part("content: input_image, uploaded", "{'type':'input_image','file_id':'~id'}"),
        part(
            "content: input_file, PDF",
            "{'type':'input_file','filename':'~a.pdf','file_data':'data:application/pdf;base64,JVBERi0='}"),
        part(
            "content: input_file, text",
            "{'type':'input_file','filename':'a.txt','file_data':'data:text/plain;base64,fnRleHQ='}"),
        part("content: input_audio", "{'type':'input_audio','input_audio':{'data':'\(pixel)','format':'wav'}}"),
        part("content: unknown part", "{'type':'zz_part','text':'~text'}"),
        item("assistant's message", "{'role':'assistant','content':[{'type':'output_text','text':'~text'}]}"),
        item(
            "assistant's message: refusal", "{'role':'assistant','content':[{'type':'refusal','refusal':'~text'}]}"),
        thought(
            "reasoning: text", "{'type':'reasoning','summary':[],'content':[{'type':'reasoning_text','text':'~text'}]}"),
        thought(
            "reasoning: summary", "{'type':'reasoning','summary':[{'type':'summary_text','text':'~text'}]}"),
        thought(
            "reasoning: encrypted by others", "{'type':'reasoning','summary':[],'encrypted_content':'~gAAAA'}"),
        items(
            "function_call",
            "\(hi),\(call.with("'{}'", "'{\\'q\\':\\'~text\\'}'")),{'type':'function_call_output','call_id':'call_1','output':'r'}"
        ),
        items(
            "custom_tool_call",
            "\(hi),{'type':'custom_tool_call','call_id':'call_1','name':'f','input':'~text'},{'type':'custom_tool_call_output','call_id':'call_1','output':'r'}"
        ),
        items(
            "local_shell_call",
            "\(hi),{'type':'local_shell_call','call_id':'call_1','action':{'type':'exec','command':['~text']}},{'type':'local_shell_call_output','call_id':'call_1','output':'r'}"
        ),
        output("function_call_output: text", "'~text'"),
        output(
            "function_call_output: image",
            "[{'type':'input_text','text':'r'},{'type':'input_image','image_url':'data:image/png;base64,\(pixel)'}]"),
        item("agent_message", "{'type':'agent_message','content':[{'type':'input_text','text':'~text'}]}"),
        item(
            "additional_tools",
            "{'type':'additional_tools','tools':[{'type':'function','name':'f','description':'~what','parameters':{'type':'object'}}]}"
        ),
        item(
            "web_search_call",
            "{'type':'web_search_call','id':'ws_1','status':'completed','action':{'type':'search','query':'~text'}}"),
        item("compaction, by others", "{'type':'compaction','encrypted_content':'~gAAAA'}"),
        item("item_reference, unknown", "{'type':'item_reference','id':'~id'}"),
        item("unknown item with text", "{'type':'zz_item','content':[{'type':'input_text','text':'~text'}]}"),
        item("unknown item without", "{'type':'zz_item','zz':'~text'}"),
    ]
}
