import MartletWire

/// What a whole Chat Completions reply says about itself, in one pass over its bytes: all that is needed of a reply
/// that is relayed. Members it does not know are checked and skipped; members of an unexpected kind count as absent.
struct ChatReplyScan {
    /// Inside the quotes.
    var id: Range<Int>?
    /// The first top-level `model`, with its quotes.
    var model: Range<Int>?
    /// The value of a top-level `error` that is neither null nor false; the whole object when it calls itself an error.
    var error: Range<Int>?
    /// One per choice, in their order.
    var finishes: [FinishReason] = []
    var toolCalls = 0
    /// A choice tells the stop string at which it ended.
    private(set) var isStopped = false
    /// Of the first message that has a string for it; inside the quotes.
    private(set) var text: Range<Int>?
    /// There is more text than that: of other choices, or in a list of parts.
    private(set) var hasMoreText = false
    /// A choice ends with a word that stands for a failure.
    var hasGivenUp = false
    var usage = Usage()
    /// Every member that `repair` looks at stands once and as it should: nothing is to be mended but the model's name.
    private(set) var isUsual = true

    private let form: ChoiceForm

    private struct Seen: OptionSet {
        let rawValue: UInt8
        static let id = Seen(rawValue: 1)
        static let object = Seen(rawValue: 2)
        static let created = Seen(rawValue: 4)
        static let model = Seen(rawValue: 8)
        static let choices = Seen(rawValue: 16)
        static let top: Seen = [.id, .object, .created, .model, .choices]
        static let index = Seen(rawValue: 1)
        static let message = Seen(rawValue: 2)
        static let finish = Seen(rawValue: 4)
        static let choice: Seen = [.index, .message, .finish]
    }

    init(_ walk: inout JSONWalk, _ form: ChoiceForm = .message) throws(JSONError) {
        self.form = form
        var seen: Seen = []
        var isError = false
        var timings: Usage?
        let start = walk.offset
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "id") {
                note(.id, in: &seen)
                id = try walk.stringOrSkip()
                if id?.isEmpty != false { isUsual = false }
            } else if walk.key(key, is: "object") {
                note(.object, in: &seen)
                let object = try walk.stringOrSkip()
                guard object.map({ walk.text($0, is: form.name) }) != true else { continue }
                isUsual = false
                if let object, walk.text(object) == "error" { isError = true }
            } else if walk.key(key, is: "created") {
                note(.created, in: &seen)
                if try walk.kind() != .number { isUsual = false }
                _ = try walk.skip()
            } else if walk.key(key, is: "model") {
                note(.model, in: &seen)
                if try walk.kind() != .string { isUsual = false }
                let value = try walk.skip()
                model = model ?? value
            } else if walk.key(key, is: "choices") {
                note(.choices, in: &seen)
                try readChoices(&walk)
            } else if walk.key(key, is: "usage") {
                usage = try Usage.read(&walk, .chat) ?? usage
            } else if walk.key(key, is: "timings") {
                timings = try ChatUsage.readTimings(&walk) ?? timings
            } else if walk.key(key, is: "stats") {
                timings = try ChatUsage.readStats(&walk) ?? timings
            } else if walk.key(key, is: "error") {
                error = try walk.something() ?? error
            } else {
                _ = try walk.skip()
            }
        }
        if seen != .top { isUsual = false }
        if isError, error == nil { error = start..<walk.offset }
        if var merged = timings {
            merged.update(with: usage)
            usage = merged
        }
        try walk.end()
    }

    private mutating func note(_ member: Seen, in seen: inout Seen) {
        if !seen.insert(member).inserted { isUsual = false }
    }

    private mutating func readChoices(_ walk: inout JSONWalk) throws(JSONError) {
        guard try walk.kind() == .array else {
            isUsual = false
            _ = try walk.skip()
            return
        }
        try walk.enterArray()
        while try walk.nextElement() {
            guard try walk.kind() == .object else {
                isUsual = false
                _ = try walk.skip()
                continue
            }
            try readChoice(&walk)
        }
    }

    private mutating func readChoice(_ walk: inout JSONWalk) throws(JSONError) {
        var seen: Seen = []
        var calls = 0
        var finish: Range<Int>?
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "index") {
                note(.index, in: &seen)
                if try walk.intOrSkip() == nil { isUsual = false }
            } else if form == .text, walk.key(key, is: "text") {
                note(.message, in: &seen)
                if try walk.stringOrSkip() == nil { isUsual = false }
            } else if form == .text, walk.key(key, is: "logprobs") {
                if try !walk.takeNull() {
                    isUsual = false
                    _ = try walk.skip()
                }
            } else if form == .message, walk.key(key, is: "message") || walk.key(key, is: "delta") {
                note(.message, in: &seen)
                calls += try readMessage(&walk)
            } else if walk.key(key, is: "finish_reason") {
                note(.finish, in: &seen)
                finish = try walk.stringOrSkip()
            } else if walk.key(key, is: "stop_reason") {
                if try walk.stringOrSkip() != nil { isStopped = true }
            } else {
                _ = try walk.skip()
            }
        }
        if seen != .choice { isUsual = false }
        toolCalls += calls
        finishes.append(reason(finish, hasCalls: calls > 0, walk))
    }

    /// The finish reason, in agreement with what the choice holds; a word that is not the one for it is unusual.
    private mutating func reason(_ word: Range<Int>?, hasCalls: Bool, _ walk: JSONWalk) -> FinishReason {
        guard let word else {
            isUsual = false
            return ChatFinish.agree(.stop, hasCalls: hasCalls)
        }
        if !hasCalls, walk.text(word, is: "stop") { return .stop }
        if walk.text(word, is: "length") { return .length }
        let text = walk.text(word)
        if text == "error" || text == "abort" { hasGivenUp = true }
        let reason = ChatFinish.agree(ChatFinish.read(text), hasCalls: hasCalls)
        if ChatFinish.word(reason) != text { isUsual = false }
        return reason
    }

    /// - Returns: how many calls it holds.
    private mutating func readMessage(_ walk: inout JSONWalk) throws(JSONError) -> Int {
        guard try walk.kind() == .object else {
            isUsual = false
            _ = try walk.skip()
            return 0
        }
        var calls = 0
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "tool_calls") {
                isUsual = false
                calls += try countCalls(&walk)
            } else if walk.key(key, is: "function_call") {
                isUsual = false
                if try walk.kind() == .object { calls += 1 }
                _ = try walk.skip()
            } else if walk.key(key, is: "content") {
                if try walk.kind() == .array {
                    isUsual = false
                    hasMoreText = true
                }
                let content = try walk.stringOrSkip()
                if text != nil { hasMoreText = true }
                text = text ?? content
            } else {
                if walk.key(key, is: "reasoning") || walk.key(key, is: "thinking")
                    || walk.key(key, is: "reasoning_details")
                {
                    isUsual = false
                }
                _ = try walk.skip()
            }
        }
        return calls
    }

    private func countCalls(_ walk: inout JSONWalk) throws(JSONError) -> Int {
        guard try walk.enterArrayOrSkip() else { return 0 }
        var count = 0
        while try walk.nextElement() {
            if try walk.kind() == .object { count += 1 }
            _ = try walk.skip()
        }
        return count
    }
}
