/// The words of `finish_reason`.
enum ChatFinish {
    /// Reads every spelling met among compatible servers; what is unknown counts as a natural end.
    static func read(_ word: String) -> FinishReason {
        switch word {
        case "length", "max_tokens", "max_output_tokens": .length
        case "tool_calls", "tool_use", "function_call": .toolCalls
        case "content_filter": .contentFilter
        default: .stop
        }
    }

    static func word(_ reason: FinishReason) -> String {
        switch reason {
        case .stop, .pauseTurn: "stop"
        case .length, .contextWindow: "length"
        case .toolCalls: "tool_calls"
        case .contentFilter: "content_filter"
        }
    }

    /// Clients run calls when the reason says so, and wait for them when it says so: it
    /// has to agree with what was sent.
    static func agree(_ reason: FinishReason, hasCalls: Bool) -> FinishReason {
        switch reason {
        case .stop: hasCalls ? .toolCalls : .stop
        case .toolCalls: hasCalls ? .toolCalls : .stop
        case .length, .contextWindow, .contentFilter, .pauseTurn: reason
        }
    }
}
