import ArgumentParser
import Martlet
import MartletCommands
import MartletEngine
import MartletServer
import MartletWire

struct Load: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Loads a model into the server, beside what is loaded; it stays until it is unloaded.",
        discussion: "What no flag says is left to the server: its configuration, and what fits.")

    @OptionGroup var place: Place
    @OptionGroup var models: ModelPlace
    @Option(name: [.long, .customLong("context-length")], help: "Tokens of each request's window.") var context: Int?
    @Option(help: "Requests worked on at once.") var parallel: Int?
    @Option(help: "Layers that a GPU computes: a number, all (or max), or off.", transform: Load.layers)
    var gpuLayers: Int?
    @Option(help: "on, off or auto.") var flashAttention: LoadForm.Switch?
    @Option(name: .customLong("cache-type-k"), help: "Type of the cache's keys, such as f16 or q8_0.")
    var keyCache: String?
    @Option(name: .customLong("cache-type-v"), help: "Type of the cache's values.") var valueCache: String?
    @Option(help: "Tokens of a prompt worked on in one go.") var batch: Int?
    @Option(help: "Threads that compute.") var threads: Int?
    @Option(help: "An installed model that writes drafts.") var draftModel: String?
    @Option(help: "Memory for what was computed of prompts, such as 512MiB, or off.", transform: Load.bytes)
    var promptCache: Int?
    @Flag(
        inversion: .prefixedNo, help: "Keep the cache of keys and values in the memory of the GPU that computes.")
    var kvOffload: Bool?
    @Flag(help: "Neither evict it for another model nor unload it when it is idle.") var pin = false
    @Option(help: "Seconds without a request before it is unloaded; it stays when not given.") var ttl: Int?
    @Option(help: "What requests shall call it.") var identifier: String?
    @Flag(help: "Only say what memory it would take on this machine.") var estimateOnly = false
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "The model, as martlet ls shows it.") var model: String

    private static func layers(_ text: String) throws -> Int {
        guard let layers = LoadSettings.gpuLayers(text) else {
            throw ValidationError("--gpu-layers takes \(LoadSettings.gpuLayersWords)")
        }
        return layers
    }

    private static func bytes(_ text: String) throws -> Int {
        guard let bytes = LoadSettings.promptCache(text) else {
            throw ValidationError("--prompt-cache takes \(LoadSettings.promptCacheWords)")
        }
        return bytes
    }

    func run() async throws {
        var form = LoadForm(model: model)
        form.context = context
        form.parallel = parallel
        form.gpuLayers = gpuLayers
        form.flashAttention = flashAttention
        form.keyCache = keyCache
        form.valueCache = valueCache
        form.batch = batch
        form.threads = threads
        form.draftModel = draftModel
        form.promptCache = promptCache
        form.cacheOnGPU = kvOffload
        form.isPinned = pin
        form.ttl = ttl
        form.identifier = identifier
        let (client, asked) = (place.client, form)
        try await Failures.reported {
            guard !estimateOnly else {
                let estimate = try await LoadRun.estimate(asked, models)
                if json { return Surroundings.say(estimate.report.text) }
                for line in estimate.lines { Surroundings.say(TerminalText.safe(line)) }
                return
            }
            let (loaded, resident) = try await LoadRun.load(asked, client)
            Surroundings.say(json ? loaded.report(resident).text : TerminalText.safe(loaded.sentence(resident)))
        }
    }
}

extension LoadForm.Switch: ExpressibleByArgument {}

/// What the commands that load have in common.
enum LoadRun {
    /// - Parameter isQuiet: how far it is is not shown; else it is, on stderr.
    /// - Throws: `MartletError`; an exit code when the user interrupted it.
    static func load(
        _ form: LoadForm, _ client: MartletClient, isQuiet: Bool = false
    ) async throws -> (LoadedModel, Resident?) {
        let loaded = try await inFlags {
            try await ModelCommand.untilInterrupted { try await follow(form, client, isQuiet: isQuiet) }
        }
        guard let loaded else {
            Surroundings.complain(
                "\n\(Surroundings.program): cancelled; \(TerminalText.safe(form.model)) is not loaded")
            throw ExitCode(ExitCodes.interrupted)
        }
        return (loaded, try await ResidentList.read(client).first { $0.id == loaded.instance })
    }

    private static func follow(
        _ form: LoadForm, _ client: MartletClient, isQuiet: Bool
    ) async throws -> LoadedModel {
        var screen = ChatScreen(
            name: form.model, movesBars: Surroundings.movesBars, dims: false, showsReasoning: false)
        func show(_ step: ChatStep) {
            if !isQuiet { ChatTurn.put(screen.show(step, columns: Surroundings.columns)) }
        }
        for try await event in try await client.events("/api/v1/models/load", form.body) {
            switch LoadStep(event) {
            case .waiting(let reason): show(.waiting(reason))
            case .began: show(.loading(0))
            case .progress(let share): show(.loading(share))
            case .ended(let loaded):
                ChatTurn.put(screen.close())
                return loaded
            case .failed(let reason):
                ChatTurn.put(screen.close())
                throw MartletError(.server, reason)
            case nil: break
            }
        }
        ChatTurn.put(screen.close())
        throw MartletError(.connection, "the server ended its answer before the model was loaded")
    }

    private static func inFlags<R>(_ work: () async throws -> R) async throws -> R {
        do {
            return try await work()
        } catch let error as MartletError {
            throw MartletError(error.kind, LoadForm.refusal(error.message, isLMS: Surroundings.isLMS))
        }
    }

