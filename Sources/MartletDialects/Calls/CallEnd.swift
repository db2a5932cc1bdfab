/// Whether a long call may be whole by now: looked for in what is new, so that it is not read anew for every delta.
struct CallEnd: Sendable {
    private var searched = 0
    /// Open brackets, where no end mark follows.
    private var depth = 0
    private var quote: UInt8?
    private var isEscaped = false

    mutating func mayEnd(_ opening: CallMarker.Opening, _ text: [UInt8], from start: Int) -> Bool {
        let marks = Self.marks(opening)
        let from = max(searched, start)
        guard let longest = marks.map(\.count).max() else { return balances(text, from: from) }
        searched = max(start, text.count - longest + 1)
        return marks.contains { CallGrammar.find($0, in: text, from: from) != nil }
    }

    /// Whose form stands in `<tool_call>`.
    static func family(inTag text: ArraySlice<UInt8>) -> CallFamily {
        switch text.first(where: { !NearJSON.isSpace($0) }) {
        case UInt8(ascii: "{"), UInt8(ascii: "["), nil: .hermes
        case UInt8(ascii: "<"): .qwenXML
        default: .glm
        }
    }

    /// Empty: the call ends with its last bracket.
    private static func marks(_ opening: CallMarker.Opening) -> [[UInt8]] {
        switch opening {
        case .tag: [Array("</tool_call>".utf8), Array("</function>".utf8)]
        case .function: [Array("</function>".utf8)]
        case .request: [Array("[END_TOOL_REQUEST]".utf8)]
        case .deepSeek: [Array("｜>".utf8)]
        case .kimi, .channel: [Array("|>".utf8)]
        case .mistral, .python, .bare, .pythonic, .messageEnd, .thinkBegin, .thinkEnd, .remnant: []
        }
    }

    private mutating func balances(_ text: [UInt8], from start: Int) -> Bool {
        var isBalanced = depth <= 0
        for byte in text[min(start, text.count)...] {
            if isEscaped {
                isEscaped = false
            } else if let open = quote {
                if byte == UInt8(ascii: "\\") { isEscaped = true }
                if byte == open { quote = nil }
            } else {
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
                case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "("): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ")"):
                    depth -= 1
                    isBalanced = isBalanced || depth <= 0
                default: break
                }
            }
        }
        searched = text.count
        return isBalanced && quote == nil
    }
}
