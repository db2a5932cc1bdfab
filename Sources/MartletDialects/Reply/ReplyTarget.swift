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
    /// How long the model was loaded for this request; nil: it was there.
    package var loadTime: Duration?

    package init(
        dialect: DialectID, model: String, usage: ChatFrameEdit.UsagePlacement = .hidden,
        mode: ChatFrameEdit.Mode = .repair, created: Int = 0, ids: IDSource, requestID: String = "",
        showsThinkingBlocks: Bool = false, seal: ReasoningSeal = .plain, clock: (@Sendable () -> Int)? = nil,
        label: ResponseLabel? = nil, isOpenResponses: Bool = false, loadTime: Duration? = nil
    ) {
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

    package init(pieces: [ByteBuffer], summary: ReplySummary, misfit: AnswerMisfit? = nil) {
        self.pieces = pieces
        self.summary = summary
        self.misfit = misfit
    }
}
