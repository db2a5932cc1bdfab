import MartletWire
import NIOCore

extension RawMembers {
    /// Members no dialect's reader has read that ask for something: those of OpenAI's dialects that have no canonical
    /// form, and those that local servers know beside them.
    var wishes: [String] {
        Self.known.filter { name in self[name].map { Self.asks(name, $0) } ?? false }
    }

    /// Whether a member with that value asks for something.
    static func asks(_ name: String, _ value: ByteBuffer) -> Bool {
        let value = String(buffer: value.part(0..<16))
        return !nothing.contains(value) && Double(value) != (factors.contains(name) ? 1 : 0)
    }

    /// In the order in which they are named.
    private static let known =
        [
            "logprobs", "top_logprobs", "logit_bias", "prediction", "verbosity", "service_tier", "store",
            "web_search_options", "audio", "min_p", "top_a", "mirostat", "ttl", "draft_model", "keep_alive", "grammar",
            "json_schema", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
        ] + factors

    /// Of these 1 asks for nothing, of the others 0.
    private static let factors = ["typical_p", "repeat_penalty", "repetition_penalty"]

    private static let nothing: Set<String> = ["null", "false", #""""#, "{}", "[]", #""auto""#, #""default""#]
}

extension RequestMembers {
    /// The schema of an answer where local servers take one: llama.cpp in `json_schema`, vLLM in `guided_json` and
    /// `structured_outputs.json`. Forms that are no schema are left among what nobody has read.
    mutating func serverSchema() throws(DialectError) -> OutputFormat? {
        for name in ["json_schema", "guided_json", "structured_outputs"] {
            guard let schema = schema(in: name) else { continue }
            _ = try present([name])
            return .jsonSchema(JSONSchemaFormat(name: "output", schema: schema))
        }
        return nil
    }

    private func schema(in name: String) -> ByteBuffer? {
        guard let member = try? document.member(name), member.kind == .object,
            let value = try? RawObject(document.slice(member.value)), !value.members.isEmpty
        else { return nil }
        guard name == "structured_outputs" else { return value.text }
        guard value.members.count == 1, let schema = value["json"], schema.rawKind == .object else { return nil }
        return schema
    }
}
