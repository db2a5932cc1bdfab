package import MartletGateway

/// What the command line of `serve` says about configuration. Nil or empty: not given. Keys of upstreams are never
/// taken from a command line, where every user of the machine can read them.
package struct ConfigurationFlags: Sendable {
    package var config: String?
    package var host: String?
    package var port: Int?
    /// `URL`, or `NAME=URL`. They stand in place of all upstreams of the file and the environment.
    package var upstreams: [String] = []
    /// The n-th belongs to the n-th upstream; a single one to all.
    package var kinds: [String] = []
    /// `PATTERN=TARGET`, or `PATTERN=FIRST,SECOND` in failover order. They join the
    /// file's, and win over equal patterns.
    package var aliases: [String] = []
    package var mode: RelayMode?
    /// `models.default`.
    package var model: String?
    package var logLevel: String?
    package var logFormat: String?
    package var allowOpen = false
    /// `discovery: off`.
    package var noDiscovery = false
    package var loops: Int?

    package init() {}
}
