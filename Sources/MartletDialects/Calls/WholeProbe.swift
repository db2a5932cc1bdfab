/// Whether a text begins as one that is nothing but calls, without a marker: `{"name":"f"` of Llama 3, `[f(` of
/// Llama 4. What is no such beginning is known to be none with its first byte that differs.
enum WholeProbe {
    static func match(_ text: ArraySlice<UInt8>, _ tools: inout OfferedTools) -> CallMarker.Match {
        let head = text.prefix(CallLimits.head)
        let match: CallMarker.Match =
            switch text.first {
            case UInt8(ascii: "{"): object(head, &tools)
            case UInt8(ascii: "["): list(head, &tools)
            default: .none
            }
        return match == .partial && head.count < text.count ? .none : match
    }

    private static func list(_ text: ArraySlice<UInt8>, _ tools: inout OfferedTools) -> CallMarker.Match {
        let name = text.dropFirst().drop(while: NearJSON.isSpace)
        guard let open = name.firstIndex(of: UInt8(ascii: "(")) else { return tools.begins(name) ? .partial : .none }
        let word = String(decoding: name[..<open], as: UTF8.self)
        return tools.find(word) == nil ? .none : .full(.pythonic, length: 0)
    }

    /// `"type":"function"` may stand before the name.
    private static func object(_ text: ArraySlice<UInt8>, _ tools: inout OfferedTools) -> CallMarker.Match {
        var rest = text.dropFirst()
        while true {
            rest = rest.drop(while: NearJSON.isSpace)
            guard let key = string(&rest, ["name", "function", "type"]) else { return .none }
            guard key.isWhole else { return .partial }
            rest = rest.drop(while: NearJSON.isSpace)
            guard let colon = rest.popFirst() else { return .partial }
            guard colon == UInt8(ascii: ":") else { return .none }
            rest = rest.drop(while: NearJSON.isSpace)
            if key.text != "type" {
                guard let quote = rest.first else { return .partial }
                guard quote == UInt8(ascii: "\"") else { return .none }
                let name = rest.dropFirst()
                guard let end = name.firstIndex(of: quote) else { return tools.begins(name) ? .partial : .none }
                let word = String(decoding: name[..<end], as: UTF8.self)
                return tools.find(word) == nil ? .none : .full(.bare, length: 0)
            }
            guard let type = string(&rest, ["function"]) else { return .none }
            guard type.isWhole else { return .partial }
            rest = rest.drop(while: NearJSON.isSpace)
            guard let comma = rest.popFirst() else { return .partial }
            guard comma == UInt8(ascii: ",") else { return .none }
        }
    }

    /// One of some words, quoted, or how one begins; nil when it is none.
    private static func string(
        _ rest: inout ArraySlice<UInt8>, _ words: [String]
    ) -> (text: String, isWhole: Bool)? {
        for word in words {
            let quoted = Array("\"\(word)\"".utf8)
            if rest.starts(with: quoted) {
                rest = rest.dropFirst(quoted.count)
                return (word, true)
            }
            if quoted.starts(with: rest) { return (word, false) }
        }
        return nil
    }
}
