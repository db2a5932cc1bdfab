import ArgumentParser
import MartletCommands
import MartletServer
import MartletWire

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Says what can be reached, what will not work and what to do; ends with 1 when something is broken.")

    @OptionGroup var source: ConfigurationSource
    @OptionGroup var upstreams: UpstreamFlags
    @Option(help: "The port that serve shall listen on.") var port: Int?
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        var flags = ConfigurationFlags()
        flags.upstreams = upstreams.upstream
        flags.kinds = upstreams.kind
        flags.port = port
        let findings: [Finding]
        do {
            findings = try await Doctor(try source.load(flags), home: Surroundings.home, path: Surroundings.path)
                .examine()
        } catch {
            findings = [Finding("configuration", .broken, "\(error)")]
        }
        let isBroken = findings.contains { $0.level == .broken }
        if json {
            let report: JSON = ["ok": .bool(!isBroken), "findings": .array(findings.map(\.json))]
            Surroundings.say(report.text)
        } else {
            for finding in findings { Surroundings.say(TerminalText.safe(finding.line)) }
        }
        if isBroken { throw ExitCode(1) }
    }
}
