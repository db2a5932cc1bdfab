import MartletGateway

/// The `MARTLET_…` variables: `MARTLET_` and a key's path in upper case with `_`. An empty variable counts as not set.
struct EnvironmentSettings {
    /// Settings that belong to no upstream.
    private(set) var settings: [String: WrittenSetting] = [:]
    private(set) var warnings: [String] = []
    /// `MARTLET_UPSTREAMS_NAME_KEY` without what is before the name; sorted.
    private var upstreamVariables: [(rest: String, text: String)] = []

    private static let upstreamPrefix = "MARTLET_UPSTREAMS_"
    /// Variables that other parts of the program read.
    private static let others: Set<String> = ["MARTLET_API_KEY", "MARTLET_HOME", "MARTLET_HOST", "MARTLET_LOG"]

    /// - Throws: for a variable under a known section that stands for no key, or for one that is not built yet.
    init(_ environment: [String: String]) throws(ConfigurationError) {
        if let level = environment["MARTLET_LOG"], !level.isEmpty {
            settings["log.level"] = WrittenSetting(key: "log.level", value: .text(level), place: Place("MARTLET_LOG"))
        }
        for (name, text) in environment.sorted(by: { $0.key < $1.key })
        where name.hasPrefix("MARTLET_") && !text.isEmpty && !Self.others.contains(name) {
            if Self.isServiceLink(name, text) { continue }
            if name.hasPrefix(Self.upstreamPrefix) {
                upstreamVariables.append((String(name.dropFirst(Self.upstreamPrefix.count)), text))
                continue
            }
            if let key = ConfigurationKeys.general.first(where: { "MARTLET_" + $0.variable == name }) {
                settings[key.name] = WrittenSetting(
                    key: key.name, value: VariableText.value(text, shape: key.shape), place: Place(name))
                continue
            }
            try note(unknown: name)
        }
    }

    private mutating func note(unknown name: String) throws(ConfigurationError) {
        for key in ConfigurationKeys.notBuilt where !key.contains("*") {
            let variable = "MARTLET_" + ConfigurationKeys.variable(key)
            if name == variable || name.hasPrefix(variable + "_") { throw Place(name).error("\(key) is not built yet") }
        }
        let known = ConfigurationKeys.general.map { "MARTLET_" + $0.variable }
        let error = UnknownVariable.error(name, among: known)
        let sections = Set(ConfigurationKeys.general.map { "MARTLET_" + $0.variable.prefix { $0 != "_" } + "_" })
        if sections.contains(where: name.hasPrefix) { throw error }
        warnings.append(error.message)
    }

    /// Whether Kubernetes made the variable for a service of our name (`MARTLET_SERVER_PORT=tcp://10.0.0.7:3000`).
    private static func isServiceLink(_ name: String, _ text: String) -> Bool {
        text.hasPrefix("tcp://") || text.hasPrefix("udp://") || name.hasSuffix("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT") || name.contains("_TCP_") || name.contains("_UDP_")
    }

    /// What the variables say about upstreams.
    /// - Parameter known: the upstreams of the other sources.
    /// - Returns: an entry per upstream that variables speak of, new ones last and in the order of their names.
    /// - Throws: for a variable that ends in no key, or speaks of an upstream without an address.
    func upstreams(beside known: [WrittenUpstream]) throws(ConfigurationError) -> [WrittenUpstream] {
        var found: [WrittenUpstream] = []
        for (rest, text) in upstreamVariables {
            let place = Place(Self.upstreamPrefix + rest)
            let (name, key) = try split(rest, known: known.map(\.name), at: place)
            let value = VariableText.value(text, shape: key.shape)
            let setting = WrittenSetting(key: "upstreams.\(name).\(key.name)", value: value, place: place)
            if let index = found.firstIndex(where: { $0.name == name }) {
                found[index].settings[key.name] = setting
            } else {
                found.append(WrittenUpstream(name: name, place: place, settings: [key.name: setting]))
            }
        }
        return found
    }

    private func split(
        _ rest: String, known names: [String], at place: Place
    ) throws(ConfigurationError) -> (String, ConfigurationKey<Configuration.UpstreamSettings>) {
        let keys = ConfigurationKeys.upstream.sorted { $0.variable.utf8.count > $1.variable.utf8.count }
        for key in keys {
            let meant = names.filter { ConfigurationKeys.variable($0) + "_" + key.variable == rest }
            if meant.count > 1 {
                throw place.error("this could be any of the upstreams \(meant.joined(separator: ", "))")
            }
            if let name = meant.first { return (name, key) }
        }
        for key in keys where rest.hasSuffix("_" + key.variable) {
            let name = rest.dropLast(key.variable.utf8.count + 1).lowercased()
            if WrittenUpstream.isName(name) { return (name, key) }
        }
        for key in ConfigurationKeys.notBuilt where key.hasPrefix("upstreams.*.") {
            guard rest.hasSuffix(ConfigurationKeys.variable(String(key.dropFirst("upstreams.*".count)))) else {
                continue
            }
            throw place.error("\(key) is not built yet")
        }
        let known = names.isEmpty ? ["NAME"] : names.map(ConfigurationKeys.variable)
        throw UnknownVariable.error(
            place.name, among: known.flatMap { name in keys.map { "\(Self.upstreamPrefix)\(name)_\($0.variable)" } })
    }
}

/// What to say about a variable of a known family that stands for no key.
enum UnknownVariable {
    static func error(_ name: String, among known: [String]) -> ConfigurationError {
        let near = ModelName.closest(to: name, among: known, count: 1).first ?? known.first ?? ""
        return ConfigurationError("\(name): unknown variable; the nearest known variable is \(near)")
    }
}
