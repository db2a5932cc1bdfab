/// Recognises that an upstream could not make use of a JSON Schema, in the words of llama.cpp, LM
/// Studio, vLLM and others (specs 5.3).
enum SchemaRefusalText {
    private static let clear = ["grammar", "schema", "regex", "response_format"]
    /// What a refusal names that has a schema; one that names something else is about that.
    private static let params = ["tools", "functions", "response_format", "text", "output_config", "output_format"]
    /// Of a request that was called wrong these may mean a schema; of an upstream that broke, anything.
    private static let vague = ["failed to parse", "unsupported"]

    static func matches(_ said: UpstreamError, status: Int) -> Bool {
        guard [400, 422, 500].contains(status) else { return false }
        if let param = said.param, !param.isEmpty, !params.contains(where: param.hasPrefix) { return false }
        let text = said.message.lowercased()
        return clear.contains { text.contains($0) } || text.contains("pattern") && !text.contains("roles")
            || status != 500 && vague.contains { text.contains($0) }
    }
}
