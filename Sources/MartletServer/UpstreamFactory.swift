package import MartletDialects
package import MartletGateway
package import MartletTransport
import MartletWire
import NIOCore

/// Makes upstreams from their settings.
package enum UpstreamFactory {
    /// The name under which the models of this machine are addressed: `local/qwen3-8b`.
    package static let local = "local"

    /// - Parameters:
    ///   - mock: where an upstream of that kind listens.
    ///   - network: says which proxy its connections go through.
    ///   - isInferenceForm: errors call the timeouts as that form does.
    /// - Throws: `invalidRequest` for a URL that is none, or a kind that is not known.
    package static func make(
        _ settings: Configuration.UpstreamSettings, kind: String, mock: Origin? = nil,
        network: Configuration.NetworkSettings = .init(), isInferenceForm: Bool = false
    ) throws(GatewayError) -> Upstream {
        guard let url = mock.map({ BaseURL(origin: $0) }) ?? BaseURL(settings.url) else {
            throw GatewayError(
                code: .invalidRequest,
                message: "upstreams.\(settings.name).url \"\(settings.url)\" is not an http or https URL")
        }
        guard var profile = UpstreamProfile.named(kind) else {
            throw GatewayError(
                code: .invalidRequest, message: "upstreams.\(settings.name).kind \"\(kind)\" is not known")
        }
        if let dialect = settings.dialect { profile = profile.speaking(dialect) }
        profile.capabilities = profile.capabilities.with(settings.capabilities)
        var deadlines = deadlines(settings.timeouts)
        deadlines.isInferenceForm = isInferenceForm
        return Upstream(
            name: settings.name, profile: profile, location: .url(url), mode: settings.mode, apiKey: settings.apiKey,
            maxConcurrent: settings.maxConcurrent, deadlines: deadlines, retries: settings.retries,
            connections: ConnectionLimits(
                keepAlive: settings.keepAlive.timeAmount, maxIdle: settings.maxIdleConnections),
            proxyUse: network.proxies.use(for: url.origin), isStrict: settings.isStrict,
            showsThinkingBlocks: settings.showsThinkingBlocks)
    }

    package static func engine() -> Upstream {
        Upstream(name: local, profile: .engine, location: .hosted)
    }

    private static func deadlines(_ timeouts: Configuration.Timeouts) -> Deadlines {
        Deadlines(
            connect: timeouts.connect?.timeAmount, firstByte: timeouts.firstByte?.timeAmount,
            idle: timeouts.idle?.timeAmount, total: timeouts.total?.timeAmount,
            unstreamedTotal: timeouts.unstreamedTotal?.timeAmount)
    }
}

/// Finds out what answers at a URL.
package enum KindProbe {
    static let patience = TimeAmount.seconds(1)

    /// The kind, or `openai-compatible` when nothing tells (also when nothing answers).
    package static func kind(
        of settings: Configuration.UpstreamSettings, network: Configuration.NetworkSettings = .init(),
        over calls: UpstreamCalls
    ) async -> String {
        let fallback = UpstreamProfile.openAICompatible.kind
        guard let upstream = try? UpstreamFactory.make(settings, kind: fallback, network: network) else {
            return fallback
        }
        if case .url(let base) = upstream.location, case .tcp(let host, _) = base.origin.address {
            if host.hasSuffix("openai.com") { return UpstreamProfile.openAI.kind }
        }
        func answer(_ path: String) async -> JSON? {
            guard let reply = try? await calls.get(path, at: upstream, timeout: patience), reply.head.isSuccess else {
                return nil
            }
            return try? JSON(parsing: reply.body)
        }
        async let greeting = answer("/lmstudio-greeting")
        async let props = answer("/props")
        async let tags = answer("/api/version")
        async let version = answer("/version")
        if await greeting?["lmstudio"]?.bool == true { return UpstreamProfile.lmStudio.kind }
        if await props?["default_generation_settings"] != nil { return UpstreamProfile.llamaCpp.kind }
        if await tags?["version"]?.string != nil { return UpstreamProfile.ollama.kind }
        if await version?["version"]?.string != nil { return UpstreamProfile.vllm.kind }
        return fallback
    }
}

extension Duration {
    /// Clamped to what NIO's clock holds.
    var timeAmount: TimeAmount {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .nanoseconds(.max) : .nanoseconds(whole + attoseconds / 1_000_000_000)
    }
}
