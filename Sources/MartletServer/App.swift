package import Logging
import MartletDialects
import MartletEngine
import MartletGateway
package import MartletHub
import MartletMCP
import MartletTransport
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// A server from its configuration to its end.
package struct App: Sendable {
    package var configuration: Configuration
    /// `~/.martlet`, or `MARTLET_HOME`.
    package var home: String
    /// `PATH`, for the engine's binary.
    package var path: String
    /// Of this process, for the programs it starts.
    package var environment: [String: String]
    /// Of this program.
    package var version: String
    /// Where models are got from; why not, where the environment says it wrongly.
    package var hub: Result<HubEndpoint, HubError>
    package var logger: Logger
    /// What the logger writes, for whoever reads along.
    package var log: LogFeed
    /// Writes a line to stdout at once.
    package var say: @Sendable (String) -> Void

    package init(
        configuration: Configuration, home: String, path: String, environment: [String: String], version: String,
        hub: Result<HubEndpoint, HubError>, logger: Logger, log: LogFeed, say: @escaping @Sendable (String) -> Void
    ) {
        self.configuration = configuration
        self.home = home
        self.path = path
        self.environment = environment
        self.version = version
        self.hub = hub
        self.logger = logger
        self.log = log
        self.say = say
    }

    /// Serves until the process is told to end.
    /// - Throws: `AppError`, a sentence, when it cannot start.
    package func run() async throws {
        // A file that may not grow is an error of its write, like a full disk, and no reason to end.
        signal(SIGXFSZ, SIG_IGN)
        let group = MultiThreadedEventLoopGroup(
            numberOfThreads: configuration.server.loops ?? max(1, System.coreCount))
        do {
            try await serve(on: group)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private func serve(on group: MultiThreadedEventLoopGroup) async throws {
        let store = ModelStore(root: configuration.engine.models ?? home + "/models") { [logger] in
            logger.warning("names of models", metadata: ["problem": "\($0)"])
        }
        // Also where there is no model yet, because one may come while the server runs. The `inference:` form names the
        // one provider there is.
        let hasEngine = !configuration.usesInferenceErrors
        let downloads = Downloads(
            hub: hub, proxy: HubProxy(configuration.network.proxies), root: store.root, logger: logger)
        let instance = String(UInt64.random(in: .min ... .max), radix: 36)
        let box = CatalogBox()
        let hosts = HostGuard(
            bound: configuration.server.host, machine: MachineName.current,
            allowedHosts: configuration.server.allowedHosts, allowedOrigins: configuration.server.allowedOrigins)
        let empty = Snapshot(
            routes: RouteTable(upstreams: []), hosts: hosts, maxBody: configuration.server.maxBody, instance: instance)
        let callBox = CallBox()
        let seal = SealKey(home: home, logger: logger).seal
        let ledger = configuration.store.responses.map { ResponseLedger(home: home, retention: $0, logger: logger) }
        let servers = MCPServers(
            home: home, environment: environment, version: version, admits: configuration.mcp.admits,
            logger: logger)
        let engineLog = LogFeed(.runtime)
        let supervisor = hasEngine ? makeSupervisor(store, callBox, box, engineLog) : nil
        let host = EngineHost(supervisor: supervisor)
        let residents: @Sendable () async -> [ResidentModel] = { await supervisor?.residents() ?? [] }
        let tools = MCPToolHost(servers: servers, configuration: configuration, logger: logger)
        let services = Services(
            control: Control(
                catalog: box, instance: instance, startedAt: MachineName.secondsSince1970,
                tokens: TokenCount(calls: callBox, engine: host, tools: tools, seal: seal), responses: ledger,
                images: ImageFetch(calls: callBox, rules: configuration.images.rules),
                models: ModelRoutes(residents: residents), loads: LoadRoutes(supervisor: supervisor, calls: callBox),
                downloads: downloads, logs: [.server: log, .runtime: engineLog], others: UpstreamNative(calls: callBox)),
            models: host, records: RecordWriter(logger: logger, feed: log), gates: gates(),
            responses: ledger ?? NoResponses(),
            tools: tools,
            prompts: PrefixReporter(logger: logger))
        let tls = try UpstreamTLS.context(configuration)
        let listener = try await Listener(
            group: group, services: services, snapshot: empty, tls: tls,
            seed: { UInt64.random(in: .min ... .max) })
        callBox.fill(listener.calls)

        let mocks = MockHost(group: group, home: home)
        defer { mocks.close() }
        var (upstreams, notes) = try await UpstreamMaker(configuration, calls: listener.calls, mocks: mocks).make()
        if hasEngine { upstreams.append(UpstreamFactory.engine()) }
        let models = configuration.models
        let snapshot = Snapshot(
            routes: makeRoutes(upstreams), hosts: hosts, keys: KeyDigest.table(configuration.auth),
            maxBody: configuration.server.maxBody,
            defaults: WriteTarget.Defaults(temperature: models.temperature, maxTokens: models.maxTokens),
            unaskedUsage: models.streamUsage == .finalChunk ? .finalChunk : .hidden, keepsResponses: ledger != nil,
            seal: seal, fetchesImages: configuration.images.fetches, native: configuration.server.native,
            tools: configuration.mcp.rules, instance: instance)
        let catalog = Catalog(
            upstreams: upstreams, store: hasEngine ? store : nil, options: configuration.engine, residents: residents,
            listener: listener, snapshot: snapshot, logger: logger)
        box.fill(catalog)
        listener.use(snapshot)
        await catalog.refresh()

        let channel = try await bind(listener)
        if let calls = listener.calls, let port = channel.localAddress?.port {
            try await OwnInstance.check(upstreams, port: port, instance: instance, over: calls)
        }
        notes += store.misplaced().prefix(5).map {
            "\($0) is passed over: models are looked for in \(store.root)/<publisher>/<name>/"
        }
        notes += store.deadLinks().prefix(5).map(\.sentence)
        notes += configuration.engine.idle(store).prefix(5)
        if hasEngine { notes += engineFaults(store) }
        for line in await summary(catalog, notes, at: shownAddress(channel)) { say(line) }
        let ready = "martlet ready on http://\(shownAddress(channel))"
        let say = self.say

        var all: [ServiceGroupConfiguration.ServiceConfiguration] = [
            .init(service: ListenerService(listener: listener, channel: channel, onStart: { say(ready) }))
        ]
        all.append(.init(service: CatalogService(catalog: catalog, changes: supervisor?.changes)))
        all.append(.init(service: DownloadService(downloads: downloads)))
        all.append(.init(service: LogService(logs: [log, engineLog])))
        all.insert(.init(service: MCPService(servers: servers)), at: 0)
        if let supervisor { all.insert(.init(service: SupervisorService(supervisor: supervisor)), at: 0) }
        var settings = ServiceGroupConfiguration(
            services: all, gracefulShutdownSignals: [.sigterm, .sigint], logger: quietLogger)
        settings.maximumGracefulShutdownDuration = .seconds(20)
        try await ServiceGroup(configuration: settings).run()
    }

    /// The lifecycle's own log says nothing a user wants to know below warnings.
    private var quietLogger: Logger {
        var logger = self.logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    private func gates() -> [String: UpstreamGate] {
        let queue = configuration.queue
        var all = configuration.upstreams
        if UpstreamMaker.looksAround(configuration) { all += Discovery.names.map { .init(name: $0, url: "") } }
        return Dictionary(
            all.map {
                ($0.name, UpstreamGate(slots: $0.maxConcurrent, queueLength: queue.length, wait: queue.wait.timeAmount))
            }, uniquingKeysWith: { first, _ in first })
    }

    private func makeRoutes(_ upstreams: [Upstream]) -> RouteTable {
        let models = configuration.models
        return RouteTable(
            upstreams: upstreams, aliases: models.aliases.map { ($0.pattern, $0.targets) },
            defaultModel: models.preferred, allowed: models.allowed, flags: models.capabilities,
            usesInferenceErrors: configuration.usesInferenceErrors)
    }

    private func bind(_ listener: Listener) async throws -> any Channel {
        let (host, port) = (configuration.server.host, configuration.server.port)
        do {
            return try await listener.bind(host: host, port: port)
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw AppError(await PortOwner.find(host: host, port: port, over: listener.calls).sentence(port: port))
        } catch {
            throw AppError("cannot listen on \(host):\(port): \(error)")
        }
    }

    private func shownAddress(_ channel: any Channel) -> String {
        let port = channel.localAddress?.port ?? configuration.server.port
        let host = configuration.server.host
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// A few lines on what was found and what to do next.
    private func summary(_ catalog: Catalog, _ notes: [String], at address: String) async -> [String] {
        let all = await catalog.upstreamHealth()
        let auth = configuration.auth
        var lines = all.map { upstream, health -> String in
            let count = health.models.map { $0 == 1 ? "1 model" : "\($0) models" } ?? "models not known yet"
            if let problem = health.problem { return "\(upstream.name): \(problem)" }
            return "\(upstream.name): \(upstream.shown), \(count)"
        }
        lines += notes
        if all.isEmpty {
            if UpstreamMaker.looksAround(configuration) {
                let places = Discovery.places.map { "\($0.shown) (\($0.port))" }.joined(separator: ", ")
                lines.append(
                    "nothing to serve yet: none of \(places) answers on this machine, and no model is installed")
            } else {
                lines.append(
                    "nothing to serve yet: no upstream is named, servers on this machine are not looked for, and no model is "
                        + "installed")
            }
            lines.append(
                "next: martlet get OWNER/REPOSITORY brings a model here (martlet search WORDS finds one), or start with "
                    + "--upstream URL"
            )
        } else if configuration.discovers {
            let key = auth.required == .off || auth.tokens.isEmpty ? "" : "MARTLET_API_KEY=TOKEN "
            let host = address == "127.0.0.1:3000" ? "" : " --host http://\(address)"
            lines.append(
                "next: \(key)martlet chat\(host) \"hello\"; OpenAI clients take http://\(address)/v1, "
                    + "Anthropic clients http://\(address)")
        }
        return lines
    }
}

/// Why a server cannot start: one sentence.
package struct AppError: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

private struct ListenerService: Service {
    let listener: Listener
    let channel: any Channel
    /// Called when signals are heard already.
    let onStart: @Sendable () -> Void
    /// How long replies under way may go on after the server is told to end.
    static let grace = Duration.seconds(2)

    func run() async throws {
        onStart()
        try? await gracefulShutdown()
        try? await channel.close().get()
        await listener.drain(grace: ListenerService.grace)
    }
}

private struct CatalogService: Service {
    let catalog: Catalog
    /// Which models of this machine are loaded has changed.
    let changes: AsyncStream<Void>?

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await catalog.keepFresh() }
                if let changes { group.addTask { for await _ in changes { await catalog.noteLoaded() } } }
                await group.waitForAll()
            }
        }
    }
}

/// Ends first, so that nobody who reads the log keeps the listener from ending.
private struct LogService: Service {
    let logs: [LogFeed]

    func run() async throws {
        try? await gracefulShutdown()
        for log in logs { log.end() }
    }
}

private struct DownloadService: Service {
    let downloads: Downloads

    func run() async throws {
        await cancelWhenGracefulShutdown { await downloads.run() }
    }
}

private struct MCPService: Service {
    let servers: MCPServers

    /// Ends after the listener, as the engines do.
    func run() async throws {
        try? await gracefulShutdown()
        await servers.close()
    }
}

private struct SupervisorService: Service {
    let supervisor: Supervisor

    /// Ends after the listener, which is shut down first: services stop in reverse order.
    func run() async throws {
        await cancelWhenGracefulShutdown { await supervisor.run() }
    }
}
