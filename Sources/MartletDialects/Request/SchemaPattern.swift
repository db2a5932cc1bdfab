/// Brings a regular expression into the subset grammars know: anchored at both ends; literals, classes, groups,
/// alternatives and bounded quantifiers.
enum SchemaPattern {
    /// Largest count of a quantifier.
    private static let mostRepetitions = 200

    /// Characters a text may have to stand for each, counts in counts multiplied: what a grammar is unrolled to.
    private static let mostLetters = 2000

    /// Nil when it cannot be said so.
    static func fit(_ pattern: String) -> String? {
        guard pattern.hasPrefix("^"), pattern.hasSuffix("$"), !pattern.hasSuffix("\\$"), pattern.utf8.count <= 1024
        else {
            return nil
        }
        // By scalars, as whoever matches reads it: a mark joined to a bracket leaves it a bracket.
        var reader = Reader(Array(pattern.unicodeScalars.dropFirst().dropLast()))
        guard reader.read(), reader.depth == 0 else { return nil }
        let plain = String(String.UnicodeScalarView(reader.out))
        var nodes = PatternReader(plain[...])
        guard let node = nodes.read(), node.letters <= mostLetters else { return nil }
        return "^\(plain)$"
    }

    /// A bound of a quantifier; nil when it is no number, or too large.
    static func count(_ digits: Substring) -> Int? {
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(digits) else { return nil }
        return count <= mostRepetitions ? count : nil
    }

    private struct Reader {
        private let text: [Unicode.Scalar]
        private var at = 0
        var depth = 0
        var out: [Unicode.Scalar] = []

        init(_ text: [Unicode.Scalar]) { self.text = text }

        mutating func read() -> Bool {
            while at < text.count {
                let character = text[at]
                at += 1
                switch character {
                case "\\": guard escape(inClass: false) else { return false }
                case "[": guard characterClass() else { return false }
                case "(":
                    depth += 1
                    out.append("(")
                    guard next() == "?" else { break }
                    guard at + 1 < text.count, text[at + 1] == ":" else { return false }
                    at += 2
                case ")":
                    depth -= 1
                    out.append(")")
                    guard depth >= 0 else { return false }
                case "{": guard repetition() else { return false }
                case "^", "$": return false
                default: out.append(character)
                }
            }
            return true
        }

        private func next() -> Unicode.Scalar? { at < text.count ? text[at] : nil }

        private mutating func escape(inClass: Bool) -> Bool {
            guard let letter = next() else { return false }
            at += 1
            let digits = Array("0-9".unicodeScalars), word = Array("A-Za-z0-9_".unicodeScalars)
            let space = Array(" \\t\\n\\r".unicodeScalars)
            switch letter {
            case "d": out += inClass ? digits : ["["] + digits + ["]"]
            case "w": out += inClass ? word : ["["] + word + ["]"]
            case "s": out += inClass ? space : ["["] + space + ["]"]
            case "D" where !inClass: out += ["[", "^"] + digits + ["]"]
            case "W" where !inClass: out += ["[", "^"] + word + ["]"]
            case "S" where !inClass: out += ["[", "^"] + space + ["]"]
            case "n", "r", "t": out += ["\\", letter]
            case _ where letter.properties.isAlphabetic || letter.properties.numericType != nil: return false
            // A slash needs no escape, and not every grammar knows one.
            case "/": out.append("/")
            default: out += ["\\", letter]
            }
            return true
        }

        private mutating func characterClass() -> Bool {
            out.append("[")
            if next() == "^" {
                out.append("^")
                at += 1
            }
            guard next() != "]" else { return false }
            while let character = next() {
                at += 1
                switch character {
                case "]":
                    out.append("]")
                    return true
                case "\\": guard escape(inClass: true) else { return false }
                case "[": out += ["\\", "["]
                default: out.append(character)
                }
            }
            return false
        }

        /// `{m}`, `{m,}`, `{m,n}`.
        private mutating func repetition() -> Bool {
            guard let close = text[at...].firstIndex(of: "}") else { return false }
            let bounds = String(String.UnicodeScalarView(text[at..<close])).split(
                separator: ",", omittingEmptySubsequences: false)
            guard (1...2).contains(bounds.count), let low = SchemaPattern.count(bounds[0]) else { return false }
            if bounds.count == 2, !bounds[1].isEmpty {
                guard let high = SchemaPattern.count(bounds[1]), high >= low else { return false }
            }
            out.append("{")
            out += text[at...close]
            at = close + 1
            return true
        }
    }
}
