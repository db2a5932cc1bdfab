import MartletDialects
import MartletGateway
package import MartletTransport

/// Who holds a port that we want.
package enum PortOwner: Sendable, Equatable {
    /// It answers no question that we know.
    case silent
    case martlet
    /// A model server, by its name for people.
    case server(String)

    /// Asks whoever listens; takes a second at most.
    package static func find(host: String, port: Int, over calls: UpstreamCalls?) async -> PortOwner {
        let name = ["0.0.0.0", "::", ""].contains(host) ? "127.0.0.1" : host
        let authority = name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)"
        let settings = Configuration.UpstreamSettings(name: "owner", url: "http://\(authority)")
        let fallback = UpstreamProfile.openAICompatible
        guard let calls, let upstream = try? UpstreamFactory.make(settings, kind: fallback.kind) else { return .silent }
        async let greeting = try? calls.get("/", at: upstream, timeout: KindProbe.patience)
        async let kind = KindProbe.kind(of: settings, over: calls)
        if let hello = await greeting, Discovery.isMartlet(hello) { return .martlet }
        let found = await kind
        guard found != fallback.kind, let profile = UpstreamProfile.named(found) else { return .silent }
        return .server(profile.shownName)
    }

    /// Why a server cannot listen there, and what to do.
    package func sentence(port: Int) -> String {
        let remedy = "Use --port N (0 takes any free one), or stop it"
        return switch self {
        case .silent: "port \(port) is taken by another program. \(remedy)"
        case .martlet: "port \(port) is taken: a Martlet runs there already. \(remedy)"
        case .server(let name): "port \(port) is taken by another program (\(name) answers there). \(remedy)"
        }
    }
}
