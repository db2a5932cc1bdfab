import ArgumentParser
import FoundationEssentials
import Logging
import MartletCommands
import MartletEngine
import MartletHub
import MartletServer
import UnixSignals

/// Where the commands on models find them: in the folder that `serve` would take. They need no server; one that runs
/// looks into the folder again by itself.
struct ModelPlace: ParsableArguments {
    @OptionGroup var source: ConfigurationSource

    func store() throws -> ModelStore {
        let configured = try source.loadOrExplain().configuration.engine.models
        return ModelStore(root: configured ?? Surroundings.home + "/models") {
            Surroundings.complain("martlet: \(TerminalText.safe($0))")
        }
    }
}

/// What the commands on models have in common.
enum ModelCommand {
    /// Hands over a client of the hub that the environment names, and ends it afterwards.
    static func withHub<R>(_ work: (HubClient) async throws -> R) async throws -> R {
        let client = HubClient(
            endpoint: try HubEndpoint(environment: Surroundings.environment),
            proxy: HubProxy(environment: Surroundings.environment)
        ) { error, pause in
            let seconds = max(1, Int((pause / .seconds(1)).rounded()))
            // A bar may stand in this line; it is drawn anew.
            let start = Surroundings.movesBars ? "\r\u{1B}[K" : ""
            Surroundings.complain(
                start + TerminalText.safe("\(Surroundings.program): \(error.reason); trying again in \(seconds) s"))
        }
        do {
            let result = try await work(client)
            await client.shutdown()
            return result
        } catch {
            await client.shutdown()
            throw error
        }
    }

    /// Runs the work until it is done, or the user interrupts it, which cancels it.
    /// - Returns: nil when it was interrupted.
    static func untilInterrupted<R: Sendable>(_ work: @escaping @Sendable () async throws -> R) async throws -> R? {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                for await _ in signals { return nil }
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { return nil }
            return first
        }
    }

    /// What the library logs is for servers; a command says what matters itself.
    static var quiet: Logger { Logger(label: "martlet") { _ in SwiftLogNoOpLogHandler() } }

    /// What to do with a model that has come.
    static func next(_ id: String, isEncoder: Bool) -> String {
        TerminalText.safe(
            isEncoder
                ? "next: martlet serve, and ask /v1/embeddings for \(id)"
                : Surroundings.isLMS
                    ? "next: lms server start, and lms chat \(id)"
                    : "next: martlet chat -m \(id) \"hello\", while martlet serve runs")
    }

    /// Asks for a yes. Where nobody can be asked it is a usage error that names the flag.
    static func confirm(_ question: String) throws -> Bool {
        guard Surroundings.isTerminal(0), Surroundings.isTerminal(2) else {
            Surroundings.complain(
                "martlet: \(TerminalText.safe(question)) Say --yes, as there is no terminal to ask on")
            throw ExitCode(ExitCodes.usage)
        }
        let answer = Surroundings.answer(to: TerminalText.safe(question) + " [y/N] ")
        return ["y", "yes"].contains(answer?.lowercased() ?? "")
    }

    /// The model of an id, or of a path as listings show it.
    /// - Throws: a sentence that names what is near.
    static func find(_ name: String, in store: ModelStore) throws(EngineError) -> InstalledModel {
        let models = store.models()
        if let model = store.find(name) ?? models.first(where: { $0.path == name || $0.place == name }) {
            return model
        }
        guard !name.hasPrefix("/"), !name.hasPrefix("."), !name.hasPrefix("~") else {
            throw EngineError(
                .outsideModels, "\(name) is no model in the folder of models, and what lies elsewhere is left alone")
        }
        let near = Listing.closest(to: name, among: models.map(\.id))
        throw EngineError(
            .noSuchModel,
            "there is no model \"\(name)\" here" + (near.isEmpty ? "" : "; closest: \(near.joined(separator: ", "))")
                + ". See what there is with: martlet ls")
    }
}
