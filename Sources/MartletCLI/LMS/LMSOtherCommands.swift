import ArgumentParser
import Martlet
import MartletCommands
import MartletWire

struct LMSGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Brings a model here.")

    @OptionGroup var place: LMSPlace
    @Flag(help: "Of Apple's own format, which is refused.") var mlx = false
    @Flag(help: "Of the format GGUF, which is so anyway.") var gguf = false
    @Flag(help: "Ask which quantisation, where none is named.") var select = false
    @Flag(name: .shortAndLong, help: "Ask nothing: of what a search finds, take the first.") var yes = false
    @Option(name: [.customShort("n"), .long], help: "Of what a search finds, at most this many are shown, 1 to 100.")
    var limit: Int?
    @Flag(name: [.customShort("a"), .long], help: "Show all that a search finds, which is so anyway.")
    var alwaysShowAllResults = false
    @Argument(help: "Words to look for, owner/name, name@quant, or an address.") var name: [String] = []

    func validate() throws {
        if let limit, !(1...100).contains(limit) { throw ValidationError("--limit takes 1 to 100") }
    }

    func run() async throws {
        let address = try place.address()
        guard place.host == nil || address.isHere else {
            throw LMSRefusal(
                "lms get brings a model to this machine: run it at \(address.host), or ask the server there by "
                    + "POST \(address.url)/api/v1/models/download")
        }
        let get = try Get.parse(try LMSWords.get(name, yes: yes, mlx: mlx, selects: select, limit: limit))
        try await get.run()
    }
}

struct LMSImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Takes a model's file into the folder of models; it is moved, if no flag says else.")

    @OptionGroup var voice: LMSVoice
    @Option(help: "user/repository to put it at.") var userRepo: String?
    @Flag(name: .shortAndLong, help: "Ask nothing, which is so anyway.") var yes = false
    @Flag(name: .shortAndLong, help: "Copy it.") var copy = false
    @Flag(name: [.customShort("L"), .long], help: "Link it, hard.") var hardLink = false
    @Flag(name: [.customShort("l"), .long], help: "Link it.") var symbolicLink = false
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Argument(help: "A .gguf file.") var file: String

    func validate() throws {
        guard [copy, hardLink, symbolicLink].count(where: \.self) <= 1 else {
            throw ValidationError("choose one of --copy, --hard-link and --symbolic-link")
        }
    }

    func run() async throws {
        var words = [("--copy", copy), ("--hard-link", hardLink), ("--link", symbolicLink), ("--dry-run", dryRun)]
            .filter(\.1).map(\.0)
        if let userRepo { words += ["--as", userRepo] }
        let command = try Import.parse(words + ["--", file])
        try await command.run()
    }
}

struct LMSLog: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Shows what the server does.", subcommands: [Stream.self])

    struct Stream: AsyncParsableCommand {
        enum Source: String, ExpressibleByArgument, CaseIterable { case model, server, runtime }

        static let configuration = CommandConfiguration(
            abstract: "Prints the server's log, line by line, until Ctrl-C.")

        @OptionGroup var place: LMSPlace
        @Option(name: .shortAndLong, help: "model, server or runtime.") var source: Source = .model
        @Option(help: "input, output, or both; with the source model only.") var filter: String?
        @Flag(help: "Numbers of each answer; with the source model only.") var stats = false
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if source != .model, filter != nil || stats {
                throw ValidationError("--filter and --stats go with the source model only")
            }
        }

        func run() async throws {
            guard source != .model else {
                throw LMSRefusal(
                    "prompts and answers are told only where store.capture is on, and this version cannot switch it on. "
                        + "What the server and its engines do is told by: lms log stream --source server, or "
                        + "--source runtime")
            }
            let client = try await place.client()
            let (asJSON, source) = (json, source)
            let voice = place.voice
            let watch = Task { await Surroundings.endWhenUnread() }
            defer { watch.cancel() }
            _ = try await ModelCommand.untilInterrupted {
                let lines = try await client.events("/admin/v1/logs?source=\(source.rawValue)")
                voice.tell("Streaming logs from the \(source.rawValue)")
                for try await event in lines {
                    guard let line = LMSLogLine(event) else { continue }
                    Surroundings.say(asJSON ? line.json.text : TerminalText.safe(line.text))
                }
                voice.tell("The server has ended.")
            }
        }
    }
}

struct LMSChat: AsyncParsableCommand {
    enum Reasoning: String, ExpressibleByArgument, CaseIterable { case auto, on, off }

    static let configuration = CommandConfiguration(commandName: "chat", abstract: "Talks with a model.")

    @OptionGroup var place: LMSPlace
    @Option(name: .shortAndLong, help: "One question; what comes through a pipe is put behind it.") var prompt: String?
    @Option(name: .shortAndLong, help: "A system text.") var systemPrompt: String?
    @Flag(help: "Show the numbers of each answer.") var stats = false
    @Option(help: "Seconds without a request before the model is unloaded.") var ttl: Int?
    @Option(help: "auto, on or off.") var reasoning: Reasoning = .auto
    @Flag(name: .shortAndLong, help: "Ask nothing, which is so anyway.") var yes = false
    @Flag(help: .hidden) var dontFetchCatalog = false
    @Argument(help: "The model; the server's default when not given.") var model: String?

    func run() async throws {
        var talk = Conversation(model: model)
        talk.system = systemPrompt
        talk.ttl = ttl
        talk.reasoning = reasoning == .auto ? nil : reasoning.rawValue
        let client = try await place.client()
        if prompt == nil, Surroundings.isTerminal(0) {
            return try await ChatSession(client: client, talk, showsReasoning: true, showsStatistics: stats).run()
        }
        guard let question = ChatTurn.question(prompt ?? "") else {
            throw LMSRefusal("ask something: lms chat -p \"question\", or pipe a text into it")
        }
        let end = try await ChatTurn(client: client, showsReasoning: false).askOnce(question, of: talk)
        if stats, let numbers = end.statistics { Surroundings.complain(numbers) }
    }
}
