/// The flags of `serve` as settings.
struct FlagSettings {
    private(set) var settings: [String: WrittenSetting] = [:]
    private(set) var upstreams: [WrittenUpstream] = []

    init(_ flags: ConfigurationFlags) throws(ConfigurationError) {
        set("server.host", flags.host, "--host")
        set("server.port", flags.port.map(String.init), "--port")
        set("server.loops", flags.loops.map(String.init), "--loops")
        set("models.default", flags.model, "--model")
        set("discovery", flags.noDiscovery ? "off" : nil, "--no-discovery")
        set("log.level", flags.logLevel, "--log-level")
        set("log.format", flags.logFormat, "--log-format")
        if !flags.aliases.isEmpty {
            settings["models.aliases"] = WrittenSetting(
                key: "models.aliases", value: .pairs(flags.aliases.map(VariableText.alias)), place: Place("--alias"))
        }
        try readUpstreams(flags)
    }

    private mutating func set(_ key: String, _ text: String?, _ flag: String) {
        guard let text else { return }
        settings[key] = WrittenSetting(key: key, value: .text(text), place: Place(flag))
    }

    private mutating func readUpstreams(_ flags: ConfigurationFlags) throws(ConfigurationError) {
        // The mock is the one kind that needs no address.
        if flags.upstreams.isEmpty, flags.kinds == ["mock"] {
            var mock = WrittenUpstream(name: "mock", place: Place("--kind"))
            mock.set("kind", "mock", at: Place("--kind"))
            return upstreams.append(mock)
        }
        guard flags.kinds.count <= 1 || flags.kinds.count == flags.upstreams.count,
            flags.kinds.isEmpty || !flags.upstreams.isEmpty
        else {
            throw Place("--kind").error(
                "give one for all upstreams or one for each --upstream (got \(flags.kinds.count) for \(flags.upstreams.count))"
            )
        }
        for (index, text) in flags.upstreams.enumerated() {
            let kind = flags.kinds.count == 1 ? flags.kinds.first : flags.kinds.isEmpty ? nil : flags.kinds[index]
            let (given, url) = Self.split(text)
            if let given, upstreams.contains(where: { $0.name == given }) {
                throw Place("--upstream").error("the name \(given) is given twice")
            }
            var upstream = WrittenUpstream(name: given ?? freeName(for: kind), place: Place("--upstream"))
            upstream.set("url", Self.withScheme(url), at: Place("--upstream"))
            if let kind { upstream.set("kind", kind, at: Place("--kind")) }
            upstreams.append(upstream)
        }
    }

    /// `NAME=URL`, or a URL alone.
    private static func split(_ text: String) -> (name: String?, url: String) {
        guard let equals = text.firstIndex(of: "=") else { return (nil, text) }
        let name = String(text[..<equals])
        return WrittenUpstream.isName(name) ? (name, String(text[text.index(after: equals)...])) : (nil, text)
    }

    /// `localhost:1234` can only mean `http://localhost:1234`.
    private static func withScheme(_ text: String) -> String {
        guard !text.contains("://"), let colon = text.firstIndex(of: ":"),
            text[text.index(after: colon)...].first?.isNumber == true
        else { return text }
        return "http://" + text
    }

    /// `studio` for LM Studio, else the kind, else `upstream`; the second of a name is `studio-2`.
    private func freeName(for kind: String?) -> String {
        let wanted = kind.map { $0 == "lmstudio" ? "studio" : $0 } ?? "upstream"
        let name = WrittenUpstream.isName(wanted) && wanted != "auto" ? wanted : "upstream"
        var number = 1
        while true {
            let free = number == 1 ? name : "\(name)-\(number)"
            if !upstreams.contains(where: { $0.name == free }) { return free }
            number += 1
        }
    }
}
