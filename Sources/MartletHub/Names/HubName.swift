/// Which strings of users and of the hub may become part of a path here, or of a URL.
enum HubName {
    /// Bytes of an owner's or a repository's name; the hub's own bound.
    static let longest = 96
    /// Bytes of a path in a repository.
    static let longestPath = 1024
    /// Bytes of a file's name: room is left for what is added to it while it is being got.
    static let longestFile = 220

    /// Letters, digits, `-`, `_` and `.`, not beginning with a dot and without two in a row.
    static func isOwnerOrRepository(_ name: String) -> Bool {
        isPlainWord(name[...]) && name.utf8.count <= longest
    }

    /// A branch, tag or commit, such as `main` or `refs/pr/1`.
    static func isRevision(_ name: String) -> Bool {
        name.utf8.count <= longest
            && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(isPlainWord)
    }

    /// A path below a repository's root that stays there, whoever reads it.
    static func isPath(_ path: String) -> Bool {
        guard path.utf8.count <= longestPath, !path.contains("\\"), !hasControls(path) else { return false }
        return path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && !part.hasPrefix(".") && part.utf8.count <= longestFile
        }
    }

    /// Control and formatting characters, which could move a terminal's cursor or turn the order of letters.
    static func hasControls(_ text: String) -> Bool {
        text.unicodeScalars.contains { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: true
            default: false
            }
        }
    }

    /// Percent-encoded for one segment of a URL's path, or for a query's value.
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }

    /// Without its percent signs; nil when they do not spell UTF-8.
    static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let digits = String(rest.prefix(2)), let value = UInt8(digits, radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func isPlainWord(_ word: Substring) -> Bool {
        guard let first = word.utf8.first, first != UInt8(ascii: "."), !word.contains("..") else { return false }
        return word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
