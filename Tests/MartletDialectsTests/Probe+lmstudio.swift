extension Probe {
    private static func body(_ input: String, _ more: String = "") -> String {
        json("{'model':'m','input':\(input)\(more.isEmpty ? "" : ",\(more)")}")
    }

    private static func setting(_ name: String, _ text: String) -> Probe {
        member(name, text, in: { body("'hi'", $0) })
    }

    private static let words = "{'type':'text','content':'hi'}"

    private static func items(_ name: String, _ more: String) -> Probe {
        Probe(name: name, body: body("[\(words),\(more)]"), without: body("[\(words)]"))
    }

    static let lmstudio: [Probe] = [
        Probe(name: "input: text", body: body("'~text'"), without: body("'hi'")),
        items("input: text, as an item", "{'type':'text','content':'~text'}"),
        items("input: message", "{'type':'message','content':'~text'}"),
        items("input: image", "{'type':'image','data_url':'data:image/png;base64,\(pixel)'}"),
        setting("system_prompt", "'system_prompt':'~text'"),
        setting("temperature", "'temperature':0.625"), setting("top_p", "'top_p':0.625"),
        setting("top_k", "'top_k':77"), setting("min_p", "'min_p':0.625"),
        setting("repeat_penalty", "'repeat_penalty':0.625"),
        setting("max_output_tokens", "'max_output_tokens':77"),
        setting("reasoning: off", "'reasoning':'off'"), setting("reasoning: low", "'reasoning':'low'"),
        setting("reasoning: on", "'reasoning':'on'"),
        setting("context_length", "'context_length':77"), setting("store", "'store':true"),
        setting("integrations", "'integrations':['mcp/~id']"),
        setting("stop (extended)", "'stop':['~stop']"), setting("seed (extended)", "'seed':77"),
        setting("ttl (extended)", "'ttl':77"),
        setting(
            "response_format (extended)",
            "'response_format':{'type':'json_schema','json_schema':{'name':'a','schema':\(schema)}}"),
        setting(
            "tools (extended)",
            "'tools':[{'type':'function','function':{'name':'f','description':'~what','parameters':\(schema)}}]"),
        items(
            "a turn of the assistant (extended)", "{'role':'assistant','content':'~text'},\(words)"),
        items(
            "a call and its result (extended)",
            "{'type':'function_call','call_id':'c','name':'f','arguments':'{}'},"
                + "{'type':'function_call_output','call_id':'c','output':'~text'}"),
    ]
}
