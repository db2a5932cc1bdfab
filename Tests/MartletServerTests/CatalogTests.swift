import Logging
import MartletGateway
import MartletServer
import NIOCore
import NIOPosix
import Testing

@Suite("The catalog, while it runs")
struct CatalogTests {
    static func list(_ window: Int) -> [String: String] {
        ["/v1/models": "{\"data\":[{\"id\":\"m\",\"max_model_len\":\(window)}]}"]
    }

    static func catalog(_ loop: Loop, port: Int, _ profile: UpstreamProfile) -> Catalog {
        let place = BaseURL(origin: Origin(address: .tcp(host: "127.0.0.1", port: port)))
        let upstream = Upstream(
            name: "u", profile: profile, location: .url(place))
        let snapshot = Snapshot(
            routes: RouteTable(upstreams: [upstream]), hosts: HostGuard(bound: "127.0.0.1", machine: nil),
            instance: "test")
        return Catalog(
            upstreams: [upstream], store: nil, listener: loop.listener, snapshot: snapshot,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// The window of `m` once it is that, or after a minute.
    static func wait(
        for window: Int, in catalog: Catalog,
        while waiting: () async -> Void = { try? await Task.sleep(for: .milliseconds(5)) }
    ) async -> Int? {
        let end = ContinuousClock.now + .seconds(60)
        while await catalog.routes.window(of: "m")?.tokens != window, ContinuousClock.now < end { await waiting() }
        return await catalog.routes.window(of: "m")?.tokens
    }

    @Test("A window that changes is seen without anybody asking for the list")
    func fresh() async throws {
        try await Loop.run { loop in
            let server = try await FixedServer.start(on: loop.group, Self.list(1000))
            let catalog = Self.catalog(loop, port: server.port, .vllm)
            #expect(await Self.wait(for: 1000, in: catalog) { await catalog.refresh(ifOlderThan: .zero) } == 1000)
            server.answer(Self.list(2000))
            let keeping = Task { await catalog.keepFresh(every: .milliseconds(20)) }
            #expect(await Self.wait(for: 2000, in: catalog) == 2000)
            keeping.cancel()
            await keeping.value
        }
    }

    @Test("What an engine tells about itself is known at once")
    func engine() async throws {
        try await Loop.run { loop in
            let server = try await FixedServer.start(on: loop.group, Self.list(1000))
            let catalog = Self.catalog(loop, port: server.port, .vllm)
            await catalog.refresh()
            await catalog.note(
                ServedModels(ids: ["m"], windows: ["m": ContextWindow(loaded: 512, maximum: 4096)]), servedBy: "u")
            #expect(await catalog.routes.window(of: "m") == ContextWindow(loaded: 512, maximum: 4096))
        }
    }
}
