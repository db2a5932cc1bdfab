import MartletDialects
import MartletGateway
import NIOCore
import NIOHTTP1
import NIOHTTPCompression

/// The client's side of a connection, behind llhttp: checks heads, collects bodies, hands whole requests to the
/// performer, and writes its replies. One request at a time.
final class FrontHandler: ChannelDuplexHandler, RemovableChannelHandler, ClientConnection, ReplyTaker {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        case idle
        /// A body is coming in.
        case collecting(Collecting)
        /// The request is with the performer.
        case replying
        /// An answer has been given before the body was in; the rest is read and dropped, up to a bound. Without
        /// keep-alive our side of the connection is closed by then.
        case discarding
        case closed
    }

    /// A request whose body is coming in. A class: what is looked at for each part is not copied for it.
    final class Collecting {
        let facts: RequestFacts
        let endpoint: Endpoint
        let dialect: DialectID
        let id: String
        let owner: KeyTable.Digest
        /// Set: it has no body, and the connection becomes a WebSocket.
        let handshake: WebSocketHandshake?

        init(
            _ facts: RequestFacts, _ endpoint: Endpoint, _ dialect: DialectID, id: String, owner: KeyTable.Digest
        ) {
            handshake = WebSocketHandshake(facts, endpoint)
            self.owner = owner
            self.facts = facts
            self.endpoint = endpoint
            self.dialect = dialect
            self.id = id
        }

        func complete(with body: ByteBuffer) -> InboundRequest {
            InboundRequest(
                id: id, method: facts.method, path: String(facts.path), endpoint: endpoint, dialect: dialect,
                forwarded: facts.forwarded, query: String(facts.query), body: body, owner: owner)
        }
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
    private var isTaking = false
    private var decodesBodies = false
    /// What is wrong with the bytes behind the requests that have been read; said when they have been answered.
    private var broken: GatewayError?
    /// When the current request's head was in.
    private var beganAt = NIODeadline.now()
    /// When the current wait for the client began.
    var waitingSince = NIODeadline.now()
    var keepsAlive = true
    var usesChunks = true
    var isHead = false
    /// The request is one of LM Studio's older API.
    var isLegacy = false
    /// The request's `Origin`, when replies to it carry CORS headers.
    var corsOrigin: String?
    var isStreaming = false
    var hasReplied = false
    private var named: (host: String, snapshot: Snapshot, isOurs: Bool)?
    private var checked: (token: String, snapshot: Snapshot, holder: KeyTable.Digest?)?
    var place = 0

    private let line: RequestLineKeeper

    init(_ loopContext: LoopContext, line: RequestLineKeeper) {
        self.loopContext = loopContext
        self.line = line
    }

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
        // The decoder repeats itself with every read; the first word counts.
        guard broken == nil else { return }
        broken = FrontRefusal.error(error, maxBody: loopContext.snapshot.maxBody)
        if broken == nil { context.close(promise: nil) } else { takePipelined() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        performer?.receive(.clientWritable(context.channel.isWritable))
        takePipelined()
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        // Reading goes on during a reply, which costs nothing while the client is silent; bytes that come all the same
        // are the next requests, and no more of them are read until their turn.
        if pipelined.isEmpty { context.read() } else { owesRead = true }
    }

    func tick(at now: NIODeadline) {
        switch state {
        case .replying: performer?.receive(.tick)
        case .idle:
            if now - waitingSince > FrontLimits.idle { context?.close(promise: nil) }
        case .discarding where !keepsAlive && now - waitingSince > FrontLimits.linger: context?.close(promise: nil)
        case .collecting, .discarding:
            if now - waitingSince > Limits.clientStall || now - beganAt > FrontLimits.wholeBody {
                context?.close(promise: nil)
            }
        case .closed: break
        }
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        line.understood()
        if case .closed = state { return }
        if !decodesBodies, case .head(let head) = part, RequestFacts.isEncoded(head) {
            return decodeBodies(from: data, context: context)
        }
        if pipelined.isEmpty, mayTake { take(part) } else { pipelined.append(part) }
    }

    /// Puts a decompressor before this handler, for this request and all that follow; few clients ever need one.
    private func decodeBodies(from data: NIOAny, context: ChannelHandlerContext) {
        decodesBodies = true
        let decompressor = NIOHTTPRequestDecompressor(limit: .size(loopContext.snapshot.maxBody))
        do {
            let pipeline = context.pipeline.syncOperations
            try pipeline.addHandler(decompressor, position: .before(self))
            decompressor.channelRead(context: try pipeline.context(handler: decompressor), data: data)
        } catch {
            context.close(promise: nil)
        }
    }

    /// Whether the next part's turn has come. A client that does not read its replies gets no further ones.
    private var mayTake: Bool {
        switch state {
        case .collecting, .discarding: true
        case .idle: context?.channel.isWritable ?? false
        case .replying, .closed: false
        }
    }

    /// Goes on with what came before its turn. Never nested, however many requests are
    /// answered in one turn of the loop.
    private func takePipelined() {
        guard !isTaking else { return }
        isTaking = true
        while mayTake, !pipelined.isEmpty { take(pipelined.removeFirst()) }
        isTaking = false
        if mayTake, let broken { return refuse(broken) }
        if owesRead, pipelined.isEmpty {
            owesRead = false
            context?.read()
        }
    }

    /// What follows cannot be read: the last answer on this connection.
    private func refuse(_ error: GatewayError) {
        guard !hasReplied else { return context?.close(promise: nil) ?? () }
        keepsAlive = false
        let dialect = if case .collecting(let request) = state { request.dialect } else { line.dialect }
        state = .closed
        send(error, dialect: dialect, requestID: loopContext.ids.request())
        closeWhenWritten()
    }

    private func take(_ part: HTTPServerRequestPart) {
        waitingSince = .now()
        switch part {
        case .head(let head): if case .idle = state { begin(head) }
        case .body(let bytes):
            switch state {
            case .collecting(let request): collect(bytes, of: request)
            case .discarding:
                discarded += bytes.readableBytes
                if discarded > FrontLimits.discarded {
                    state = .closed
                    context?.close(promise: nil)
                }
            case .idle, .replying, .closed: break
            }
        case .end:
            switch state {
            case .collecting(let request):
                if let handshake = request.handshake { return upgrade(request, handshake) }
                state = .replying
                performer?.begin(request.complete(with: body))
                body = ByteBuffer()
            case .discarding: nextRequest()
            case .idle, .replying, .closed: break
            }
        }
    }

    private func collect(_ bytes: ByteBuffer, of request: Collecting) {
        guard body.readableBytes + bytes.readableBytes <= loopContext.snapshot.maxBody else {
            return refuse(
                FrontRefusal.tooLarge(loopContext.snapshot.maxBody), request.facts, request.dialect, id: request.id)
        }
        guard body.readableBytes == 0, let length = request.facts.length else {
            body.writeImmutableBuffer(bytes)
            return
        }
        guard length > bytes.readableBytes else { return body = bytes }
        // A length is a promise: memory is taken when the bytes come.
        body.reserveCapacity(min(length, FrontLimits.reserved))
        body.writeImmutableBuffer(bytes)
    }

    private func begin(_ head: HTTPRequestHead) {
        beganAt = waitingSince
        let facts = RequestFacts(head)
        let match = Endpoints.match(facts.path)
        let dialect = Endpoints.dialect(
            of: match.endpoint, path: facts.path, hasAnthropicVersion: facts.hasAnthropicVersion)
        let id = facts.requestID ?? loopContext.ids.request()
        keepsAlive = facts.keepsAlive && !facts.isUpgrade && !loopContext.isClosing && facts.method != "CONNECT"
        usesChunks = facts.usesChunks
        isHead = facts.method == "HEAD"
        isLegacy = Endpoints.isLegacy(facts.path)
        hasReplied = false
        isStreaming = false
        let (holder, namesUs) = (holder(facts, dialect), namesUs(facts))
        // Refusals too: a page that may call us is told why it was refused.
        let isOurs = holder != nil || namesUs
        corsOrigin = isOurs ? facts.origin.flatMap { loopContext.snapshot.hosts.grantsCrossOrigin($0) ? $0 : nil } : nil
        if let refusal = FrontRefusal.check(
            facts, match, dialect, isKnown: holder != nil, namesUs: namesUs, in: loopContext)
        {
            return refuse(refusal, facts, dialect, id: id)
        }
        if facts.method == "OPTIONS" {
            discarded = 0
            state = .discarding
            return send(facts.preflight, allowed: match.methods)
        }
        if facts.expectsContinue, usesChunks, let context {
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
        body.clear()
        state = .collecting(Collecting(facts, match.endpoint, dialect, id: id, owner: holder ?? []))
    }

    /// The digest of the request's token, if it is valid. `x-api-key` wins on Anthropic's routes, as it does there.
    private func holder(_ facts: RequestFacts, _ dialect: DialectID) -> KeyTable.Digest? {
        let token = dialect == .anthropic ? facts.apiKey ?? facts.bearer : facts.bearer ?? facts.apiKey
        guard let token else { return nil }
        let keys = loopContext.snapshot.keys
        guard keys.isRequired else { return nil }
        // A connection keeps its token: it is digested once.
        if let checked, checked.token == token, checked.snapshot === loopContext.snapshot { return checked.holder }
        let holder = keys.holder(of: token)
        checked = (token, loopContext.snapshot, holder)
        return holder
    }

    /// Whether `Host` is one of our names. A connection's requests name the same host: it is looked up once.
    private func namesUs(_ facts: RequestFacts) -> Bool {
        guard facts.hostCount == 1, let host = facts.host else { return false }
        let snapshot = loopContext.snapshot
        if let named, named.host == host, named.snapshot === snapshot { return named.isOurs }
        let isOurs = snapshot.hosts.allows(host: host)
        named = (host, snapshot, isOurs)
        return isOurs
    }

    /// Answers before the body is in, and drops the rest of it: for as long as it takes a client that writes before it
    /// reads to find the answer, since what arrives at a closed connection takes the answer away (RFC 9112, 9.6).
    private func refuse(_ error: GatewayError, _ facts: RequestFacts, _ dialect: DialectID, id: String) {
        body = ByteBuffer()
        discarded = 0
        state = .discarding
        // A short body costs less than a new connection.
        let isLong = facts.expectsContinue || facts.isChunked || facts.length ?? 0 > FrontLimits.shortBody
        if isLong { keepsAlive = false }
        defer { if isLong { closeOutputWhenWritten() } }
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
        hasReplied = false
        waitingSince = .now()
        takePipelined()
    }

    // MARK: Closing

    /// Once everything that was written has left.
    private func closeWhenWritten() {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
            self.context?.close(promise: nil)
        }
    }

    /// Tells the client that nothing more will come, and goes on reading.
    private func closeOutputWhenWritten() {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
            self.context?.close(mode: .output, promise: nil)
        }
    }

    /// After the reply that is being written.
    func closeAfterReply() { keepsAlive = false }

    func closeWhenIdle() {
        keepsAlive = false
        guard case .idle = state else { return }
        state = .closed
        closeWhenWritten()
    }

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
    /// How long a connection may be open without a whole head.
    static let idle = TimeAmount.minutes(2)
    /// How long a body may take in all, however steadily it drips.
    static let wholeBody = TimeAmount.minutes(10)
    /// Bytes of a refused body that are read so that the client gets to read the answer.
    static let discarded = 64 << 20
    /// How long the next bytes of a refused body are waited for.
    static let linger = TimeAmount.seconds(2)
    /// Bytes of a refused body that are read to keep the connection.
    static let shortBody = 64 << 10
    /// Bytes set aside for a body before they have come.
    static let reserved = 1 << 20
}
