package import NIOCore

/// How one client is to see its reply.
package struct ReplyTarget: Sendable {
    package var dialect: DialectID
    /// As the client spelled it.
    package var model: String
    /// Of a Chat stream: where the client expects usage.
    package var usage: ChatFrameEdit.UsagePlacement
    /// Of a relay in the upstream's own dialect.
    package var mode: ChatFrameEdit.Mode
    /// For Chat and Responses; seconds since 1970.
    package var created: Int
    package var ids: IDSource
    /// For dialects whose in-stream errors carry it; may be empty.
    package var requestID: String
    /// Chat: thinking blocks with their signatures go along as `thinking_blocks`, so that
    /// the client can give them back.
    package var showsThinkingBlocks: Bool
    /// Responses: guards the reasoning that travels through the client.
    package var seal: ReasoningSeal
    /// Responses: seconds since 1970 when the reply ends; nil repeats `created`.
    package var clock: (@Sendable () -> Int)?
    /// Responses: set where the reply is kept here, or what it continues from is.
    package var label: ResponseLabel?
    /// Responses: reasoning text is called `response.reasoning`, as the Open Responses specification has it.
    package var isOpenResponses: Bool
    /// LM Studio's own API: what answers, by its name where it is; nil where the upstream says it.
    package var instance: String?
    /// How long the model was loaded for this request; nil: it was there.
    package var loadTime: Duration?
    /// For clients that are told how long it took: started when the request was sent.
    package var stopwatch: Stopwatch?
    /// Of LM Studio's older API: what replies hold beside what OpenAI's do.
    package var legacy: LegacyReply?
    /// The client wants its reply whole, though it comes as a stream.
    package var folds = false
    /// LM Studio's own API: the event with which a stream begins has been written.
    package var hasBegun = false

    package init(
        dialect: DialectID, model: String, usage: ChatFrameEdit.UsagePlacement = .hidden,
        mode: ChatFrameEdit.Mode = .repair, created: Int = 0, ids: IDSource, requestID: String = "",
        showsThinkingBlocks: Bool = false, seal: ReasoningSeal = .plain, clock: (@Sendable () -> Int)? = nil,
        label: ResponseLabel? = nil, isOpenResponses: Bool = false, instance: String? = nil, loadTime: Duration? = nil,
        stopwatch: Stopwatch? = nil, legacy: LegacyReply? = nil
    ) {
        self.legacy = legacy
        self.stopwatch = stopwatch
        self.dialect = dialect
        self.model = model
        self.usage = usage
        self.mode = mode
        self.created = created
        self.ids = ids
        self.requestID = requestID
        self.showsThinkingBlocks = showsThinkingBlocks
        self.seal = seal
        self.clock = clock
        self.label = label
        self.isOpenResponses = isOpenResponses
        self.instance = instance
        self.loadTime = loadTime
    }
}

/// A whole reply, ready for its client.
package struct WholeReply: Sendable {
    /// The body, to be written piece by piece.
    package var pieces: [ByteBuffer]
    package var summary: ReplySummary
    /// Set: the answer is not in the form it was asked for. Then there are no pieces.
    package var misfit: AnswerMisfit?
    /// What is kept of it, where that is not the body.
    package var kept: ByteBuffer?

    package init(
        pieces: [ByteBuffer], summary: ReplySummary, misfit: AnswerMisfit? = nil, kept: ByteBuffer? = nil
    ) {
        self.kept = kept
        self.pieces = pieces
        self.summary = summary
        self.misfit = misfit
    }
}
