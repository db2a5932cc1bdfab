package import MartletWire

/// One thing that the doctor looked at.
package struct Finding: Sendable, Equatable {
    package enum Level: String, Sendable {
        case fine
        /// It works, and something is worth knowing.
        case hint
        /// It does not work.
        case broken
    }

    /// What it is about: `upstream studio`, `engine`, `port`.
    package var about: String
    package var level: Level
    /// What was found.
    package var text: String
    /// What to do about it.
    package var advice: String?
    /// The same as values, for scripts.
    package var facts: JSONObject

    package init(_ about: String, _ level: Level, _ text: String, advice: String? = nil, facts: JSONObject = [:]) {
        self.about = about
        self.level = level
        self.text = text
        self.advice = advice
        self.facts = facts
    }

    package var line: String {
        let mark =
            switch level {
            case .fine: "ok    "
            case .hint: "hint  "
            case .broken: "BROKEN"
            }
        return "\(mark)  \(about): \(text)" + (advice.map { ". \($0)" } ?? "")
    }

    package var json: JSON {
        var members: JSONObject = [
            "about": .string(about), "level": .string(level.rawValue), "text": .string(text),
            "advice": advice.map(JSON.string) ?? .null,
        ]
        if !facts.isEmpty { members["facts"] = .object(facts) }
        return .object(members)
    }
}
