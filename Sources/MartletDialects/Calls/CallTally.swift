/// Whose way of writing calls it is.
package enum CallFamily: String, Sendable, Hashable, CaseIterable {
    /// `<tool_call>{…}</tool_call>`: Hermes, Qwen 2.5 and 3.
    case hermes
    /// `<function=…><parameter=…>…</parameter></function>`: Qwen3-Coder.
    case qwenXML = "qwen-xml"
    /// `[TOOL_CALLS]…`.
    case mistral
    /// `<|python_tag|>{…}`, `<function=…>{…}</function>`, or an object that is all of the text: Llama 3.
    case llama
    /// `[f(a=1)]` that is all of the text: Llama 4.
    case pythonic
    case deepSeek = "deepseek"
    /// `<|channel|>commentary to=functions.…`: gpt-oss.
    case harmony
    /// `<tool_call>name<arg_key>…`.
    case glm
    /// `<|tool_calls_section_begin|>…`.
    case kimi
    /// `[TOOL_REQUEST]{…}[END_TOOL_REQUEST]`: what LM Studio asks of models without a form of their own.
    case lmStudio = "lm-studio"
    /// A call of the upstream's own, whose arguments were mended.
    case native
}

/// Why something that began like a call stayed text.
package enum CallMiss: String, Sendable, Hashable, CaseIterable {
    case unknownName = "unknown-name"
    /// The reply ended before the call did.
    case cutOff = "cut-off"
    /// Neither well-formed nor to be mended without guessing.
    case malformed
    case tooLong = "too-long"
    /// Text behind a form that only counts as the whole of a text.
    case textFollows = "text-follows"
    /// The model thought on, or answered, so it only considered the call.
    case thought
    case tooMany = "too-many"
}

/// What became of calls in a reply's text, for its record. Bounded: families times reasons.
package struct CallTally: Sendable, Hashable {
    package struct Miss: Sendable, Hashable {
        package var family: CallFamily
        package var reason: CallMiss
    }

    package private(set) var found: [CallFamily: Int] = [:]
    package private(set) var missed: [Miss: Int] = [:]
    /// Calls whose arguments were no JSON and have been made so.
    package private(set) var repaired = 0
    /// Calls of whose arguments some were put into the type the tool's schema wants.
    package private(set) var coerced = 0

    package init() {}

    package var isEmpty: Bool { found.isEmpty && missed.isEmpty && repaired == 0 && coerced == 0 }
    package var calls: Int { found.values.reduce(0, +) }
    package var misses: Int { missed.values.reduce(0, +) }

    mutating func find(_ call: ParsedCall) {
        found[call.family, default: 0] += 1
        if call.isRepaired { repaired += 1 }
        if call.isCoerced { coerced += 1 }
    }

    mutating func miss(_ family: CallFamily, _ reason: CallMiss) {
        missed[Miss(family: family, reason: reason), default: 0] += 1
    }

    mutating func mend(isRepaired: Bool, isCoerced: Bool) {
        if isRepaired { repaired += 1 }
        if isCoerced { coerced += 1 }
    }

    func joined(_ other: CallTally) -> CallTally {
        var joined = self
        joined.found.merge(other.found, uniquingKeysWith: +)
        joined.missed.merge(other.missed, uniquingKeysWith: +)
        joined.repaired += other.repaired
        joined.coerced += other.coerced
        return joined
    }

    /// One line for a log or a header: `hermes=2; repaired=1; missed=glm/unknown-name:1`. Empty when there is nothing.
    package var line: String {
        var words = CallFamily.allCases.compactMap { family in found[family].map { "\(family.rawValue)=\($0)" } }
        if repaired > 0 { words.append("repaired=\(repaired)") }
        if coerced > 0 { words.append("coerced=\(coerced)") }
        let misses = missed.map { "\($0.key.family.rawValue)/\($0.key.reason.rawValue):\($0.value)" }.sorted()
        if !misses.isEmpty { words.append("missed=" + misses.joined(separator: ",")) }
        return words.joined(separator: "; ")
    }
}
