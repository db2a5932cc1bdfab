import MartletWire

extension EffectiveLoad {
    /// Fits them to a model, as ``fit(_:of:)`` does.
    ///
    /// - Parameter configured: what holds where nobody but the configuration says anything.
    /// - Throws: `badSetting`; `badConfiguration`, which names the key, where the fault is not the request's.
    mutating func fit(
        _ facts: ModelFacts, of model: String, configured: EffectiveLoad
    ) throws(EngineError) {
        do throws(EngineError) {
            try fit(facts, of: model)
        } catch {
            if let fault = configured.fault(facts, of: model), fault.cause == error { throw fault.told }
            throw error
        }
    }

    /// What can never work in a configuration, and how that is told; nil: it works.
    fileprivate func fault(_ facts: ModelFacts, of model: String) -> (cause: EngineError, told: EngineError)? {
        var load = self
        do throws(EngineError) {
            try load.fit(facts, of: model)
            return nil
        } catch {
            let name: String
            let origin: SettingOrigin?
            switch error.setting {
            case "context_length": (name, origin) = ("context", context.origin)
            case "cache_type_v": (name, origin) = ("cache_type_v", valueCache?.origin)
            default: return nil
            }
            let key = origin == .modelSettings ? "engine.settings.\(model).\(name)" : "engine.\(name)"
            return (error, EngineError(.badConfiguration, "\(key) cannot be used: \(error.message)"))
        }
    }
}

extension EngineSettings {
    /// How a model is loaded as far as the configuration says.
    func configured(_ model: String, isExplicit: Bool = false) -> EffectiveLoad {
        var effective = EffectiveLoad(isExplicit: isExplicit)
        for (var settings, origin) in [
            (load, SettingOrigin.configuration), (ofModel(model) ?? LoadSettings(), .modelSettings),
        ] {
            // A TTL of the configuration is about models that come by themselves.
            if isExplicit { settings.keepAlive = nil }
            effective.apply(settings, from: origin)
        }
        return effective
    }

    /// What is set and can never work with the models that are installed: a sentence each. Blocks while headers are read.
    package func faults(in store: ModelStore) -> [String] {
        var sentences: [String] = []
        var tooLarge: [String] = []
        for model in store.models() {
            guard let facts = try? store.facts(of: model) else { continue }
            switch facts.kind {
            case .llm, .embedding, .reranker: break
            case .projector, .other: continue
            }
            let load = configured(model.id)
            if let fault = load.fault(facts, of: model.id)?.told, !sentences.contains(fault.message) {
                sentences.append(fault.message)
            }
            guard case .bytes(let budget) = memory else { continue }
            var estimate = MemoryEstimate.Load(context: 0)
            estimate.batch = load.batch?.value ?? estimate.batch
            // Nobody who asks for a shorter context, or one at a time, gets it into less.
            let least = LoadSize(facts, estimate, context: nil).least
            if least > budget { tooLarge.append("\(model.id) (\(ByteCount.shown(least)))") }
        }
        if case .bytes(let budget) = memory, !tooLarge.isEmpty {
            let more = tooLarge.count > 5 ? " and \(tooLarge.count - 5) more" : ""
            sentences.append(
                "engine.memory is \(ByteCount.shown(budget)), into which these can never be loaded: "
                    + tooLarge.prefix(5).joined(separator: ", ") + more + ".")
        }
        return sentences
    }
}
