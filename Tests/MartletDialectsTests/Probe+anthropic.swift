extension Probe {
    private static let hi = "{'role':'user','content':'hi'}"
    private static let tool = "{'name':'f','input_schema':{'type':'object'}}"
    private static let call =
        "{'role':'assistant','content':[{'type':'tool_use','id':'toolu_1','name':'f','input':{}}]}"

    private static func body(_ messages: String, _ more: String = "") -> String {
        json("{'model':'m','max_tokens':9999,'messages':[\(messages)]\(more.isEmpty ? "" : ",\(more)")}")
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

    private static func messages(_ name: String, _ messages: String, without: String = hi) -> Probe {
        Probe(name: name, body: body(messages), without: body(without))
    }

    private static func part(_ name: String, _ part: String) -> Probe {
        let words = "{'type':'text','text':'hi'}"
        return messages(
            name, "{'role':'user','content':[\(words),\(part)]}", without: "{'role':'user','content':[\(words)]}")
    }

    private static func block(_ name: String, _ block: String) -> Probe {
        let words = "{'type':'text','text':'b'}"
        return messages(
            name, "\(hi),{'role':'assistant','content':[\(block),\(words)]},\(hi)",
            without: "\(hi),{'role':'assistant','content':[\(words)]},\(hi)")
    }

    private static func result(_ name: String, _ members: String, without: String = "'content':'r'") -> Probe {
        func turns(_ members: String) -> String {
            "\(hi),\(call),{'role':'user','content':[{'type':'tool_result','tool_use_id':'toolu_1',\(members)}]}"
        }
        return messages(name, turns(members), without: turns(without))
    }

    static let anthropic: [Probe] = [
        Probe(
            name: "max_tokens", body: json("{'model':'m','max_tokens':77,'messages':[\(hi)]}"),
            without: json("{'model':'m','messages':[\(hi)]}")),
        Probe(
            name: "max_tokens: 0", body: json("{'model':'m','max_tokens':0,'messages':[\(hi)]}"),
            without: json("{'model':'m','messages':[\(hi)]}")),
        setting("temperature", "'temperature':0.625"), setting("top_p", "'top_p':0.625"),
        setting("top_k", "'top_k':77"),
        setting("stop_sequences", "'stop_sequences':['~stop']"),
        setting("metadata.user_id", "'metadata':{'user_id':'~user'}"),
        setting("thinking: enabled", "'thinking':{'type':'enabled','budget_tokens':7777}"),
        setting("thinking: adaptive", "'thinking':{'type':'adaptive'}"),
        setting("thinking: disabled", "'thinking':{'type':'disabled'}"),
        setting("output_config.effort", "'output_config':{'effort':'high'}"),
        setting("output_config.format", "'output_config':{'format':{'type':'json_schema','schema':\(schema)}}"),
        setting("cache_control", "'cache_control':{'type':'ephemeral'}"),
        setting("service_tier", "'service_tier':'auto'"),
        setting("container", "'container':'~id'"),
        setting("context_management", "'context_management':{'edits':[{'type':'clear_tool_uses_20250919'}]}"),
        setting("mcp_servers", "'mcp_servers':[{'type':'url','name':'a','url':'https://a.example'}]"),
        setting("a member nobody knows", "'zz_unknown':'~x'"),
        setting("system", "'system':'~text'"),
        Probe(
            name: "system: search_result",
            body: body(
                hi,
                "'system':[{'type':'text','text':'s'},{'type':'search_result','source':'s','title':'t','content':[{'type':'text','text':'~text'}]}]"
            ),
            without: body(hi, "'system':'s'")),
        Probe(
            name: "system: an image, unknown blocks",
            body: body(
                hi,
                "'system':[{'type':'text','text':'s'},{'type':'image','source':{'type':'file','file_id':'~id'}},{'type':'zz_block'}]"
            ),
            without: body(hi, "'system':'s'")),
        setting("output_config.effort: unknown", "'output_config':{'effort':'zz'}"),
        setting("system: the accounting line", "'system':[{'type':'text','text':'x-anthropic-billing-header: ~'}]"),
        tools("tools: a client's", "{'name':'f','description':'~what','input_schema':\(schema)}"),
        Probe(
            name: "tools: input_examples",
            body: body(hi, "'tools':[\(tool.with("'name'", "'input_examples':[{'q':'~'}],'name'"))]"),
            without: body(hi, "'tools':[\(tool)]")),
        tools("tools: bash", "{'type':'bash_20250124','name':'bash'}"),
        tools("tools: text_editor", "{'type':'text_editor_20250728','name':'str_replace_based_edit_tool'}"),
        tools("tools: memory", "{'type':'memory_20250818','name':'memory'}"),
        tools(
            "tools: computer",
            "{'type':'computer_20250124','name':'computer','display_width_px':9,'display_height_px':9}"),
        tools("tools: web_search alone", "{'type':'web_search_20250305','name':'web_search'}"),
        tools("tools: web_search among others", "{'type':'web_search_20250305','name':'web_search'}", beside: tool),
        tools(
            "tools: code_execution among others", "{'type':'code_execution_20250825','name':'code_execution'}",
            beside: tool),
        tools("tools: mcp_toolset", "{'type':'mcp_toolset','mcp_server_name':'a'}"),
        choice("tool_choice: auto", "'tool_choice':{'type':'auto'}"),
        choice("tool_choice: any", "'tool_choice':{'type':'any'}"),
        choice("tool_choice: tool", "'tool_choice':{'type':'tool','name':'f'}"),
        choice("tool_choice: none", "'tool_choice':{'type':'none'}"),
        choice("disable_parallel_tool_use", "'tool_choice':{'type':'auto','disable_parallel_tool_use':true}"),
        messages("system message, early", "\(hi),{'role':'system','content':'~text'}"),
        messages(
            "system message, later",
            "\(hi),{'role':'assistant','content':'b'},{'role':'system','content':'~text'},\(hi)",
            without: "\(hi),{'role':'assistant','content':'b'},\(hi)"),
        part("content: text", "{'type':'text','text':'~text'}"),
        part(
            "content: image, data",
            "{'type':'image','source':{'type':'base64','media_type':'image/png','data':'\(pixel)'}}"),
        part("content: image, address", "{'type':'image','source':{'type':'url','url':'https://a.example/~x.png'}}"),
        part("content: image, uploaded", "{'type':'image','source':{'type':'file','file_id':'~id'}}"),
        part(
            "content: document, text",
            "{'type':'document','title':'t','source':{'type':'text','media_type':'text/plain','data':'~text'}}"),
        part(
            "content: document, PDF",
            "{'type':'document','title':'~t','source':{'type':'base64','media_type':'application/pdf','data':'JVBERi0='}}"
        ),
        part(
            "content: document, PDF: context",
            "{'type':'document','context':'~of','source':{'type':'base64','media_type':'application/pdf','data':'JVBERi0='}}"
        ),
        part(
            "content: search_result",
            "{'type':'search_result','source':'https://a.example','title':'t','content':[{'type':'text','text':'~text'}]}"
        ),
        part("content: unknown block", "{'type':'zz_block','text':'~text'}"),
        messages(
            "assistant: text", "\(hi),{'role':'assistant','content':'~text'},\(hi)", without: "\(hi),\(hi)"),
        block("assistant: thinking, signed by Anthropic", "{'type':'thinking','thinking':'~text','signature':'c2ln'}"),
        block("assistant: thinking, signed here", "{'type':'thinking','thinking':'~text','signature':'gw1.x'}"),
        block("assistant: redacted_thinking", "{'type':'redacted_thinking','data':'~data'}"),
        block(
            "assistant: server_tool_use",
            "{'type':'server_tool_use','id':'srvtoolu_1','name':'web_search','input':{'query':'~text'}}"),
        block(
            "assistant: web_fetch_tool_result",
            "{'type':'web_fetch_tool_result','tool_use_id':'srvtoolu_1','content':{'type':'web_fetch_result','url':'https://a.example','content':{'type':'document','source':{'type':'text','media_type':'text/plain','data':'~text'}}}}"
        ),
        block(
            "assistant: image",
            "{'type':'image','source':{'type':'base64','media_type':'image/png','data':'\(pixel)'}}"),
        messages(
            "assistant: tool_use",
            "\(hi),\(call.with("{}", "{'q':'~text'}")),{'role':'user','content':[{'type':'tool_result','tool_use_id':'toolu_1','content':'r'}]}"
        ),
        messages("assistant, last (prefill)", "\(hi),{'role':'assistant','content':'~text'}"),
        result("tool_result: text", "'content':'~text'"),
        result("tool_result: is_error", "'is_error':true,'content':'r'"),
        result(
            "tool_result: image",
            "'content':[{'type':'text','text':'r'},{'type':'image','source':{'type':'base64','media_type':'image/png','data':'\(pixel)'}}]"
        ),
        result("tool_result: tool_reference", "'content':[{'type':'tool_reference','tool_name':'~name'}]"),
    ]
}
