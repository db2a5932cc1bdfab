import ArgumentParser
import MartletCommands
import MartletEngine
import MartletHub
import MartletServer
import MartletWire

struct Get: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Brings a model here from Hugging Face; goes on where it was interrupted.",
        discussion: """
            MODEL is owner/repository, with :Q4_K_M or another quantisation behind it if it shall not be the usual one; \
            a file of a repository; an address of huggingface.co; or words to look for. HF_TOKEN, else what hf \
            auth login saved, is sent for models that want a token; HF_ENDPOINT names a mirror.
            """)

    @OptionGroup var place: ModelPlace
    @Flag(name: .shortAndLong, help: "Ask nothing: of what a search finds, take the first.") var yes = false
    @Flag(help: "Ask which quantisation, where none is named.") var select = false
    @Option(help: "Of what a search finds, at most this many are shown, 1 to 100.") var limit = 10
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "What to get.") var model: [String]

    func validate() throws {
        guard (1...100).contains(limit) else { throw ValidationError("--limit takes 1 to 100") }
    }

    func run() async throws {
        let store = try place.store()
        try await Failures.reported {
            try await ModelCommand.withHub { client in
                let repository = try await repository(client)
                let model = try await client.model(repository)
                let choice = select ? try choice(repository, of: model) : repository.choice
                try await bring(try FilePlan(model, choice: choice), client, store)
            }
        }
    }

    private func bring(_ plan: FilePlan, _ client: HubClient, _ store: ModelStore) async throws {
        let download = ModelDownload(plan, from: client, to: store.root, logger: ModelCommand.quiet)
        let wasPresent = download.isPresent
        let what = [plan.quantisation, plan.projector == nil ? nil : "with its projector", ByteCount.shown(plan.bytes)]
            .compactMap(\.self).joined(separator: ", ")
        let verb = wasPresent ? "checking" : "getting"
        Surroundings.complain("\(verb) \(TerminalText.safe("\(plan.id), \(what)"))")
        let display = ProgressDisplay(plan.weights[0].name)
        defer { display.close() }
        let path = try await ModelCommand.untilInterrupted {
            try await download.run { display.show($0) }
        }
        display.close()
        guard let path else {
            let got = display.last.map { "\(ByteCount.shown($0.bytes)) of \(ByteCount.shown($0.total))" }
            Self.complain(
                "interrupted; what has come is kept (\(got ?? "nothing yet")). Go on with: "
                    + "\(Surroundings.program) get \(Self.again(plan))")
            throw ExitCode(ExitCodes.interrupted)
        }
        guard report(plan, path, store, wasPresent: wasPresent) else { throw ExitCode(1) }
    }

    /// - Returns: whether it can be loaded.
    private func report(_ plan: FilePlan, _ path: String, _ store: ModelStore, wasPresent: Bool) -> Bool {
        let local = store.models().first { $0.place == plan.place }.map { LocalModel($0, in: store) }
        if json {
            var reply: JSON = ["status": wasPresent ? "already_downloaded" : "downloaded"]
            reply["key"] = local.map { .string($0.model.id) } ?? .null
            reply["repository"] = .string(plan.id)
            reply["commit"] = .string(plan.commit)
            reply["quantization"] = plan.quantisation.map(JSON.string) ?? .null
            reply["size_bytes"] = .int(Int(plan.bytes))
            reply["path"] = .string(path)
            reply["files"] = .array(plan.files.map { .string($0.name) })
            if let problem = local?.publishedProblem { reply["problem"] = .string(problem) }
            Surroundings.say(reply.text)
            return local?.usable != nil
        }
        guard let local else {
            Self.complain("\(plan.place) is here, and no model to be served")
            return false
        }
        if let problem = local.publishedProblem {
            Self.complain(plan.unusable(because: problem))
            return false
        }
        let id = TerminalText.safe(local.model.id)
        Surroundings.tell("\(id) is here\(wasPresent ? " already" : ""), and checked")
        Surroundings.tell(ModelCommand.next(id, isEncoder: local.isEncoder))
        return true
    }

    private static func complain(_ sentence: String) {
        Surroundings.complain("\(Surroundings.program): \(TerminalText.safe(sentence))")
    }

    /// What to write to get the very files of a plan.
    private static func again(_ plan: FilePlan) -> String {
        plan.quantisation.map { "\(plan.id):\($0)" } ?? "\(plan.id)/\(plan.weights[0].path)"
    }

    // MARK: Search

    private func repository(_ client: HubClient) async throws -> RepositoryReference {
        switch try ModelReference(model.joined(separator: " "), mirror: client.endpoint.host) {
        case .repository(let repository): return repository
        case .keywords(let words, let quantisation): return try await choice(of: words, quantisation, client)
        }
    }

    private func choice(
        of words: String, _ quantisation: String?, _ client: HubClient
    ) async throws -> RepositoryReference {
        let found = try await client.search(words, limit: limit)
        guard let first = found.first else {
            throw HubError(
                .notFound, "\(client.endpoint.host) has no GGUF model that fits \"\(words)\": try other words")
        }
        let choice = quantisation.map(RepositoryReference.Choice.quantisation) ?? .automatic
        func named(_ match: HubMatch) throws(HubError) -> RepositoryReference {
            let names = match.id.split(separator: "/").map(String.init)
            return try RepositoryReference(owner: names[0], name: names[1], choice: choice)
        }
        if yes { return try named(first) }
        let suffix = quantisation.map { ":\($0)" } ?? ""
        Surroundings.complain("found for \"\(TerminalText.safe(words))\":")
        Self.list(Search.table(found))
        guard Self.asks else {
            Self.complain(
                "name one, as in: \(Surroundings.program) get \(first.id)\(suffix), or take the first by --yes")
            throw ExitCode(1)
        }
        return try named(try Self.answer(among: found))
    }

    /// The quantisation that the user picks.
    private func choice(
        _ repository: RepositoryReference, of model: HubModel
    ) throws -> RepositoryReference.Choice {
        let offers = FilePlan.offers(of: model)
        guard !yes, repository.choice == .automatic, offers.count > 1 else { return repository.choice }
        Surroundings.complain("\(TerminalText.safe(model.id)) has:")
        Self.list(
            TextTable(
                ["QUANTISATION", "SIZE"], rightAligned: [1], offers.map { [$0.name, ByteCount.shown($0.bytes)] }
            ).lines)
        guard Self.asks else {
            Self.complain(
                "name one, as in: \(Surroundings.program) get \(model.id):\(offers[0].name), "
                    + "or leave --select out to get the usual one")
            throw ExitCode(1)
        }
        return try Self.answer(among: offers).choice
    }

    private static var asks: Bool { Surroundings.isTerminal(0) && Surroundings.isTerminal(2) }

    /// Lines with their numbers; the first is the head.
    private static func list(_ lines: [String]) {
        for (number, line) in lines.enumerated() {
            let mark = number == 0 ? "    " : number < 10 ? " \(number)  " : "\(number)  "
            Surroundings.complain(TerminalText.safe(mark + line))
        }
    }

    private static func answer<Offered>(among offered: [Offered]) throws -> Offered {
        guard let answer = Surroundings.answer(to: "which one? [1-\(offered.count), nothing for none] "),
            let number = Int(answer), offered.indices.contains(number - 1)
        else {
            complain("nothing was got")
            throw ExitCode(1)
        }
        return offered[number - 1]
    }
}

