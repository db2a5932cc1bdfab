import ArgumentParser
import Martlet
import MartletEngine
import MartletHub

struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Asks a model one question; what comes through a pipe is put behind it.")

    @OptionGroup var place: Place
    @Option(name: .shortAndLong, help: "The model; the server's default when not given.") var model: String?
    @Option(help: "A system text.") var system: String?
    @Option(help: "At most this many tokens.") var maxTokens: Int?
    @Option(help: "0 to 2.") var temperature: Double?
    @Flag(help: "Show the model's reasoning too, on stderr.") var reasoning = false
    @Argument(help: "The question.") var question: [String] = []

    func run() async throws {
        Surroundings.sayWhenInterrupted()
        var text = question.joined(separator: " ")
        if let piped = Surroundings.pipedInput() { text += (text.isEmpty ? "" : "\n\n") + piped }
        guard !text.isEmpty else {
            Surroundings.complain("martlet: ask something: martlet chat \"question\", or pipe a text into it")
            throw ExitCode(ExitCodes.usage)
        }
        var asked = ChatQuestion(text, model: model)
        asked.system = system
        asked.maxTokens = maxTokens
        asked.temperature = temperature
        let client = place.client
        let wantsReasoning = reasoning
        try await Failures.reported {
            // A model may take its time before it says anything; a server may not.
            try await client.checkReachable()
            var finish = ""
            for try await piece in try await client.stream(asked) {
                switch piece {
                case .text(let text): Surroundings.put(TerminalText.safe(text))
                case .reasoning(let text): if wantsReasoning { Surroundings.putAside(TerminalText.safe(text)) }
                case .finished(let reason): finish = reason
                }
            }
            Surroundings.put("\n")
            if finish == "length" { Surroundings.complain("martlet: the answer was cut at the token limit") }
        }
    }
}

struct Health: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says whether a server answers, for health checks; ends with 69 when it does not.")

    @OptionGroup var place: Place

    func run() async throws {
        let client = place.client
        try await Failures.reported { try await client.checkAlive() }
        Surroundings.say("\(client.base) answers")
    }
}

/// Which server a command talks to.
struct Place: ParsableArguments {
    @Option(help: "The server's URL; MARTLET_HOST, else http://127.0.0.1:3000, when not given.") var host: String?

    var client: MartletClient {
        MartletClient(
            base: host ?? Surroundings.variable("MARTLET_HOST") ?? "http://127.0.0.1:3000",
            key: Surroundings.variable("MARTLET_API_KEY"))
    }
}

/// Turns errors into a sentence and an exit code: 69 when the server cannot be reached, 130 when the user interrupted,
/// else 1.
enum Failures {
    static func reported(_ work: () async throws -> Void) async throws {
        do {
            try await work()
        } catch let error as MartletError {
            let wantsKey = error.kind == .authentication && error.message.contains("token")
            let hint = wantsKey ? "; put the token into MARTLET_API_KEY" : ""
            Surroundings.complain("martlet: \(TerminalText.safe(error.message))\(hint)")
            throw ExitCode(error.kind == .connection ? ExitCodes.unavailable : 1)
        } catch let error as HubError {
            Surroundings.complain("martlet: \(TerminalText.safe(error.message))")
            throw ExitCode(1)
        } catch let error as EngineError {
            Surroundings.complain("martlet: \(TerminalText.safe(error.message))")
            throw ExitCode(1)
        }
    }
}
