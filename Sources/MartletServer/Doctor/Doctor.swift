import Logging
import MartletDialects
import MartletEngine
import MartletGateway
import MartletTransport
import NIOCore
import NIOPosix

/// Looks at everything that `serve` would use and says what works, what does not, and what to do. Changes nothing.
package struct Doctor: Sendable {
    let loaded: LoadedConfiguration
    /// `~/.martlet`, or `MARTLET_HOME`.
    let home: String
    /// `PATH`, for the engine's binary.
    let path: String
    /// Where loopback is looked at when no upstream is named.
    let places: [Discovery.Place]

    package init(
        _ loaded: LoadedConfiguration, home: String, path: String, places: [Discovery.Place] = Discovery.places
    ) {
        self.loaded = loaded
        self.home = home
        self.path = path
        self.places = places
    }

    var configuration: Configuration { loaded.configuration }
    var store: ModelStore { ModelStore(root: configuration.engine.models ?? home + "/models") }

    /// Takes a few seconds at most.
    package func examine() async throws -> [Finding] {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let findings: [Finding]
        do {
            findings = try await examine(on: group)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        return findings
    }

    private func examine(on group: MultiThreadedEventLoopGroup) async throws -> [Finding] {
        let services = Services(
            control: NoRoutes(), models: EngineHost(supervisor: nil),
            records: RecordWriter(logger: Logger(label: "martlet") { _ in SwiftLogNoOpLogHandler() }), gates: [:])
        let snapshot = Snapshot(
            routes: RouteTable(upstreams: []), hosts: HostGuard(bound: "127.0.0.1", machine: nil), instance: "doctor")
        let listener = try await Listener(
            group: group, services: services, snapshot: snapshot, tls: try UpstreamTLS.context(configuration),
            seed: { UInt64.random(in: .min ... .max) })
        guard let calls = listener.calls else { return [] }
        let mocks = MockHost(group: group, home: home)
        defer { mocks.close() }

        var findings = loaded.warnings.map { Finding("configuration", .hint, $0) }
        if findings.isEmpty { findings.append(Finding("configuration", .fine, "nothing to complain about")) }
        async let port = examinePort(group, calls)
        async let engine = examineEngine()
        let (served, found) = try await examineUpstreams(calls, mocks)
        findings += found
        findings += await engine
        findings += examineModels(served)
        findings.append(await port)
        findings.append(examineReach())
        return findings
    }

    // MARK: The port

    private func examinePort(_ group: MultiThreadedEventLoopGroup, _ calls: UpstreamCalls) async -> Finding {
        let (host, port) = (configuration.server.host, configuration.server.port)
        guard port != 0 else { return Finding("port", .fine, "any free one, the ready line names it") }
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: host, port: port).get()
            try? await channel.close().get()
            return Finding("port", .fine, "\(port) is free")
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            let owner = await PortOwner.find(host: host, port: port, over: calls)
            if owner == .martlet { return Finding("port", .fine, "a Martlet answers at \(host):\(port)") }
            return Finding("port", .broken, owner.sentence(port: port))
        } catch {
            return Finding(
                "port", .broken, "\(host):\(port) cannot be listened at: \(error)",
                advice: "Choose another address with --host and --port")
        }
    }

    private func examineReach() -> Finding {
        let host = configuration.server.host
        let tokens = configuration.auth.tokens.count
        let asks = KeyDigest.table(configuration.auth).isRequired
        let who = Origin.isLoopback(host) ? "programs on this machine" : "whoever reaches \(host)"
        guard asks else {
            let level = Origin.isLoopback(host) ? Finding.Level.fine : .hint
            return Finding("access", level, "\(who), without a token")
        }
        guard tokens > 0 else {
            return Finding(
                "access", .broken, "nobody: a token is required and there is none",
                advice: "Add a token's digest to auth.tokens")
        }
        return Finding("access", .fine, "\(who), with one of \(tokens == 1 ? "1 token" : "\(tokens) tokens")")
    }
}

/// The doctor's listener serves nobody.
private struct NoRoutes: ControlRoutes {
    func answer(_ request: InboundRequest, in snapshot: Snapshot) async -> ControlReply {
        ControlReply(status: 503, body: ByteBuffer())
    }

    func weigh(_ plan: Plan) async -> Decision { .complete(plan) }
    func refreshCatalog() async {}
}
