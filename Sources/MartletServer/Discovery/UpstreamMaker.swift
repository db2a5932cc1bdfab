import MartletDialects
package import MartletGateway
package import MartletTransport
import MartletWire

/// Makes the upstreams of a configuration: the named ones, or where none is named those that are found on loopback.
package struct UpstreamMaker: Sendable {
    private let configuration: Configuration
    private let calls: UpstreamCalls?
    private let mocks: MockHost

    package init(_ configuration: Configuration, calls: UpstreamCalls?, mocks: MockHost) {
        self.configuration = configuration
        self.calls = calls
        self.mocks = mocks
    }

    /// Whether loopback is looked at.
    package static func looksAround(_ configuration: Configuration) -> Bool {
        configuration.discovers && configuration.discovery == .auto
    }

    /// Takes no longer than a probe, however many upstreams there are.
    /// - Throws: a sentence, for an upstream that cannot be.
    /// - Returns: the upstreams in configuration order, and what discovery has to say.
    package func make() async throws -> (upstreams: [Upstream], notes: [String]) {
        var notes: [String] = []
        var all = configuration.upstreams
        if UpstreamMaker.looksAround(configuration), let calls {
            let answers = await Discovery.look(over: calls)
            for case .server(let settings) in answers.map(\.answer) { all.append(settings) }
            notes = Discovery.notes(answers)
        }
        let kinds = await kinds(of: all)
        var upstreams: [Upstream] = []
        for (settings, kind) in zip(all, kinds) { upstreams.append(try await make(settings, kind: kind)) }
        return (upstreams, notes)
    }

    private func make(_ settings: Configuration.UpstreamSettings, kind: String) async throws -> Upstream {
        var settings = settings
        settings.mode = configuration.mode ?? settings.mode
        var mock: Origin?
        if kind == UpstreamProfile.mock.kind {
            mock = try await mocks.start(MockSettings(settings.url) ?? MockSettings())
        }
        return try UpstreamFactory.make(
            settings, kind: kind, mock: mock, network: configuration.network,
            isInferenceForm: configuration.usesInferenceErrors)
    }

    /// Each upstream's kind: the configured one, else what answers there.
    private func kinds(of all: [Configuration.UpstreamSettings]) async -> [String] {
        await withTaskGroup(of: (Int, String).self) { group in
            for (index, settings) in all.enumerated() {
                group.addTask { (index, await kind(of: settings)) }
            }
            var kinds = all.map { _ in UpstreamProfile.openAICompatible.kind }
            for await (index, kind) in group { kinds[index] = kind }
            return kinds
        }
    }

    private func kind(of settings: Configuration.UpstreamSettings) async -> String {
        if let kind = settings.kind { return kind }
        if settings.url.hasPrefix("mock:") { return UpstreamProfile.mock.kind }
        guard let calls else { return UpstreamProfile.openAICompatible.kind }
        return await KindProbe.kind(of: settings, network: configuration.network, over: calls)
    }
}

/// Keeps a server from being its own upstream (product contract, part 3, No loops).
package enum OwnInstance {
    /// - Parameter port: where this server listens.
    /// - Throws: `AppError`, naming the upstream that is this server.
    package static func check(
        _ upstreams: [Upstream], port: Int, instance: String, over calls: UpstreamCalls
    ) async throws(AppError) {
        for upstream in upstreams {
            guard case .url(let base) = upstream.location, case .tcp(_, port) = base.origin.address,
                let reply = try? await calls.get("/", at: upstream, timeout: KindProbe.patience),
                (try? JSON(parsing: reply.body))?["instance"]?.string == instance
            else { continue }
            throw AppError(
                "upstreams.\(upstream.name).url leads to this server itself (\(base.origin.shown)). Give the upstream's own "
                    + "port, or let martlet listen at another: --port N")
        }
    }
}
