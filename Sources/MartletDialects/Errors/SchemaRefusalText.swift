/// Recognises that an upstream could not make use of a JSON Schema, in the words of llama.cpp, LM
/// Studio, vLLM and others (specs 5.3).
enum SchemaRefusalText {
    private static let clear = ["grammar", "schema", "regex", "pattern", "response_format"]
    /// Of a request that was called wrong these may mean a schema; of an upstream that broke, anything.
    private static let vague = ["failed to parse", "unsupported"]

    static func matches(_ text: String, status: Int) -> Bool {
        guard [400, 422, 500].contains(status) else { return false }
        let text = text.lowercased()
        return clear.contains { text.contains($0) } || status != 500 && vague.contains { text.contains($0) }
    }
}
