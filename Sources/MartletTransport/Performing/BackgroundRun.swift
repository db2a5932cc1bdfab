import MartletDialects
import MartletGateway
import NIOCore

/// An exchange without a client: its reply goes to whoever keeps it. It lives on the loop of the request that asked for
/// it, and goes on when that request's connection is gone.
final class BackgroundRun: ReplyTaker {
    private let context: LoopContext
    private let reply: any BackgroundReply
    private var performer: ExchangePerformer?
    private let beganAt = NIODeadline.now()
    private var hasEnded = false

    init(_ context: LoopContext, _ queued: QueuedResponse) {
        self.context = context
        reply = queued.reply
    }

    func start(_ request: InboundRequest, _ plan: Plan) {
        let performer = ExchangePerformer(context: context, front: self)
        self.performer = performer
        let bound = NIOLoopBound(self, eventLoop: context.loop)
        let loop = context.loop
        reply.began(stop: { loop.execute { bound.value.stop() } })
        performer.begin(request, as: plan)
    }

    /// The upstream's connection is closed at once, and its slot given back.
    func stop() { performer?.receive(.clientGone) }

    func tick(at now: NIODeadline) {
        if now - beganAt < Limits.backgroundTime {
            performer?.receive(.tick)
            return
        }
        giveUp(
            GatewayError(
                code: .upstreamTimeout,
                message: "a response in the background may take \(Limits.backgroundTime.shown); this one has taken more"
            ))
    }

    private func giveUp(_ error: GatewayError) {
        reply.fail(error)
        stop()
    }

    // MARK: The reply

    func head(status: Int) -> ReplyHead { ReplyHead(status: status, into: ByteBuffer()) }

    func beginStream(_ head: ReplyHead) {}

    func send(chunk out: inout ByteBuffer, last: Bool) {
        let fits = out.readableBytes == 0 || reply.append(ByteBuffer(bytes: out.readableBytesView))
        FrontHandler.prepare(&out)
        guard !fits else { return }
        giveUp(
            GatewayError(
                code: .upstreamBadReply,
                message: "the events of a response in the background may have \(Limits.backgroundEvents >> 20) MiB"))
    }

    func send(_ head: ReplyHead, body: [ByteBuffer]) {
        var whole = ByteBuffer()
        for piece in body { whole.writeImmutableBuffer(piece) }
        tell(whole)
    }

    func send(whole reply: ControlReply, dialect: DialectID, requestID: String) {
        guard reply.contentType.hasPrefix("text/event-stream") else { return tell(reply.body) }
        _ = self.reply.append(reply.body)
    }

    /// A whole Response, in the events that would have built it up.
    private func tell(_ whole: ByteBuffer) {
        for event in ResponsesDraft.events(whole) { _ = reply.append(event) }
    }

    func send(_ error: GatewayError, dialect: DialectID, requestID: String, allow: [String], upstream: UpstreamHead?) {
        reply.fail(error)
    }

    func closeAfterReply() {}

    func closeNow() {}

    func exchangeEnded() {
        guard !hasEnded else { return }
        hasEnded = true
        reply.end()
        context.remove(self)
    }
}
