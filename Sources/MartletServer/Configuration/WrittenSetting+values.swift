import MartletGateway

extension WrittenSetting {
    /// Whether the value was said to be none.
    var isNone: Bool { if case .none = value { true } else { false } }

    /// Nil where the value was said to be none, else what `read` makes of it.
    func optional<Value>(_ read: (WrittenSetting) throws -> Value) throws -> Value? {
        isNone ? nil : try read(self)
    }

    func text() throws(ValueProblem) -> String {
        switch value {
        case .text(let text) where !text.isEmpty: return text
        case .text, .none: throw ValueProblem("has no value")
        case .list: throw ValueProblem("must be a single value, not a list")
        case .pairs: throw ValueProblem("must be a single value, not a mapping")
        }
    }

    func list() throws(ValueProblem) -> [String] {
        switch value {
        case .list(let items): return items
        case .text(let text): throw ValueProblem(mustBe: "a list", got: text)
        case .none: throw ValueProblem("has no value; an empty list is []")
        case .pairs: throw ValueProblem("must be a list, not a mapping")
        }
    }

    func int(_ range: ClosedRange<Int>, orWord word: String? = nil) throws(ValueProblem) -> Int {
        let text = try text()
        guard let number = Int(text), range.contains(number) else {
            let wanted = "a whole number from \(range.lowerBound) to \(range.upperBound)"
            throw ValueProblem(mustBe: word.map { "\($0), or \(wanted)" } ?? wanted, got: text)
        }
        return number
    }

    func number(_ range: ClosedRange<Double>) throws(ValueProblem) -> Double {
        let text = try text()
        guard let number = Double(text), range.contains(number) else {
            let bounds = "from \(range.lowerBound) to \(range.upperBound)".replacing(".0", with: "")
            throw ValueProblem(mustBe: "a number \(bounds)", got: text)
        }
        return number
    }

    /// One of the words of an enumeration.
    func word<Word: RawRepresentable<String>>(_ known: [Word]) throws(ValueProblem) -> Word {
        let text = try text()
        guard let word = Word(rawValue: text) else {
            throw ValueProblem(mustBe: "one of " + known.map(\.rawValue).joined(separator: ", "), got: text)
        }
        return word
    }

    func flag() throws(ValueProblem) -> Bool {
        switch try text() {
        case "true": return true
        case "false": return false
        case let other: throw ValueProblem(mustBe: "true or false", got: other)
        }
    }

    /// `500ms`, `10s`, `30m`, `1h`, `2d`, from 0 to 365 days.
    func duration() throws(ValueProblem) -> Duration {
        let text = try text()
        guard let duration = SettingText.duration(text), duration <= .seconds(365 * 86400) else {
            throw ValueProblem(mustBe: "a duration such as 500ms, 10s, 30m or 1h, at most 365d", got: text)
        }
        return duration
    }

    /// A duration, where `0s` and `null` mean none.
    func limit() throws(ValueProblem) -> Duration? {
        if isNone { return nil }
        let duration = try duration()
        return duration == .zero ? nil : duration
    }

    /// Bytes: `32MiB`, `10MB`, `65536`.
    func size(_ range: ClosedRange<Int>) throws(ValueProblem) -> Int {
        let text = try text()
        guard let bytes = SettingText.size(text), range.contains(bytes) else {
            let bounds =
                "from \(SettingText.show(bytes: range.lowerBound)) to \(SettingText.show(bytes: range.upperBound))"
            throw ValueProblem(mustBe: "a size such as 32MiB or 10MB, \(bounds)", got: text)
        }
        return bytes
    }

    /// A host name or address without scheme and port; brackets around an IPv6 address are taken off.
    func host() throws(ValueProblem) -> String {
        var text = try text()
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        guard colons != 1, !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") })
        else {
            throw ValueProblem(mustBe: "a host name or an address, without scheme and port", got: text)
        }
        return text
    }

    /// A base URL as `BaseURL` takes it, or a mock's, kept as it was written.
    func url() throws(ValueProblem) -> String {
        let text = try text()
        if text.hasPrefix("mock:") {
            guard MockSettings(text) != nil else {
                throw ValueProblem(
                    mustBe: "mock: or mock:?pace=20ms&first=1s&tokens=50&models=a,b with one or more of these",
                    got: text)
            }
            return text
        }
        guard BaseURL(text) != nil else {
            throw ValueProblem(
                mustBe: "a URL such as http://localhost:1234, without user, query and fragment",
                got: text.contains("@") ? nil : text)
        }
        return text
    }

    /// A key. An empty one (an unset variable in a Compose file) is none.
    func secret() throws(ValueProblem) -> Secret? {
        switch value {
        case .none: return nil
        case .text(let text) where text.isEmpty: return nil
        case .text(let text):
            guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw ValueProblem(mustBe: "a key without spaces and control characters", got: nil)
            }
            return Secret(text)
        case .list, .pairs: throw ValueProblem(mustBe: "a single value", got: nil)
        }
    }

    /// A path; `~/` stands for the user's home, and a relative path of a file starts from the file's folder.
    func path(bareIsName: Bool = false) throws(ValueProblem) -> String {
        let text = try text()
        guard let folder, !text.hasPrefix("/"), !text.hasPrefix("~"), !(bareIsName && !text.contains("/")) else {
            return text
        }
        return folder.hasSuffix("/") ? folder + text : "\(folder)/\(text)"
    }

    /// A model's name, or none.
    func model() throws(ValueProblem) -> String? {
        if isNone { return nil }
        let text = try text()
        guard ModelName.isPlain(text) else { throw ValueProblem(mustBe: "a model's name", got: nil) }
        return text
    }
}
