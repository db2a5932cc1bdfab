import MartletDialects
import MartletGateway
import NIOCore
import NIOTLS

/// Whoever waits for an upstream's reply, on the connection's loop.
protocol UpstreamUser: AnyObject {
    func upstream(_ event: Exchange.Event)
    /// What one read held.
    func upstream(read: ResponseFraming.Parsed, reusable: Bool)
}

/// One connection to an upstream: frames what it reads and reports it to the exchange it
/// serves. Lives on one event loop.
final class UpstreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let origin: Origin
    private let shown: String
    private var framing = ResponseFraming()
    private var context: ChannelHandlerContext?
    private weak var pool: UpstreamPool?
    /// The exchange it serves; nil while it is idle.
    private var user: (any UpstreamUser)?
    /// Served a request before the current one.
    private var isReused = false
    private var isPaused = false
    private var owesRead = false
    private var hasEnded = false
    /// TLS hands have been shaken, where there is TLS.
    private var isReady: Bool
    private var onReady: (((any Error)?) -> Void)?
    /// Why the connection broke, where the layers below say so.
    private var failure: (any Error)?
    var idleSince = NIODeadline.distantPast

    init(origin: Origin, shown: String, pool: UpstreamPool) {
        self.origin = origin
        self.shown = shown
        self.pool = pool
        isReady = !origin.usesTLS
    }

    /// Whether the connection still stands, as far as its events have told.
    private(set) var isActive = true

    /// Calls back once requests may be sent, or with the reason why none ever may. Once per connection.
    func whenReady(_ then: @escaping ((any Error)?) -> Void) {
        if isReady { return then(nil) }
        if !isActive { return then(failure ?? ChannelError.eof) }
        onReady = then
    }

    /// Ends a connection that has not become ready.
    func giveUp(_ reason: any Error) {
        guard !isReady else { return }
        failure = failure ?? reason
        context?.close(promise: nil)
    }

    // MARK: Orders

    func begin(for user: any UpstreamUser) {
        self.user = user
        framing.reset()
        hasEnded = false
    }

    func send(_ pieces: [ByteBuffer]) {
        guard let context else { return }
        for piece in pieces { context.write(wrapOutboundOut(piece), promise: nil) }
        context.flush()
    }

    func pause() { isPaused = true }

    func resume() {
        isPaused = false
        guard owesRead, let context else { return }
        owesRead = false
        context.read()
    }

    /// Back to the pool, for the next exchange.
    func keep() {
        user = nil
        isReused = true
        resume()
        guard isActive, let pool else { return close() }
        pool.keep(self)
    }

    func close() {
        user = nil
        isActive = false
        pool?.forget(self)
        context?.close(promise: nil)
    }

    // MARK: Facts

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Bytes that nobody asked for make an idle connection useless.
        guard let user, !hasEnded else { return close() }
        do throws(FramingError) {
            let parsed = try framing.take(unwrapInboundIn(data))
            if parsed.isEnd { hasEnded = true }
            user.upstream(read: parsed, reusable: framing.isReusable)
        } catch {
            self.user = nil
            pool?.forget(self)
            context.close(promise: nil)
            user.upstream(
                .upstreamFailed(
                    GatewayError(
                        code: .upstreamBadReply, message: "\(shown) did not answer in HTTP: \(error.reason)",
                        detail: error.reason),
                    stale: false))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { user?.upstream(.readComplete) }

    func read(context: ChannelHandlerContext) {
        if isPaused { owesRead = true } else { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent {
            isReady = true
            onReady?(nil)
            onReady = nil
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isActive = false
        pool?.forget(self)
        if let onReady {
            self.onReady = nil
            return onReady(failure ?? ChannelError.eof)
        }
        guard let user, !hasEnded else { return }
        self.user = nil
        hasEnded = true
        if framing.endsWithConnection, failure == nil {
            user.upstream(.end(cleanly: true, reusable: false))
        } else {
            let error = GatewayError(
                code: .upstreamClosedEarly,
                message: framing.hasBegun
                    ? "\(shown) closed the connection before its reply was complete"
                    : "\(shown) closed the connection without an answer")
            let isStale = isReused && !framing.hasBegun
            if isStale { pool?.dropIdle(to: origin) }
            user.upstream(.upstreamFailed(error, stale: isStale))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? error
        context.close(promise: nil)
    }
}
