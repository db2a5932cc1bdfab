import MartletWire

/// Puts arguments into the types a tool's schema wants, where only one thing can be meant. What does not fit stays as
/// it is: the tool that refuses it tells the model.
enum ArgumentFit {
    /// - Parameter schema: of the arguments as a whole; nil for none.
    static func fit(_ arguments: JSONObject, to schema: JSON?) -> JSONObject {
        guard let schema else { return arguments }
        return fitted(arguments, to: schema, depth: 0)
    }

    /// Text between tags as a value of the type the schema wants.
    /// - Parameter isLoose: without a type, text that is JSON counts as that.
    static func typed(_ text: String, as schema: JSON?, isLoose: Bool) -> JSON {
        let wanted = schema.map(types) ?? []
        if wanted.contains("string") {
            return text == "null" && wanted.contains("null") ? nil : .string(text)
        }
        if let schema, let words = schema["enum"]?.array, words.contains(.string(text)) { return .string(text) }
        if wanted.isEmpty {
            guard isLoose, let value = NearJSON.whole(text), !value.isRepaired else { return .string(text) }
            return value.value
        }
        guard let schema else { return .string(text) }
        if let value = NearJSON.whole(text)?.value, fits(value, wanted) { return fitted(value, to: schema, depth: 0) }
        return fitted(.string(text), to: schema, depth: 0)
    }

    /// The schema of one argument.
    static func schema(of name: String, in schema: JSON?) -> JSON? { schema?["properties"]?[name] }

    private static func fitted(_ object: JSONObject, to schema: JSON, depth: Int) -> JSONObject {
        guard let properties = schema["properties"]?.object, depth < CallLimits.depth else { return object }
        let required = schema["required"]?.array ?? []
        var fit = JSONObject()
        for (name, value) in object {
            guard let wanted = properties[name] else {
                fit[name] = value
                continue
            }
            let types = types(wanted)
            // Many models spell out what they leave out.
            if value.isNull, !types.isEmpty, !types.contains("null"), !required.contains(.string(name)),
                wanted["enum"]?.array?.contains(nil) != true
            {
                continue
            }
            fit[name] = fitted(value, to: wanted, depth: depth + 1)
        }
        return fit
    }

    private static func fitted(_ value: JSON, to schema: JSON, depth: Int) -> JSON {
        guard depth < CallLimits.depth, schema.object != nil else { return value }
        if let words = schema["enum"]?.array, words.contains(value) { return value }
        if let ways = schema["anyOf"]?.array ?? schema["oneOf"]?.array {
            if ways.contains(where: { fits(value, types($0)) }) { return only(value, ways, depth) ?? value }
            let fitting = ways.compactMap { converted(value, to: $0, depth) }
            guard let first = fitting.first, fitting.allSatisfy({ $0 == first }) else { return value }
            return first
        }
        guard fits(value, types(schema)) else { return converted(value, to: schema, depth) ?? value }
        switch value {
        case .object(let object): return .object(fitted(object, to: schema, depth: depth))
        case .array(let elements):
            guard let items = schema["items"] else { return value }
            return .array(elements.map { fitted($0, to: items, depth: depth + 1) })
        default: return value
        }
    }

    /// By the one way the value fits; nil when there are several.
    private static func only(_ value: JSON, _ ways: [JSON], _ depth: Int) -> JSON? {
        let fitting = ways.filter { fits(value, types($0)) }
        guard fitting.count == 1 else { return nil }
        return fitted(value, to: fitting[0], depth: depth + 1)
    }

    private static func converted(_ value: JSON, to schema: JSON, _ depth: Int) -> JSON? {
        var found: JSON?
        for type in types(schema) {
            guard let converted = convert(value, to: type, schema, depth) else { continue }
            if let found, found != converted { return nil }
            found = converted
        }
        return found
    }

    private static func convert(_ value: JSON, to type: String, _ schema: JSON, _ depth: Int) -> JSON? {
        switch (type, value) {
        case ("integer", .string(let text)): return number(text).flatMap { $0.isInteger ? .number($0) : nil }
        case ("number", .string(let text)): return number(text).map { .number($0) }
        case ("boolean", .string("true")), ("boolean", .string("True")): return true
        case ("boolean", .string("false")), ("boolean", .string("False")): return false
        case ("string", .number(let number)): return .string(number.literal)
        case ("string", .bool(let flag)): return .string(flag ? "true" : "false")
        case ("object", .string(let text)):
            guard case .object(let object)? = NearJSON.whole(text)?.value else { return nil }
            return .object(fitted(object, to: schema, depth: depth + 1))
        case ("array", .string(let text)) where text.utf8.first == UInt8(ascii: "["):
            guard case .array(let elements)? = NearJSON.whole(text)?.value else { return nil }
            return fitted(.array(elements), to: schema, depth: depth + 1)
        case ("array", .null), ("array", .array): return nil
        case ("array", let element):
            guard let items = schema["items"] else { return [element] }
            let fit = fitted(element, to: items, depth: depth + 1)
            return fits(fit, types(items)) ? [fit] : nil
        default: return nil
        }
    }

    /// Spelled as JSON spells numbers, and nothing beside it.
    private static func number(_ text: String) -> JSONNumber? { JSONNumber(literal: text) }

    /// The words of `type`, or of all alternatives; empty when any type will do.
    private static func types(_ schema: JSON) -> Set<String> {
        if let type = schema["type"]?.string { return [type] }
        if let types = schema["type"]?.array { return Set(types.compactMap(\.string)) }
        guard let ways = schema["anyOf"]?.array ?? schema["oneOf"]?.array else { return [] }
        let each = ways.prefix(CallLimits.depth).map { way -> Set<String> in
            if let type = way["type"]?.string { return [type] }
            return Set((way["type"]?.array ?? []).compactMap(\.string))
        }
        return each.contains([]) ? [] : each.reduce(into: []) { $0.formUnion($1) }
    }

    private static func fits(_ value: JSON, _ types: Set<String>) -> Bool {
        if types.isEmpty { return true }
        switch value {
        case .null: return types.contains("null")
        case .bool: return types.contains("boolean")
        case .number(let number): return types.contains("number") || types.contains("integer") && number.int != nil
        case .string: return types.contains("string")
        case .array: return types.contains("array")
        case .object: return types.contains("object")
        }
    }
}

extension JSONNumber {
    fileprivate var isInteger: Bool {
        literal.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 || $0 == UInt8(ascii: "-") }
    }
}
