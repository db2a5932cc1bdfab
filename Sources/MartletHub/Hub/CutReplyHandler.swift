internal import NIOCore
internal import NIOHTTP1

/// Ends a reply whose connection breaks, in place of failing it, where its head has said how long it is: the HTTP client
/// throws away what a broken reply's reader has not asked for yet. Whoever reads one counts, as by `HubClient.Reply.length`.
final class CutReplyHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart

    private var mayEnd = false

    /// Puts one behind the decoder of a connection of the HTTP client.
    @Sendable static func add(to channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
            try pipeline.addHandler(CutReplyHandler(), position: .after(decoder))
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): mayEnd = head.headers.contains(name: "content-length")
        case .body: break
        case .end: mayEnd = false
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(context)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(context)
        context.fireChannelInactive()
    }

    private func end(_ context: ChannelHandlerContext) {
        guard mayEnd else { return }
        mayEnd = false
        // An end in the middle of a read would have the client keep the connection for its next request.
        context.fireChannelReadComplete()
        context.fireChannelRead(wrapInboundOut(.end(nil)))
    }
}
