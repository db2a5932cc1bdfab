/// A configuration with what `config show` and `config check` tell about it.
package struct LoadedConfiguration: Sendable {
    /// One effective value and where it comes from.
    package struct Setting: Sendable, Equatable {
        /// `server.port`, `upstreams.studio.url`.
        package var key: String
        /// As it would be written; a secret is `•••`, an absent value `null`.
        package var value: String
        /// `default`, `file martlet.yaml:12`, `MARTLET_SERVER_PORT`, `--port`.
        package var origin: String
    }

    package var configuration: Configuration
    /// In the order of the documentation; upstreams in configuration order.
    package var origins: [Setting]
    /// Sentences about what loads but is probably not meant.
    package var warnings: [String]
}
