import MartletWire

/// The families that write a call between tokens of their own.
extension CallGrammar {
    // MARK: - DeepSeek

    /// One call, with the beginning of its section where that stands before it: `name<sep>{…}` (V3.1), or
    /// `function<sep>name` and the object in a fence (V3, R1).
    mutating func deepSeek(_ desk: inout CallDesk) -> Reading {
        if take(any: ["<｜tool▁calls▁begin｜>", "<｜tool_calls_begin｜>"]) == .yes { skipSpace() }
        switch take(any: ["<｜tool▁call▁begin｜>", "<｜tool_call_begin｜>"]) {
        case .yes: break
        case .partial: return .more
        case .no: return broken(.deepSeek, .malformed, end: at)
        }
        let separators = ["<｜tool▁sep｜>", "<｜tool_sep｜>"]
        let found: Int?
        do throws(CallMiss) { found = try token() } catch { return broken(.deepSeek, error, end: at) }
        guard let mark = found else { return .more }
        var name = trimmed(at..<mark)
        at = mark
        switch take(any: separators) {
        case .yes: break
        case .partial: return .more
        case .no: return broken(.deepSeek, .malformed, end: at)
        }
        skipSpace()
        guard !isAtEnd else { return .more }
        if name == "function", text[at] != UInt8(ascii: "{") {
            guard let line = text[at...].firstIndex(of: 0x0A) else { return .more }
            name = trimmed(at..<line)
            at = line
        }
        guard desk.tools.find(name) != nil else { return broken(.deepSeek, .unknownName, end: at) }
        skipSpace()
        switch take("```") {
        case .yes:
            guard let brace = text[at...].firstIndex(where: { $0 == UInt8(ascii: "{") || $0 == 0x0A }) else {
                return .more
            }
            at = brace
        case .partial: return .more
        case .no: break
        }
        let ends = ["<｜tool▁call▁end｜>", "<｜tool_call_end｜>"]
        return closed(arguments(name, family: .deepSeek, stop: "<｜tool", &desk), .deepSeek, fence: true, ends)
    }

    /// The call, when its end mark follows or the reply is over.
    mutating func closed(
        _ call: Result<ParsedCall, Stopped>, _ family: CallFamily, fence: Bool, _ ends: [String]
    ) -> Reading {
        switch call {
        case .success(let call):
            skipSpace()
            if fence, take("```") == .yes { skipSpace() }
            switch take(any: ends) {
            case .yes: return .calls([call], end: at)
            case .partial: return isEnd ? .calls([call], end: text.count) : .more
            case .no:
                if fence, "```".utf8.starts(with: text[at...]) {
                    return isEnd ? .calls([call], end: text.count) : .more
                }
                return broken(family, .malformed, end: at)
            }
        case .failure(.open): return .more
        case .failure(.miss(let reason)): return broken(family, reason, end: at)
        }
    }

    // MARK: - Kimi

    /// One call, with the beginning of its section where that stands before it:
    /// `functions.name:0`, its object, its end.
    mutating func kimi(_ desk: inout CallDesk) -> Reading {
        if take("<|tool_calls_section_begin|>") == .yes { skipSpace() }
        switch take("<|tool_call_begin|>") {
        case .yes: break
        case .partial: return .more
        case .no: return broken(.kimi, .malformed, end: at)
        }
        let found: Int?
        do throws(CallMiss) { found = try token() } catch { return broken(.kimi, error, end: at) }
        guard let mark = found else { return .more }
        let id = trimmed(at..<mark)
        at = mark
        switch take("<|tool_call_argument_begin|>") {
        case .yes: break
        case .partial: return .more
        case .no: return broken(.kimi, .malformed, end: at)
        }
        var name = id[...]
        if let colon = name.lastIndex(of: ":"), name[colon...].dropFirst().allSatisfy(\.isNumber) {
            name = name[..<colon]
        }
        guard desk.tools.find(String(name)) != nil else { return broken(.kimi, .unknownName, end: at) }
        return closed(
            arguments(String(name), id: id, family: .kimi, stop: "<|tool_call_end|>", &desk), .kimi, fence: false,
            ["<|tool_call_end|>"])
    }

    // MARK: - Harmony

    /// A message's header, and for a recipient its body. https://cookbook.openai.com/articles/openai-harmony
    mutating func channel(_ desk: inout CallDesk) -> Reading {
        let tokens = ["<|end|>", "<|start|>assistant", "<|channel|>", "<|constrain|>"]
        var words: [Substring] = []
        header: while true {
            guard at - start <= CallLimits.head / 2 else { return broken(.harmony, .malformed) }
            skipSpace()
            switch take(any: tokens) {
            case .yes: continue
            case .partial where isAtEnd || text[at] == UInt8(ascii: "<"):
                if take("<|message|>") == .yes { break header }
                return .more
            case .partial, .no: break
            }
            if text[at] == UInt8(ascii: "<") {
                switch take("<|message|>") {
                case .yes: break header
                case .partial: return .more
                case .no: return broken(.harmony, .malformed)
                }
            }
            let limit = min(text.count, start + CallLimits.head / 2)
            let wordEnd = text[min(at, limit)..<limit].firstIndex { $0 == UInt8(ascii: "<") || NearJSON.isSpace($0) }
            guard let wordEnd else {
                return limit < text.count ? broken(.harmony, .malformed) : .more
            }
            words.append(string(at..<wordEnd)[...])
            at = wordEnd
        }
        var channel: Substring?
        var recipient: String?
        for word in words {
            switch word {
            case "analysis", "commentary", "final": channel = word
            case "json", "code", "function": break
            case let word where word.hasPrefix("to="): recipient = String(word.dropFirst(3))
            default: return broken(.harmony, .malformed)
            }
        }
        guard let recipient, recipient != "user" else {
            guard let channel else { return broken(.harmony, .malformed) }
            return .message(channel == "analysis" ? .reasoning : .text, end: at)
        }
        guard desk.tools.find(recipient) != nil else { return broken(.harmony, .unknownName) }
        return ended(arguments(recipient, family: .harmony, stop: "<|", &desk))
    }

    private mutating func ended(_ call: Result<ParsedCall, Stopped>) -> Reading {
        switch call {
        case .success(let call):
            skipSpace()
            let end = at
            if isAtEnd { return isEnd ? .calls([call], end: at) : .more }
            switch take(any: ["<|call|>", "<|end|>", "<|return|>"]) {
            case .yes: return .calls([call], end: at)
            case .partial where !isEnd: return .more
            case .partial, .no: break
            }
            // The next message begins, without an end of this.
            switch take(any: ["<|start|>", "<|channel|>"]) {
            case .yes: return .calls([call], end: end)
            case .partial where !isEnd: return .more
            case .partial, .no: return broken(.harmony, .malformed)
            }
        case .failure(.open): return .more
        case .failure(.miss(let reason)): return broken(.harmony, reason)
        }
    }
}
