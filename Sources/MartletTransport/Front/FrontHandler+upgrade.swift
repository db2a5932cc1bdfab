import NIOCore
import NIOHTTP1
import NIOHTTPCompression

extension FrontHandler {
    /// Hands the connection over to a WebSocket's front, and leaves it with everything that reads HTTP.
    func upgrade(_ request: Collecting, _ handshake: WebSocketHandshake) {
        guard let context else { return }
        state = .closed
        loopContext.remove(self)
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(
                WebSocketFront(loopContext, request.facts, owner: request.owner), position: .after(self))
            let reply = handshake.reply(requestID: request.id, dateLine: loopContext.currentDateLine())
            context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
            // The decoder goes a moment later, and passes on what the client has sent behind its request.
            _ = pipeline.removeHandler(
                context: try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self))
            _ = pipeline.removeHandler(context: try pipeline.context(handlerType: RequestLineKeeper.self))
            if let decompressor = try? pipeline.context(handlerType: NIOHTTPRequestDecompressor.self) {
                _ = pipeline.removeHandler(context: decompressor)
            }
            _ = pipeline.removeHandler(context: context)
        } catch {
            context.close(promise: nil)
        }
    }
}
