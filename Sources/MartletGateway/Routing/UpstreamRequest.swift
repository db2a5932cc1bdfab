package import MartletDialects
package import NIOCore

/// A request in an upstream's dialect, and what its reply has to be read with. Immutable; a class so that
/// passing it on costs one count.
package final class UpstreamRequest: Sendable {
    package let dialect: UpstreamDialect
    package let body: [ByteBuffer]
    /// Names of what had no counterpart, for `x-translation-dropped`.
    package let dropped: [String]
    package let context: ReplyContext
    /// Set: nothing is sent, the gateway answers this itself.
    package let answer: LocalAnswer?
    package let isTranslated: Bool
    /// It goes to LM Studio's older API, which tells more of the reply.
    package let isLegacy: Bool
    /// Nil: a completion.
    package let task: PreparedTask?

    init(
        dialect: UpstreamDialect, body: [ByteBuffer], dropped: [String] = [], context: ReplyContext = ReplyContext(),
        answer: LocalAnswer? = nil, isTranslated: Bool = false, task: PreparedTask? = nil, isLegacy: Bool = false
    ) {
        self.isLegacy = isLegacy
        self.task = task
        self.dialect = dialect
        self.body = body
        self.dropped = dropped
        self.context = context
        self.answer = answer
        self.isTranslated = isTranslated
    }

    package var path: StaticString {
        if let task { return isLegacy ? "/api/v0/embeddings" : task.path }
        return switch dialect {
        case .chat: isLegacy ? "/api/v0/chat/completions" : "/v1/chat/completions"
        case .completions: isLegacy ? "/api/v0/completions" : "/v1/completions"
        case .anthropic: "/v1/messages"
        case .responses: context.compaction == .relayed ? "/v1/responses/compact" : "/v1/responses"
        case .lmstudio: "/api/v1/chat"
        }
    }
}
