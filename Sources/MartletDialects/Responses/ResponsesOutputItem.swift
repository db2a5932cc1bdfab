import MartletWire

/// An item of a Response's output, as it begins or as it stands when it is done.
struct ResponsesOutputItem {
    enum Kind: Sendable { case message, reasoning, function, custom, other }

    struct Part {
        var isRefusal = false
        var text: Range<Int>?
    }

    var kind = Kind.other
    var range: Range<Int>
    var id: Range<Int>?
    var callID: Range<Int>?
    var name: Range<Int>?
    /// Inside the quotes: `arguments`, or `input` of a custom tool's call.
    var arguments: Range<Int>?
    /// Arguments given as a JSON value instead of as a string.
    var argumentValue: Range<Int>?
    /// `content`; a string counts as one part.
    var content: [Part] = []
    var summary: [Part] = []
    /// `encrypted_content`.
    var sealed: Range<Int>?

    init(_ walk: inout JSONWalk) throws(JSONError) {
        let start = walk.offset
        range = start..<start
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                guard let type = try walk.stringOrSkip() else { continue }
                if walk.text(type, is: "message") { kind = .message }
                if walk.text(type, is: "reasoning") { kind = .reasoning }
                if walk.text(type, is: "function_call") { kind = .function }
                if walk.text(type, is: "custom_tool_call") { kind = .custom }
            } else if walk.key(key, is: "id") {
                id = try walk.stringOrSkip()
            } else if walk.key(key, is: "call_id") {
                callID = try walk.stringOrSkip()
            } else if walk.key(key, is: "name") {
                name = try walk.stringOrSkip()
            } else if walk.key(key, is: "arguments") || walk.key(key, is: "input") {
                switch try walk.kind() {
                case .string: arguments = try walk.string()
                case .object, .array: argumentValue = try walk.skip()
                case .number, .bool, .null: _ = try walk.skip()
                }
            } else if walk.key(key, is: "content") {
                content = try Part.list(&walk)
            } else if walk.key(key, is: "summary") {
                summary = try Part.list(&walk)
            } else if walk.key(key, is: "encrypted_content") {
                sealed = try walk.stringOrSkip()
            } else {
                _ = try walk.skip()
            }
        }
        range = start..<walk.offset
    }

    static func list(_ walk: inout JSONWalk) throws(JSONError) -> [ResponsesOutputItem] {
        var items: [ResponsesOutputItem] = []
        try walk.enterArray()
        while try walk.nextObject() { items.append(try ResponsesOutputItem(&walk)) }
        return items
    }
}

extension ResponsesOutputItem.Part {
    init(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                if let type = try walk.stringOrSkip() { isRefusal = walk.text(type, is: "refusal") }
            } else if walk.key(key, is: "text") || walk.key(key, is: "refusal") {
                text = try walk.stringOrSkip() ?? text
            } else {
                _ = try walk.skip()
            }
        }
    }

    fileprivate static func list(_ walk: inout JSONWalk) throws(JSONError) -> [ResponsesOutputItem.Part] {
        switch try walk.kind() {
        case .string: return [ResponsesOutputItem.Part(text: try walk.string())]
        case .array:
            var parts: [ResponsesOutputItem.Part] = []
            try walk.enterArray()
            while try walk.nextObject() { parts.append(try ResponsesOutputItem.Part(&walk)) }
            return parts
        case .object, .number, .bool, .null:
            _ = try walk.skip()
            return []
        }
    }
}
