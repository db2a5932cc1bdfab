import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A request as an upstream saw it.
struct SeenRequest: Sendable {
    var head: String
    var body: String
    /// Which connection it came on, and which of that connection's requests it is; both from 0.
    var connection: Int
    var turn: Int
}

/// An upstream that does what its script says.
final class FakeUpstream: Sendable {
    typealias Script = @Sendable (SeenRequest, FakeConnection) -> Void

    private let seen = Mutex<[SeenRequest]>([])
    private let accepted = Mutex<[FakeConnection]>([])
    private let server: any Channel

    /// - Parameter path: of a Unix socket; nil: a free port of 127.0.0.1.
    init(_ group: any EventLoopGroup, path: String? = nil, tls: NIOSSLContext? = nil, script: @escaping Script)
        async throws
    {
        let box = Box()
        let bootstrap = ServerBootstrap(group: group)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 32 << 10, high: 64 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    guard let owner = box.owner.withLock({ $0 }) else { return }
                    let connection = owner.accepted.withLock { all in
                        all.append(FakeConnection(channel, index: all.count))
                        return all[all.count - 1]
                    }
                    let handler = RequestReader { head, body, turn in
                        let request = SeenRequest(head: head, body: body, connection: connection.index, turn: turn)
                        owner.seen.withLock { $0.append(request) }
                        script(request, connection)
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        if let path {
            server = try await bootstrap.bind(unixDomainSocketPath: path).get()
        } else {
            server = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        }
        box.owner.withLock { $0 = self }
    }

    private final class Box: Sendable {
        let owner = Mutex<FakeUpstream?>(nil)
    }

    var port: Int { server.localAddress?.port ?? 0 }
    var requests: [SeenRequest] { seen.withLock { $0 } }
    var connections: [FakeConnection] { accepted.withLock { $0 } }
    var openConnections: Int { connections.count { !$0.isClosed } }

    func stop() async {
        try? await server.close()
        for connection in connections { connection.close() }
    }
}

/// One connection that an upstream has accepted.
final class FakeConnection: Sendable {
    let channel: any Channel
    let index: Int
    private let closed = Mutex(false)
    private let taken = Mutex(0)

    init(_ channel: any Channel, index: Int) {
        self.channel = channel
        self.index = index
        channel.closeFuture.whenComplete { [closedBox = self] _ in closedBox.closed.withLock { $0 = true } }
    }

    var isClosed: Bool { closed.withLock { $0 } }
    /// Bytes that the system has taken over from us.
    var takenBytes: Int { taken.withLock { $0 } }

    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
    func close() { channel.close(promise: nil) }

    /// A whole reply.
    func reply(_ body: String, status: String = "200 OK", type: String = "application/json", more: String = "") {
        send("HTTP/1.1 \(status)\r\ncontent-type: \(type)\r\n\(more)content-length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    func beginStream() {
        send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    func chunk(_ text: String) { send(String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n") }
    func endStream() { send("0\r\n\r\n") }
    /// What goes out in one write, so that nobody sees the chunk before the end.
    func lastChunk(_ text: String) { send(String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n0\r\n\r\n") }

    /// Sends a chunk again and again, each when the one before has left.
    func pour(_ text: String, times: Int, then: @escaping @Sendable () -> Void) {
        guard times > 0 else { return then() }
        let framed = ByteBuffer(string: String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
        channel.writeAndFlush(framed).whenSuccess { [self] in
            taken.withLock { $0 += framed.readableBytes }
            pour(text, times: times - 1, then: then)
        }
    }
}

/// Cuts requests with a `content-length` out of what comes in.
private final class RequestReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var bytes = ByteBuffer()
    private var turn = 0
    private let seen: (String, String, Int) -> Void

    init(_ seen: @escaping (String, String, Int) -> Void) { self.seen = seen }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var read = unwrapInboundIn(data)
        bytes.writeBuffer(&read)
        while let end = String(buffer: bytes).range(ofBlankLine: ()) {
            let text = String(buffer: bytes)
            let head = String(text[..<end.lowerBound])
            let length =
                head.split(separator: "\r\n").lazy.compactMap { line in
                    line.lowercased().hasPrefix("content-length: ") ? Int(line.dropFirst(16)) : nil
                }.first ?? 0
            let start = head.utf8.count + 4
            guard bytes.readableBytes >= start + length else { return }
            bytes.moveReaderIndex(forwardBy: start)
            let body = bytes.readString(length: length) ?? ""
            bytes.discardReadBytes()
            turn += 1
            seen(head, body, turn - 1)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

extension String {
    fileprivate func range(ofBlankLine: Void) -> Range<String.Index>? {
        var start = startIndex
        while let at = self[start...].utf8.firstIndex(of: 0x0D) {
            if self.utf8[at...].starts(with: "\r\n\r\n".utf8) { return at..<utf8.index(at, offsetBy: 4) }
            start = utf8.index(after: at)
        }
        return nil
    }
}
