/// Recognises that a prompt did not fit, in the many words upstreams have for it, with the numbers they give.
enum OverflowText {
    /// Written by llama.cpp, LM Studio, vLLM, Ollama, OpenAI, Anthropic.
    private static let phrases = [
        "exceed_context_size_error", "context_length_exceeded", "n_ctx", "context size", "context length",
        "maximum context", "context window", "fit in context", "prompt is too long", "input is too long",
        "request is too long", "prompt too long", "input too long", "too long for context", "n_keep",
        // llama.cpp, of a text that makes a vector: all of it has to be in one batch.
        "too large to process",
    ]
    /// A model that cannot be loaded with such a context is another matter: no shorter prompt helps.
    private static let others = ["load model", "loading model", "failed to load", "failed to create context"]

    static func matches(_ text: String) -> Bool {
        let text = text.lowercased()
        return phrases.contains { text.contains($0) } && !others.contains { text.contains($0) }
    }

    /// The first two different numbers that could be token counts: the prompt is the larger of them, or it would fit.
    /// A single one is the maximum.
    static func numbers(in text: String) -> ContextOverflow {
        var found: [Int] = []
        for number in counts(in: text) where !found.contains(number) {
            found.append(number)
            if found.count == 2 { return ContextOverflow(prompt: found.max(), maximum: found.min()) }
        }
        return ContextOverflow(maximum: found.first)
    }

    /// Integers that stand alone (not part of a model's name or version) and are no tiny ones. `8,192` counts as one.
    private static func counts(in text: String) -> [Int] {
        let bytes = Array(text.utf8)
        var numbers: [Int] = []
        var at = 0
        while at < bytes.count {
            guard isDigit(bytes[at]) else {
                at += 1
                continue
            }
            let start = at
            var digits: [UInt8] = []
            while at < bytes.count {
                if isDigit(bytes[at]) {
                    digits.append(bytes[at])
                } else if bytes[at] != UInt8(ascii: ",") || !isGroup(bytes, at + 1) {
                    break
                }
                at += 1
            }
            let before = start > 0 ? bytes[start - 1] : UInt8(ascii: " ")
            let after = at < bytes.count ? bytes[at] : UInt8(ascii: " ")
            let isFraction = after == UInt8(ascii: ".") && at + 1 < bytes.count && isDigit(bytes[at + 1])
            let isAlone = !isWord(before) && !isWord(after) && !isFraction
            if isAlone, let number = Int(String(decoding: digits, as: UTF8.self)), number >= 16 {
                numbers.append(number)
            }
        }
        return numbers
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isGroup(_ bytes: [UInt8], _ start: Int) -> Bool {
        guard start + 3 <= bytes.count, bytes[start..<start + 3].allSatisfy(isDigit) else { return false }
        return start + 3 == bytes.count || !isDigit(bytes[start + 3])
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"):
            // A full stop that ends the sentence belongs to no number; one before it does.
            byte != UInt8(ascii: ".")
        case 0x80...: true
        default: false
        }
    }
}
