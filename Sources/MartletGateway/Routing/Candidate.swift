package import MartletDialects

/// A place a request can go: an upstream and the model's name there.
package struct Candidate: Sendable {
    package let upstream: Upstream
    package let model: String
    /// Nil: nothing is known of the model.
    package internal(set) var traits: ModelTraits?
    /// False: a server of LM Studio's that is older than its own API.
    package internal(set) var hasOwnAPI = true
    /// Nil: an upstream lists the model, or the configuration names it. Else it is asked on trust, because its list was
    /// never read, and these are the ids that are listed, for the sentence when it cannot be asked at all.
    package let listedElsewhere: [String]?

    package init(upstream: Upstream, model: String, traits: ModelTraits? = nil, listedElsewhere: [String]? = nil) {
        self.upstream = upstream
        self.model = model
        self.traits = traits
        self.listedElsewhere = listedElsewhere
    }

    package var window: ContextWindow? { traits?.window }

    package var capabilities: Capabilities { traits?.capabilities ?? upstream.profile.capabilities }

    /// The dialect the upstream is spoken to in for a client of `dialect`: the client's own if it can be.
    package func dialect(for client: DialectID) -> UpstreamDialect {
        if client == .completions, capabilities.completions != nil { return .completions }
        let usual = upstream.profile.dialect(for: client)
        guard usual == .lmstudio, !hasOwnAPI else { return usual }
        return upstream.profile.dialects.first { $0 != .lmstudio } ?? usual
    }

    /// Whether it is spoken to in that very dialect.
    package func speaks(_ client: DialectID) -> Bool { dialect(for: client) == UpstreamDialect(client) }

    /// `upstream/model`, for headers and logs.
    package var shown: String { "\(upstream.name)/\(model)" }
}
