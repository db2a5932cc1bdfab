import MartletWire
import NIOCore

/// Makes JSON Schemas fit for what compiles them: one tool that does not compile fails a whole request.
///
/// A pure function of schema and profile that keeps the order of members. Only the engine sees the result;
/// arguments are the client's to check.
enum SchemaFit {
    /// The schema of a tool's arguments: an object, always.
    static func parameters(_ schema: ByteBuffer?, _ profile: SchemaProfile) -> ByteBuffer {
        fit(schema ?? ByteBuffer(string: "{}"), profile, isTool: true)
    }

    /// The schema of an answer.
    static func output(_ schema: ByteBuffer, _ profile: SchemaProfile) -> ByteBuffer {
        // A client relies on an answer's form: where it is shown at all, it is one.
        fit(schema, profile == .bare ? .minimal : profile, isTool: false)
    }

    /// Whether a profile that closes every object leaves this schema its meaning: a map, or an object of which nothing
    /// is said, would become one that can only be empty.
    static func canBeClosed(_ schema: ByteBuffer) -> Bool {
        guard let json = try? JSON(parsing: schema) else { return false }
        return canBeClosed(json)
    }

    private static func canBeClosed(_ schema: JSON) -> Bool {
        guard let members = schema.object else { return true }
        if members["patternProperties"]?.object?.isEmpty == false || members["additionalProperties"]?.object != nil {
            return false
        }
        let isObject = members["type"] == "object" || members["type"]?.array?.contains("object") == true
        let isOpen = members["additionalProperties"].map {
            $0 == true && members["properties"]?.object?.isEmpty != false
        }
        if isObject,
            isOpen ?? !["properties", "$ref", "anyOf", "oneOf", "allOf"].contains(where: { members[$0] != nil })
        {
            return false
        }
        for (name, value) in members {
            switch name {
            case "properties", "$defs", "definitions":
                guard value.object?.allSatisfy({ canBeClosed($0.value) }) ?? true else { return false }
            case "anyOf", "oneOf", "allOf", "prefixItems":
                guard value.array?.allSatisfy(canBeClosed) ?? true else { return false }
            case "items": guard value.array?.allSatisfy(canBeClosed) ?? canBeClosed(value) else { return false }
            default: break
            }
        }
        return true
    }

    /// The slow way, for all of it.
    static func rewritten(_ schema: JSON, _ profile: SchemaProfile, isTool: Bool) -> JSON {
        var rewrite = SchemaRewrite(root: schema, profile: profile)
        let fitted = profile == .none ? schema : rewrite.fit(schema, depth: 0)
        return isTool ? objectRoot(fitted) : fitted
    }

