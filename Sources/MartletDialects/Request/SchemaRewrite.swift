import MartletWire

/// Rebuilds a schema for a profile.
struct SchemaRewrite {
    /// Schemas inside each other; what is deeper may be anything.
    static let deepest = 12
    /// Values of an enumeration.
    static let mostChoices = 500
    /// Larger ones are left to the description: they blow up a grammar.
    static let bounds = ["minLength": 200, "maxLength": 1000, "minItems": 64, "maxItems": 64]
    static let unneeded: Set<String> = ["$schema", "$id", "$comment", "examples", "title"]

    /// References followed inside each other before a schema may be anything.
    private static let deepestReference = 3
    /// Schemas made in all: references that name each other could make any number.
    private static let most = 20_000
    private static let formats: Set<String> = ["date", "time", "date-time", "uuid"]
    /// All there are in JSON Schema.
    private static let types = 7
    private static let removed: Set<String> = [
        "not", "if", "then", "else", "contains", "minContains", "maxContains", "patternProperties", "propertyNames",
        "dependencies", "dependentSchemas", "dependentRequired", "unevaluatedProperties", "unevaluatedItems",
        "uniqueItems", "multipleOf",
    ]
    private static let minimal: Set<String> = ["type", "properties", "required", "items", "enum", "description"]
    private static let unbounded: Set<String> = [
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
    ]

    let root: JSON
    let profile: SchemaProfile
    private var made = 0
    private var references = 0

    init(root: JSON, profile: SchemaProfile) {
        self.root = root
        self.profile = profile
    }

    private var isStrict: Bool { profile == .strictOpenAI || profile == .strictAnthropic }

    mutating func fit(_ schema: JSON, depth: Int) -> JSON {
        made += 1
        guard let members = schema.object, depth <= Self.deepest, made <= Self.most else { return [:] }
        if let reference = members["$ref"]?.string, let inlined = inline(reference, depth) { return inlined }
        var fitted = JSONObject()
        var hints: [String] = []
        for (name, value) in members { add(name, value, depth, to: &fitted, &hints) }
        merge(&fitted)
        split(&fitted)
        require(&fitted)
        if !hints.isEmpty {
            let words = [fitted["description"]?.string ?? ""] + hints
            fitted["description"] = .string(words.filter { !$0.isEmpty }.joined(separator: " "))
        }
        if isStrict, fitted["type"] == "object" || fitted["properties"] != nil {
            fitted["additionalProperties"] = false
        }
        return .object(fitted)
    }

    // MARK: - References

    /// Nil: the reference may stay.
    private mutating func inline(_ reference: String, _ depth: Int) -> JSON? {
        let path = reference.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isPlain = path.count == 3 && path[0] == "#" && ["$defs", "definitions"].contains(path[1])
        if isPlain, profile == .llamacpp || isStrict { return nil }
        guard path.first == "#", references < Self.deepestReference else { return [:] }
        var found: JSON? = root
        for step in path.dropFirst() {
            let step = step.replacing("~1", with: "/").replacing("~0", with: "~")
            found = Int(step).flatMap { found?[$0] } ?? found?[step]
        }
        guard let found else { return [:] }
        references += 1
        defer { references -= 1 }
        return fit(found, depth: depth + 1)
    }

    // MARK: - Members

