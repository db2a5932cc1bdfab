import MartletWire

/// The names an API of OpenAI's has for what it counts in a `usage`.
struct UsageMembers {
    var input: StaticString
    var output: StaticString
    /// The object that says how much of the input came from the cache, and how much went there.
    var inputDetails: StaticString
    /// The object that says how much of the output was reasoning.
    var outputDetails: StaticString
    /// Beside them, what came from the cache once more; what the details say counts.
    var cacheRead: StaticString?

    static var chat: UsageMembers {
        UsageMembers(
            input: "prompt_tokens", output: "completion_tokens", inputDetails: "prompt_tokens_details",
            outputDetails: "completion_tokens_details", cacheRead: "prompt_cache_hit_tokens")
    }

    static var responses: UsageMembers {
        UsageMembers(
            input: "input_tokens", output: "output_tokens", inputDetails: "input_tokens_details",
            outputDetails: "output_tokens_details")
    }
}

extension Usage {
    /// The value of `usage`; nil, and stepped over, when it is no object.
    static func read(_ walk: inout JSONWalk, _ members: UsageMembers) throws(JSONError) -> Usage? {
        guard try walk.enterObjectOrSkip() else { return nil }
        var usage = Usage()
        while let key = try walk.nextKey() {
            if walk.key(key, is: members.input) {
                usage.input = try walk.tokens()
            } else if walk.key(key, is: members.output) {
                usage.output = try walk.tokens()
            } else if let name = members.cacheRead, walk.key(key, is: name) {
                let count = try walk.tokens()
                usage.cacheRead = usage.cacheRead ?? count
            } else if walk.key(key, is: members.inputDetails), try walk.kind() == .object {
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "cached_tokens") {
                        usage.cacheRead = try walk.tokens() ?? usage.cacheRead
                    } else if walk.key(key, is: "cache_write_tokens") {
                        usage.cacheWrite = try walk.tokens()
                    } else {
                        _ = try walk.skip()
                    }
                }
            } else if walk.key(key, is: members.outputDetails), try walk.kind() == .object {
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "reasoning_tokens") {
                        usage.reasoning = try walk.tokens()
                    } else {
                        _ = try walk.skip()
                    }
                }
            } else {
                _ = try walk.skip()
            }
        }
        return usage
    }
}
