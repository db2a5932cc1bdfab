import ArgumentParser
import Martlet

@main
struct MartletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Makes local language models work with every client.",
        version: Martlet.version,
        subcommands: [
            Serve.self, Chat.self, Load.self, Unload.self, Pin.self, Unpin.self, ResidentList.self, Get.self,
            Search.self, List.self,
            Remove.self, Import.self, Health.self, Engine.self,
            MCP.self, Config.self, DoctorCommand.self, Version.self,
        ])

    static func main() async {
        if Surroundings.isLMS { return await LMSCommand.start(Array(CommandLine.arguments.dropFirst())) }
        do {
            var command = try await asyncParseAsRoot()
            if var waiting = command as? any AsyncParsableCommand {
                try await waiting.run()
            } else {
                try command.run()
            }
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            Surroundings.complain(fullMessage(for: error))
            exit(withError: ExitCode(ExitCodes.usage))
        }
    }
}

/// How commands end, beside 0 and 1.
enum ExitCodes {
    /// The command was used wrongly.
    static let usage: Int32 = 2
    /// No server answers.
    static let unavailable: Int32 = 69
    /// Interrupted from the keyboard.
    static let interrupted: Int32 = 130
    /// Nobody reads its output any more; as shells have it of a program that the signal ended.
    static let unread: Int32 = 141
}

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Prints the version.")

    func run() {
        print("martlet \(Martlet.version)")
    }
}
