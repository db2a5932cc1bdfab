import MartletWire

/// The `usage` of a Message. Later reports overwrite earlier ones member by member, so all of it is kept.
struct AnthropicUsage: Sendable {
    private var input: Int?
    private var cacheRead: Int?
    private var cacheWrite: Int?
    private var output: Int?
    private var thinking: Int?

    /// The whole prompt is what was read from the cache, what was written to it, and the rest.
    var usage: Usage {
        Usage(
            input: input.map { Self.sum($0, cacheRead ?? 0, cacheWrite ?? 0) }, cacheRead: cacheRead,
            cacheWrite: cacheWrite, output: output, reasoning: thinking)
    }

    private static func sum(_ counts: Int...) -> Int {
        counts.reduce(0) { sum, count in
            let (next, overflow) = sum.addingReportingOverflow(count)
            return overflow ? .max : next
        }
    }

    mutating func read(_ walk: inout JSONWalk) throws(JSONError) {
        guard try walk.enterObjectOrSkip() else { return }
        while let key = try walk.nextKey() {
            if walk.key(key, is: "input_tokens") {
                input = try walk.tokens() ?? input
            } else if walk.key(key, is: "cache_read_input_tokens") {
                cacheRead = try walk.tokens() ?? cacheRead
            } else if walk.key(key, is: "cache_creation_input_tokens") {
                cacheWrite = try walk.tokens() ?? cacheWrite
            } else if walk.key(key, is: "output_tokens") {
                output = try walk.tokens() ?? output
            } else if walk.key(key, is: "output_tokens_details"), try walk.kind() == .object {
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "thinking_tokens") {
                        thinking = try walk.tokens() ?? thinking
                    } else {
                        _ = try walk.skip()
                    }
                }
            } else {
                _ = try walk.skip()
            }
        }
    }
}
