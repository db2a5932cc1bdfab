import MartletWire

/// Checks a value against a JSON Schema, as far as structured output uses one: types, choices, properties, items,
/// bounds, patterns, combinations and references within the schema. `format` and keywords it does not know say nothing.
///
/// Bounded in depth and in work. What cannot be checked to the end is taken to fit: nothing wrong was found.
struct SchemaCheck {
    /// What is wrong, and where.
    struct Violation: Hashable {
        /// A JSON pointer (RFC 6901); empty for the whole value.
        var pointer: String
        /// What the value there has to do: `must be of type string, and is a number`.
        var demand: String

        var sentence: String { "\(pointer.isEmpty ? "the JSON" : pointer) \(demand)" }
    }

    /// Schemas inside each other, references included.
    private static let deepest = 64
    /// Schemas applied, values compared and names looked up, in all: it is done between other clients' bytes. Some ten
    /// milliseconds.
    private static let mostSteps = 300_000
    /// What patterns may take in all, as `PatternMatch` counts it.
    private static let mostPatternWork = 4_000_000
    /// Bytes of a schema's or value's own words in a violation.
    private static let mostWords = 200

    private let root: JSON
    private var path: [String] = []
    private var steps = 0
    private var patternWork = mostPatternWork
    private var isCutShort = false
    private var patterns: [String: PatternMatch?] = [:]

    init(_ schema: JSON) { root = schema }

    /// The first thing that is wrong; nil when the value fits.
    mutating func violation(of value: JSON) -> Violation? {
        let found = check(value, root, 0)
        return isCutShort ? nil : found
    }

    /// False once it has taken too long: nothing more is looked at.
    private mutating func spend(_ count: Int) -> Bool {
        steps += count
        if steps > Self.mostSteps { isCutShort = true }
        return !isCutShort
    }

    /// Spends as many steps as there are values in this one, and its words are long.
    private mutating func spend(on value: JSON) -> Bool {
        switch value {
        case .null, .bool: spend(1)
        case .number(let number): spend(1 + number.literal.utf8.count / 64)
        case .string(let text): spend(1 + text.utf8.count / 64)
        case .array(let elements): spend(1) && elements.allSatisfy { spend(on: $0) }
        case .object(let members): spend(1) && members.allSatisfy { spend(1 + $0.utf8.count / 64) && spend(on: $1) }
        }
    }

    private mutating func check(_ value: JSON, _ schema: JSON, _ depth: Int) -> Violation? {
        guard depth < Self.deepest, spend(1) else {
            isCutShort = true
            return nil
        }
        if schema == false { return wrong("must not be there") }
        guard let rules = schema.object else { return nil }
        if let reference = rules["$ref"]?.string, let named = resolve(reference),
            let found = check(value, named, depth + 1)
        {
            return found
        }
        if let found = checkKind(value, rules) { return found }
        let found =
            switch value {
            case .object(let members): check(members, rules, depth)
            case .array(let elements): check(elements, rules, depth)
            case .string(let text): check(text, rules)
            case .number(let number): check(number, rules)
            case .null, .bool: Violation?.none
            }
        return found ?? checkCombinations(value, rules, depth)
    }

    private func wrong(_ demand: String) -> Violation {
        var pointer = ""
        for step in path where pointer.utf8.count <= Self.mostWords {
            pointer += "/" + step.prefix(Self.mostWords).replacing("~", with: "~0").replacing("/", with: "~1")
        }
        return Violation(pointer: Self.short(pointer), demand: demand)
    }

    private static func short(_ text: String) -> String {
        text.utf8.count <= mostWords ? text : "\(text.prefix(mostWords))…"
    }

    /// What a reference within the schema names; nil for any other, which says nothing.
    private mutating func resolve(_ reference: String) -> JSON? {
        guard reference.hasPrefix("#"), spend(reference.utf8.count / 8) else { return nil }
        var found: JSON? = root
        for step in reference.dropFirst().split(separator: "/") {
            let name = String(step).replacing("~1", with: "/").replacing("~0", with: "~")
            found = found?.array == nil ? found?[name] : Int(name).flatMap { found?[$0] }
        }
        return found
    }

    // MARK: - Kinds

    private mutating func checkKind(_ value: JSON, _ rules: JSONObject) -> Violation? {
        let types = rules["type"]?.string.map { [$0] } ?? (rules["type"]?.array ?? []).prefix(8).compactMap(\.string)
        if !types.isEmpty, !types.contains(where: { Self.isOf($0, value) }) {
            return wrong("must be of type \(types.joined(separator: " or ")), and is \(Self.name(value))")
        }
        if let choices = rules["enum"]?.array, !choices.contains(where: { isSame($0, value) }) {
            return wrong("must be one of \(words(of: choices))")
        }
        if let only = rules["const"], !isSame(only, value) { return wrong("must be \(words(of: [only]))") }
        return nil
    }

    /// The first of them, as JSON.
    private mutating func words(of values: [JSON]) -> String {
        var words = ""
        for value in values where words.utf8.count <= Self.mostWords {
            guard spend(on: value) else { break }
            words += (words.isEmpty ? "" : ", ") + value.text
        }
        return Self.short(words)
    }

