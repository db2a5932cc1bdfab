package import NIOCore

extension JSON {
    /// Reads one whole JSON text.
    ///
    /// - Throws: what is wrong with it; `duplicateKey` too, at any depth.
    package init(parsing text: ByteBuffer, loneSurrogates: Bool = false) throws(JSONError) {
        self = try text.walkJSON(loneSurrogates: loneSurrogates) { (walk: inout JSONWalk) throws(JSONError) -> JSON in
            try Self.parse(&walk)
        }
    }

    /// Reads one whole JSON text.
    ///
    /// - Throws: what is wrong with it; `duplicateKey` too, at any depth.
    package init(parsing text: String) throws(JSONError) {
        var text = text
        let result = text.withUTF8 { bytes -> Result<JSON, JSONError> in
            do throws(JSONError) {
                var walk = JSONWalk(UnsafeRawBufferPointer(bytes))
                return .success(try Self.parse(&walk))
            } catch {
                return .failure(error)
            }
        }
        self = try result.get()
    }

    private static func parse(_ walk: inout JSONWalk) throws(JSONError) -> JSON {
        let value = try walk.value()
        try walk.end()
        return value
    }
}

extension JSONWalk {
    /// Steps over a value of any kind and builds it.
    ///
    /// - Throws: `duplicateKey` too, at any depth.
    package mutating func value() throws(JSONError) -> JSON {
        switch try kind() {
        case .null:
            _ = try skip()
            return .null
        case .bool: return .bool(try bool())
        case .number: return .number(JSONNumber(checked: text(try number())))
        case .string: return .string(text(try string()))
        case .array:
            var elements = [JSON]()
            try enterArray()
            while try nextElement() { elements.append(try value()) }
            return .array(elements)
        case .object:
            var members = JSONObject()
            try enterObject()
            while let key = try nextKey() {
                let name = name(key)
                guard members.append(name, try value()) else {
                    throw JSONError(.duplicateKey, at: key.range.lowerBound, name: name)
                }
            }
            return .object(members)
        }
    }
}
