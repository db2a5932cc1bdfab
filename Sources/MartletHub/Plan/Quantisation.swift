/// How a file's weights are stored, as its name says: `Q4_K_M`, `IQ4_XS`, `UD-Q4_K_XL`, `F16`.
package struct Quantisation: Sendable, Hashable, CustomStringConvertible {
    /// In upper case; with `UD-` before it where the maker chose the types layer by layer.
    package let description: String

    /// The order in which a repository's files are chosen from when nobody said which: four bits first, because they
    /// lose little and fit most machines, then what is next to them, upwards before downwards.
    package static let order = [
        "Q4_K_M", "UD-Q4_K_XL", "Q4_K_XL", "Q4_K_L", "Q4_K_S", "IQ4_NL", "IQ4_XS", "MXFP4", "MXFP4_MOE", "Q4_0", "Q4_1",
        "UD-Q5_K_XL", "Q5_K_M", "Q5_K_L", "Q5_K_S", "Q5_0", "Q5_1", "UD-Q6_K_XL", "Q6_K", "Q6_K_L", "UD-Q8_K_XL",
        "Q8_0",
        "UD-Q3_K_XL", "Q3_K_XL", "Q3_K_L", "Q3_K_M", "IQ3_M", "IQ3_S", "Q3_K_S", "IQ3_XS", "IQ3_XXS",
        "BF16", "F16", "UD-Q2_K_XL", "Q2_K_L", "Q2_K", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "F32",
        "TQ2_0", "TQ1_0", "IQ1_M", "IQ1_S",
    ]

    /// As a user spells it, letter case and `-` for `_` aside; nil when it is none we know the form of.
    package init?(_ name: String) { self.init(naming: name, whole: true) }

    /// The last one in a file's name (without `.gguf` and the numbers of parts).
    package init?(inFileName stem: String) { self.init(naming: stem, whole: false) }

    /// Without `UD-`.
    package var plain: String {
        description.hasPrefix("UD-") ? String(description.dropFirst(3)) : description
    }

    /// Place in ``order``; what is not there comes last.
    package var rank: Int { Self.order.firstIndex(of: description) ?? Self.order.count }

    private init?(naming name: String, whole: Bool) {
        var words: [String] = []
        var separators: [Character] = []
        var word = ""
        for letter in name.uppercased() {
            if letter == "-" || letter == "_" || letter == "." || letter == "/" || letter == " " {
                words.append(word)
                separators.append(letter)
                word = ""
            } else {
                word.append(letter)
            }
        }
        words.append(word)
        guard let start = words.lastIndex(where: Self.isHead) else { return nil }
        var end = start + 1
        if !Self.floats.contains(words[start]) {
            while end < words.count, Self.tails.contains(words[end]), separators[end - 1] == "_" || whole { end += 1 }
        }
        let head = ["FP16": "F16", "FP32": "F32"][words[start]] ?? words[start]
        let plain = ([head] + words[(start + 1)..<end]).joined(separator: "_")
        let isDynamic = start > 0 && words[start - 1] == "UD"
        guard !whole || (end == words.count && start == (isDynamic ? 1 : 0)) else { return nil }
        description = isDynamic ? "UD-\(plain)" : plain
    }

    private static let floats: Set<String> = ["F16", "F32", "BF16", "FP16", "FP32"]
    private static let tails: Set<String> = [
        "0", "1", "4", "8", "K", "S", "M", "L", "XS", "XXS", "XL", "XXL", "NL", "MOE",
    ]

    /// `Q4`, `IQ4`, `TQ1`, a float type or `MXFP4`.
    private static func isHead(_ word: String) -> Bool {
        if floats.contains(word) || word == "MXFP4" || word == "NVFP4" { return true }
        let digits =
            word.hasPrefix("IQ") || word.hasPrefix("TQ")
            ? word.dropFirst(2) : word.dropFirst(word.hasPrefix("Q") ? 1 : 0)
        return digits.count < word.count && digits.count == 1 && ("1"..."8").contains(digits)
    }
}
