import MartletGateway
import MartletMCP

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
        try checkDefault(effective)
        try checkAliases(effective)
        return warnings
    }

    /// MCP servers whose tools requests get unasked: a server that nobody knows, or that nobody may use, is no passing
    /// fault.
    /// - Parameter servers: the text of `mcp.json`; nil when there is none.
    static func checkAttached(
        _ effective: EffectiveSettings, servers: () throws -> String?
    ) throws(ConfigurationError) {
        let configuration = effective.configuration
        for (key, wanted) in [("mcp.chat", configuration.mcp.chat), ("mcp.messages", configuration.mcp.messages)] {
            guard !wanted.isEmpty else { continue }
            let place = effective.places[key] ?? Place("default")
            guard configuration.grantsInstalledServers else {
                throw place.error(
                    "\(key) is set, and no request may use the servers of mcp.json: set mcp.installed: on, or let "
                        + "clients need a token (auth.tokens)")
            }
            let known: [String]
            do {
                known = try servers().map { try ServerFile.names(in: $0) } ?? []
            } catch {
                throw place.error("\(key) is set, and its servers cannot be looked up: \(error)")
            }
            let unknown: String?
            do {
                unknown = try wanted.first { try ServerEntry.meant(by: $0, among: known) == nil }
            } catch {
                throw place.error("\(key): \(error)")
            }
            guard let unknown else { continue }
            let others = known.isEmpty ? "it names none" : "there are: \(known.joined(separator: ", "))"
            throw place.error(
                "\(key) names \(unknown), which is no MCP server of mcp.json (\(others)). Add it with: "
                    + "martlet mcp add \(unknown)")
        }
    }

    /// A default that is not allowed would be a way round `models.allowed`.
    private static func checkDefault(_ effective: EffectiveSettings) throws(ConfigurationError) {
        let models = effective.configuration.models
        guard let preferred = models.preferred, preferred != "local-model", !models.allowed.isEmpty else { return }
        let names = [preferred] + (models.aliases.first { $0.pattern == preferred }?.targets ?? [])
        // Parts of ids are enough in both, so that either may hold the other.
        guard !names.contains(where: { name in models.allowed.contains { $0.contains(name) || name.contains($0) } })
        else { return }
        let place = effective.places["models.default"] ?? Place("default")
        let isInference = effective.configuration.usesInferenceErrors
        let (key, list) =
            isInference
            ? ("inference.default_model", "inference.allowed_models") : ("models.default", "models.allowed")
        throw place.error("\(key) \(preferred) is not in \(list): add it there, or choose one of the allowed models")
    }

    /// An alias leads to models, never to an alias.
    private static func checkAliases(_ effective: EffectiveSettings) throws(ConfigurationError) {
        let aliases = effective.configuration.models.aliases
        for alias in aliases {
            for target in alias.targets where aliases.contains(where: { $0.pattern == target }) {
                let place = effective.places["models.aliases"] ?? Place("default")
                throw place.error(
                    "models.aliases.\(alias.pattern) leads to \(target == alias.pattern ? "itself" : "the alias \(target)"): "
                        + "an alias leads to models; one of that name is written UPSTREAM/\(target)")
            }
        }
    }
}
