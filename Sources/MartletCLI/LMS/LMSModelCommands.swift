import ArgumentParser
import Martlet
import MartletCommands
import MartletEngine
import MartletServer
import MartletWire

/// Where `lms` finds models.
enum LMSModels {
    /// Those of this machine, whether a server runs or not.
    static func installed() throws -> [LMSModel] {
        LocalModel.all(in: try store()).compactMap {
            LMSModel($0.entry, path: $0.model.place, variant: $0.model.variant)
        }
    }

    static func store() throws -> ModelStore { try ModelPlace.parse([]).store() }

    /// The key of a model that is named by its file's path, as lists show it; any other name as it is.
    static func key(of name: String) throws -> String {
        guard name.hasSuffix(".gguf") else { return name }
        return try store().models().first { $0.place == name || $0.path == name }?.id ?? name
    }

    /// Those that a server has.
    static func served(_ client: MartletClient) async throws -> [LMSModel] {
        let installed = Dictionary(
            try store().models().map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let entries = try await client.ask("/api/v1/models")["models"]?.array ?? []
        return entries.compactMap { entry in
            let here = entry["key"]?.string.flatMap { installed[$0] }
            return LMSModel(entry, path: here?.place, variant: here?.variant)
        }
    }
}

struct LMSList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "Lists the models on this machine.")

    @OptionGroup var place: LMSPlace
    @Flag(help: "Only models that write text.") var llm = false
    @Flag(help: "Only models that make vectors.") var embedding = false
    @Flag(help: "List variants.") var variants = false
    @Flag(help: .hidden) var detailed = false
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "Only models whose key this is a part of.") var key: String?

    func run() async throws {
        var models =
            try await place.host == nil ? LMSModels.installed() : LMSModels.served(place.client())
        let isEmpty = models.isEmpty
        if llm != embedding { models.removeAll { $0.isEmbedding == llm } }
        if let key { models.removeAll { !$0.key.lowercased().contains(key.lowercased()) } }
        if json {
            Surroundings.say((variants ? LMSListing.variants(models) : LMSListing.json(models)).text)
        } else if models.isEmpty {
            place.voice.tell(
                isEmpty
                    ? "You have not downloaded any models yet. Get one with: lms get owner/name"
                    : "No model fits that. See all with: lms ls")
        } else if variants {
            for line in LMSListing.variantLines(models) { Surroundings.say(TerminalText.safe(line)) }
        } else {
            for line in LMSListing.lines(models, loaded: try await loaded()) {
                Surroundings.say(TerminalText.safe(line))
            }
        }
    }

    /// Keys of what is loaded; none where no server answers, which is no error of a list.
    private func loaded() async throws -> Set<String> {
        let address = try place.address()
        guard await LMSGreeting.answers(at: address) else { return [] }
        let residents = try? await ResidentList.read(LMSPlace.client(address))
        return Set((residents ?? []).filter(\.isLoaded).map(\.model))
    }
}

struct LMSResidents: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ps", abstract: "Lists what is loaded.")

    @OptionGroup var place: LMSPlace
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let client = try await place.client()
        var residents = try await ResidentList.read(client).filter(\.isLoaded)
        let models = residents.isEmpty ? [] : try await LMSModels.served(client)
        for index in residents.indices {
            residents[index].isEncoder = models.first { $0.key == residents[index].model }?.isEmbedding ?? false
        }
        if json {
            let entries = residents.compactMap { resident in
                models.first { $0.key == resident.model }?.json(loadedAs: resident)
            }
            Surroundings.say(JSON.array(entries).text)
        } else if residents.isEmpty {
            place.voice.tell("No models are currently loaded. Load one with: lms load MODEL")
        } else {
            for line in Resident.table(residents, withDevice: true, now: Surroundings.now) {
                Surroundings.say(TerminalText.safe(line))
            }
        }
    }
}

