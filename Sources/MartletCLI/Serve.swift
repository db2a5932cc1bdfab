import ArgumentParser
import Logging
import Martlet
import MartletGateway
import MartletHub
import MartletServer

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serves models to clients of every dialect.")

    @Option(help: "Configuration file; $MARTLET_HOME/martlet.yaml when there is one.") var config: String?
    @Option(help: "Address to listen on.") var host: String?
    @Option(help: "Port to listen on; 0 takes any free one.") var port: Int?
    @OptionGroup var upstreams: UpstreamFlags
    @Option(help: "How replies of upstreams are relayed: exact or repair.") var mode: RelayMode?
    @Option(help: "Another name for a model: 'claude-*=qwen3-8b'; repeatable.") var alias: [String] = []
    @Option(help: "The model for requests that name none.") var model: String?
    @Option(help: "Event loops; one per core when not given.") var loops: Int?
    @Option(help: "trace, debug, info, notice, warning, error or critical.") var logLevel: String?
    @Option(help: "text or json.") var logFormat: String?
    @Flag(help: "Do not look for servers on this machine when no upstream is named.") var noDiscovery = false
    @Flag(help: "Listen beyond this machine without authentication.") var allowOpen = false
    @Option(help: "A file to keep locked, and the process id in it, while the server runs.") var pidFile: String?

    func run() async throws {
        var flags = ConfigurationFlags()
        flags.config = config
        flags.host = host
        flags.port = port
        flags.upstreams = upstreams.upstream
        flags.kinds = upstreams.kind
        flags.aliases = alias
        flags.mode = mode
        flags.model = model
        flags.loops = loops
        flags.logLevel = logLevel
        flags.logFormat = logFormat
        flags.allowOpen = allowOpen
        flags.noDiscovery = noDiscovery
        do {
            if let pidFile { try ProcessFile.claim(pidFile) }
            let loaded = try ConfigurationLoader.load(
                flags: flags, environment: Surroundings.environment, home: Surroundings.home)
            let log = loaded.configuration.log
            let level = Logger.Level(rawValue: log.level.rawValue) ?? .info
            let format = LineLogHandler.Format(rawValue: log.format.rawValue) ?? .text
            let feed = LogFeed()
            LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, format: format, feed: feed) }
            for warning in loaded.warnings { Surroundings.complain("martlet: \(warning)") }
            let app = App(
                configuration: loaded.configuration, home: Surroundings.home, path: Surroundings.path,
                environment: Surroundings.environment, version: Martlet.version,
                hub: Result { () throws(HubError) in try HubEndpoint(environment: Surroundings.environment) },
                logger: Logger(label: "martlet"), log: feed, say: Surroundings.announce)
            try await app.run()
        } catch {
            Surroundings.complain("martlet: \(error)")
            throw ExitCode((error as? ConfigurationError)?.isUsage == true ? ExitCodes.usage : 1)
        }
    }
}

/// The servers behind, as a command line names them.
struct UpstreamFlags: ParsableArguments {
    @Option(help: "Base URL of a server to put Martlet before, NAME=URL, or mock:; repeatable.") var upstream:
        [String] = []
    @Option(help: "Kind of the upstream at the same place; probed when not given.") var kind: [String] = []
}

extension RelayMode: ExpressibleByArgument {}
