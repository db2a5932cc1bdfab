import ArgumentParser
import Logging
import MartletGateway
import MartletServer

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serves models to clients of every dialect.")

    @Option(help: "Address to listen on.") var host: String?
    @Option(help: "Port to listen on; 0 takes any free one.") var port: Int?
    @Option(help: "Base URL of a server to put Martlet before; repeatable.") var upstream: [String] = []
    @Option(help: "Kind of the upstream at the same place; probed when not given.") var kind: [String] = []
    @Option(help: "How replies of upstreams are relayed: exact or repair.") var mode: String?
    @Option(help: "Another name for a model: 'claude-*=qwen3-8b'; repeatable.") var alias: [String] = []
    @Option(help: "Event loops; one per core when not given.") var loops: Int?
    @Option(help: "trace, debug, info, notice, warning or error.") var logLevel: String?
    @Option(help: "text or json.") var logFormat: String?

    func run() async throws {
        var configuration = Configuration()
        if let host { configuration.server.host = host }
        if let port { configuration.server.port = port }
        configuration.server.loops = loops
        for (index, url) in upstream.enumerated() {
            let name = upstream.count == 1 ? "upstream" : "upstream\(index + 1)"
            let kind = kind.count == 1 ? kind[0] : index < kind.count ? kind[index] : nil
            var settings = Configuration.UpstreamSettings(name: name, kind: kind, url: url)
            settings.mode = mode.flatMap(RelayMode.init(rawValue:))
            configuration.upstreams.append(settings)
        }
        let level = Logger.Level(rawValue: logLevel ?? Surroundings.variable("MARTLET_LOG") ?? "info") ?? .info
        let format = LineLogHandler.Format(rawValue: logFormat ?? "text") ?? .text
        LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, format: format) }
        let app = App(
            configuration: configuration, home: Surroundings.home, path: Surroundings.path,
            logger: Logger(label: "martlet"), say: Surroundings.say)
        do {
            try await app.run()
        } catch {
            Surroundings.complain("martlet: \(error)")
            throw ExitCode(1)
        }
    }
}