    private static func fit(_ schema: ByteBuffer, _ profile: SchemaProfile, isTool: Bool) -> ByteBuffer {
        if profile == .bare { return ByteBuffer(string: #"{"type":"object"}"#) }
        if profile == .none || profile == .llamacpp, let copy = SchemaCopy.copy(schema, profile, isTool: isTool) {
            return copy
        }
        // Names that stand twice inside a schema are all a checked text can still be refused for.
        guard let json = try? JSON(parsing: schema) else { return ByteBuffer(string: #"{"type":"object"}"#) }
        return rewritten(json, profile, isTool: isTool).buffer
    }

    private static func objectRoot(_ schema: JSON) -> JSON {
        guard let members = schema.object, members["type"] == nil || members["type"] == "object" else {
            return ["type": "object", "properties": [:]]
        }
        var root = schema
        if members["type"] == nil {
            var whole = JSONObject()
            whole.append("type", "object")
            for (key, value) in members { whole.append(key, value) }
            root = .object(whole)
        }
        if members["properties"] == nil { root["properties"] = [:] }
        return root
    }
}

/// The fast way for the schemas nearly all tools have: members that are fine are copied as they stand, and those nobody
/// needs left out. Gives up on anything that has to be rebuilt.
enum SchemaCopy {
    /// Members of one object; more are left to the slow way.
    fileprivate static let most = 100

    /// Nil: this needs the slow way.
    static func copy(_ schema: ByteBuffer, _ profile: SchemaProfile, isTool: Bool) -> ByteBuffer? {
        var out = ByteBuffer()
        out.reserveCapacity(schema.readableBytes)
        let isFine = try? schema.walkJSON { (walk: inout JSONWalk) throws(JSONError) -> Bool in
            var copy = Copy(text: schema, changesNothing: profile == .none)
            return try copy.schema(&walk, into: &out, depth: 0, isRoot: isTool)
        }
        return isFine == true ? out : nil
    }

    private struct Copy {
        let text: ByteBuffer
        let changesNothing: Bool

        mutating func schema(
            _ walk: inout JSONWalk, into out: inout ByteBuffer, depth: Int, isRoot: Bool
        ) throws(JSONError) -> Bool {
            guard try walk.kind() == .object, depth <= SchemaRewrite.deepest else { return false }
            var isFirst = true
            var hasType = false
            var properties: [String]?
            var required: [String] = []
            var names: [String] = []
            out.writeStaticString("{")
            try walk.enterObject()
            while let key = try walk.nextKey() {
                let name = walk.name(key)
                guard names.count < SchemaCopy.most, !names.contains(name) else { return false }
                names.append(name)
                if !changesNothing, SchemaRewrite.unneeded.contains(name) {
                    _ = try walk.skip()
                    continue
                }
                if !isFirst { out.writeStaticString(",") }
                isFirst = false
                out.writeEscaped(EscapedText(text.part(key.range)))
                out.writeStaticString(":")
                switch name {
                case "type":
                    guard try walk.kind() == .string else { return false }
                    let range = try walk.string()
                    hasType = walk.text(range, is: "object")
                    out.writeEscaped(EscapedText(text.part(range)))
                    if isRoot, !hasType { return false }
                case "properties":
                    var found: [String] = []
                    guard try members(&walk, into: &out, depth, &found) else { return false }
                    properties = found
                case "required":
                    let raw = try list(&walk, &required)
                    guard let raw else { return false }
                    out.writeImmutableBuffer(raw)
                default: guard try member(name, &walk, into: &out, depth) else { return false }
                }
            }
            out.writeStaticString("}")
            if isRoot, !hasType || properties == nil { return false }
            return changesNothing
                || required.count <= SchemaCopy.most && required.allSatisfy { properties?.contains($0) ?? false }
        }

        /// Schemas by name.
        private mutating func members(
            _ walk: inout JSONWalk, into out: inout ByteBuffer, _ depth: Int, _ found: inout [String]
        ) throws(JSONError) -> Bool {
            guard try walk.kind() == .object else { return false }
            out.writeStaticString("{")
            try walk.enterObject()
            while let key = try walk.nextKey() {
                if !found.isEmpty { out.writeStaticString(",") }
                let name = walk.name(key)
                guard found.count < SchemaCopy.most, !found.contains(name) else { return false }
                found.append(name)
                out.writeEscaped(EscapedText(text.part(key.range)))
                out.writeStaticString(":")
                guard try schema(&walk, into: &out, depth: depth + 1, isRoot: false) else { return false }
            }
            out.writeStaticString("}")
            return true
        }

        /// Strings, and the text of their list; nil for anything else.
        private func list(_ walk: inout JSONWalk, _ strings: inout [String]) throws(JSONError) -> ByteBuffer? {
            guard try walk.kind() == .array else { return nil }
            var again = walk
            let range = try walk.skip()
            try again.enterArray()
            while try again.nextElement() {
                guard try again.kind() == .string else { return nil }
                strings.append(again.text(try again.string()))
            }
            return text.part(range)
        }

        private mutating func member(
            _ name: String, _ walk: inout JSONWalk, into out: inout ByteBuffer, _ depth: Int
        ) throws(JSONError) -> Bool {
            if changesNothing {
                out.writeImmutableBuffer(text.part(try walk.skip()))
                return true
            }
            switch name {
            case "description", "default", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
                "deprecated", "readOnly", "writeOnly":
                out.writeImmutableBuffer(text.part(try walk.skip()))
                return true
            case "items", "additionalProperties":
                if try walk.kind() == .bool {
                    guard name == "additionalProperties" else { return false }
                    out.writeImmutableBuffer(text.part(try walk.skip()))
                    return true
                }
                return try schema(&walk, into: &out, depth: depth + 1, isRoot: false)
            case "enum":
                var words: [String] = []
                guard let raw = try list(&walk, &words), words.count <= SchemaRewrite.mostChoices,
                    Set(words).count == words.count
                else { return false }
                out.writeImmutableBuffer(raw)
                return true
            case "minItems", "maxItems", "minLength", "maxLength":
                guard let bound = SchemaRewrite.bounds[name], try walk.kind() == .number else { return false }
                var again = walk
                guard let value = try walk.int(), value <= bound else { return false }
                out.writeImmutableBuffer(text.part(try again.skip()))
                return true
            default: return false
            }
        }
    }
}
