import ArgumentParser
import MartletCommands
import MartletEngine
import MartletHub
import MartletServer
import MartletWire

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Takes models that lie elsewhere on this machine into the folder of models.",
        discussion: """
            PATH is a .gguf file (its other parts come with it) or a folder. A file is moved unless another way is said, \
            as LM Studio's import does. What LM Studio has is only read: it is linked, or copied by --copy.
            """)

    @OptionGroup var place: ModelPlace
    @Flag(help: "Take all models of LM Studio on this machine.") var fromLmstudio = false
    @Flag(name: .shortAndLong, help: "Copy, and leave the files where they are.") var copy = false
    @Flag(name: [.short, .long, .customLong("symbolic-link")], help: "Link to the files, which takes no room.")
    var link = false
    @Flag(name: [.customShort("L"), .long], help: "Give the files another name on the same file system.")
    var hardLink = false
    @Flag(name: .shortAndLong, help: "Move the files here; the default.") var move = false
    @Option(
        name: [.customLong("as"), .customLong("user-repo")],
        help: "publisher/name to put it at; else what its path tells, or imported/ and its name.") var target: String?
    @Flag(help: "Say what would be done, and do nothing.") var dryRun = false
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "A .gguf file, or a folder with some.") var path: String?

    func validate() throws {
        guard (path != nil) != fromLmstudio else { throw ValidationError("name a PATH, or say --from-lmstudio") }
        guard [copy, link, hardLink, move].count(where: \.self) <= 1 else {
            throw ValidationError("choose one of --copy, --link, --hard-link and --move")
        }
        if fromLmstudio, target != nil { throw ValidationError("--as is for one model, not for all of LM Studio's") }
    }

    /// How one came, or why not.
    private struct Outcome: Sendable {
        var source: ModelImport
        /// Nil: it was here already.
        var way: ModelImport.Way?
        var bytes: Int64
    }

    func run() async throws {
        let store = try place.store()
        try await Failures.reported {
            let (source, way) = try source()
            let isOne = source.models.count == 1
            if target != nil, !isOne {
                throw EngineError(.notImportable, "--as is for one model, and there are \(source.models.count)")
            }
            var failures: [EngineError] = []
            // One that is broken does not keep the others out.
            func attempt<R>(_ work: () async throws -> R) async throws -> R? {
                do {
                    return try await work()
                } catch let error as EngineError where !isOne {
                    failures.append(error)
                    return nil
                }
            }
            // All are looked at before the first is touched.
            var plan: [ModelImport] = []
            for model in source.models {
                let found = try await attempt { try ModelImport(model, to: target, isLaidOut: source.areLaidOut) }
                if let found { plan.append(found) }
            }
            var outcomes: [Outcome] = []
            var moved: Set<String> = []
            for model in plan {
                let isShared = source.isShared(model.model, beside: moved)
                guard let outcome = try await attempt({ try await bring(model, way, isShared, store) }) else {
                    continue
                }
                outcomes.append(outcome)
                if outcome.way == .move { moved.insert(model.model.path) }
            }
            tell(outcomes, store)
            for stray in source.strays { tell(stray, plan, store) }
            for failure in failures { Surroundings.complain("martlet: \(TerminalText.safe(failure.message))") }
            if !failures.isEmpty { throw ExitCode(1) }
        }
    }

    private func source() throws(EngineError) -> (ImportSource, ModelImport.Way) {
        let theirs = Surroundings.variable("HOME").flatMap(LMStudioFolder.models)
        let chosen: ModelImport.Way? =
            copy ? .copy : link ? .link : hardLink ? .hardLink : move ? .move : nil
        guard let path else {
            guard let theirs else {
                throw EngineError(.notImportable, "LM Studio has no folder of models here: name the files' PATH")
            }
            guard chosen != .move else { throw Self.onlyRead }
            let models = ModelStore(foreign: theirs).models()
            guard !models.isEmpty else {
                throw EngineError(.notImportable, "LM Studio has no GGUF model here; others than GGUF cannot be used")
            }
            return (ImportSource(laidOut: models), chosen ?? .link)
        }
        let source = try ImportSource(at: path)
        let isTheirs =
            theirs.map { folder in source.models.contains { LMStudioFolder.holds($0.path, folder) } } ?? false
        if isTheirs, chosen == .move { throw Self.onlyRead }
        return (source, chosen ?? (isTheirs ? .link : .move))
    }

    private static let onlyRead = EngineError(
        .notImportable, "what LM Studio has is only read, and not moved: use --link or --copy")

    private func bring(
        _ source: ModelImport, _ way: ModelImport.Way, _ keepsProjector: Bool, _ store: ModelStore
    ) async throws -> Outcome {
        let run = ImportRun(source, by: way, into: store.root, keepsProjector: keepsProjector)
        if dryRun { return Outcome(source: source, way: way, bytes: run.bytes) }
        let display = ProgressDisplay(source.model.file)
        defer { display.close() }
        let total = run.bytes
        let isNew = try await ModelCommand.untilInterrupted {
            try run.run { display.show(DownloadProgress(bytes: $0, total: total)) }
        }
        display.close()
        guard let isNew else {
            Surroundings.complain(
                "martlet: interrupted; nothing of \(TerminalText.safe(source.model.file)) was imported")
            throw ExitCode(ExitCodes.interrupted)
        }
        return Outcome(source: source, way: isNew ? way : nil, bytes: total)
    }

    private static func done(_ way: ModelImport.Way) -> String {
        switch way {
        case .move: "moved"
        case .copy: "copied"
        case .link: "linked"
        case .hardLink: "linked (hard)"
        }
    }

    private func tell(_ stray: ImportSource.Stray, _ plan: [ModelImport], _ store: ModelStore) {
        let name = stray.path.split(separator: "/").last.map(String.init) ?? stray.path
        let files = Set(stray.models.map(\.path))
        let places = plan.filter { files.contains($0.model.path) }.map { "\(store.root)/\($0.place)/" }
        let folders = places.enumerated().filter { !places[..<$0.offset].contains($0.element) }.map(\.element)
        guard !folders.isEmpty else { return }
        Surroundings.complain(
            TerminalText.safe(
                "martlet: \(name) may be of each of \(stray.models.map(\.file).joined(separator: ", ")), and is left "
                    + "where it is: put it to the model that it is of, into \(folders.joined(separator: " or "))"))
    }

    private func tell(_ outcomes: [Outcome], _ store: ModelStore) {
        let models = store.models()
        func key(_ outcome: Outcome) -> String? {
            models.first { $0.place == "\(outcome.source.place)/\(outcome.source.model.file)" }?.id
        }
        if json {
            let entries = outcomes.map { outcome -> JSON in
                [
                    "key": key(outcome).map(JSON.string) ?? .null,
                    "path": .string("\(outcome.source.place)/\(outcome.source.model.file)"),
                    "status": .string(dryRun ? "would_import" : outcome.way == nil ? "already_here" : "imported"),
                    "way": outcome.way.map { .string($0.rawValue) } ?? .null, "size_bytes": .int(Int(outcome.bytes)),
                ]
            }
            return Surroundings.say(JSON.array(entries).text)
        }
        for outcome in outcomes {
            let file = "\(outcome.source.model.file) (\(ByteCount.shown(outcome.bytes)))"
            let name = key(outcome) ?? outcome.source.place
            let line =
                if dryRun {
                    "\(file) would come to \(outcome.source.place), \(outcome.way.map(Self.done) ?? "")"
                } else if let way = outcome.way {
                    "\(name) is here: \(file), \(Self.done(way))"
                } else {
                    "\(name) is here already"
                }
            Surroundings.tell(TerminalText.safe(line))
        }
        if !dryRun, outcomes.count == 1, let id = key(outcomes[0]) {
            Surroundings.tell(ModelCommand.next(id, isEncoder: outcomes[0].source.facts.kind != .llm))
        }
    }
}
