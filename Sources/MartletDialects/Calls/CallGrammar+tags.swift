import MartletWire

/// The families that write a call between tags.
extension CallGrammar {
    /// What stands in `<tool_call>` tells whose form it is.
    mutating func tag(_ desk: inout CallDesk) -> Reading {
        skipSpace()
        guard !isAtEnd else { return .more }
        switch text[at] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): return json(.hermes, stop: "</tool_call>", &desk)
        case UInt8(ascii: "<"): return xml(&desk)
        default: return pairs(&desk)
        }
    }

    // MARK: - Qwen3-Coder, Llama 3

    /// `<function=name><parameter=key>value</parameter>…</function>`, or Llama's object in place of the parameters. A
    /// value may hold anything, tags too, so its end tag counts only where the next tag of the form follows.
    mutating func xml(_ desk: inout CallDesk) -> Reading {
        switch take("<function=") {
        case .yes: break
        case .partial: return .more
        case .no: return broken(.qwenXML, .malformed)
        }
        guard let nameEnd = text[at...].firstIndex(of: UInt8(ascii: ">")) else {
            return mayBeName(text[at...], &desk) ? .more : broken(.qwenXML, .unknownName)
        }
        let name = trimmed(at..<nameEnd)
        guard desk.tools.find(name) != nil else { return broken(.qwenXML, .unknownName) }
        at = nameEnd + 1
        skipSpace()
        if !isAtEnd, text[at] == UInt8(ascii: "{") {
            let call = arguments(name, family: .llama, stop: "</function>", &desk)
            return closed(call, .llama, fence: false, ["</function>"])
        }
        var texts: [(name: String, text: String)] = []
        while true {
            skipSpace()
            switch take("</function>") {
            case .yes:
                return reading(desk.call(name, texts: texts, isLoose: false, family: .qwenXML), .qwenXML)
            case .partial: return .more
            case .no: break
            }
            switch take("<parameter=") {
            case .yes: break
            case .partial: return .more
            case .no: return broken(.qwenXML, .malformed)
            }
            guard let keyEnd = text[at...].firstIndex(of: UInt8(ascii: ">")) else { return .more }
            let key = trimmed(at..<keyEnd)
            at = keyEnd + 1
            guard let value = value(end: "</parameter>", next: ["<parameter=", "</function>"]) else { return .more }
            texts.append((key, string(withoutLineEnds(value))))
        }
    }

    /// One line end at each side belongs to the form.
    private func withoutLineEnds(_ range: Range<Int>) -> Range<Int> {
        var range = range
        if let first = range.first, text[first] == 0x0A { range.removeFirst() }
        if let last = range.last, text[last] == 0x0A { range.removeLast() }
        return range
    }

    /// A value up to the end tag that has one of these, or nothing yet, behind it; nil when that has not come. Steps
    /// behind it.
    private mutating func value(end: String, next: [String]) -> Range<Int>? {
        let begin = at
        var from = at
        while let found = find(end, from: from) {
            at = found + end.utf8.count
            from = at
            skipSpace()
            let behind = at
            switch take(any: next) {
            case .yes:
                at = behind
                return begin..<found
            case .partial: return nil
            case .no: break
            }
        }
        return nil
    }

    // MARK: - GLM

    /// `name` and `<arg_key>…</arg_key><arg_value>…</arg_value>` up to `</tool_call>`.
    private mutating func pairs(_ desk: inout CallDesk) -> Reading {
        guard let nameEnd = text[at...].firstIndex(where: { $0 == UInt8(ascii: "<") || $0 == 0x0A }) else {
            return mayBeName(text[at...], &desk) ? .more : broken(.glm, .unknownName)
        }
        let name = trimmed(at..<nameEnd)
        guard desk.tools.find(name) != nil else { return broken(.glm, .unknownName) }
        at = nameEnd
        var texts: [(name: String, text: String)] = []
        while true {
            skipSpace()
            switch take("</tool_call>") {
            case .yes: return reading(desk.call(name, texts: texts, isLoose: true, family: .glm), .glm)
            case .partial: return .more
            case .no: break
            }
            switch take("<arg_key>") {
            case .yes: break
            case .partial: return .more
            case .no: return broken(.glm, .malformed)
            }
            guard let keyEnd = find("</arg_key>", from: at) else { return .more }
            let key = trimmed(at..<keyEnd)
            at = keyEnd + "</arg_key>".utf8.count
            skipSpace()
            switch take("<arg_value>") {
            case .yes: break
            case .partial: return .more
            case .no: return broken(.glm, .malformed)
            }
            guard let value = value(end: "</arg_value>", next: ["<arg_key>", "</tool_call>"]) else { return .more }
            texts.append((key, string(value)))
        }
    }

    private func reading(_ call: Result<ParsedCall, CallMiss>, _ family: CallFamily) -> Reading {
        switch call {
        case .success(let call): .calls([call], end: at)
        case .failure(let reason): broken(family, reason, end: at)
        }
    }
}
