import NIOCore
import NIOPosix
import Synchronization
import Testing

/// A client that sends bytes as they are, and keeps what comes back.
final class RawClient: Sendable {
    private let channel: any Channel
    private let kept: Kept

    final class Kept: Sendable {
        let bytes = Mutex<[UInt8]>([])
        let isClosed = Mutex(false)
    }

    init(_ group: any EventLoopGroup, port: Int, reads: Bool = true) async throws {
        let kept = Kept()
        self.kept = kept
        channel = try await ClientBootstrap(group: group)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Keeper(kept))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    var text: String { kept.bytes.withLock { String(decoding: $0, as: UTF8.self) } }
    var count: Int { kept.bytes.withLock { $0.count } }
    var isClosed: Bool { kept.isClosed.withLock { $0 } }

    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
    func send(_ bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    func close() { channel.close(promise: nil) }

    func startReading() { _ = channel.setOption(.autoRead, value: true) }

    /// Everything so far, once it satisfies a condition.
    @discardableResult
    func wait(for what: String, _ isEnough: (String) -> Bool) async throws -> String {
        do {
            try await until(what) { isEnough(text) }
        } catch {
            throw NotReached(what: "\(what); got \(text.suffix(2000).debugDescription)")
        }
        return text
    }

    /// Everything so far, once a text stands in it.
    @discardableResult
    func wait(for wanted: String) async throws -> String { try await wait(for: wanted) { $0.contains(wanted) } }

    func waitForClose() async throws { try await until("the connection is closed") { isClosed } }

    private final class Keeper: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let kept: Kept
        init(_ kept: Kept) { self.kept = kept }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let read = unwrapInboundIn(data)
            kept.bytes.withLock { $0 += Array(read.readableBytesView) }
        }

        func channelInactive(context: ChannelHandlerContext) { kept.isClosed.withLock { $0 = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

extension String {
    /// How often a text stands in it.
    func count(of wanted: String) -> Int {
        let bytes = Array(utf8)
        let want = Array(wanted.utf8)
        guard bytes.count >= want.count else { return 0 }
        return (0...(bytes.count - want.count)).count {
            bytes[$0] == want[0] && bytes[$0..<($0 + want.count)].elementsEqual(want)
        }
    }
}
