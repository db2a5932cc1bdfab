import MartletWire
import NIOCore

/// One event of a stream of LM Studio's own API, or a whole reply, as ranges of its text. Members it does not know are
/// checked and skipped; members of an unexpected kind count as absent.
struct LMStudioEvent {
    var type: Range<Int>?
    /// Of a delta.
    var content: Range<Int>?
    /// 0 to 1.
    var progress: Double?
    /// Seconds.
    var loadTime: Double?
    /// The value of a top-level `error` that is not null.
    var error: Range<Int>?
    /// `chat.end` brings the whole reply once more.
    var result: Result?
    /// A whole reply stands at the top itself.
    var top = Result()

    struct Result {
        var model: Range<Int>?
        var usage: Usage?
        /// Nil: there is no such list.
        var output: [Output]?
    }

    /// Of the kinds this gateway asks for; calls that the server runs by itself are none of them.
    struct Output {
        var isReasoning: Bool
        var content: Range<Int>
    }

    init(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                type = try walk.stringOrSkip()
            } else if walk.key(key, is: "content") {
                content = try walk.stringOrSkip()
            } else if walk.key(key, is: "progress"), try walk.kind() == .number {
                progress = Double(walk.text(try walk.number()))
            } else if walk.key(key, is: "load_time_seconds"), try walk.kind() == .number {
                loadTime = Double(walk.text(try walk.number()))
            } else if walk.key(key, is: "error") {
                error = try walk.takeNull() ? nil : try walk.skip()
            } else if walk.key(key, is: "result"), try walk.kind() == .object {
                var result = Result()
                try walk.enterObject()
                while let key = try walk.nextKey() { try result.read(key, &walk) }
                self.result = result
            } else {
                try top.read(key, &walk)
            }
        }
        try walk.end()
    }
}

extension LMStudioEvent.Result {
    fileprivate mutating func read(_ key: JSONKey, _ walk: inout JSONWalk) throws(JSONError) {
        if walk.key(key, is: "model_instance_id") {
            model = try walk.stringOrSkip()
        } else if walk.key(key, is: "output"), try walk.kind() == .array {
            output = try LMStudioEvent.Output.list(&walk)
        } else if walk.key(key, is: "stats"), try walk.kind() == .object {
            usage = try Usage(lmStudio: &walk)
        } else {
            _ = try walk.skip()
        }
    }
}

extension LMStudioEvent.Output {
    fileprivate static func list(_ walk: inout JSONWalk) throws(JSONError) -> [Self] {
        var items: [Self] = []
        try walk.enterArray()
        while try walk.nextObject() {
            var isReasoning: Bool?
            var content: Range<Int>?
            try walk.enterObject()
            while let key = try walk.nextKey() {
                if walk.key(key, is: "type") {
                    guard let type = try walk.stringOrSkip() else { continue }
                    if walk.text(type, is: "message") { isReasoning = false }
                    if walk.text(type, is: "reasoning") { isReasoning = true }
                } else if walk.key(key, is: "content") {
                    content = try walk.stringOrSkip()
                } else {
                    _ = try walk.skip()
                }
            }
            if let isReasoning, let content { items.append(Self(isReasoning: isReasoning, content: content)) }
        }
        return items
    }
}

extension Usage {
    fileprivate init(lmStudio walk: inout JSONWalk) throws(JSONError) {
        self.init()
        var timings = Timings()
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "input_tokens") {
                input = try walk.tokens()
            } else if walk.key(key, is: "total_output_tokens") {
                output = try walk.tokens()
            } else if walk.key(key, is: "reasoning_output_tokens") {
                reasoning = try walk.tokens()
            } else if walk.key(key, is: "tokens_per_second") {
                timings.tokensPerSecond = try walk.measure()
            } else if walk.key(key, is: "time_to_first_token_seconds") {
                timings.timeToFirstToken = try walk.measure()
            } else if walk.key(key, is: "model_load_time_seconds") {
                timings.modelLoadTime = try walk.measure()
            } else {
                _ = try walk.skip()
            }
        }
        if !timings.isEmpty { self.timings = timings }
    }
}
