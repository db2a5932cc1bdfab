package import MartletServer

/// Loads a configuration from texts instead of files.
package enum Written {
    /// - Parameters:
    ///   - file: the text of `martlet.yaml`, named by `--config`; nil: no flag.
    ///   - home: the text of home's `martlet.yaml`; nil: there is none.
    ///   - servers: the text of home's `mcp.json`; nil: there is none.
    package static func load(
        _ file: String? = nil, home: String? = nil, servers: String? = nil, variables: [String: String] = [:],
        flags: ConfigurationFlags = ConfigurationFlags()
    ) throws(ConfigurationError) -> LoadedConfiguration {
        var flags = flags
        if file != nil { flags.config = "martlet.yaml" }
        let files = [
            "martlet.yaml": file, "/home/.martlet/martlet.yaml": home, "/home/.martlet/mcp.json": servers,
        ].compactMapValues { $0 }
        return try ConfigurationLoader.load(
            flags: flags, environment: variables, home: "/home/.martlet", readFile: { files[$0] })
    }

    /// The sentence with which a configuration is refused; nil when it loads.
    package static func refusal(
        _ file: String? = nil, home: String? = nil, servers: String? = nil, variables: [String: String] = [:],
        flags: ConfigurationFlags = ConfigurationFlags()
    ) -> String? {
        do throws(ConfigurationError) {
            _ = try load(file, home: home, servers: servers, variables: variables, flags: flags)
            return nil
        } catch {
            return error.message
        }
    }

    package static func flags(_ set: (inout ConfigurationFlags) -> Void) -> ConfigurationFlags {
        var flags = ConfigurationFlags()
        set(&flags)
        return flags
    }
}

extension LoadedConfiguration {
    /// Where the effective value of a key comes from.
    package func origin(_ key: String) -> String? { origins.first { $0.key == key }?.origin }
    /// The effective value of a key as `config show` prints it.
    package func shown(_ key: String) -> String? { origins.first { $0.key == key }?.value }
}
