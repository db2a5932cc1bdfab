/// Why a choice ended.
package enum FinishReason: String, Sendable, Hashable, CaseIterable {
    /// A natural end, or a stop sequence (then `ReplyEvent.finished` carries it where it is known).
    case stop
    /// The token limit of the request was reached.
    case length
    /// The context window was full before the token limit.
    case contextWindow
    /// Tool calls wait to be executed by the client.
    case toolCalls
    /// Declined or filtered.
    case contentFilter
    /// A server's own tool loop paused; the client sends the conversation again.
    case pauseTurn
}
