import ArgumentParser
import Martlet
import MartletCommands

/// A talk on a terminal: lines are questions, and what was said is remembered until it ends.
struct ChatSession {
    private let turn: ChatTurn
    private let interrupts = Interrupts()
    private var talk: Conversation
    /// Shows the numbers of each answer.
    private let showsStatistics: Bool

    init(client: MartletClient, _ talk: Conversation, showsReasoning: Bool, showsStatistics: Bool = false) {
        turn = ChatTurn(client: client, showsReasoning: showsReasoning, interrupts: interrupts)
        self.talk = talk
        self.talk.goesOn = true
        self.showsStatistics = showsStatistics
    }

    /// Until the user leaves.
    /// - Throws: `MartletError` when there is no server.
    func run() async throws {
        try await turn.client.checkReachable()
        var session = self
        var lines = TypedLines()
        defer { LineTerminal.restore() }
        async let _: Void = interrupts.watch()
        Surroundings.complain(
            "talking with \(TerminalText.safe(talk.model ?? "the server's default model")) at \(turn.client.base). "
                + "/help says what there is, Ctrl-D leaves.")
        while let line = lines.next() {
            switch ChatLine(line) {
            case .nothing: break
            case .exit: return
            case .help:
                for line in ChatLine.commands { Surroundings.complain(line) }
            case .new:
                session.talk.clear()
                Surroundings.complain("what was said is forgotten")
            case .model(let name): session.use(model: name)
            case .system(let text): session.use(system: text)
            case .unknown(let name):
                Surroundings.complain("there is no command \(TerminalText.safe(name)); /help says which there are")
            case .question(let question): try await session.ask(question)
            }
        }
    }

    private mutating func ask(_ question: String) async throws {
        let outcome = try await turn.ask(question, of: talk)
        if let failure = outcome.failure {
            Failures.tell(failure)
            // What was not answered was not said, unless some of it came.
            guard !outcome.answer.isEmpty else { return }
        }
        if showsStatistics, let numbers = outcome.end.statistics { Surroundings.complain("(\(numbers))") }
        guard !outcome.answer.isEmpty else { return }
        let isWhole = outcome.failure == nil && !outcome.isCancelled
        talk.add(question, outcome.answer, kept: isWhole ? outcome.end.kept : nil)
    }

    private mutating func use(model name: String?) {
        if let name {
            talk.model = name
            // What another model said is sent again, for the server's memory of it is of that one.
            talk.forgetKept()
        }
        Surroundings.complain("the model is \(TerminalText.safe(talk.model ?? "the server's default"))")
    }

    private mutating func use(system text: String?) {
        if let text {
            talk.system = text
            talk.clear()
        }
        Surroundings.complain("the system text is \(talk.system.map { TerminalText.safe("\"\($0)\"") } ?? "not set")")
    }
}
