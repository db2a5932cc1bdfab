import MartletWire
import NIOCore

/// The log probabilities of a choice of legacy Completions. Some servers write them as Chat has them, under `content`;
/// here each of their members becomes a list of its own.
struct CompletionLogprobs: Sendable {
    /// Where the next token's text begins in the choice's, in Unicode scalars.
    private var offset = 0

    /// - Returns: the value of `logprobs` in the dialect's own form; nil when it has that, or none.
    mutating func repaired(_ value: ByteBuffer?) throws(JSONError) -> ByteBuffer? {
        guard let value, value.rawKind == .object,
            let entries = try RawObject(value)["content"]?.rawElements()
        else { return nil }
        var tokens: [ByteBuffer] = []
        var logprobs: [ByteBuffer] = []
        var tops: [ByteBuffer] = []
        var offsets: [ByteBuffer] = []
        for entry in entries {
            let entry = try RawObject(entry)
            guard let token = entry["token"], let text = token.rawString else { continue }
            tokens.append(token)
            logprobs.append(entry["logprob"] ?? ByteBuffer(string: "null"))
            var top = RawObject()
            for other in try entry["top_logprobs"]?.rawElements() ?? [] {
                let other = try RawObject(other)
                guard let name = other["token"]?.rawString?.unescaped(), top[name] == nil else { continue }
                top.set(name, other["logprob"] ?? ByteBuffer(string: "null"))
            }
            tops.append(top.text)
            offsets.append(ByteBuffer(string: "\(offset)"))
            offset += text.unescaped().unicodeScalars.count
        }
        var lists = RawObject()
        lists.set("tokens", .rawArray(tokens))
        lists.set("token_logprobs", .rawArray(logprobs))
        lists.set("top_logprobs", .rawArray(tops))
        lists.set("text_offset", .rawArray(offsets))
        return lists.text
    }
}
