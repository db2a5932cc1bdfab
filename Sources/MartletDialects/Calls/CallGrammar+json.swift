import MartletWire
import NIOCore

/// The families that write a call as JSON.
extension CallGrammar {
    /// One object, or a list of them, or several one behind another, up to an end mark. At the reply's natural end the
    /// mark may be missing, not a bracket.
    mutating func json(_ family: CallFamily, stop: String, _ desk: inout CallDesk) -> Reading {
        let mark = Array(stop.utf8)
        var calls: [ParsedCall] = []
        while true {
            skipSpace()
            guard !isAtEnd else {
                return isEnd && !calls.isEmpty ? .calls(calls, end: at) : .more
            }
            if !calls.isEmpty {
                switch take(stop) {
                case .yes: return .calls(calls, end: at)
                case .partial where isEnd: return .calls(calls, end: text.count)
                case .partial: return .more
                case .no: break
                }
                // A bracket too many, at the very end: it closes nothing.
                if text[at] == UInt8(ascii: "}") || text[at] == UInt8(ascii: "]") {
                    at += 1
                    calls[calls.count - 1].isRepaired = true
                    continue
                }
                if text[at] == UInt8(ascii: ",") {
                    at += 1
                    continue
                }
            }
            guard text[at] == UInt8(ascii: "{") || text[at] == UInt8(ascii: "[") else {
                return broken(family, .malformed)
            }
            switch objects(family, stop: mark, &desk) {
            case .success(let read): calls += read
            case .failure(.open): return .more
            case .failure(.miss(let reason)): return broken(family, reason)
            }
        }
    }

    enum Stopped: Error { case open, miss(CallMiss) }

    /// One object or a list of objects.
    mutating func objects(
        _ family: CallFamily, stop: [UInt8] = [], demandsArguments: Bool = false, _ desk: inout CallDesk
    ) -> Result<[ParsedCall], Stopped> {
        var calls: [ParsedCall] = []
        let isList = text[at] == UInt8(ascii: "[")
        if isList { at += 1 }
        while true {
            skipSpace()
            guard !isAtEnd else { return .failure(.open) }
            if isList, text[at] == UInt8(ascii: "]") {
                at += 1
                return calls.isEmpty ? .failure(.miss(.malformed)) : .success(calls)
            }
            var near = NearJSON(text, from: at, stop: stop)
            let members: [NearJSON.Member]
            do throws(NearJSON.Failure) {
                members = try near.members()
            } catch {
                return .failure(error == .open ? .open : .miss(.malformed))
            }
            switch desk.call(members, of: text, family: family, demandsArguments: demandsArguments) {
            case .success(var call):
                call.isRepaired = call.isRepaired || near.isRepaired
                calls.append(call)
            case .failure(let reason): return .failure(.miss(reason))
            }
            at = near.at
            guard isList else { return .success(calls) }
            skipSpace()
            guard !isAtEnd else { return .failure(.open) }
            if text[at] == UInt8(ascii: ",") {
                at += 1
            } else if text[at...].starts(with: stop), !stop.isEmpty {
                calls[calls.count - 1].isRepaired = true
                return .success(calls)
            } else if text[at] != UInt8(ascii: "]") {
                return .failure(.miss(.malformed))
            }
        }
    }

    /// The object of one call's arguments, whose name stood before it.
    mutating func arguments(
        _ name: String, id: String = "", family: CallFamily, stop: String = "", _ desk: inout CallDesk
    ) -> Result<ParsedCall, Stopped> {
        skipSpace()
        guard !isAtEnd else { return .failure(.open) }
        guard text[at] == UInt8(ascii: "{") else { return .failure(.miss(.malformed)) }
        var near = NearJSON(text, from: at, stop: Array(stop.utf8))
        let begin = at
        let value: JSON
        do throws(NearJSON.Failure) {
            value = try near.value()
        } catch {
            return .failure(error == .open ? .open : .miss(.malformed))
        }
        at = near.at
        let exact = near.isRepaired ? nil : ByteBuffer(bytes: text[begin..<at])
        let call = desk.call(
            name, id: id, value, exact: exact, family: family, isRepaired: near.isRepaired)
        return call.mapError { .miss($0) }
    }

    // MARK: - Mistral

    /// `[{…},…]`, `{…}`, `name[ARGS]{…}`, `name[CALL_ID]id[ARGS]{…}` or `name{…}`.
    mutating func mistral(_ desk: inout CallDesk) -> Reading {
        skipSpace()
        guard !isAtEnd else { return .more }
        if text[at] == UInt8(ascii: "[") || text[at] == UInt8(ascii: "{") {
            switch objects(.mistral, &desk) {
            case .success(let calls): return .calls(calls, end: at)
            case .failure(.open): return .more
            case .failure(.miss(let reason)): return broken(.mistral, reason)
            }
        }
        guard let nameEnd = text[at...].firstIndex(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }) else {
            return mayBeName(text[at...], &desk) ? .more : broken(.mistral, .unknownName)
        }
        let name = trimmed(at..<nameEnd)
        guard desk.tools.find(name) != nil else { return broken(.mistral, .unknownName) }
        at = nameEnd
        var id = ""
        switch take("[CALL_ID]") {
        case .yes:
            guard let idEnd = text[at...].firstIndex(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") })
            else { return .more }
            id = trimmed(at..<idEnd)
            at = idEnd
        case .partial: return .more
        case .no: break
        }
        if take("[ARGS]") == .partial { return .more }
        switch arguments(name, id: id, family: .mistral, &desk) {
        case .success(let call): return .calls([call], end: at)
        case .failure(.open): return .more
        case .failure(.miss(let reason)): return broken(.mistral, reason)
        }
    }

