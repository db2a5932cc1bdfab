import MartletWire

/// Token counts in Chat Completions replies. Counts below zero are taken as not reported.
enum ChatUsage {
    /// The value of `usage`; nil, and stepped over, when it is no object. Counts of cached tokens come by three names.
    static func read(_ walk: inout JSONWalk) throws(JSONError) -> Usage? {
        guard try walk.kind() == .object else {
            _ = try walk.skip()
            return nil
        }
        var usage = Usage()
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "prompt_tokens") {
                usage.input = try walk.count()
            } else if walk.key(key, is: "completion_tokens") {
                usage.output = try walk.count()
            } else if walk.key(key, is: "prompt_cache_hit_tokens") {
                let hits = try walk.count()
                usage.cacheRead = usage.cacheRead ?? hits
            } else if walk.key(key, is: "prompt_tokens_details"), try walk.kind() == .object {
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "cached_tokens") {
                        usage.cacheRead = try walk.count() ?? usage.cacheRead
                    } else if walk.key(key, is: "cache_write_tokens") {
                        usage.cacheWrite = try walk.count()
                    } else {
                        _ = try walk.skip()
                    }
                }
            } else if walk.key(key, is: "completion_tokens_details"), try walk.kind() == .object {
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "reasoning_tokens") {
                        usage.reasoning = try walk.count()
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

    /// llama.cpp's `timings`: what was read from the cache and what was evaluated add up to the prompt.
    static func readTimings(_ walk: inout JSONWalk) throws(JSONError) -> Usage? {
        guard try walk.kind() == .object else {
            _ = try walk.skip()
            return nil
        }
        var cached: Int?
        var evaluated: Int?
        var predicted: Int?
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "cache_n") {
                cached = try walk.count()
            } else if walk.key(key, is: "prompt_n") {
                evaluated = try walk.count()
            } else if walk.key(key, is: "predicted_n") {
                predicted = try walk.count()
            } else {
                _ = try walk.skip()
            }
        }
        var input: Int?
        if let cached, let evaluated {
            let (sum, overflow) = cached.addingReportingOverflow(evaluated)
            input = overflow ? nil : sum
        }
        return Usage(input: input, cacheRead: cached, output: predicted)
    }

    /// llama.cpp's `prompt_progress`.
    static func readProgress(_ walk: inout JSONWalk) throws(JSONError) -> (done: Int, total: Int)? {
        guard try walk.kind() == .object else {
            _ = try walk.skip()
            return nil
        }
        var done: Int?
        var total: Int?
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "processed") {
                done = try walk.count()
            } else if walk.key(key, is: "total") {
                total = try walk.count()
            } else {
                _ = try walk.skip()
            }
        }
        guard let done, let total else { return nil }
        return (done, total)
    }
}

extension JSONWalk {
    fileprivate mutating func count() throws(JSONError) -> Int? {
        guard let number = try intOrSkip(), number >= 0 else { return nil }
        return number
    }
}
