import MartletWire

/// One event of a Responses stream, as ranges of its text. Members it does not know are checked and skipped; members of
/// an unexpected kind count as absent.
struct ResponsesEvent {
    var type: Range<Int>?
    /// The number's digits.
    var sequence: Range<Int>?
    /// Random letters that hide how long a delta is.
    var padding: Range<Int>?
    var outputIndex: Int?
    /// `content_index` or `summary_index`.
    var partIndex: Int?
    var itemID: Range<Int>?
    var delta: Range<Int>?
    /// What all deltas come to: `text`, `refusal`, `arguments` or `input`.
    var whole: Range<Int>?
    var part: ResponsesOutputItem.Part?
    var item: ResponsesOutputItem?
    var response: Response?
    /// The value of a top-level `error` that is neither null nor false.
    var error: Range<Int>?

    /// A whole Response, or what a server sent in its place.
    struct Response {
        var id: Range<Int>?
        var model: Range<Int>?
        var status: Range<Int>?
        /// The value, not null.
        var error: Range<Int>?
        /// `incomplete_details.reason`.
        var reason: Range<Int>?
        var usage: Usage?
        /// Nil: there is no such list.
        var output: [ResponsesOutputItem]?
    }

    init(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                type = try walk.stringOrSkip()
            } else if walk.key(key, is: "delta") {
                delta = try walk.stringOrSkip()
            } else if walk.key(key, is: "sequence_number") {
                let isNumber = try walk.kind() == .number
                let range = try walk.skip()
                sequence = isNumber ? range : nil
            } else if walk.key(key, is: "output_index") {
                outputIndex = try walk.intOrSkip()
            } else if walk.key(key, is: "content_index") || walk.key(key, is: "summary_index") {
                partIndex = try walk.intOrSkip()
            } else if walk.key(key, is: "item_id") {
                itemID = try walk.stringOrSkip()
            } else if walk.key(key, is: "obfuscation") {
                padding = try walk.stringOrSkip()
            } else if walk.key(key, is: "item"), try walk.kind() == .object {
                item = try ResponsesOutputItem(&walk)
            } else if walk.key(key, is: "response"), try walk.kind() == .object {
                response = try Response(&walk)
            } else {
                try readRest(key, &walk)
            }
        }
        try walk.end()
    }

    private mutating func readRest(_ key: JSONKey, _ walk: inout JSONWalk) throws(JSONError) {
        if walk.key(key, is: "text") || walk.key(key, is: "refusal") || walk.key(key, is: "arguments")
            || walk.key(key, is: "input")
        {
            whole = try walk.stringOrSkip() ?? whole
        } else if walk.key(key, is: "part"), try walk.kind() == .object {
            part = try ResponsesOutputItem.Part(&walk)
        } else if walk.key(key, is: "error") {
            error = try walk.something()
        } else {
            _ = try walk.skip()
        }
    }
}

extension ResponsesEvent.Response {
    init(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "id") {
                id = try walk.stringOrSkip()
            } else if walk.key(key, is: "model") {
                model = try walk.stringOrSkip()
            } else if walk.key(key, is: "status") {
                status = try walk.stringOrSkip()
            } else if walk.key(key, is: "error") {
                error = try walk.something()
            } else if walk.key(key, is: "incomplete_details"), try walk.kind() == .object {
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "reason") {
                        reason = try walk.stringOrSkip()
                    } else {
                        _ = try walk.skip()
                    }
                }
            } else if walk.key(key, is: "usage") {
                usage = try Usage.read(&walk, .responses) ?? usage
            } else if walk.key(key, is: "output"), try walk.kind() == .array {
                output = try ResponsesOutputItem.list(&walk)
            } else {
                _ = try walk.skip()
            }
        }
    }
}
