import MartletWire

/// What llama.cpp tells of its work beside `usage`.
enum ChatUsage {
    /// llama.cpp's `timings`: what was read from the cache and what was evaluated add up to the prompt.
    static func readTimings(_ walk: inout JSONWalk) throws(JSONError) -> Usage? {
        guard try walk.enterObjectOrSkip() else { return nil }
        var cached: Int?
        var evaluated: Int?
        var predicted: Int?
        while let key = try walk.nextKey() {
            if walk.key(key, is: "cache_n") {
                cached = try walk.tokens()
            } else if walk.key(key, is: "prompt_n") {
                evaluated = try walk.tokens()
            } else if walk.key(key, is: "predicted_n") {
                predicted = try walk.tokens()
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
        guard try walk.enterObjectOrSkip() else { return nil }
        var done: Int?
        var total: Int?
        while let key = try walk.nextKey() {
            if walk.key(key, is: "processed") {
                done = try walk.tokens()
            } else if walk.key(key, is: "total") {
                total = try walk.tokens()
            } else {
                _ = try walk.skip()
            }
        }
        guard let done, let total else { return nil }
        return (done, total)
    }
}