    private mutating func add(
        _ name: String, _ value: JSON, _ depth: Int, to fitted: inout JSONObject, _ hints: inout [String]
    ) {
        if Self.unneeded.contains(name) || Self.removed.contains(name) { return }
        if profile == .minimal, !Self.minimal.contains(name) { return }
        if isStrict, Self.unbounded.contains(name) {
            hints.append("(\(name): \(value.text))")
            return
        }
        switch name {
        case "properties", "$defs", "definitions":
            guard let members = value.object else { return }
            if profile == .guided, name != "properties" { return }
            fitted[name] = .object(JSONObject(members.map { ($0.key, fit($0.value, depth: depth + 1)) }))
        case "items", "additionalProperties":
            if let items = value.array {
                fitted["prefixItems"] = .array(items.map { fit($0, depth: depth + 1) })
            } else if value.bool != nil {
                if name == "additionalProperties" { fitted[name] = value }
            } else {
                fitted[name] = fit(value, depth: depth + 1)
            }
        case "anyOf", "oneOf", "allOf", "prefixItems":
            guard let schemas = value.array else { return }
            let branches = schemas.map { fit($0, depth: depth + 1) }
            if name != "oneOf" || fitted["anyOf"] == nil { fitted[name == "oneOf" ? "anyOf" : name] = .array(branches) }
        case "enum": choices(value, into: &fitted, &hints)
        case "pattern":
            guard let pattern = value.string else { return }
            if let plain = SchemaPattern.fit(pattern) {
                fitted[name] = .string(plain)
            } else {
                hints.append("(pattern: \(pattern))")
            }
        case "format":
            guard let format = value.string else { return }
            if Self.formats.contains(format) { fitted[name] = value } else { hints.append("(format: \(format))") }
        case _ where Self.bounds[name] != nil:
            if let count = value.int, count <= Self.bounds[name] ?? 0 {
                fitted[name] = value
            } else {
                hints.append("(\(name): \(value.text))")
            }
        default: fitted[name] = value
        }
    }

    private func choices(_ value: JSON, into fitted: inout JSONObject, _ hints: inout [String]) {
        guard var values = value.array else { return }
        var seen: Set<JSON> = []
        values = values.filter { seen.insert($0).inserted }
        if profile == .minimal { values = values.filter { $0.string != nil } }
        guard values.count > Self.mostChoices else {
            if !values.isEmpty { fitted["enum"] = .array(values) }
            return
        }
        hints.append("(one of \(values.prefix(20).map(\.text).joined(separator: ", ")), …)")
        if fitted["type"] == nil, let kind = values.first?.kind {
            fitted["type"] = kind == .string ? "string" : kind == .number ? "number" : nil
        }
    }

    // MARK: - The whole

    /// `allOf` of objects is one object; a union of one is that one.
    private func merge(_ fitted: inout JSONObject) {
        if let all = fitted.remove("allOf")?.array {
            for branch in all {
                for (name, value) in branch.object ?? [:] { join(name, value, into: &fitted) }
            }
        }
        if let branches = fitted["anyOf"]?.array, branches.count == 1, let only = branches[0].object {
            fitted.remove("anyOf")
            for (name, value) in only { join(name, value, into: &fitted) }
        }
    }

    private func join(_ name: String, _ value: JSON, into fitted: inout JSONObject) {
        switch (name, fitted[name]) {
        case (_, nil): fitted[name] = value
        case ("properties", .object(var known)?):
            for (key, schema) in value.object ?? [:] { known.append(key, schema) }
            fitted[name] = .object(known)
        case ("required", .array(let known)?):
            let seen = Set(known)
            fitted[name] = .array(known + (value.array ?? []).filter { !seen.contains($0) })
        default: break
        }
    }

    /// A list of types is a union of schemas.
    private func split(_ fitted: inout JSONObject) {
        guard let types = fitted["type"]?.array else { return }
        if types.count == 1 || profile == .minimal || types.count > Self.types {
            fitted["type"] = types.first { $0 != "null" } ?? types.first
        } else if fitted["anyOf"] == nil {
            var branches: [JSON] = []
            for type in types {
                var branch = fitted
                branch.remove("description")
                branch.remove("default")
                branch["type"] = type
                if type == "null" { branch = ["type": "null"] }
                branches.append(.object(branch))
            }
            fitted = JSONObject(
                fitted.filter { $0.key == "description" || $0.key == "default" }.map { ($0.key, $0.value) })
            fitted["anyOf"] = .array(branches)
        } else {
            fitted.remove("type")
        }
    }

    private func require(_ fitted: inout JSONObject) {
        guard let required = fitted["required"] else { return }
        let properties = fitted["properties"]?.object ?? [:]
        let known = (required.array ?? []).filter { name in name.string.map { properties[$0] != nil } ?? false }
        fitted["required"] = known.isEmpty ? nil : .array(known)
    }
}
