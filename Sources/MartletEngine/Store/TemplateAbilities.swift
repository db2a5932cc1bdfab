/// What a chat template can do, as far as its text shows. Not a run of it: a template is somebody else's program.
package struct TemplateAbilities: Sendable, Hashable {
    package enum Effort: String, Sendable, Hashable, CaseIterable { case off, on, low, medium, high }

    /// How a model reasons, in LM Studio's words.
    package struct Reasoning: Sendable, Hashable {
        package var allowed: [Effort]
        /// One of `allowed`.
        package var usual: Effort
        /// The template's variable that turns reasoning on and off; nil where it cannot be.
        package var toggle: String?
    }

    /// The template lists the tools it is given.
    package var tools = false
    /// Nil: it knows nothing of reasoning.
    package var reasoning: Reasoning?

    /// - Parameter template: Jinja, at most ``GGUFLimits/textBytes``.
    package init(_ template: String) {
        let words = TemplateWords(template)
        tools = words.variables.contains("tools")
        let toggle = ["enable_thinking", "thinking"].first { words.variables.contains($0) }
        if words.variables.contains("reasoning_effort") {
            let named = [Effort.low, .medium, .high].filter { words.texts.contains($0.rawValue) }
            // A template that hands the word on names only what it takes when there is none.
            let efforts = named.count > 1 ? named : [.low, .medium, .high]
            let canBeOff = toggle != nil || words.texts.contains("no_think") || words.texts.contains("none")
            reasoning = Reasoning(
                allowed: (canBeOff ? [.off] : []) + efforts,
                usual: Self.preset(words, efforts), toggle: toggle)
        } else if let toggle {
            // llama-server sets `enable_thinking` to true unless it is told otherwise, and no other variable.
            let isOn = toggle == "enable_thinking" || words.has("set \(toggle) = true")
            reasoning = Reasoning(allowed: [.off, .on], usual: isOn ? .on : .off, toggle: toggle)
        } else if ["<think>", "[THINK]", "<seed:think>"].contains(where: { words.has($0) }) {
            reasoning = Reasoning(allowed: [.on], usual: .on, toggle: nil)
        }
    }

    /// What the template sets `reasoning_effort` to when the request does not.
    private static func preset(_ words: TemplateWords, _ efforts: [Effort]) -> Effort {
        if let word = words.preset, word == "no_think" || word == "none" { return .off }
        if let word = words.preset.flatMap({ Effort(rawValue: $0) }), efforts.contains(word) { return word }
        return efforts.contains(.medium) ? .medium : efforts.last ?? .medium
    }
}

/// The words of a Jinja template: its variables, and the texts in quotes within its tags.
struct TemplateWords {
    private(set) var variables: Set<String> = []
    private(set) var texts: Set<String> = []
    /// The first text behind `set reasoning_effort =`, within the same tag.
    private(set) var preset: String?

    private let bytes: [UInt8]

    /// Longer ones are no words we look for.
    private static let longest = 32

    init(_ template: String) {
        bytes = Array(template.utf8)
        var at = 0
        while at + 1 < bytes.count {
            guard bytes[at] == UInt8(ascii: "{") else {
                at += 1
                continue
            }
            switch bytes[at + 1] {
            case UInt8(ascii: "#"): at = end(of: UInt8(ascii: "#"), from: at + 2)
            case UInt8(ascii: "%"), UInt8(ascii: "{"): at = tag(from: at + 2)
            default: at += 1
            }
        }
    }

    /// Whether the text occurs, wherever.
    func has(_ text: String) -> Bool { bytes.firstRange(of: Array(text.utf8)) != nil }

    private func end(of mark: UInt8, from start: Int) -> Int {
        var at = start
        while at + 1 < bytes.count, bytes[at] != mark || bytes[at + 1] != UInt8(ascii: "}") { at += 1 }
        return min(at + 2, bytes.count)
    }

    /// Takes in what stands between `{%` or `{{` and its end; returns where that is.
    private mutating func tag(from start: Int) -> Int {
        var at = start
        var isMember = false
        /// How much of `set reasoning_effort =` the words just before make up.
        var assigned = 0
        while at < bytes.count {
            let byte = bytes[at]
            if at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "}"),
                byte == UInt8(ascii: "%") || byte == UInt8(ascii: "}")
            {
                return at + 2
            }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                let text = quoted(byte, &at)
                if let text { texts.insert(text) }
                if assigned == 3, preset == nil { preset = text }
            } else if Self.isWord(byte) {
                let from = at
                while at < bytes.count, Self.isWord(bytes[at]) { at += 1 }
                let word = at - from <= Self.longest ? String(decoding: bytes[from..<at], as: UTF8.self) : ""
                if !isMember { variables.insert(word) }
                if assigned < 3 { assigned = word == "set" ? 1 : assigned == 1 && word == "reasoning_effort" ? 2 : 0 }
                isMember = false
            } else {
                if byte == UInt8(ascii: "."), at + 1 < bytes.count { isMember = true }
                if byte == UInt8(ascii: "="), assigned == 2 { assigned = 3 }
                at += 1
            }
        }
        return at
    }

    /// What stands in quotes, nil when it is long; moves on behind it.
    private func quoted(_ quote: UInt8, _ at: inout Int) -> String? {
        let start = at + 1
        at = start
        while at < bytes.count, bytes[at] != quote { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
        let end = min(at, bytes.count)
        at = min(at + 1, bytes.count)
        return end - start <= Self.longest ? String(decoding: bytes[start..<end], as: UTF8.self) : nil
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
