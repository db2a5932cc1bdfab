import MartletGateway

/// Makes the effective configuration: flags before environment before file before defaults (product contract, part 3).
package enum ConfigurationLoader {
    /// - Parameters:
    ///   - home: Martlet's home; its `martlet.yaml` is read when there is one and no other file is named.
    ///   - readFile: the text of a file, or nil when there is none of that path. What it
    ///     throws is reported as unreadable.
    /// - Throws: for anything that is written and cannot take effect, and for an address beyond
    ///   loopback that nothing protects.
    package static func load(
        flags: ConfigurationFlags = ConfigurationFlags(), environment: [String: String], home: String,
        readFile: (String) throws -> String? = ConfigurationLoader.read(path:)
    ) throws(ConfigurationError) -> LoadedConfiguration {
        var warnings: [String] = []
        let flagged = try FlagSettings(flags)
        let variables = try EnvironmentSettings(environment)
        warnings += variables.warnings

        let (path, text) = try file(flags: flags, home: home, readFile: readFile)
        var layer = SettingLayer()
        if let path, let text { layer = try ConfigurationFile(path: path, environment: environment).layer(of: text) }
        var isInference = layer.inference != nil
        if text == nil, InferenceForm.isMeant(by: environment) { isInference = true }
        if isInference {
            let said = try InferenceForm.settings(of: environment)
            layer = try InferenceForm.layer(of: (layer.inference ?? [:]).merging(said) { _, new in new }, beside: layer)
        } else if let path, InferenceForm.isMeant(by: environment) {
            warnings.append("the INFERENCE_… variables have no effect: \(path) is in Martlet's own form")
        }

        var effective = EffectiveSettings()
        effective.configuration.usesInferenceErrors = isInference
        for settings in [layer.settings, variables.settings, flagged.settings] { try effective.apply(settings) }
        let stacks = try upstreams(
            file: layer.upstreams, flagged: flagged.upstreams, variables: variables, environment: environment,
            warnings: &warnings)
        for stack in stacks { try effective.add(stack) }
        effective.add(layer.modelFlags)
        effective.add(layer.modelLoads)
        effective.applyMode(flags.mode)
        effective.configuration.auth.allowOpen = flags.allowOpen || effective.configuration.auth.required == .off
        effective.configuration.network = .init(environment: environment)
        effective.expandHome(environment["HOME"])
        warnings += try ConfigurationChecks.check(effective)
        try ConfigurationChecks.checkAttached(effective) { try readFile("\(home)/mcp.json") }
        return LoadedConfiguration(
            configuration: effective.configuration, origins: effective.origins, warnings: warnings)
    }

    /// The file to read and its text; nothing when none is named and home has none.
    private static func file(
        flags: ConfigurationFlags, home: String, readFile: (String) throws -> String?
    ) throws(ConfigurationError) -> (path: String?, text: String?) {
        let path = flags.config ?? "\(home)/martlet.yaml"
        let text: String?
        do {
            text = try readFile(path)
        } catch {
            throw ConfigurationError("\(path): this file cannot be read (\(error))")
        }
        if flags.config != nil, text == nil { throw ConfigurationError("--config: there is no file \(path)") }
        return text == nil ? (nil, nil) : (path, text)
    }

    /// Whose upstreams count: the command line's, else those of the file and of the
    /// environment, else LM Studio's variables'.
    private static func upstreams(
        file: [WrittenUpstream], flagged: [WrittenUpstream], variables: EnvironmentSettings,
        environment: [String: String], warnings: inout [String]
    ) throws(ConfigurationError) -> [UpstreamStack] {
        let base: [WrittenUpstream]
        if !flagged.isEmpty {
            base = flagged
        } else if !file.isEmpty {
            base = file
        } else {
            let named = try variables.upstreams(beside: []).contains { $0.settings["url"] != nil }
            base = named ? [] : ForeignVariables.upstream(environment).map { [$0] } ?? []
        }
        var stacks = base.map { UpstreamStack(name: $0.name, place: $0.place, layers: [$0.settings]) }
        var replaced = flagged.isEmpty ? [] : file.map(\.name)
        for said in try variables.upstreams(beside: base) {
            if let index = stacks.firstIndex(where: { $0.name == said.name }) {
                stacks[index].layers.insert(said.settings, at: flagged.isEmpty ? 1 : 0)
            } else if flagged.isEmpty {
                stacks.append(UpstreamStack(name: said.name, place: said.place, layers: [said.settings]))
            } else if !replaced.contains(said.name) {
                replaced.append(said.name)
            }
        }
        if !replaced.isEmpty {
            warnings.append(
                "--upstream stands in place of the configured upstreams (\(replaced.joined(separator: ", ")))")
        }
        return stacks
    }
}
