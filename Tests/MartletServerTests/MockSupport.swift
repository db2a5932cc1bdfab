import Logging
import MartletDialects
import MartletGateway
import MartletServer
import MartletTransport
import MartletWire
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An event loop and the calls that go out from it, for one test.
struct Loop {
    let group: MultiThreadedEventLoopGroup
    let listener: Listener
    let calls: UpstreamCalls

    static func run<Value: Sendable>(_ work: (Loop) async throws -> Value) async throws -> Value {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let services = Services(
            control: Nobody(), models: EngineHost(supervisor: nil),
            records: RecordWriter(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }), gates: [:])
        let snapshot = Snapshot(
            routes: RouteTable(upstreams: []), hosts: HostGuard(bound: "127.0.0.1", machine: nil), instance: "test")
        let listener = try await Listener(
            group: group, services: services, snapshot: snapshot, tls: nil, seed: { 1 })
        guard let calls = listener.calls else { throw Missing() }
        let result: Result<Value, any Error>
        do {
            result = .success(try await work(Loop(group: group, listener: listener, calls: calls)))
        } catch {
            result = .failure(error)
        }
        try await group.shutdownGracefully()
        return try result.get()
    }

    struct Missing: Error {}

    private struct Nobody: ControlRoutes {
        func answer(_ request: InboundRequest, in snapshot: Snapshot) async -> ControlReply {
            ControlReply(status: 503, body: ByteBuffer())
        }
        func weigh(_ plan: Plan) async -> Decision { .complete(plan) }
        func refreshCatalog() async {}
    }
}

/// A server on loopback that answers `GET` with fixed JSON per path, and 404 elsewhere.
struct FixedServer {
    let channel: any Channel
    private let routes: Routes
    var port: Int { channel.localAddress?.port ?? 0 }

    static func start(
        on group: MultiThreadedEventLoopGroup, status: Int = 200, _ routes: [String: String]
    ) async throws -> FixedServer {
        let routes = Routes(routes)
        let channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(routes: routes, status: status))
                }
            }
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: 0).get()
        return FixedServer(channel: channel, routes: routes)
    }

    /// Other answers from here on.
    func answer(_ routes: [String: String]) { self.routes.all.withLock { $0 = routes } }

    private final class Routes: Sendable {
        let all: Mutex<[String: String]>
        init(_ all: [String: String]) { self.all = Mutex(all) }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        let routes: Routes
        let status: Int

        init(routes: Routes, status: Int) {
            self.routes = routes
            self.status = status
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head(let request) = unwrapInboundIn(data) else { return }
            let text = routes.all.withLock { $0[request.uri] }
            let body = ByteBuffer(string: text ?? "{\"error\":\"no route\"}")
            var head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: text == nil ? 404 : status))
            head.headers.add(name: "content-length", value: String(body.readableBytes))
            head.headers.add(name: "connection", value: "close")
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