struct LMSLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "load", abstract: "Loads a model into the server.")

    @OptionGroup var place: LMSPlace
    @Option(help: "How much of it a GPU computes: off, max, or 0 to 1.", transform: LMSLoad.share) var gpu: GPUShare?
    @Option(name: [.customShort("c"), .long], help: "Tokens of each request's window.") var contextLength: Int?
    @Option(help: "Requests worked on at once.") var parallel: Int?
    @Option(help: "Seconds without a request before it is unloaded.") var ttl: Int?
    @Option(help: "What requests shall call it.") var identifier: String?
    @Flag(help: "Only say what memory it would take.") var estimateOnly = false
    @Flag(name: .shortAndLong, help: "Ask nothing, which is so anyway.") var yes = false
    @Flag(help: .hidden) var exact = false
    @Flag(help: .hidden) var local = false
    @OptionGroup var draft: LMSDraft
    @Argument(help: "The model's key.") var key: String?

    private static func share(_ text: String) throws -> GPUShare {
        guard let share = GPUShare(text) else { throw ValidationError("--gpu takes off, max, or a number from 0 to 1") }
        return share
    }

    func run() async throws {
        guard let key else {
            let keys = try LMSModels.installed().map(\.key)
            throw LMSRefusal(
                keys.isEmpty
                    ? "no model is here yet. Get one with: lms get owner/name"
                    : "name one of: \(keys.joined(separator: ", "))")
        }
        let form = try form(LMSModels.key(of: key))
        if estimateOnly {
            let estimate = try await LoadRun.estimate(form, try ModelPlace.parse([]))
            for line in estimate.lmsLines { Surroundings.say(TerminalText.safe(line)) }
            return
        }
        let (loaded, resident) = try await LoadRun.load(
            form, try await place.client(), isQuiet: place.voice.isQuiet)
        place.voice.tell(
            "Model loaded successfully in \(Shown.fixed(loaded.seconds, places: 2))s."
                + (resident?.bytes.map { " (\(ByteCount.shown($0)))" } ?? ""))
        if let settings = resident?.settingsShown, !settings.isEmpty {
            place.voice.tell("It has \(settings.joined(separator: ", ")).")
        }
        place.voice.tell("To use the model in the API/SDK, use the identifier \"\(loaded.instance)\".")
    }

    private func form(_ key: String) throws -> LoadForm {
        var form = LoadForm(model: key)
        form.context = contextLength
        form.parallel = parallel
        form.ttl = ttl
        form.identifier = identifier
        form.draftModel = draft.speculativeDraftModel
        guard let gpu else { return form }
        let store = try LMSModels.store()
        let layers = store.find(key).flatMap { try? store.facts(of: $0) }?.layers.count
        guard let count = gpu.layers(of: layers) else {
            throw LMSRefusal("how many layers \(key) has is not known on this machine: say --gpu off or --gpu max")
        }
        form.gpuLayers = count
        return form
    }
}

/// Drafts by another model. What cannot be set is refused by name.
struct LMSDraft: ParsableArguments {
    @Option(help: "An installed model that writes drafts.") var speculativeDraftModel: String?
    @Flag(help: .hidden) var speculativeDraftMtp = false
    @Flag(help: "Drafts are written by that model, which is so anyway.") var speculativeDraftSimple = false
    @Option(help: .hidden) var speculativeDraftMaxTokens: Int?
    @Option(help: .hidden) var speculativeDraftMinTokens: Int?
    @Option(help: .hidden) var speculativeDraftMinContinueProbability: Double?

    func validate() throws {
        if speculativeDraftSimple, speculativeDraftModel == nil {
            throw ValidationError("--speculative-draft-simple needs a model: --speculative-draft-model KEY")
        }
        let given = [
            ("mtp", speculativeDraftMtp),
            ("max-tokens", speculativeDraftMaxTokens != nil), ("min-tokens", speculativeDraftMinTokens != nil),
            ("min-continue-probability", speculativeDraftMinContinueProbability != nil),
        ].first(where: \.1)
        guard let given else { return }
        throw ValidationError(
            "--speculative-draft-\(given.0) cannot be set here: of drafts there is --speculative-draft-model only")
    }
}

extension LoadEstimate {
    fileprivate var lmsLines: [String] {
        let fits = budget.map { bytes <= $0 } ?? true
        return [
            "Model: \(model)", "Estimated GPU Memory: \(ByteCount.shown(gpuBytes))",
            "Estimated Total Memory: \(ByteCount.shown(bytes))",
            "Estimate: with a context of \(context) tokens it \(fits ? "fits" : "does not fit") into "
                + (budget.map { "the \(ByteCount.shown($0)) that engines may take" } ?? "this machine's memory"),
        ]
    }
}

struct LMSUnload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unload", abstract: "Unloads a model.")

    @OptionGroup var place: LMSPlace
    @Flag(name: .shortAndLong, help: "Unload all.") var all = false
    @Argument(help: "What lms ps calls it.") var identifier: String?

    func validate() throws {
        if all, identifier != nil { throw ValidationError("name an identifier, or say --all") }
    }

    func run() async throws {
        let client = try await place.client()
        var identifier = identifier
        if identifier == nil, !all {
            let ids = try await ResidentList.read(client).map(\.id)
            guard let only = ids.first, ids.count == 1 else {
                throw LMSRefusal(
                    ids.isEmpty ? "no model is loaded" : "name one of: \(ids.joined(separator: ", ")); or say --all")
            }
            identifier = only
        }
        let gone = try await UnloadRun.unload(identifier, client)
        for (id, isDraining) in gone {
            place.voice.tell(
                "Model \"\(id)\" \(isDraining ? "will be unloaded after the requests it has" : "unloaded").")
        }
        if gone.isEmpty { place.voice.tell("No models to unload.") }
    }
}
