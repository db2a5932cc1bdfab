/// Replaces `${NAME}` in values of a file by variables of the environment.
enum VariableText {
    /// - Throws: for a variable that is not set, naming it, and for `${` without a name and `}`.
    static func expand(_ text: String, _ environment: [String: String]) throws(ValueProblem) -> String {
        var rest = text[...]
        var result = ""
        while let dollar = rest.firstRange(of: "${") {
            result += rest[..<dollar.lowerBound]
            let after = rest[dollar.upperBound...]
            guard let close = after.firstIndex(of: "}"), isName(after[..<close]) else {
                throw ValueProblem("holds ${ without a variable's name and }; written is ${NAME}")
            }
            let name = String(after[..<close])
            guard let value = environment[name] else {
                throw ValueProblem("uses ${\(name)}, and the variable \(name) is not set")
            }
            result += value
            rest = after[after.index(after: close)...]
        }
        return result + rest
    }

    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }
}

extension VariableText {
    /// The value of a variable: a list is separated by commas, aliases by semicolons
    /// (`claude-*=a,b; fast=c`), and `null` is none.
    static func value(_ text: String, shape: ValueShape) -> WrittenValue {
        if text == "null" { return .none }
        switch shape {
        case .single: return .text(text)
        case .list: return .list(parts(text[...], by: ","))
        case .pairs:
            return .pairs(parts(text[...], by: ";").map(alias))
        }
    }

    /// `PATTERN=FIRST,SECOND`. Without `=` there are no targets, which no alias allows.
    static func alias(_ text: String) -> (name: String, targets: [String]) {
        guard let equals = text.firstIndex(of: "=") else { return (text, []) }
        let name = parts(text[..<equals], by: "=").first ?? ""
        return (name, parts(text[text.index(after: equals)...], by: ","))
    }

    private static func parts(_ text: Substring, by separator: Character) -> [String] {
        text.split(separator: separator).map { part in
            var part = part.drop { $0 == " " }
            while part.last == " " { part = part.dropLast() }
            return String(part)
        }.filter { !$0.isEmpty }
    }
}
