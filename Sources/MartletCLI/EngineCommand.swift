import ArgumentParser
import MartletCommands
import MartletEngine
import MartletServer

struct Engine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Installs and lists llama.cpp engines.", subcommands: [Install.self, List.self])

    struct Install: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Installs llama.cpp's server under martlet's home: a ready package, or built from source.")

        @Flag(help: "Build from source instead of taking the ready package (6 to 20 minutes).") var source = false

        @Option(help: "debug shows what pip and the build tools say.") var logLevel: Configuration.LogSettings.Level?

        func run() async throws {
            let level = logLevel ?? Surroundings.variable("MARTLET_LOG").flatMap(Configuration.LogSettings.Level.init)
            let isDetailed = level == .debug || level == .trace
            let installer = EngineInstaller(
                home: Surroundings.home,
                detail: { line in if isDetailed { Surroundings.complain("  \(TerminalText.safe(line))") } },
                log: Surroundings.complain)
            do throws(EngineError) {
                let binary = try await installer.install(source ? .source : .wheel)
                Surroundings.say("engine \(binary.version) installed, backend \(binary.backend)")
                if let warning = EngineFinder.gpuWarning(for: binary) { Surroundings.complain(warning) }
            } catch {
                Surroundings.complain("martlet: \(TerminalText.safe(error.message))")
                throw ExitCode(1)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "Lists the engines that can be used, in the order they are looked for.")

        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let found = await EngineFinder.all(configured: nil, home: Surroundings.home, path: Surroundings.path)
            if json {
                print(Listing.json(found))
            } else if found.isEmpty {
                print("no engine yet. Get one with: martlet engine install")
            } else {
                for binary in found {
                    print("\(binary.version)  \(binary.backend)  \(binary.origin)  \(binary.executable)")
                }
            }
        }
    }
}

extension Configuration.LogSettings.Level: ExpressibleByArgument {}