    /// What it would take on this machine, whatever runs there.
    static func estimate(_ form: LoadForm, _ place: ModelPlace) async throws -> LoadEstimate {
        let engine = try place.source.loadOrExplain().configuration.engine
        let store = try place.store()
        let binary = try await EngineFinder.find(
            configured: engine.binary, home: Surroundings.home, path: Surroundings.path)
        return try await LoadEstimate.make(
            ModelCommand.find(form.model, in: store), form.settings(), in: store, engine.settings(store), for: binary)
    }
}

extension LoadForm {
    /// The settings that decide what memory a load takes.
    fileprivate func settings() throws -> LoadSettings {
        func type(_ name: String?) throws -> TensorType? {
            guard let name else { return nil }
            guard let type = LoadSettings.cacheTypes.first(where: { $0.name.lowercased() == name.lowercased() }) else {
                let names = LoadSettings.cacheTypes.map { $0.name.lowercased() }.joined(separator: ", ")
                throw EngineError(.badSetting, "a cache cannot be \(name): choose one of \(names)")
            }
            return type
        }
        var settings = LoadSettings()
        settings.context = context.map { .tokens($0) }
        settings.parallel = parallel
        settings.gpuLayers = gpuLayers
        settings.flashAttention = flashAttention.flatMap { .init(rawValue: $0.rawValue) }
        settings.keyCache = try type(keyCache)
        settings.valueCache = try type(valueCache)
        settings.batch = batch
        settings.draftModel = draftModel
        settings.promptCache = promptCache.map { Int64($0) }
        settings.cacheOnGPU = cacheOnGPU
        return settings
    }
}

extension LoadEstimate {
    var lines: [String] {
        var lines = [
            "model: \(model)", "context: \(context)\(isFitted ? " (what fits)" : "")",
            "GPU memory: \(ByteCount.shown(gpuBytes))", "total memory: \(ByteCount.shown(bytes))",
        ]
        if let budget {
            lines.append(
                bytes <= budget
                    ? "it fits: engines may take \(ByteCount.shown(budget))"
                    : "it does not fit: engines may take \(ByteCount.shown(budget)). Ask for less --context, or other "
                        + "--cache-type-k and --cache-type-v")
        }
        return lines
    }

    var report: JSON {
        [
            "model": .string(model), "context_length": .int(context), "gpu_memory_bytes": .int(Int(gpuBytes)),
            "total_memory_bytes": .int(Int(bytes)), "budget_bytes": budget.map { .int(Int($0)) } ?? .null,
            "fits": budget.map { .bool(bytes <= $0) } ?? .null,
        ]
    }
}

struct Pin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keeps what is loaded: it is neither evicted for another model nor unloaded when it is idle.")

    @OptionGroup var place: Place
    @Argument(help: "What martlet ps calls it.") var identifier: String

    func run() async throws {
        try await PinRun.pin(identifier, true, place.client)
        Surroundings.say(TerminalText.safe("\(identifier) is pinned"))
    }
}

struct Unpin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Takes back martlet pin.")

    @OptionGroup var place: Place
    @Argument(help: "What martlet ps calls it.") var identifier: String

    func run() async throws {
        try await PinRun.pin(identifier, false, place.client)
        Surroundings.say(TerminalText.safe("\(identifier) is no longer pinned"))
    }
}

private enum PinRun {
    static func pin(_ id: String, _ isPinned: Bool, _ client: MartletClient) async throws {
        try await Failures.reported {
            _ = try await client.ask(
                "/admin/v1/residents/pin", ["instance_id": .string(id), "pinned": .bool(isPinned)])
        }
    }
}

struct Unload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Unloads a model once its requests are done; a load under way is cancelled.")

    @OptionGroup var place: Place
    @Flag(name: .shortAndLong, help: "Unload all.") var all = false
    @Flag(help: "Do not wait for requests under way; they fail.") var force = false
    @Argument(help: "What martlet ps calls it.") var identifier: String?

    func validate() throws {
        guard all != (identifier != nil) else { throw ValidationError("name an IDENTIFIER, or say --all") }
    }

    func run() async throws {
        let client = place.client
        try await Failures.reported {
            for (id, isDraining) in try await UnloadRun.unload(identifier, isForced: force, client) {
                let what =
                    isDraining
                    ? "takes no more requests, and is unloaded after those it has; at once by: martlet unload --force \(id)"
                    : "is unloaded"
                Surroundings.say(TerminalText.safe("\(id) \(what)"))
            }
        }
    }
}

/// What the commands that unload have in common.
enum UnloadRun {
    /// - Parameters:
    ///   - id: nil: all.
    ///   - isForced: requests under way are not waited for.
    /// - Returns: each, and whether it stays until its requests are done.
    static func unload(
        _ id: String?, isForced: Bool = false, _ client: MartletClient
    ) async throws -> [(id: String, isDraining: Bool)] {
        var ids: [String] = []
        if let id { ids = [id] } else { ids = try await ResidentList.read(client).map(\.id) }
        var gone: [(id: String, isDraining: Bool)] = []
        for id in ids {
            var body: JSON = ["instance_id": .string(id)]
            if isForced { body["force"] = true }
            // It may have requests, for which the server waits a while.
            let reply = try await client.ask("/api/v1/models/unload", body, within: .seconds(60))
            gone.append((id, reply["status"]?.string == "draining"))
        }
        return gone
    }
}
