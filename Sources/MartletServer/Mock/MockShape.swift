import MartletWire

/// The plainest value that a JSON schema allows: the same for the same schema, without randomness.
///
/// Understands `const`, `enum`, `default`, `type`, `properties`, `required`, `items`, lower bounds, `$ref` within the
/// schema and the first branch of `anyOf`, `oneOf` and `allOf`. A schema that says nothing gets an empty object.
struct MockShape {
    /// Nesting beyond this is cut off with null, so that a schema that refers to itself ends.
    private static let depthLimit = 12
    /// Of the values that a schema asks many of, such as `minItems`.
    private static let countLimit = 64

    private let root: JSON

    private init(root: JSON) { self.root = root }

    static func value(of schema: JSON) -> JSON { MockShape(root: schema).value(schema, name: "value", depth: 0) }

    private func value(_ schema: JSON, name: String, depth: Int) -> JSON {
        guard depth < MockShape.depthLimit else { return .null }
        if let fixed = schema["const"] ?? schema["enum"]?[0] ?? schema["default"] { return fixed }
        if let path = schema["$ref"]?.string {
            return target(of: path).map { value($0, name: name, depth: depth + 1) } ?? .null
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            if let branch = schema[word]?[0] { return value(branch, name: name, depth: depth + 1) }
        }
        switch type(of: schema) {
        case "string": return .string(text(name, schema))
        case "integer":
            let least = schema["minimum"]?.double ?? 1
            return .int(least.magnitude < 1e15 ? Int(least.rounded(.up)) : 1)
        case "number": return schema["minimum"] ?? 1
        case "boolean": return true
        case "null": return .null
        case "array":
            let count = min(schema["minItems"]?.int ?? 1, MockShape.countLimit)
            guard count > 0, let items = schema["items"] else { return [] }
            return .array(Array(repeating: value(items, name: name, depth: depth + 1), count: count))
        default: return object(schema, depth: depth)
        }
    }

    private func type(of schema: JSON) -> String? {
        if let type = schema["type"]?.string ?? schema["type"]?[0]?.string { return type }
        return schema["items"] == nil ? nil : "array"
    }

    /// The required members; all of them where none is required.
    private func object(_ schema: JSON, depth: Int) -> JSON {
        guard let properties = schema["properties"]?.object else { return [:] }
        let required = schema["required"]?.array?.compactMap(\.string) ?? []
        var made: JSONObject = [:]
        for name in required.isEmpty ? properties.keys : required {
            made[name] = value(properties[name] ?? [:], name: name, depth: depth + 1)
        }
        return .object(made)
    }

    private func text(_ name: String, _ schema: JSON) -> String {
        let least = min(schema["minLength"]?.int ?? 0, 4096)
        let most = max(schema["maxLength"]?.int ?? 4096, 0)
        let text = name.count < least ? name + String(repeating: "x", count: least - name.count) : name
        return String(text.prefix(most))
    }

    /// `#/$defs/place`, from the schema's root.
    private func target(of path: String) -> JSON? {
        guard path.hasPrefix("#") else { return nil }
        var found: JSON? = root
        for step in path.dropFirst().split(separator: "/") { found = found?[String(step)] }
        return found
    }
}