struct Search: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks for models at Hugging Face that can run here (GGUF), the most downloaded first.")

    @Option(help: "At most this many, 1 to 100.") var limit = 20
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "Words to look for.") var words: [String]

    func validate() throws {
        guard (1...100).contains(limit) else { throw ValidationError("--limit takes 1 to 100") }
    }

    func run() async throws {
        let words = words.joined(separator: " ")
        try await Failures.reported {
            let found = try await ModelCommand.withHub { try await $0.search(words, limit: limit) }
            if json {
                Surroundings.say(
                    JSON.array(
                        found.map {
                            [
                                "id": .string($0.id), "downloads": .int($0.downloads), "likes": .int($0.likes),
                                "gated": .bool($0.isGated),
                            ]
                        }
                    ).text)
            } else if let first = found.first {
                for line in Self.table(found) { Surroundings.say(TerminalText.safe(line)) }
                Surroundings.complain(TerminalText.safe("next: martlet get \(first.id)"))
            } else {
                Surroundings.complain("martlet: nothing fits \"\(TerminalText.safe(words))\": try other words")
                throw ExitCode(1)
            }
        }
    }

    /// The lines of a table; the first is its head.
    static func table(_ found: [HubMatch]) -> [String] {
        TextTable(
            ["MODEL", "DOWNLOADS", "LIKES", ""], rightAligned: [1, 2],
            found.map { [$0.id, "\($0.downloads)", "\($0.likes)", $0.isGated ? "gated" : ""] }
        ).lines
    }
}
