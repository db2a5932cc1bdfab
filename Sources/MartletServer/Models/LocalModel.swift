package import MartletEngine
package import MartletGateway
package import MartletWire

/// A model of this machine, with what its files say of it, in the words of LM Studio's lists (docs/LMSTUDIO.md,
/// its own API).
package struct LocalModel: Sendable, Hashable {
    package let model: InstalledModel
    package let facts: Result<ModelFacts, EngineError>

    package init(_ model: InstalledModel, in store: ModelStore) {
        self.model = model
        facts = Result { () throws(EngineError) in try store.facts(of: model) }
    }

    /// All models in the store. Blocks while headers are read that were not read before.
    package static func all(in store: ModelStore) -> [LocalModel] { store.models().map { LocalModel($0, in: store) } }

    /// Ids of those that can be loaded, and why others cannot.
    package static func divided(_ models: [LocalModel]) -> (ids: [String], unusable: [String: String]) {
        var unusable: [String: String] = [:]
        for local in models { unusable[local.model.id] = local.problem }
        return (models.map(\.model.id).filter { unusable[$0] == nil }, unusable)
    }

    /// Its facts, where it can be loaded.
    package var usable: ModelFacts? {
        guard problem == nil, case .success(let facts) = facts else { return nil }
        return facts
    }

    /// Why it cannot be loaded; a clause or a sentence, without a full stop.
    package var problem: String? {
        switch facts {
        case .failure(let error): error.message
        case .success(let facts):
            switch facts.kind {
            case .llm, .embedding, .reranker: nil
            case .projector: "it is a projector, used with a model and not by itself"
            case .other(let clause): clause
            }
        }
    }

    /// The same of files that are as they were published, so that downloading them again does not help.
    package var publishedProblem: String? {
        problem.map { $0.hasSuffix(EngineError.again) ? String($0.dropLast(EngineError.again.count)) : $0 }
    }

    /// It makes vectors or ranks, and writes no text.
    package var isEncoder: Bool { work == .embeddings || work == .ranking }

    /// What it is for; nil when it cannot be loaded.
    package var work: ModelWork? {
        switch usable?.kind {
        case .llm: .text(seesImages: usable?.senses.vision == true, hears: usable?.senses.audio == true)
        case .embedding: .embeddings
        case .reranker: .ranking
        case .projector, .other, nil: nil
        }
    }

    /// Words for reasoning that it takes, none where it does not reason; nil when it writes no text.
    package var reasoning: [String]? {
        guard let facts = usable, facts.kind == .llm, let template = facts.template else { return nil }
        return template.reasoning?.allowed.map(\.rawValue) ?? []
    }

    /// Of `tool_use`, `vision`, `audio`, `reasoning`.
    package var abilities: [String] {
        guard let facts = usable, facts.kind == .llm else { return [] }
        return [
            facts.template?.tools == true ? "tool_use" : nil, facts.senses.vision ? "vision" : nil,
            facts.senses.audio ? "audio" : nil, facts.template?.reasoning != nil ? "reasoning" : nil,
        ].compactMap(\.self)
    }

    // MARK: Entries

    /// An entry of `GET /api/v1/models`, without what is loaded. Of one that cannot be loaded only what is known, and
    /// `problem`, which is ours.
    package var entry: JSON {
        guard let facts = usable else {
            return [
                "publisher": .string(model.publisher), "key": .string(model.id), "size_bytes": .int(Int(model.bytes)),
                "problem": problem.map(JSON.string) ?? .null,
            ]
        }
        var entry: JSON = [
            "type": isEncoder ? "embedding" : "llm", "publisher": .string(model.publisher), "key": .string(model.id),
            "display_name": .string(facts.displayName ?? model.id),
        ]
        if !isEncoder { entry["architecture"] = facts.architecture.map(JSON.string) ?? .null }
        entry["quantization"] =
            facts.quantisation.map { ["name": .string($0.name), "bits_per_weight": .int($0.bits)] } ?? .null
        entry["size_bytes"] = .int(Int(model.bytes))
        entry["params_string"] = facts.parameters.text.map(JSON.string) ?? .null
        entry["max_context_length"] = .int(facts.trainedContext ?? 0)
        entry["format"] = "gguf"
        guard !isEncoder else { return entry }
        var capabilities: JSON = [
            "vision": .bool(facts.senses.vision), "trained_for_tool_use": .bool(facts.template?.tools ?? false),
        ]
        if let reasoning = facts.template?.reasoning {
            capabilities["reasoning"] = [
                "allowed_options": .array(reasoning.allowed.map { .string($0.rawValue) }),
                "default": .string(reasoning.usual.rawValue),
            ]
        }
        entry["capabilities"] = capabilities
        entry["description"] = .null
        return entry
    }

    /// An entry of `GET /api/v0/models`; nil of one that cannot be loaded. Some clients refuse a whole list for one
    /// entry without a member they know, so all are there.
    /// - Parameter window: tokens it is loaded with; nil: it is not loaded, or its engine has not told.
    package func legacyEntry(state: ResidentModel.State?, window: Int?) -> JSON? {
        guard let facts = usable else { return nil }
        let name =
            switch state {
            case .ready, .draining: "loaded"
            case .loading: "loading"
            case .stopping, .crashed, nil: "not-loaded"
            }
        var entry: JSON = [
            "id": .string(model.id), "object": "model",
            "type": isEncoder ? "embeddings" : facts.senses.vision ? "vlm" : "llm",
            "publisher": .string(model.publisher), "arch": .string(facts.architecture ?? ""),
            "compatibility_type": "gguf", "quantization": .string(facts.quantisation?.name ?? ""),
            "state": .string(name), "max_context_length": .int(facts.trainedContext ?? 0),
        ]
        if name == "loaded", let window { entry["loaded_context_length"] = .int(window) }
        if !isEncoder {
            entry["capabilities"] = .array(abilities.filter { $0 != "reasoning" }.map(JSON.string))
        }
        return entry
    }
}
