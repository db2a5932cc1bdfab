import MartletDialects
import MartletGateway
import NIOCore

/// Whoever waits for an upstream's reply, on the connection's loop.
protocol UpstreamUser: AnyObject {
    func upstream(_ event: Exchange.Event)
}

/// One connection to an upstream: frames what it reads and reports it to the exchange it serves. Lives on one event loop.
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
    var idleSince = NIODeadline.distantPast

    init(origin: Origin, shown: String, pool: UpstreamPool) {
        self.origin = origin
        self.shown = shown
        self.pool = pool
    }

    var isActive: Bool { context?.channel.isActive ?? false }

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
            if let head = parsed.head { user.upstream(.head(head)) }
            if let body = parsed.body { user.upstream(.bytes(body)) }
            if parsed.isEnd {
                hasEnded = true
                user.upstream(.end(cleanly: true, reusable: framing.isReusable))
            }
        } catch {
            self.user = nil
            pool?.forget(self)
            context.close(promise: nil)
            user.upstream(
                .upstreamFailed(
                    GatewayError(code: .upstreamBadReply, message: "\(shown) did not answer in HTTP: \(error.reason)"),
                    stale: false))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { user?.upstream(.readComplete) }

    func read(context: ChannelHandlerContext) {
        if isPaused { owesRead = true } else { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        pool?.forget(self)
        guard let user, !hasEnded else { return }
        self.user = nil
        hasEnded = true
        if framing.endsWithConnection {
            user.upstream(.end(cleanly: true, reusable: false))
        } else {
            let error = GatewayError(
                code: .upstreamClosedEarly,
                message: framing.hasBegun
                    ? "\(shown) closed the connection before its reply was complete"
                    : "\(shown) closed the connection without an answer")
            user.upstream(.upstreamFailed(error, stale: isReused && !framing.hasBegun))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