    private static func isOf(_ type: String, _ value: JSON) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("number", .number), ("string", .string), ("array", .array),
            ("object", .object):
            true
        case ("integer", .number(let number)): number.int != nil || number.double.map { $0.rounded() == $0 } ?? false
        default: false
        }
    }

    private static func name(_ value: JSON) -> String {
        switch value {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// Equal as JSON Schema has it: numbers by value, members in any order.
    private mutating func isSame(_ a: JSON, _ b: JSON) -> Bool {
        guard spend(1) else { return true }
        switch (a, b) {
        case (.number(let a), .number(let b)):
            return a == b || (a.int.map { $0 == b.int } ?? (a.double == b.double))
        case (.string(let a), .string(let b)):
            return a.utf8.count == b.utf8.count && spend(a.utf8.count / 64) && a == b
        case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { isSame($0, $1) }
        case (.object(let a), .object(let b)):
            return a.count == b.count && a.allSatisfy { name, value in b[name].map { isSame(value, $0) } ?? false }
        case (.null, .null): return true
        case (.bool(let a), .bool(let b)): return a == b
        default: return false
        }
    }

    // MARK: - What values hold

    private mutating func check(_ members: JSONObject, _ rules: JSONObject, _ depth: Int) -> Violation? {
        let required = rules["required"]?.array ?? []
        guard spend(required.count) else { return nil }
        for name in required.compactMap(\.string) where members[name] == nil {
            return wrong("must have a member \(JSON.string(Self.short(name)).text)")
        }
        let known = rules["properties"]?.object ?? [:]
        // Names a pattern allows are not told from others here, so nothing is said of either.
        let others = rules["patternProperties"] == nil ? rules["additionalProperties"] : nil
        for (name, value) in members {
            guard spend(1 + name.utf8.count / 64) else { return nil }
            if known[name] == nil, others == false {
                return wrong("must not have a member \(JSON.string(Self.short(name)).text)")
            }
            guard let schema = known[name] ?? others else { continue }
            path.append(name)
            defer { path.removeLast() }
            if let found = check(value, schema, depth + 1) { return found }
        }
        return checkCount(members.count, rules, "Properties", "members")
    }

    private mutating func check(_ elements: [JSON], _ rules: JSONObject, _ depth: Int) -> Violation? {
        let first = rules["prefixItems"]?.array ?? rules["items"]?.array ?? []
        let rest = rules["items"]?.array == nil ? rules["items"] : rules["additionalItems"]
        for (place, element) in elements.enumerated() {
            guard let schema = place < first.count ? first[place] : rest else { break }
            path.append(String(place))
            defer { path.removeLast() }
            if let found = check(element, schema, depth + 1) { return found }
        }
        return checkCount(elements.count, rules, "Items", "elements")
    }

    private mutating func check(_ text: String, _ rules: JSONObject) -> Violation? {
        if let found = checkCount(text.unicodeScalars.count, rules, "Length", "characters") { return found }
        guard let pattern = rules["pattern"]?.string, spend(pattern.utf8.count) else { return nil }
        let match = patterns[pattern] ?? PatternMatch(pattern)
        patterns[pattern] = match
        guard match?.matches(text, within: &patternWork) == false else { return nil }
        return wrong("must match the pattern \(Self.short(pattern))")
    }

    private func checkCount(_ count: Int, _ rules: JSONObject, _ what: String, _ words: String) -> Violation? {
        if let least = rules["min\(what)"]?.int, count < least {
            return wrong("must have at least \(least) \(words), and has \(count)")
        }
        if let most = rules["max\(what)"]?.int, count > most {
            return wrong("must have at most \(most) \(words), and has \(count)")
        }
        return nil
    }

    private func check(_ number: JSONNumber, _ rules: JSONObject) -> Violation? {
        func bound(_ name: String) -> JSONNumber? {
            if case .number(let bound)? = rules[name] { bound } else { nil }
        }
        if let least = bound("minimum"), Self.isLess(number, least) {
            return wrong("must be at least \(least.literal)")
        }
        if let most = bound("maximum"), Self.isLess(most, number) { return wrong("must be at most \(most.literal)") }
        if let least = bound("exclusiveMinimum"), !Self.isLess(least, number) {
            return wrong("must be more than \(least.literal)")
        }
        if let most = bound("exclusiveMaximum"), !Self.isLess(number, most) {
            return wrong("must be less than \(most.literal)")
        }
        return nil
    }

    private static func isLess(_ a: JSONNumber, _ b: JSONNumber) -> Bool {
        if let a = a.int, let b = b.int { return a < b }
        guard let a = Double(a.literal), let b = Double(b.literal) else { return false }
        return a < b
    }

    // MARK: - Combinations

    private mutating func checkCombinations(_ value: JSON, _ rules: JSONObject, _ depth: Int) -> Violation? {
        for schema in rules["allOf"]?.array ?? [] {
            if let found = check(value, schema, depth + 1) { return found }
        }
        if let schemas = rules["anyOf"]?.array, let found = alternatives(value, schemas, depth).closest { return found }
        if let schemas = rules["oneOf"]?.array {
            let (fitting, closest) = alternatives(value, schemas, depth, counting: true)
            if let closest { return closest }
            if fitting > 1 { return wrong("must fit exactly one alternative, and fits \(fitting)") }
        }
        if let schema = rules["not"], check(value, schema, depth + 1) == nil {
            return wrong("must not be like \(words(of: [schema]))")
        }
        return nil
    }

    /// How many alternatives fit, and if none does, what is wrong by the one that went furthest.
    private mutating func alternatives(
        _ value: JSON, _ schemas: [JSON], _ depth: Int, counting: Bool = false
    ) -> (fitting: Int, closest: Violation?) {
        var closest: Violation?
        var fitting = 0
        for schema in schemas {
            guard let found = check(value, schema, depth + 1) else {
                fitting += 1
                if counting { continue }
                break
            }
            if closest.map({ $0.pointer.utf8.count < found.pointer.utf8.count }) ?? true { closest = found }
        }
        return (fitting, fitting == 0 ? closest : nil)
    }
}
