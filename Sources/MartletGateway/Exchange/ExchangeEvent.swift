package import MartletDialects
package import NIOCore

extension Exchange {
    /// Facts, in the order they happened.
    package enum Event: Sendable {
        // From the front.
        case requestComplete(InboundRequest)
        /// In the background: the request has been decided about already.
        case planned(Plan)
        case clientWritable(Bool)
        case clientGone
        // From decisions and the tasks that left the loop.
        case decided(Decision)
        case catalogRefreshed
        case answered(ControlReply)
        /// More of a reply that is read along.
        case followed(EventBatch)
        /// A reply of our own that is to be stored before it leaves.
        case prepared(ControlReply)
        /// The candidate's model is being loaded, or waits for that.
        case progress(Progress)
        /// Answers to `listTools`.
        case toolsListed(Plan)
        case toolsRefused(GatewayError)
        /// What became of a call; they come in the order of the calls.
        case toolRan(Int, ToolRun, isLast: Bool)
        /// Answer to `prepareRound`.
        case roundPrepared(Plan)
        case slotGranted(Origin)
        case slotRefused(GatewayError)
        // From the upstream's handler.
        case connected
        case head(UpstreamHead)
        case bytes(ByteBuffer)
        case readComplete
        /// The upstream's reply has ended; not cleanly when its framing promised more.
        case end(cleanly: Bool, reusable: Bool)
        /// `stale`: a kept connection that ended before it answered anything.
        case upstreamFailed(GatewayError, stale: Bool)
        // Answers to `pass` and `finishWhole`, and to `finishPipe`.
        case passed(Finding)
        /// Answer to `finishWhole` of a summary: what is asked behind it.
        case summedUp(Plan)
        /// Answer to `keepResponse`; nil: it is kept.
        case kept(GatewayError?)
        case finished(Finding)
        /// The server ends: whatever is under way is told so.
        case shutDown
        /// Time has gone by: whatever is due fires.
        case tick
    }

    /// Orders, to be carried out one after another.
    package enum Action: Sendable {
        case decide(InboundRequest, mayRefresh: Bool)
        case refreshCatalog
        /// Counts the prompt; answered by `decided`.
        case weigh(Plan)
        /// Puts stored items into the request; answered by `decided`.
        case recall(Plan)
        /// Lists the tools a request is given; answered by `toolsListed` or `toolsRefused`.
        case listTools(Plan)
        /// Runs the calls with which a round has ended; answered by `toolRan` for each.
        case runTools
        /// Tells the client what became of a call.
        case tellRun(Int, ToolRun)
        /// Puts what the round has brought behind the conversation; answered by `roundPrepared`.
        case prepareRound
        /// The reply ends behind its calls; answered by `finished`.
        case endRounds
        /// Stores the whole reply, and holds back what has been written of its end; answered by `kept`.
        case keepResponse
        case answer(InboundRequest)
        /// Queues a response that is made in the background; answered by `answered`.
        case queue(Plan)
        /// Waits for more of a reply that is read along; answered by `followed`.
        case follow(Following)
        /// Bytes of a stream that is not made here.
        case write(ByteBuffer)
        case acquire(Candidate)
        case stopWaiting
        case release
        case connect(Origin, Upstream)
        case send(Plan, Candidate)
        case pauseUpstream, resumeUpstream
        case closeUpstream, keepUpstream
        /// Stream bytes into the pipe; answered by `passed`.
        case pass(ByteBuffer)
        /// The stream has ended; answered by `finished`.
        case finishPipe(cleanly: Bool)
        /// Bytes of a reply that is taken whole.
        case collect(ByteBuffer)
        /// Reads and edits the collected reply; answered by `passed`, or by `summedUp`.
        case finishWhole(UpstreamHead)
        case keepAlive
        /// What is waited for, in the words of the client's dialect.
        case tell(Progress)
        /// The status line and stream headers leave.
        case commitStream(UpstreamHead?)
        /// Status line, headers and the edited collected body leave.
        case commitWhole(UpstreamHead)
        case flush
        case endReply
        /// Drops what an attempt produced, before the next.
        case resetReply
        /// The head is still ours: a status and a body in the client's dialect.
        case refuse(GatewayError)
        /// It is not: the dialect's own last event, then close.
        case failInDialect(GatewayError)
        case reply(ControlReply)
        /// The client does not read: its connection is given up.
        case closeClient
        /// The last one, exactly once.
        case record(ExchangeRecord)
    }
}

/// A reply that is ready to be sent, from a control route.
package struct ControlReply: Sendable {
    package var status: Int
    package var contentType: String
    package var body: ByteBuffer
    package var headers: [String]
    /// Set: a stream that is still being made, in place of a body.
    package var following: Following?

    package init(status: Int, contentType: String = "application/json", body: ByteBuffer, headers: [String] = []) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.headers = headers
    }

    /// An error as a status and a body in the client's dialect.
    package init(refusing error: GatewayError, _ request: InboundRequest) {
        self.init(
            status: ErrorTable.status(error, for: request.dialect),
            body: request.isLegacy
                ? ErrorTable.bareBody(error)
                : ErrorTable.body(error, for: request.dialect, requestID: request.id),
            headers: error.retryAfterSeconds.map { ["retry-after: \($0)"] } ?? [])
    }
}
