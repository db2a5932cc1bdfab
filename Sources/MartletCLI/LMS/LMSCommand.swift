import ArgumentParser
import Martlet
import MartletCommands
import MartletWire

/// The program under the name of LM Studio's command: what other tools run of it, with its flags, JSON and exit codes
/// (specs lmstudio 8). Sentences go to stderr; stdout has only what programs read.
struct LMSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lms", abstract: "Martlet, in the words of LM Studio's command.", version: Martlet.version,
        subcommands: [
            LMSChat.self, LMSGet.self, LMSLoad.self, LMSUnload.self, LMSList.self, LMSResidents.self, LMSImport.self,
            LMSServer.self, LMSLog.self, LMSStatus.self, LMSDaemon.self, LMSVersion.self,
        ])

    /// Runs a command line; 1 is the exit code of whatever goes wrong, as LM Studio's has it.
    /// - Parameter words: without the program.
    static func start(_ words: [String]) async {
        if let sentence = LMSWords.refusal(words) {
            Surroundings.complain(sentence)
            exit(withError: ExitCode(1))
        }
        do {
            var command = try parseAsRoot(words)
            if var waiting = command as? any AsyncParsableCommand {
                try await waiting.run()
            } else {
                try command.run()
            }
        } catch {
            let error = Failures.explained(error)
            if let code = error as? ExitCode {
                let isKept = [0, ExitCodes.interrupted].contains(code.rawValue)
                exit(withError: isKept ? code : ExitCode(1))
            }
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            Surroundings.complain(fullMessage(for: error))
            exit(withError: ExitCode(1))
        }
    }
}

/// How much a command says.
struct LMSVoice: ParsableArguments {
    enum Level: String, ExpressibleByArgument, CaseIterable {
        case debug, info, warn, error, none

        /// Only what went wrong is said.
        var isQuiet: Bool { self != .debug && self != .info }
    }

    @Option(help: "debug, info, warn, error or none.") var logLevel: Level?
    @Flag(help: "Say more.") var verbose = false
    @Flag(help: "Say nothing but what was asked for.") var quiet = false

    func validate() throws {
        guard [logLevel != nil, verbose, quiet].count(where: \.self) <= 1 else {
            throw ValidationError("choose one of --log-level, --verbose and --quiet")
        }
    }

    /// Only what was asked for is said.
    var isQuiet: Bool { quiet || logLevel?.isQuiet == true }

    /// A sentence on how it went.
    func tell(_ line: String) {
        if !isQuiet { Surroundings.complain(TerminalText.safe(line)) }
    }
}

/// Which server a command talks to.
struct LMSPlace: ParsableArguments {
    @Option(help: .hidden) var host: String?
    @Option(help: .hidden) var port: Int?
    @OptionGroup var voice: LMSVoice

    func address() throws -> LMSAddress {
        try LMSAddress.find(
            host: host, port: port, variable: Surroundings.variable("MARTLET_HOST"), last: DetachedServer().address)
    }

    /// Of the server, which has answered.
    /// - Throws: `LMSRefusal` when it does not.
    func client() async throws -> MartletClient {
        let address = try address()
        guard await LMSGreeting.answers(at: address) else {
            throw LMSRefusal(
                "no server answers at \(address.host):\(address.port). Start it with: lms server start"
                    + (address.port == LMSAddress.usualPort ? "" : " --port \(address.port)"))
        }
        return Self.client(address)
    }

    static func client(_ address: LMSAddress) -> MartletClient {
        let key = ["MARTLET_API_KEY", "LM_API_TOKEN", "LMSTUDIO_API_TOKEN"].lazy.compactMap(Surroundings.variable).first
        return MartletClient(base: address.url, key: key)
    }
}

struct LMSVersion: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Prints the version.")

    @OptionGroup var voice: LMSVoice
    @Flag(help: "Print JSON.") var json = false

    func run() { Surroundings.say(json ? LMSReport.version(Martlet.version).text : "martlet \(Martlet.version)") }
}
