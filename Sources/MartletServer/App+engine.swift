import Logging
import MartletDialects
package import MartletEngine
import MartletGateway
import MartletTransport
import NIOCore

extension App {
    func makeSupervisor(_ store: ModelStore, _ calls: CallBox, _ catalog: CatalogBox, _ log: LogFeed) -> Supervisor {
        var settings = configuration.engine.settings(store)
        // Waiting threads sleep: engines share the machine with the gateway and with each other.
        settings.extra = ["--poll", "0"]
        let binary = configuration.engine.binary
        let (home, path, logger) = (self.home, self.path, self.logger)
        let probed = UpstreamFactory.engine()
        return Supervisor(
            store: store,
            binary: { () async throws(EngineError) -> EngineBinary in
                let found = try await EngineFinder.find(configured: binary, home: home, path: path)
                logger.info(
                    "engine found",
                    metadata: [
                        "version": "\(found.version)", "backend": "\(found.backend)", "origin": "\(found.origin)",
                    ])
                var runtime = probed.profile.runtime
                runtime.version = found.version
                await catalog.value?.note(runtime, of: probed.name)
                if let warning = EngineFinder.gpuWarning(for: found) {
                    logger.warning("a GPU is not used", metadata: ["reason": "\(warning)"])
                }
                return found
            }, home: home, settings: settings,
            probe: { socket in
                guard let calls = calls.value else { return .notYet }
                let origin = Origin(address: .unix(path: socket))
                let reply = try? await calls.get("/health", at: probed, origin: origin, timeout: .seconds(2))
                guard reply?.head.status == 200 else { return .notYet }
                // What it holds depends on the memory there was: the engine knows it, once it has loaded.
                let lists = ModelLists(probed, at: origin, over: calls, patience: .milliseconds(500))
                if case .success(let models) = await lists.read() {
                    await catalog.value?.note(models, servedBy: probed.name)
                }
                return .ready
            }, onLine: { log.append($0) }, logger: logger)
    }
}

extension App {
    /// What is configured for the engine and can never work, a sentence each.
    func engineFaults(_ store: ModelStore) -> [String] {
        let options = configuration.engine
        let missing = options.binary.flatMap { EngineFinder.fault(configured: $0, path: path) }
        return (missing.map { [$0] } ?? []) + options.faults(store).prefix(5)
    }
}

extension Configuration.EngineOptions {
    /// How engines are run, as far as the configuration says.
    package func settings(_ store: ModelStore) -> EngineSettings {
        var settings = EngineSettings()
        settings.memory = memory
        settings.load = load
        settings.ofModel = { self.settings(of: $0, store.spellings()) }
        return settings
    }

    /// What is set and can never work, a sentence each, but for the engine itself. Blocks while headers are read.
    func faults(_ store: ModelStore) -> [String] {
        var sentences = settings(store).faults(in: store)
        if let draft = load.draftModel, store.find(draft) == nil {
            sentences.append("engine.draft_model is \(draft), which is not installed: models are loaded without it.")
        }
        return sentences
    }

    /// What is set and has no effect, a sentence each.
    func idle(_ store: ModelStore) -> [String] {
        var first: [String: String] = [:]
        return ofModels.compactMap { own in
            let key = "\(ConfigurationKeys.modelLoads).\(own.model)"
            guard let id = store.find(own.model)?.id else {
                return "\(key) has no effect: no model of that name is installed"
            }
            guard let other = first[id] else {
                first[id] = own.model
                return nil
            }
            return "\(key) has no effect: \(ConfigurationKeys.modelLoads).\(other) is about the same model"
        }
    }

    /// What is said of one model.
    /// - Parameter spellings: of models' names, in lower case.
    func settings(of model: String, _ spellings: [String: String]) -> LoadSettings? {
        ofModels.first { $0.model == model || spellings[$0.model.lowercased()] == model }?.settings
    }

    /// Tokens a model is loaded with when a request comes; nil: its engine chooses.
    func context(of model: String, _ spellings: [String: String]) -> Int? {
        let context = settings(of: model, spellings)?.context ?? load.context
        return if case .tokens(let tokens) = context { tokens } else { nil }
    }
}
