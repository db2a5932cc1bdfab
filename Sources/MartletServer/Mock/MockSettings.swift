/// How a mock answers, from its URL: `mock:`, `mock:?pace=20ms&first=200ms&tokens=50&models=a,b`.
package struct MockSettings: Sendable, Hashable {
    /// Time between two words. Default: none.
    package var pace = Duration.zero
    /// Time before the first word. Default: none.
    package var first = Duration.zero
    /// Words of an answer, 1 to 100000, cut or repeated to that length. Nil, the default: as many as the answer has.
    package var tokens: Int?
    /// Ids that the mock lists and answers to. Default: `mock`.
    package var models = ["mock"]

    package init() {}

    /// Nil when it is no such URL, names an unknown key or a value out of range. Nothing at all is the default.
    package init?(_ url: String) {
        guard !url.isEmpty else { return }
        guard url.hasPrefix("mock:") else { return nil }
        let rest = url.dropFirst(5)
        guard !rest.isEmpty else { return }
        guard rest.hasPrefix("?") else { return nil }
        for pair in rest.dropFirst().split(separator: "&") {
            guard let equals = pair.firstIndex(of: "=") else { return nil }
            guard set(pair[..<equals], String(pair[pair.index(after: equals)...])) else { return nil }
        }
    }

    private mutating func set(_ key: Substring, _ text: String) -> Bool {
        switch key {
        case "pace", "first":
            guard let time = SettingText.duration(text), time <= .seconds(3600) else { return false }
            if key == "pace" { pace = time } else { first = time }
        case "tokens":
            guard let count = Int(text), 1...100_000 ~= count else { return false }
            tokens = count
        case "models":
            models = text.split(separator: ",").map(String.init)
            return !models.isEmpty
        default: return false
        }
        return true
    }
}
