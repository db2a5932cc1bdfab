import ArgumentParser
import MartletCommands
import MartletServer
import MartletWire

struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Shows and checks the configuration.", subcommands: [Show.self, Check.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every setting with its effective value and where that comes from.")

        @OptionGroup var source: ConfigurationSource
        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            let loaded = try source.loadOrExplain()
            if json {
                Surroundings.say(Config.json(loaded).text)
            } else {
                for line in Config.lines(loaded) { Surroundings.say(TerminalText.safe(line)) }
                Config.warn(loaded)
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says what is wrong with the configuration; ends with 1 when it cannot be used.")

        @OptionGroup var source: ConfigurationSource
        @Flag(help: "Print JSON.") var json = false

        func run() throws {
            let loaded: LoadedConfiguration
            do {
                loaded = try source.load()
            } catch {
                if json {
                    let report: JSON = ["ok": false, "errors": [.string("\(error)")], "warnings": []]
                    Surroundings.say(report.text)
                } else {
                    Surroundings.complain("martlet: \(error)")
                }
                throw ExitCode(1)
            }
            if json {
                let warnings = JSON.array(loaded.warnings.map(JSON.string))
                let report: JSON = ["ok": true, "errors": [], "warnings": warnings]
                Surroundings.say(report.text)
            } else {
                Config.warn(loaded)
                Surroundings.say(
                    loaded.warnings.isEmpty ? "the configuration is fine" : "the configuration can be used")
            }
        }
    }

    /// A line for each setting: key, value, and in brackets where it comes from.
    static func lines(_ loaded: LoadedConfiguration) -> [String] {
        let width = loaded.origins.map(\.key.count).max() ?? 0
        return loaded.origins.map { setting in
            let key = setting.key + String(repeating: " ", count: width - setting.key.count)
            return "\(key)  \(setting.value)  (\(setting.origin))"
        }
    }

    static func json(_ loaded: LoadedConfiguration) -> JSON {
        let settings = loaded.origins.map { setting -> JSON in
            ["key": .string(setting.key), "value": .string(setting.value), "origin": .string(setting.origin)]
        }
        return ["settings": .array(settings), "warnings": .array(loaded.warnings.map(JSON.string))]
    }

    static func warn(_ loaded: LoadedConfiguration) {
        for warning in loaded.warnings { Surroundings.complain("martlet: \(warning)") }
    }
}

/// Which configuration a command is about: the one that `serve` would take.
struct ConfigurationSource: ParsableArguments {
    @Option(help: "Configuration file; $MARTLET_HOME/martlet.yaml when there is one.") var config: String?

    /// - Throws: `ConfigurationError`, a sentence.
    func load(_ flags: ConfigurationFlags = ConfigurationFlags()) throws -> LoadedConfiguration {
        var flags = flags
        flags.config = config
        return try ConfigurationLoader.load(
            flags: flags, environment: Surroundings.environment, home: Surroundings.home)
    }

    func loadOrExplain() throws -> LoadedConfiguration {
        do {
            return try load()
        } catch {
            Surroundings.complain("martlet: \(error)")
            throw ExitCode(1)
        }
    }
}
