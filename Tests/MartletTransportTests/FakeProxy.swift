import NIOCore
import NIOPosix
import Synchronization

/// A proxy that answers each CONNECT as its script says: by a tunnel to a port of loopback, or by bytes.
final class FakeProxy: Sendable {
    enum Answer: Sendable {
        /// The head that opens the tunnel, and where it leads.
        case tunnel(String, port: Int)
        /// Sent as they are; then the connection ends if `closes`.
        case bytes(String, closes: Bool)
        case silence
    }

    private let shared: Shared
    private let server: any Channel

    init(_ group: any EventLoopGroup, answer: @escaping @Sendable (_ head: String) -> Answer) async throws {
        let box = Shared()
        server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                box.channels.withLock { $0.append(channel) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Connecting(box, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        shared = box
    }

    fileprivate final class Shared: Sendable {
        let heads = Mutex<[String]>([])
        let channels = Mutex<[any Channel]>([])
    }

    var port: Int { server.localAddress?.port ?? 0 }
    /// The heads of all requests, in order.
    var heads: [String] { shared.heads.withLock { $0 } }
    var openConnections: Int { shared.channels.withLock { $0.count { $0.isActive } } }

    func stop() async {
        try? await server.close()
        for channel in shared.channels.withLock({ $0 }) { channel.close(promise: nil) }
    }
}

/// Reads the head of a CONNECT; afterwards passes bytes both ways.
private final class Connecting: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let shared: FakeProxy.Shared
    private let answer: @Sendable (String) -> FakeProxy.Answer
    private var bytes = ByteBuffer()
    private var isOpening = false
    private var peer: (any Channel)?

    init(_ shared: FakeProxy.Shared, _ answer: @escaping @Sendable (String) -> FakeProxy.Answer) {
        self.shared = shared
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var read = unwrapInboundIn(data)
        if let peer { return peer.writeAndFlush(read, promise: nil) }
        bytes.writeBuffer(&read)
        let text = String(buffer: bytes)
        guard !isOpening, text.hasSuffix("\r\n\r\n") else { return }
        isOpening = true
        bytes.clear()
        shared.heads.withLock { $0.append(text) }
        switch answer(text) {
        case .silence: break
        case .bytes(let text, let closes):
            context.writeAndFlush(NIOAny(ByteBuffer(string: text)), promise: nil)
            if closes { context.close(promise: nil) }
        case .tunnel(let head, let port): open(head, port, context)
        }
    }

    private func open(_ head: String, _ port: Int, _ context: ChannelHandlerContext) {
        let channel = context.channel
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        ClientBootstrap(group: context.eventLoop)
            .channelInitializer { far in
                far.eventLoop.makeCompletedFuture { try far.pipeline.syncOperations.addHandler(Back(channel)) }
            }
            .connect(host: "127.0.0.1", port: port)
            .whenSuccess { far in
                bound.value.peer = far
                channel.writeAndFlush(ByteBuffer(string: head), promise: nil)
            }
    }

    func channelInactive(context: ChannelHandlerContext) { peer?.close(promise: nil) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private final class Back: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let near: any Channel
        init(_ near: any Channel) { self.near = near }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            near.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { near.close(promise: nil) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
