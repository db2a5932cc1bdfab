import ArgumentParser
import Martlet

@main
struct MartletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Makes local language models work with every client.",
        version: Martlet.version,
        subcommands: [
            Serve.self, Chat.self, List.self, Health.self, Engine.self, Config.self, DoctorCommand.self, Version.self,
        ])
}

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Prints the version.")

    func run() {
        print("martlet \(Martlet.version)")
    }
}
