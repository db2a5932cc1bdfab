import MartletWire
import NIOCore

extension SchemaFit {
    /// Whether OpenAI takes the schema as `strict`: objects are closed and want all of their members, and nothing
    /// stands in it that its compiler does not know (specs 5.1;
    /// https://platform.openai.com/docs/guides/structured-outputs#supported-schemas).
    static func isStrict(_ schema: ByteBuffer) -> Bool {
        guard let json = try? JSON(parsing: schema), json["type"] == "object" else { return false }
        return StrictSchema.holds(json, depth: 0)
    }
}

private enum StrictSchema {
    /// Schemas inside each other.
    private static let deepest = 10
    private static let mostChoices = 1000
    /// Members whose value may be any.
    private static let free: Set<String> = [
        "$schema", "title", "description", "const", "type", "required", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
    ]
    private static let formats: Set<String> = [
        "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
    ]

    static func holds(_ schema: JSON, depth: Int) -> Bool {
        guard let members = schema.object, depth <= deepest else { return false }
        if members["$ref"]?.string != nil { return members.count == 1 }
        guard members["type"] != nil || members["anyOf"] != nil, isClosed(members) else { return false }
        return members.allSatisfy { name, value in
            switch name {
            case "properties", "$defs", "definitions":
                value.object?.allSatisfy { holds($0.value, depth: depth + 1) } ?? false
            case "items": holds(value, depth: depth + 1)
            case "anyOf": value.array?.allSatisfy { holds($0, depth: depth + 1) } ?? false
            case "enum": value.array.map { $0.count <= mostChoices } ?? false
            case "format": value.string.map(formats.contains) ?? false
            case "pattern": value.string.map { !$0.contains("(?") } ?? false
            case "additionalProperties": value == false
            default: free.contains(name)
            }
        }
    }

    /// True of what is no object.
    private static func isClosed(_ members: JSONObject) -> Bool {
        let isObject = members["type"] == "object" || members["type"]?.array?.contains("object") == true
        guard isObject || members["properties"] != nil else { return true }
        let required = Set(members["required"]?.array ?? [])
        return members["additionalProperties"] == false
            && (members["properties"]?.object ?? [:]).allSatisfy { required.contains(.string($0.key)) }
    }
}
