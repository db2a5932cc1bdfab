import MartletWire

/// What llama.cpp and LM Studio tell of their work beside `usage`.
enum ChatUsage {
    /// llama.cpp's `timings`: what was read from the cache and what was evaluated add up to the prompt.
    static func readTimings(_ walk: inout JSONWalk) throws(JSONError) -> Usage? {
        guard try walk.enterObjectOrSkip() else { return nil }
        var cached: Int?
        var evaluated: Int?
        var predicted: Int?
        var timings = Timings()
        var drafted: Int?
        var accepted: Int?
        while let key = try walk.nextKey() {
            if walk.key(key, is: "cache_n") {
                cached = try walk.tokens()
            } else if walk.key(key, is: "prompt_n") {
                evaluated = try walk.tokens()
            } else if walk.key(key, is: "predicted_n") {
                predicted = try walk.tokens()
            } else if walk.key(key, is: "prompt_ms") {
                timings.timeToFirstToken = try walk.measure().map { $0 / 1000 }
            } else if walk.key(key, is: "predicted_ms") {
                timings.generationTime = try walk.measure().map { $0 / 1000 }
            } else if walk.key(key, is: "prompt_per_second") {
                timings.promptTokensPerSecond = try walk.measure()
            } else if walk.key(key, is: "predicted_per_second") {
                timings.tokensPerSecond = try walk.measure()
            } else if walk.key(key, is: "draft_n") {
                drafted = try walk.tokens()
            } else if walk.key(key, is: "draft_n_accepted") {
                accepted = try walk.tokens()
            } else {
                _ = try walk.skip()
            }
        }
        var input: Int?
        if let cached, let evaluated {
            let (sum, overflow) = cached.addingReportingOverflow(evaluated)
            input = overflow ? nil : sum
        }
        if let drafted, let accepted { timings.draft = Timings.Draft(total: drafted, accepted: accepted) }
        return Usage(
            input: input, cacheRead: cached, output: predicted, timings: timings.isEmpty ? nil : timings)
    }

    /// LM Studio's `stats`, as its older API has them beside a reply of Chat's form.
    static func readStats(_ walk: inout JSONWalk) throws(JSONError) -> Usage? {
        guard try walk.enterObjectOrSkip() else { return nil }
        var timings = Timings()
        var drafted: Int?
        var accepted: Int?
        while let key = try walk.nextKey() {
            if walk.key(key, is: "tokens_per_second") {
                timings.tokensPerSecond = try walk.measure()
            } else if walk.key(key, is: "time_to_first_token") {
                timings.timeToFirstToken = try walk.measure()
            } else if walk.key(key, is: "generation_time") {
                timings.generationTime = try walk.measure()
            } else if walk.key(key, is: "total_draft_tokens_count") {
                drafted = try walk.tokens()
            } else if walk.key(key, is: "accepted_draft_tokens_count") {
                accepted = try walk.tokens()
            } else {
                _ = try walk.skip()
            }
        }
        if let drafted, let accepted { timings.draft = Timings.Draft(total: drafted, accepted: accepted) }
        return timings.isEmpty ? nil : Usage(timings: timings)
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
