import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

/// A listener on loopback with scripted upstreams behind it; everything is closed when `run` returns.
struct GatewayUnderTest: Sendable {
    let group: MultiThreadedEventLoopGroup
    let listener: Listener
    let records: KeptRecords
    let control: FakeControl
    let models: FakeModels
    let port: Int

    /// - Parameter upstream: what `m` leads to.
    static func run(
        _ upstream: (Int) -> Upstream = { GatewayUnderTest.upstream($0) },
        script: @escaping FakeUpstream.Script = { _, _ in },
        path: String? = nil, serverTLS: NIOSSLContext? = nil, clientTLS: NIOSSLContext? = nil, slots: Int? = nil,
        maxBody: Int = Limits.body, tools: any ToolHost = NoTools(),
        _ body: (GatewayUnderTest, FakeUpstream) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let behind = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let fake = try await FakeUpstream(behind, path: path, tls: serverTLS, script: script)
        let place = upstream(fake.port)
        let routes = RouteTable(
            upstreams: [place], served: ["u": ServedModels(ids: ["m"])],
            aliases: [(pattern: "wire", targets: ["u/real"])])
        let gateway = try await GatewayUnderTest(
            group: group, routes: routes, clientTLS: clientTLS, slots: slots, socket: path, maxBody: maxBody,
            tools: tools)
        let result: Result<Void, any Error>
        do {
            try await body(gateway, fake)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await gateway.listener.drain(grace: .zero)
        await fake.stop()
        try await group.shutdownGracefully()
        try await behind.shutdownGracefully()
        try result.get()
    }

    private init(
        group: MultiThreadedEventLoopGroup, routes: RouteTable, clientTLS: NIOSSLContext?, slots: Int?, socket: String?,
        maxBody: Int, tools: any ToolHost
    ) async throws {
        self.group = group
        records = KeptRecords()
        control = FakeControl()
        models = FakeModels(socket: socket)
        var gates: [String: UpstreamGate] = [:]
        if let slots { gates["u"] = UpstreamGate(slots: slots, queueLength: 8, wait: .seconds(30)) }
        let services = Services(control: control, models: models, records: records, gates: gates, tools: tools)
        let snapshot = Snapshot(
            routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil, allowedOrigins: ["https://app.example"]),
            maxBody: maxBody, instance: "i")
        listener = try await Listener(group: group, services: services, snapshot: snapshot, tls: clientTLS, seed: { 1 })
        port = try await listener.bind(host: "127.0.0.1", port: 0).localAddress?.port ?? 0
    }

    func connect(reads: Bool = true) async throws -> RawClient { try await RawClient(group, port: port, reads: reads) }

    static func upstream(
        _ port: Int, mode: RelayMode = .exact, retries: Int = 0, deadlines: Deadlines = Deadlines(), tls: Bool = false,
        proxyUse: ProxyUse = .none
    ) -> Upstream {
        let origin = Origin(address: .tcp(host: tls ? "localhost" : "127.0.0.1", port: port), usesTLS: tls)
        return Upstream(
            name: "u", profile: .vllm, location: .url(BaseURL(origin: origin)), mode: mode, apiKey: Secret("key"),
            deadlines: deadlines, retries: retries,
            // Longer than a test may stand still on a machine that has other things to do.
            connections: ConnectionLimits(keepAlive: .minutes(10)), proxyUse: proxyUse)
    }
}

enum Text {
    static let body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
    static let streamBody = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
    static let answer =
        "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
        + "\"message\":{\"role\":\"assistant\",\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}"

    static func post(_ body: String, more: String = "", path: String = "/v1/chat/completions") -> String {
        "POST \(path) HTTP/1.1\r\nHost: localhost\r\n\(more)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static func get(_ path: String, more: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(more)\r\n"
    }

    static func delta(_ text: String) -> String {
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
            + "\"delta\":{\"content\":\"\(text)\"},\"finish_reason\":null}]}\n\n"
    }

    static let role =
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
        + "\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n"
    static let stop =
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
        + "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
}

/// Polls until a state is reached.
/// - Throws: when it is not within ten seconds, after noting the failure.
func until(
    _ what: String, _ location: SourceLocation = #_sourceLocation, _ isReached: () async -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(60)
    while await !isReached() {
        guard clock.now < deadline else {
            Issue.record("not within a minute: \(what)", sourceLocation: location)
            throw NotReached(what: what)
        }
        try await clock.sleep(for: .milliseconds(5))
    }
}

struct NotReached: Error { var what: String }

final class KeptRecords: RecordSink {
    private let kept = Mutex<[ExchangeRecord]>([])
    var all: [ExchangeRecord] { kept.withLock { $0 } }

    func keep(_ record: ExchangeRecord, of request: InboundRequest, usage: Usage?) {
        kept.withLock { $0.append(record) }
    }
}

/// Answers everything with the path it was asked for; `/health` only when it is let go.
final class FakeControl: ControlRoutes {
    private let held = Mutex<[CheckedContinuation<Void, Never>]>([])
    private let isOpen = Mutex(true)
    private let count = Mutex(0)

    var answers: Int { count.withLock { $0 } }
    var waiting: Int { held.withLock { $0.count } }

    func hold() { isOpen.withLock { $0 = false } }

    func letGo() {
        isOpen.withLock { $0 = true }
        for waiter in held.withLock({ all in
            defer { all = [] }; return all
        }) { waiter.resume() }
    }

    func answer(_ request: InboundRequest, in snapshot: Snapshot) async -> ControlReply {
        if request.path == "/health", !isOpen.withLock({ $0 }) {
            await withCheckedContinuation { waiter in held.withLock { $0.append(waiter) } }
        }
        count.withLock { $0 += 1 }
        return ControlReply(status: 200, body: ByteBuffer(string: "{\"path\":\"\(request.path)\"}"))
    }

    func weigh(_ plan: Plan) async -> Decision { .complete(plan) }
    func refreshCatalog() async {}
}

/// Models behind one Unix socket.
final class FakeModels: ModelHost {
    private let socket: String?
    private let users = Mutex(0)
    private let uses = Mutex<[Bool]>([])
    private let words = Mutex<GatewayError?>(nil)
    private let wishes = Mutex<[LoadWish]>([])
    private let hasEnded = Mutex(false)

    init(socket: String?) { self.socket = socket }

    var wished: [LoadWish] { wishes.withLock { $0 } }

    var inUse: Int { users.withLock { $0 } }

    /// Whether they were served well, of the uses that have ended.
    var served: [Bool] { uses.withLock { $0 } }

    func acquire(
        _ model: String, wish: LoadWish, onProgress: @escaping @Sendable (Progress) -> Void
    ) async throws(GatewayError) -> Origin {
        wishes.withLock { $0.append(wish) }
        guard let socket else { throw GatewayError(code: .engineFailed, message: "no engine") }
        users.withLock { $0 += 1 }
        return Origin(address: .unix(path: socket))
    }

    /// The engine that is used has ended; the next one is there at once.
    func end() { hasEnded.withLock { $0 = true } }

    func keeps(_ model: String, at origin: Origin) async throws(GatewayError) -> Bool { !hasEnded.withLock { $0 } }

    func release(_ model: String, at origin: Origin, served: Bool) {
        uses.withLock { $0.append(served) }
        users.withLock { $0 -= 1 }
    }

    /// From now on the engine has died with these words.
    func die(_ error: GatewayError) { words.withLock { $0 = error } }

    func lastWords(of model: String, at origin: Origin) async -> GatewayError? { words.withLock { $0 } }
}
