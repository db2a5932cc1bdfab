import MartletWire

/// One chunk of a Chat Completions stream, or one whole reply, as ranges of its text. Members it does not know are
/// checked and skipped; members of an unexpected kind count as absent.
struct ChatChunk {
    var id: Range<Int>?
    var model: Range<Int>?
    /// The value of a top-level `error` that is neither null nor false; the whole object when it calls itself an error.
    var error: Range<Int>?
    var hasChoices = false
    var choices: [Choice] = []
    var usage: Usage?
    /// Prompt tokens processed and in total, as llama.cpp reports them.
    var progress: (done: Int, total: Int)?

    struct Choice {
        var index: Int?
        var content: [Range<Int>] = []
        var refusal: Range<Int>?
        /// In order of preference; see `ReasoningField`.
        var reasoning: [Range<Int>?] = [nil, nil, nil]
        var reasoningDetails: [Range<Int>] = []
        var calls: [Call] = []
        var finish: Range<Int>?
        var stopReason: Range<Int>?
    }

    struct Call {
        var index: Int?
        var id: Range<Int>?
        var name: Range<Int>?
        /// Inside the quotes.
        var arguments: Range<Int>?
        /// Arguments given as a JSON value instead of as a string.
        var argumentValue: Range<Int>?
        var isCustom = false
    }

    init(_ walk: inout JSONWalk, _ form: ChoiceForm = .message) throws(JSONError) {
        var isError = false
        var timings: Usage?
        let start = walk.offset
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "id") {
                id = try walk.stringOrSkip()
            } else if walk.key(key, is: "model") {
                model = try walk.stringOrSkip()
            } else if walk.key(key, is: "choices") {
                try readChoices(&walk, form)
            } else if walk.key(key, is: "usage") {
                usage = try Usage.read(&walk, .chat) ?? usage
            } else if walk.key(key, is: "timings") {
                timings = try ChatUsage.readTimings(&walk) ?? timings
            } else if walk.key(key, is: "stats") {
                timings = try ChatUsage.readStats(&walk) ?? timings
            } else if walk.key(key, is: "prompt_progress") {
                progress = try ChatUsage.readProgress(&walk)
            } else if walk.key(key, is: "error") {
                error = try walk.something() ?? error
            } else if walk.key(key, is: "object") {
                if let object = try walk.stringOrSkip(), walk.text(object) == "error" { isError = true }
            } else {
                _ = try walk.skip()
            }
        }
        if isError, error == nil { error = start..<walk.offset }
        if let timings {
            var merged = timings
            merged.update(with: usage ?? Usage())
            usage = merged
        }
        try walk.end()
    }

    private mutating func readChoices(_ walk: inout JSONWalk, _ form: ChoiceForm) throws(JSONError) {
        guard try walk.enterArrayOrSkip() else { return }
        hasChoices = true
        while try walk.nextObject() { choices.append(try Choice(&walk, form)) }
    }
}

extension ChatChunk.Choice {
    fileprivate init(_ walk: inout JSONWalk, _ form: ChoiceForm) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if form == .text, walk.key(key, is: "text") {
                content = try walk.stringOrSkip().map { [$0] } ?? []
            } else if form == .message, walk.key(key, is: "delta") || walk.key(key, is: "message") {
                try readDelta(&walk)
            } else if walk.key(key, is: "index") {
                index = try walk.intOrSkip()
            } else if walk.key(key, is: "finish_reason") {
                finish = try walk.stringOrSkip()
            } else if walk.key(key, is: "stop_reason") {
                stopReason = try walk.stringOrSkip()
            } else {
                _ = try walk.skip()
            }
        }
    }

    private mutating func readDelta(_ walk: inout JSONWalk) throws(JSONError) {
        guard try walk.enterObjectOrSkip() else { return }
        while let key = try walk.nextKey() {
            if walk.key(key, is: "content") {
                content = try walk.texts(thinking: &reasoningDetails)
            } else if walk.key(key, is: "reasoning_content") {
                reasoning[0] = try walk.stringOrSkip()
            } else if walk.key(key, is: "reasoning") {
                reasoning[1] = try walk.stringOrSkip()
            } else if walk.key(key, is: "thinking") {
                reasoning[2] = try walk.stringOrSkip()
            } else if walk.key(key, is: "reasoning_details") {
                reasoningDetails = try walk.texts()
            } else if walk.key(key, is: "refusal") {
                refusal = try walk.stringOrSkip()
            } else if walk.key(key, is: "tool_calls") {
                try readCalls(&walk)
            } else if walk.key(key, is: "function_call") {
                guard try walk.kind() == .object else {
                    _ = try walk.skip()
                    continue
                }
                var call = ChatChunk.Call()
                try call.readFunction(&walk)
                calls.append(call)
            } else {
                _ = try walk.skip()
            }
        }
    }

    private mutating func readCalls(_ walk: inout JSONWalk) throws(JSONError) {
        guard try walk.enterArrayOrSkip() else { return }
        while try walk.nextObject() { calls.append(try ChatChunk.Call(&walk)) }
    }
}

extension ChatChunk.Call {
    fileprivate init(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "index") {
                index = try walk.intOrSkip()
            } else if walk.key(key, is: "id") {
                id = try walk.stringOrSkip()
            } else if walk.key(key, is: "function"), try walk.kind() == .object {
                try readFunction(&walk)
            } else if walk.key(key, is: "custom"), try walk.kind() == .object {
                isCustom = true
                try readFunction(&walk)
            } else {
                _ = try walk.skip()
            }
        }
    }

    /// `function` has `arguments`, `custom` has `input`.
    fileprivate mutating func readFunction(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "name") {
                name = try walk.stringOrSkip()
            } else if walk.key(key, is: "arguments") || walk.key(key, is: "input") {
                switch try walk.kind() {
                case .string: arguments = try walk.string()
                case .object, .array: argumentValue = try walk.skip()
                case .number, .bool, .null: _ = try walk.skip()
                }
            } else {
                _ = try walk.skip()
            }
        }
    }
}

extension JSONWalk {
    /// A string, or the `text` members of an array of parts.
    fileprivate mutating func texts() throws(JSONError) -> [Range<Int>] {
        var thinking: [Range<Int>] = []
        return try texts(thinking: &thinking)
    }

    /// - Parameter thinking: what parts have in their `thinking`, as Mistral's do.
    fileprivate mutating func texts(thinking: inout [Range<Int>]) throws(JSONError) -> [Range<Int>] {
        switch try kind() {
        case .string: return [try string()]
        case .array:
            var texts: [Range<Int>] = []
            try enterArray()
            while try nextObject() {
                try enterObject()
                while let key = try nextKey() {
                    if self.key(key, is: "text"), let text = try stringOrSkip() {
                        texts.append(text)
                    } else if self.key(key, is: "thinking") {
                        var inner: [Range<Int>] = []
                        thinking += try self.texts(thinking: &inner)
                    } else {
                        _ = try skip()
                    }
                }
            }
            return texts
        case .object, .number, .bool, .null:
            _ = try skip()
            return []
        }
    }
}
