import MartletGateway

/// Values that belong to one key only.
extension WrittenSetting {
    /// A kind of upstream; `auto` and none leave it to the probe.
    func kind() throws(ValueProblem) -> String? {
        if isNone { return nil }
        let text = try text()
        if text == "auto" { return nil }
        try ConfigurationKeys.check(kind: text)
        return text
    }

    /// What a flag of a capability is set to; nil where that is left to the kind.
    func capability(_ flag: CapabilityFlag) throws(ValueProblem) -> CapabilitySetting? {
        if isNone { return nil }
        let words = flag.isList ? try list() : [try text()]
        guard let setting = CapabilitySetting(flag.name, words) else {
            throw ValueProblem(mustBe: flag.takes, got: words.joined(separator: ", "))
        }
        return setting
    }

    func allowedHosts() throws(ValueProblem) -> [String] {
        let hosts = try list()
        for host in hosts {
            guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }) else {
                throw ValueProblem(mustBe: "a list of host names without scheme", got: host)
            }
        }
        return hosts
    }

    /// Origins as browsers send them: a scheme and an authority, nothing after it.
    func allowedOrigins() throws(ValueProblem) -> [String] {
        let origins = try list()
        for origin in origins where origin != "*" && origin != "null" {
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0].hasSuffix(":"), parts[0].count > 1, parts[1].isEmpty, !parts[2].isEmpty,
                !origin.contains(" ")
            else {
                throw ValueProblem(mustBe: "a list of origins such as https://app.example, without a path", got: origin)
            }
        }
        return origins
    }

    /// SHA-256 digests of tokens. A wrong one may be the token itself, so it is not repeated.
    func tokenDigests() throws(ValueProblem) -> [String] {
        var digests: [String] = []
        for token in try list() {
            let digits = token.dropFirst(7)
            guard token.hasPrefix("sha256:"), digits.utf8.count == 64, digits.allSatisfy(\.isHexDigit) else {
                throw ValueProblem(
                    "must be a list of sha256: and 64 hexadecimal digits each, the digest of a token and not the token")
            }
            digests.append(token.lowercased())
        }
        return digests
    }

    func modelNames() throws(ValueProblem) -> [String] {
        let names = try list()
        for name in names where !ModelName.isPlain(name) {
            throw ValueProblem("holds an empty name or one with control characters")
        }
        return names
    }

    /// Adds the aliases to `known`; an equal pattern is replaced.
    func joinAliases(_ known: inout [Configuration.Alias]) throws(ValueProblem) {
        guard case .pairs(let pairs) = value else {
            throw ValueProblem("must be a mapping of names or patterns to models")
        }
        for (pattern, targets) in pairs {
            guard ModelName.isPlain(pattern), !targets.isEmpty, targets.allSatisfy(ModelName.isPlain) else {
                throw ValueProblem(mustBe: "names or patterns, each with a model or a list of them", got: pattern)
            }
            let alias = Configuration.Alias(pattern: pattern, targets: targets)
            if let index = known.firstIndex(where: { $0.pattern == pattern }) {
                known[index] = alias
            } else {
                known.append(alias)
            }
        }
    }

    /// How long something is kept; nil for `off`.
    func retention() throws(ValueProblem) -> Duration? {
        if case .text("off") = value { return nil }
        // YAML reads a bare `off` as a word, other tools write it as false.
        if case .text("false") = value { return nil }
        let duration = try duration()
        guard duration >= .seconds(1) else {
            throw ValueProblem(mustBe: "off or a duration such as 30d, 12h or 30m, at least 1s", got: try text())
        }
        return duration
    }

    /// A level; `warn` is what other loggers call `warning`.
    func logLevel() throws(ValueProblem) -> Configuration.LogSettings.Level {
        if case .text(let text) = value {
            if text.lowercased() == "warn" { return .warning }
            if let level = Configuration.LogSettings.Level(rawValue: text.lowercased()) { return level }
        }
        return try word(Configuration.LogSettings.Level.allCases)
    }
}
