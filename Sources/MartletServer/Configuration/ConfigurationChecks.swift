import MartletGateway

/// What no single value shows: whether the settings make sense together.
enum ConfigurationChecks {
    /// - Returns: warnings, a sentence each.
    /// - Throws: for an address beyond loopback without a token, unless that is said to be meant.
    static func check(_ effective: EffectiveSettings) throws(ConfigurationError) -> [String] {
        let configuration = effective.configuration
        let auth = configuration.auth
        var warnings: [String] = []
        let isGuarded = auth.required == .on || auth.required == .auto && !auth.tokens.isEmpty
        if !isGuarded, !Origin.isLoopback(configuration.server.host) {
            guard auth.allowOpen else {
                let place = effective.places["server.host"]?.name ?? "default"
                throw ConfigurationError(
                    "\(place): server.host \(configuration.server.host) can be reached from other machines and auth.tokens "
                        + "is empty. Add a token's digest to auth.tokens, or say that it is meant to be open: --allow-open "
                        + "or auth.required: off (MARTLET_AUTH_REQUIRED=off)")
            }
            warnings.append(
                "anyone who reaches \(configuration.server.host) can use this server: it asks for no token")
        }
        if auth.required == .off, !auth.tokens.isEmpty {
            warnings.append("auth.required is off: the tokens in auth.tokens are not asked for")
        }
        if auth.required == .on, auth.tokens.isEmpty {
            warnings.append("auth.required is on and auth.tokens is empty: every request will be refused")
        }
        for upstream in configuration.upstreams where upstream.kind == "mock" {
            if !upstream.url.isEmpty, !upstream.url.hasPrefix("mock:") {
                warnings.append(
                    "upstreams.\(upstream.name).url has no effect: the mock answers in this process; mock:?pace=20ms sets "
                        + "its pace")
            }
        }
        let models = configuration.models
        if let preferred = models.preferred, !models.allowed.isEmpty,
            !models.allowed.contains(where: { $0.contains(preferred) || preferred.contains($0) })
        {
            warnings.append("models.default \(preferred) is not in models.allowed")
        }
        return warnings
    }
}