    // MARK: - Llama 3

    /// Objects with semicolons between them. As the whole of a text they have to be nothing else.
    mutating func llama(_ desk: inout CallDesk, isWhole: Bool) -> Reading {
        var calls: [ParsedCall] = []
        var end = at
        while true {
            skipSpace()
            if isAtEnd { return isEnd && !calls.isEmpty ? .calls(calls, end: at) : .more }
            if !calls.isEmpty {
                let taken = take(any: ["<|eom_id|>", "<|eot_id|>"])
                if taken == .yes, !isWhole { return .calls(calls, end: at) }
                if taken == .yes { continue }
                if taken == .partial, !isEnd { return .more }
                if text[at] == UInt8(ascii: ";") {
                    at += 1
                    continue
                }
            }
            guard text[at] == UInt8(ascii: "{") else {
                if calls.isEmpty { return builtIn(&desk) }
                return isWhole ? broken(.llama, .textFollows, end: start + 1) : .calls(calls, end: end)
            }
            switch objects(.llama, demandsArguments: isWhole, &desk) {
            case .success(let read): calls += read
            case .failure(.open): return .more
            case .failure(.miss(let reason)): return broken(.llama, reason, end: isWhole ? start + 1 : nil)
            }
            end = at
            guard calls.count <= CallLimits.calls else {
                return broken(.llama, .tooMany, end: isWhole ? start + 1 : nil)
            }
        }
    }

    /// `name.call(a="x")`, the form of Llama's built-in tools.
    private mutating func builtIn(_ desk: inout CallDesk) -> Reading {
        switch pythonCall(.llama, &desk) {
        case .success(let call): .calls([call], end: at)
        case .failure(.open): .more
        case .failure(.miss(let reason)): broken(.llama, reason)
        }
    }

    // MARK: - Llama 4

    /// `[f(a=1, b="x"), g()]` and nothing else.
    mutating func pythonic(_ desk: inout CallDesk) -> Reading {
        at += 1
        var calls: [ParsedCall] = []
        while true {
            switch pythonCall(.pythonic, &desk) {
            case .success(let call): calls.append(call)
            case .failure(.open): return .more
            case .failure(.miss(let reason)): return broken(.pythonic, reason, end: start + 1)
            }
            skipSpace()
            guard !isAtEnd else { return .more }
            at += 1
            if text[at - 1] == UInt8(ascii: "]") { break }
            guard text[at - 1] == UInt8(ascii: ",") else { return broken(.pythonic, .malformed, end: start + 1) }
        }
        skipSpace()
        let taken = take(any: ["<|eom_id|>", "<|eot_id|>", "<|eot|>"])
        if taken == .yes { skipSpace() }
        if !isAtEnd, !(taken == .partial && !isEnd) { return broken(.pythonic, .textFollows, end: start + 1) }
        return isEnd ? .calls(calls, end: at) : .more
    }

    private mutating func pythonCall(
        _ family: CallFamily, _ desk: inout CallDesk
    ) -> Result<ParsedCall, Stopped> {
        skipSpace()
        guard let open = text[at...].firstIndex(of: UInt8(ascii: "(")) else {
            let word = text[at...]
            if mayBeName(word, &desk) { return .failure(.open) }
            let dot = word.lastIndex(of: UInt8(ascii: ".")) ?? word.endIndex
            let isBegun = ".call".utf8.starts(with: word[dot...]) && desk.tools.find(string(at..<dot)) != nil
            return .failure(isBegun ? .open : .miss(.unknownName))
        }
        var name = string(at..<open)
        if desk.tools.find(name) == nil, name.hasSuffix(".call") { name.removeLast(5) }
        guard desk.tools.find(name) != nil else { return .failure(.miss(.unknownName)) }
        at = open + 1
        var object = JSONObject()
        while true {
            skipSpace()
            guard !isAtEnd else { return .failure(.open) }
            if text[at] == UInt8(ascii: ")") { break }
            if !object.isEmpty {
                guard text[at] == UInt8(ascii: ",") else { return .failure(.miss(.malformed)) }
                at += 1
                skipSpace()
                guard !isAtEnd else { return .failure(.open) }
                if text[at] == UInt8(ascii: ")") { break }
            }
            let key = at
            while !isAtEnd, NearJSON.isWord(text[at]) { at += 1 }
            let keyEnd = at
            skipSpace()
            guard !isAtEnd else { return .failure(.open) }
            guard keyEnd > key, text[at] == UInt8(ascii: "=") else { return .failure(.miss(.malformed)) }
            var near = NearJSON(text, from: at + 1)
            do throws(NearJSON.Failure) {
                guard object.append(string(key..<keyEnd), try near.value()) else { return .failure(.miss(.malformed)) }
            } catch {
                return .failure(error == .open ? .open : .miss(.malformed))
            }
            at = near.at
        }
        at += 1
        let call = desk.call(name, .object(object), family: family, isRepaired: false)
        return call.mapError { .miss($0) }
    }
}
