package import MartletGateway
package import NIOCore
import NIOHTTP1
package import NIOPosix
package import NIOSSL

/// The listening side: event loops, their contexts, and the pipeline of each connection.
package final class Listener: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let contexts: [NIOLoopBound<LoopContext>]
    private let byLoop: [ObjectIdentifier: NIOLoopBound<LoopContext>]

    /// - Parameters:
    ///   - group: one loop per core that shall serve.
    ///   - tls: for connections to upstreams; nil when none uses TLS.
    ///   - seed: of the ids that are minted; another for each loop.
    package init(
        group: MultiThreadedEventLoopGroup, services: Services, snapshot: Snapshot, tls: NIOSSLContext?,
        seed: @Sendable () -> UInt64
    ) async throws {
        self.group = group
        var contexts: [NIOLoopBound<LoopContext>] = []
        for loop in group.makeIterator() {
            let seed = seed()
            contexts.append(
                try await loop.submit {
                    NIOLoopBound(
                        LoopContext(loop: loop, services: services, snapshot: snapshot, tls: tls, seed: seed),
                        eventLoop: loop)
                }.get())
        }
        self.contexts = contexts
        byLoop = Dictionary(
            uniqueKeysWithValues: contexts.map { (ObjectIdentifier($0.eventLoop), $0) })
    }

    /// Binds and starts to accept.
    /// - Throws: the system's error when the address is taken or not ours.
    package func bind(host: String, port: Int) async throws -> any Channel {
        let byLoop = self.byLoop
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: Limits.clientLowWater, high: Limits.clientHighWater)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let context = byLoop[ObjectIdentifier(channel.eventLoop)] else {
                        throw ChannelError.inappropriateOperationForState
                    }
                    let pipeline = channel.pipeline.syncOperations
                    let line = RequestLineKeeper()
                    try pipeline.addHandler(line)
                    try pipeline.addHandler(
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)))
                    try pipeline.addHandler(FrontHandler(context.value, line: line))
                }
            }
            .bind(host: host, port: port).get()
    }

    /// Calls over the first loop's connections.
    package var calls: UpstreamCalls? { contexts.first.map(UpstreamCalls.init) }

    /// Swaps what decisions are made from, on every loop. Exchanges under way keep what they began with.
    package func use(_ snapshot: Snapshot) {
        for context in contexts { context.eventLoop.execute { context.value.snapshot = snapshot } }
    }

    /// Lets replies under way end, up to `grace`, then ends the rest.
    package func drain(grace: Duration, clock: ContinuousClock = ContinuousClock()) async {
        for context in contexts { context.eventLoop.execute { context.value.drain() } }
        let deadline = clock.now + grace
        while clock.now < deadline {
            if await openFronts() == 0 { break }
            try? await clock.sleep(for: .milliseconds(20))
        }
        for context in contexts {
            try? await context.eventLoop.submit { context.value.closeAll() }.get()
        }
    }

    private func openFronts() async -> Int {
        var count = 0
        for context in contexts {
            count += (try? await context.eventLoop.submit { context.value.openFronts }.get()) ?? 0
        }
        return count
    }
}
