extension Probe {
    private static func body(_ prompt: String, _ more: String = "") -> String {
        json("{'model':'m','prompt':\(prompt)\(more.isEmpty ? "" : ",\(more)")}")
    }

    private static func setting(_ name: String, _ text: String) -> Probe {
        member(name, text, in: { body("'hi'", $0) })
    }

    static let completions: [Probe] = [
        Probe(name: "prompt: text", body: body("'~text'"), without: body("'hi'")),
        Probe(name: "prompt: a list of one", body: body("['~text']"), without: body("'hi'")),
        Probe(name: "prompt: a list of two", body: body("['~text','b']"), without: body("'hi'")),
        Probe(name: "prompt: tokens", body: body("[77,78]"), without: body("'hi'")),
        setting("suffix", "'suffix':'~text'"), setting("echo", "'echo':true"), setting("n: 2", "'n':2"),
        setting("best_of: 2", "'best_of':2"), setting("logprobs", "'logprobs':2"),
        setting("max_tokens", "'max_tokens':77"),
        setting("temperature", "'temperature':0.625"), setting("top_p", "'top_p':0.625"), setting("seed", "'seed':77"),
        setting("presence_penalty", "'presence_penalty':0.625"),
        setting("frequency_penalty", "'frequency_penalty':0.625"), setting("logit_bias", "'logit_bias':{'77':1}"),
        setting("stop", "'stop':['~stop']"), setting("user", "'user':'~user'"),
        setting("stream_options.include_usage", "'stream_options':{'include_usage':true}"),
        setting("a member nobody knows", "'zz_unknown':'~x'"),
    ]
}
