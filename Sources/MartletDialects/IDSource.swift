/// Mints the ids of replies. A value with its own state: the same seed gives the same ids, so whoever creates it for a
/// live exchange seeds it at random.
package struct IDSource: Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func chatCompletion() -> String { mint("chatcmpl-") }
    package mutating func completion() -> String { mint("cmpl-") }
    package mutating func chatCall() -> String { mint("call_") }
    package mutating func message() -> String { mint("msg_") }
    package mutating func toolUse() -> String { mint("toolu_") }
    package mutating func request() -> String { mint("req_") }

    package mutating func response() -> String { mintHex("resp_") }

    /// `prefix` and 48 hexadecimal digits, as responses and their items have them.
    package mutating func mintHex(_ prefix: StaticString) -> String {
        var text = "\(prefix)"
        for _ in 0..<3 {
            let digits = String(next(), radix: 16)
            text += String(repeating: "0", count: 16 - digits.count) + digits
        }
        return text
    }
    /// Jumps to another state: a copy made before mints other ids than this one from here on.
    package mutating func moveOn() { state = next() }

    /// `prefix` and 24 base62 characters.
    package mutating func mint(_ prefix: StaticString) -> String {
        let words = (next(), next(), next())
        let length = prefix.utf8CodeUnitCount
        return String(unsafeUninitializedCapacity: length + 24) { text in
            for index in 0..<length { text[index] = prefix.utf8Start[index] }
            var at = length
            for var word in [words.0, words.1, words.2] {
                for _ in 0..<8 {
                    text[at] = Self.alphabet.utf8Start[Int(word % 62)]
                    word /= 62
                    at += 1
                }
            }
            return at
        }
    }

    private static let alphabet: StaticString = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    /// SplitMix64 (https://prng.di.unimi.it/splitmix64.c).
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
