import MartletWire
import NIOCore

extension AnswerForm {
    enum Verdict: Hashable {
        case fits
        /// This part of it does, and what is around it is a code fence or a remark.
        case fitsAs(String)
        /// What is wrong, as a part of a sentence.
        case misfit(String)
    }

    func verdict(on text: String) -> Verdict {
        let whole = text.trimmed
        if whole.isEmpty { return .misfit("the answer is empty") }
        let wrong: String
        do throws(JSONError) {
            let value = try JSON(parsing: whole)
            return violation(of: value).map { .misfit($0) } ?? .fits
        } catch {
            wrong = "it is not JSON, \(error.sentence)"
        }
        guard let inner = Self.fenced(whole) ?? Self.only(whole), let value = try? JSON(parsing: inner) else {
            return .misfit(wrong)
        }
        return violation(of: value).map { .misfit($0) } ?? .fitsAs(inner)
    }

    private func violation(of value: JSON) -> String? {
        switch self {
        case .object: return value.object == nil ? "the JSON must be an object" : nil
        case .schema(let schema):
            // A schema that cannot be read asks for nothing.
            guard let schema = try? JSON(parsing: schema) else { return nil }
            var check = SchemaCheck(schema)
            return check.violation(of: value)?.sentence
        }
    }

    /// What stands in the one code fence there is; nil when there is none, or more.
    private static func fenced(_ text: String) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let fences = lines.indices.filter { lines[$0].trimmed.hasPrefix("```") }
        guard fences.count == 2, lines[fences[1]].trimmed == "```" else { return nil }
        return lines[fences[0] + 1..<fences[1]].joined(separator: "\n").trimmed
    }

    /// The one object or array in a text that has no other bracket before or behind it.
    private static func only(_ text: String) -> String? {
        let bytes = ByteBuffer(string: text)
        let isBracket = { (byte: UInt8) in byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") }
        guard let start = bytes.readableBytesView.firstIndex(where: isBracket) else { return nil }
        let rest = bytes.part(start..<bytes.writerIndex)
        let length = try? rest.walkJSON { (walk: inout JSONWalk) throws(JSONError) -> Int in try walk.skip().upperBound
        }
        guard let length, !rest.readableBytesView.dropFirst(length).contains(where: isBracket) else { return nil }
        return String(buffer: rest.part(0..<length))
    }
}

extension StringProtocol {
    /// Without white space around it.
    fileprivate var trimmed: String {
        let isSpace = { (letter: Character) in letter.isWhitespace }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
            return ""
        }
        return String(self[first...last])
    }
}

extension Reply {
    /// Takes away what stands around an answer that fits.
    ///
    /// Calls, refusals and answers that were cut off are none to be checked.
    /// - Returns: what is wrong; nil for nothing.
    mutating func fit(to form: AnswerForm) -> AnswerMisfit? {
        guard finish == .stop, matchedStop == nil, blocks.allSatisfy({ $0.kind == .text || $0.kind == .reasoning })
        else {
            return nil
        }
        var text = EscapedText()
        for block in blocks where block.kind == .text { text.append(block.text) }
        switch form.verdict(on: text.unescaped()) {
        case .fits: return nil
        case .misfit(let violation): return AnswerMisfit(text: text, violation: violation, usage: usage)
        case .fitsAs(let answer):
            guard let first = blocks.firstIndex(where: { $0.kind == .text }) else { return nil }
            blocks[first].text = EscapedText(escaping: answer)
            for place in blocks.indices.dropFirst(first + 1).reversed() where blocks[place].kind == .text {
                blocks.remove(at: place)
            }
            return nil
        }
    }
}

extension Usage {
    /// Of two replies to one request.
    package static func + (first: Usage, second: Usage) -> Usage {
        func sum(_ a: Int?, _ b: Int?) -> Int? { a.map { $0 + (b ?? 0) } ?? b }
        return Usage(
            input: sum(first.input, second.input), cacheRead: sum(first.cacheRead, second.cacheRead),
            cacheWrite: sum(first.cacheWrite, second.cacheWrite), output: sum(first.output, second.output),
            reasoning: sum(first.reasoning, second.reasoning), timings: second.timings ?? first.timings)
    }
}
