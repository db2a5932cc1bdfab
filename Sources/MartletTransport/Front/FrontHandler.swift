import MartletDialects
import MartletGateway
import NIOCore
import NIOHTTP1
import NIOHTTPCompression

/// The client's side of a connection, behind llhttp: checks heads, collects bodies, hands whole requests to the performer, and
/// writes its replies. One request at a time.
final class FrontHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        case idle
        /// A body is coming in.
        case collecting(RequestFacts, Endpoint, DialectID, id: String)
        /// The request is with the performer.
        case replying
        /// An answer has been given before the body was in; the rest is read and dropped, up to a bound.
        case discarding
        case closed
    }

    let loopContext: LoopContext
    private(set) var performer: ExchangePerformer?
    var context: ChannelHandlerContext?
    var state = State.idle
    var body = ByteBuffer()
    private var discarded = 0
    /// Parts of requests that came before their turn; at most what one read held.
    private var pipelined: CircularBuffer<HTTPServerRequestPart> = []
    private var owesRead = false
    /// When the current wait for the client began.
    var waitingSince = NIODeadline.now()
    var keepsAlive = true
    var usesChunks = true
    var isHead = false
    /// The request's `Origin`, when replies to it carry CORS headers.
    var corsOrigin: String?
    var isStreaming = false
    var hasReplied = false
    /// Index among its loop's fronts.
    var place = 0

    init(_ loopContext: LoopContext) { self.loopContext = loopContext }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        performer = ExchangePerformer(context: loopContext, front: self)
        loopContext.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelInactive(context: ChannelHandlerContext) {
        state = .closed
        loopContext.remove(self)
        performer?.receive(.clientGone)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .replying = state { return context.close(promise: nil) }
        guard !hasReplied, let refusal = FrontRefusal.error(error, maxBody: loopContext.snapshot.maxBody) else {
            return context.close(promise: nil)
        }
        keepsAlive = false
        let dialect: DialectID = if case .collecting(_, _, let dialect, _) = state { dialect } else { .chat }
        state = .closed
        send(refusal, dialect: dialect, requestID: loopContext.ids.request())
        closeWhenWritten()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        performer?.receive(.clientWritable(context.channel.isWritable))
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        // Reading goes on during a reply, which costs nothing while the client is silent; bytes that come all the same are the
        // next requests, and no more of them are read until their turn.
        if pipelined.isEmpty { context.read() } else { owesRead = true }
    }

    func tick(at now: NIODeadline) {
        switch state {
        case .replying: performer?.receive(.tick)
        case .idle where hasPendingBytes || now - waitingSince > FrontLimits.idle:
            if now - waitingSince > FrontLimits.idle { context?.close(promise: nil) }
        case .collecting, .discarding:
            if now - waitingSince > Limits.clientStall { context?.close(promise: nil) }
        default: break
        }
    }

    private var hasPendingBytes: Bool { !pipelined.isEmpty }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        switch state {
        case .replying: pipelined.append(part)
        case .closed: break
        default: take(part)
        }
    }

    private func take(_ part: HTTPServerRequestPart) {
        waitingSince = .now()
        switch (state, part) {
        case (.idle, .head(let head)): begin(head)
        case (.collecting(let facts, _, let dialect, let id), .body(var bytes)):
            guard body.readableBytes + bytes.readableBytes <= loopContext.snapshot.maxBody else {
                return refuse(FrontRefusal.tooLarge(loopContext.snapshot.maxBody), facts, dialect, id: id)
            }
            if body.readableBytes == 0, facts.length.map({ $0 <= bytes.readableBytes }) ?? false {
                body = bytes
            } else {
                if body.readableBytes == 0, let length = facts.length { body.reserveCapacity(length) }
                body.writeBuffer(&bytes)
            }
        case (.collecting(let facts, let endpoint, let dialect, let id), .end):
            let request = InboundRequest(
                id: id, method: facts.method, path: String(facts.path), endpoint: endpoint, dialect: dialect,
                forwarded: facts.forwarded, query: String(facts.query), body: body)
            body = ByteBuffer()
            state = .replying
            performer?.begin(request)
        case (.discarding, .body(let bytes)):
            discarded += bytes.readableBytes
            if discarded > FrontLimits.discarded { context?.close(promise: nil) }
        case (.discarding, .end): nextRequest()
        default: break
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        let facts = RequestFacts(head)
        let match = Endpoints.match(facts.path)
        let dialect = Endpoints.dialect(path: facts.path, hasAnthropicVersion: facts.hasAnthropicVersion)
        let id = facts.requestID ?? loopContext.ids.request()
        keepsAlive = facts.keepsAlive && !facts.isUpgrade && !loopContext.isClosing && facts.method != "CONNECT"
        usesChunks = facts.usesChunks
        isHead = facts.method == "HEAD"
        hasReplied = false
        isStreaming = false
        corsOrigin = nil
        if let refusal = FrontRefusal.check(facts, match, in: loopContext) {
            if facts.expectsContinue { keepsAlive = false }
            return refuse(refusal, facts, dialect, id: id)
        }
        if let origin = facts.origin, loopContext.snapshot.hosts.grantsCrossOrigin(origin) { corsOrigin = origin }
        if facts.method == "OPTIONS" {
            state = .discarding
            return sendPreflight(allowed: match.methods)
        }
        if facts.expectsContinue, let context {
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
        body.clear()
        state = .collecting(facts, match.endpoint, dialect, id: id)
    }

    /// Answers before the body is in, and drops the rest of it.
    private func refuse(_ error: GatewayError, _ facts: RequestFacts, _ dialect: DialectID, id: String) {
        body = ByteBuffer()
        discarded = 0
        state = .discarding
        let allow = Endpoints.match(facts.path).methods
        send(error, dialect: dialect, requestID: id, allow: error.code == .methodNotAllowed ? allow : [])
    }

    /// The exchange has ended and its reply is on its way.
    func exchangeEnded() {
        guard case .replying = state, hasReplied else { return }
        nextRequest()
    }

    private func nextRequest() {
        if loopContext.isClosing || !keepsAlive {
            state = .closed
            closeWhenWritten()
            return
        }
        state = .idle
        waitingSince = .now()
        while !pipelined.isEmpty {
            if case .replying = state { return }
            take(pipelined.removeFirst())
        }
        if owesRead, pipelined.isEmpty {
            owesRead = false
            context?.read()
        }
    }

    // MARK: Closing

    /// Once everything that was written has left.
    private func closeWhenWritten() {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
            self.context?.close(promise: nil)
        }
    }

    /// After the reply that is being written.
    func closeAfterReply() { keepsAlive = false }

    func closeWhenIdle() {
        keepsAlive = false
        if case .idle = state { context?.close(promise: nil) }
    }

    /// Tells a reply under way that it ends here, and closes once that is written.
    func shutDown() {
        keepsAlive = false
        if case .replying = state { performer?.receive(.shutDown) }
        if case .closed = state { return }
        state = .closed
        closeWhenWritten()
    }

    func closeNow() {
        state = .closed
        context?.close(promise: nil)
    }
}

/// Bounds of a client's connection that no exchange has.
enum FrontLimits {
    /// How long a connection may be open without a request.
    static let idle = TimeAmount.minutes(5)
    /// Bytes of a refused body that are read so that the client gets to read the answer.
    static let discarded = 256 << 20
}
