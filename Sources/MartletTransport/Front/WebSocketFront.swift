import MartletDialects
import MartletGateway
import MartletWire
import NIOCore

/// The client's side of a connection that has become a WebSocket of Responses: each message is a request, and each
/// event of its reply a message. Requests take the same way as over HTTP, one at a time.
final class WebSocketFront: ChannelDuplexHandler, ClientConnection, ReplyTaker {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case open
        /// Our close frame is written; the client's is waited for.
        case closing
        case closed
    }

    private let loopContext: LoopContext
    private let facts: RequestFacts
    private let forwarded: [(name: String, value: String)]
    private let owner: KeyTable.Digest
    private var performer: ExchangePerformer?
    private var context: ChannelHandlerContext?
    private var state = State.open
    private var session: SocketSession
    private var reader: WebSocketReader
    /// Cuts the reply under way into its events.
    private var framer = SSEFramer()
    /// An error in it, which is said when nothing else ends the reply: over HTTP both are, here
    /// each reply has one last message.
    private var unsaidError: ByteBuffer?
    private var isAnswering = false
    private var isTaking = false
    private var owesRead = false
    /// The last ping that could not be answered yet. The others need no answer (RFC 6455, 5.5.3).
    private var unanswered: ByteBuffer?
    private var times = SocketTimes(openedAt: .now())
    var place = 0

    /// - Parameter facts: of the request that was answered with a WebSocket.
    init(_ loopContext: LoopContext, _ facts: RequestFacts, owner: KeyTable.Digest) {
        self.loopContext = loopContext
        self.facts = facts
        // That there are WebSockets here says nothing of an upstream.
        forwarded = facts.forwarded.filter { name, value in
            !name.isField("openai-beta") || !value.contains("responses_websockets")
        }
        self.owner = owner
        session = SocketSession(maxBody: loopContext.snapshot.maxBody)
        reader = WebSocketReader(limit: loopContext.snapshot.maxBody)
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

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        times.writable(isWritable, at: .now())
        performer?.receive(.clientWritable(isWritable))
        if isWritable {
            if let ping = unanswered { answer(ping) }
            takeNext()
            if owesRead {
                owesRead = false
                context.read()
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func read(context: ChannelHandlerContext) {
        // What is said to a client that reads nothing must not pile up.
        if context.channel.isWritable { context.read() } else { owesRead = true }
    }

    func tick(at now: NIODeadline) {
        if isAnswering { performer?.receive(.tick) }
        if case .closed = state { return }
        switch times.due(isAnswering: isAnswering, at: now) {
        case .ping: ping(at: now)
        case .retire: retire()
        case .leave: close(.goingAway, "nothing has come for \(Limits.socketIdle.shown)")
        case .refuse: close(.refused, "a message has not come to its end in time")
        case .giveUp: closeNow()
        case nil: break
        }
    }

    // MARK: What the client says

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closed = state { return }
        reader.take(unwrapInboundIn(data))
        do throws(WebSocketViolation) {
            while let message = try reader.next() { take(message) }
        } catch {
            if case .closing = state { closeNow() } else { close(error.code, error.reason) }
        }
        times.heard(isInMessage: reader.isInMessage, at: .now())
    }

    private func take(_ message: WebSocketReader.Message) {
        switch (message, state) {
        case (_, .closed), (.pong, _): break
        case (.close(let code), .open):
            // What is under way has nobody to go to.
            state = .closing
            times.closing(at: .now())
            performer?.receive(.clientGone)
            write { $0.writeWebSocketClose(code) }
            closeWhenWritten()
        case (.close, .closing): closeWhenWritten()
        case (_, .closing): break
        case (.ping(let payload), .open): answer(payload)
        case (.text(let text), .open):
            do throws(SocketRefusal) {
                try session.take(text)
                takeNext()
            } catch {
                say(ResponsesSocketEvent.error(error.error), stream: error.stream)
            }
        }
    }

    private func answer(_ ping: ByteBuffer) {
        guard context?.channel.isWritable == true else { return unanswered = ping }
        unanswered = nil
        write { $0.writeWebSocketFrame(.pong, [ping]) }
    }

    private func ping(at now: NIODeadline) {
        times.pinged(at: now)
        guard context?.channel.isWritable == true else { return }
        write { $0.writeWebSocketFrame(.ping) }
    }

    /// Goes on with what waits. Never nested, however many requests are answered in one turn of the loop.
    private func takeNext() {
        guard !isTaking else { return }
        isTaking = true
        defer { isTaking = false }
        while case .open = state, !isAnswering, context?.channel.isWritable == true {
            if loopContext.isClosing || times.isOld(at: .now()) { return retire() }
            guard let turn = session.begin(), let create = session.current else { return }
            isAnswering = true
            framer = SSEFramer()
            performer?.begin(
                InboundRequest(
                    id: loopContext.ids.request(), method: facts.method, path: String(facts.path),
                    endpoint: .completion(.responses), dialect: .responses, forwarded: forwarded,
                    query: String(facts.query), body: create.body, owner: owner, turn: turn))
        }
    }

    // MARK: Closing

    /// No further request is answered here.
    private func retire() {
        guard case .open = state else { return }
        let isOld = !loopContext.isClosing
        let error =
            isOld
            ? GatewayError(
                code: .connectionTooOld,
                message:
                    "this WebSocket has been open for \(Limits.socketLifetime.shown), which is as long as it may be; "
                    + "open another one to go on")
            : GatewayError(code: .shuttingDown, message: "the server is shutting down", retryAfter: .seconds(5))
        if session.isIdle, isOld { say(ResponsesSocketEvent.error(error)) }
        while session.begin() != nil {
            say(ResponsesSocketEvent.error(error))
            session.end(.failed(error.code), remembering: nil)
        }
        close(.goingAway, error.message)
    }

    private func close(_ code: WebSocketViolation.Code, _ reason: String) {
        guard case .open = state else { return }
        state = .closing
        times.closing(at: .now())
        performer?.receive(.clientGone)
        write { $0.writeWebSocketClose(code.rawValue, reason: reason) }
    }

    private func closeWhenWritten() {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { _ in
            self.context?.close(promise: nil)
        }
    }

    func closeWhenIdle() { if !isAnswering { retire() } }

    func shutDown() {
        if isAnswering { performer?.receive(.shutDown) }
        retire()
        closeWhenWritten()
    }

    /// A reply that has failed is one message among others: what follows it is another reply.
    func closeAfterReply() {}

    func closeNow() {
        state = .closed
        context?.close(promise: nil)
    }

    // MARK: What the client is told

    private func write(_ frames: (inout ByteBuffer) -> Void) {
        guard let context else { return }
        var bytes = context.channel.allocator.buffer(capacity: 256)
        frames(&bytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    private func say(_ event: ByteBuffer, stream: String?) {
        write { $0.writeWebSocketFrame(.text, ResponsesSocketEvent.pieces(event, stream: stream)) }
    }

    /// What is said in place of the current request's reply.
    private func say(_ event: ByteBuffer) { say(event, stream: session.current?.stream) }

    /// Every event of a stream's next bytes as a message. Signs of life between them are pings here.
    private func say(events stream: ByteBuffer) {
        guard framer.take(stream) else { return close(.tooBig, "an event is over the size limit") }
        let lane = session.current?.stream
        var hasEvents = false
        write { bytes in
            while let frame = framer.next() {
                guard let event = frame.event, !event.isDone, event.data.readableBytes > 0 else { continue }
                hasEvents = true
                if ResponsesSocketEvent.isError(event) {
                    unsaidError = event.data
                } else {
                    if ResponsesSocketEvent.isLast(event) { unsaidError = nil }
                    bytes.writeWebSocketFrame(.text, ResponsesSocketEvent.pieces(event.data, stream: lane))
                }
            }
        }
        if !hasEvents { ping(at: .now()) }
    }

    func head(status: Int) -> ReplyHead { ReplyHead(status: status, into: ByteBuffer()) }

    func beginStream(_ head: ReplyHead) {}

    func send(chunk out: inout ByteBuffer, last: Bool) {
        if case .open = state, out.readableBytes > 0 { say(events: out) }
        FrontHandler.prepare(&out)
    }

    /// Every request streams: what comes whole is an upstream's error.
    func send(_ head: ReplyHead, body: [ByteBuffer]) {
        var whole = ByteBuffer()
        for piece in body { whole.writeImmutableBuffer(piece) }
        say(ResponsesSocketEvent.error(status: head.status, body: whole))
    }

    func send(whole reply: ControlReply, dialect: DialectID, requestID: String) {
        guard reply.contentType.hasPrefix("text/event-stream") else {
            return say(ResponsesSocketEvent.error(status: reply.status, body: reply.body))
        }
        say(events: reply.body)
    }

    func send(_ error: GatewayError, dialect: DialectID, requestID: String, allow: [String], upstream: UpstreamHead?) {
        guard case .open = state else { return }
        say(ResponsesSocketEvent.error(error))
    }

    func concluded(_ outcome: ExchangeRecord.Outcome, _ plan: Plan?, _ response: ByteBuffer?) {
        var remembered: RememberedResponse?
        if let plan, let response, plan.responses?.isStored != true {
            remembered = RememberedResponse(
                response, before: plan.recalled?.before ?? [],
                own: plan.recalled?.own ?? (try? ResponsesRequest.inputItems(plan.document)) ?? [])
        }
        outcomeOfTurn = (outcome, remembered)
    }

    /// How the reply ended whose last events are being written.
    private var outcomeOfTurn: (ExchangeRecord.Outcome, RememberedResponse?)?

    func exchangeEnded() {
        guard isAnswering, let (outcome, response) = outcomeOfTurn else { return }
        outcomeOfTurn = nil
        isAnswering = false
        if let error = unsaidError, case .open = state {
            say(ResponsesSocketEvent.error(status: 500, body: error))
        }
        unsaidError = nil
        session.end(outcome, remembering: response)
        takeNext()
    }
}
