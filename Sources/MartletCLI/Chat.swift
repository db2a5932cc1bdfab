import ArgumentParser
import Martlet
import MartletCommands

struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Talks with a model: one question and its answer, or, without a question on a terminal, a whole talk.",
        discussion: "What comes through a pipe is put behind the question. Ctrl-C cancels an answer.")

    @OptionGroup var place: Place
    @Option(name: .shortAndLong, help: "The model; the server's default when not given.") var model: String?
    @Option(help: "A system text.") var system: String?
    @Option(help: "At most this many tokens.") var maxTokens: Int?
    @Option(help: "0 to 2.") var temperature: Double?
    @Flag(inversion: .prefixedNo, help: "Show the model's reasoning, on stderr; a talk does by itself.")
    var reasoning: Bool?
    @Argument(help: "The question.") var question: [String] = []

    func run() async throws {
        var talk = Conversation(model: model)
        talk.system = system
        talk.maxTokens = maxTokens
        talk.temperature = temperature
        let client = place.client
        if question.isEmpty, Surroundings.isTerminal(0) {
            let session = ChatSession(client: client, talk, showsReasoning: reasoning ?? true)
            return try await Failures.reported { try await session.run() }
        }
        guard let text = ChatTurn.question(question.joined(separator: " ")) else {
            Surroundings.complain("martlet: ask something: martlet chat \"question\", or pipe a text into it")
            throw ExitCode(ExitCodes.usage)
        }
        let turn = ChatTurn(client: client, showsReasoning: reasoning ?? false)
        try await Failures.reported { _ = try await turn.askOnce(text, of: talk) }
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

    func validate() throws {
        let variable = Surroundings.variable("MARTLET_HOST")
        guard let text = host ?? variable, ServerAddress.url(text) == nil else { return }
        throw ValidationError(
            "\(host == nil ? "MARTLET_HOST" : "--host") takes an address such as 127.0.0.1:3000 or "
                + "https://models.example (got \(TerminalText.safe(text)))")
    }

    var client: MartletClient {
        let said = (host ?? Surroundings.variable("MARTLET_HOST")).flatMap(ServerAddress.url)
        return MartletClient(
            base: said ?? "http://127.0.0.1:\(ServerAddress.usualPort)", key: Surroundings.variable("MARTLET_API_KEY"))
    }
}
