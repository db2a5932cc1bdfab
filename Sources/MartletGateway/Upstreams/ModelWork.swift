import MartletDialects

/// What a model is for, where its upstream tells.
package enum ModelWork: Sendable, Hashable {
    case text(seesImages: Bool, hears: Bool = true)
    case embeddings
    case ranking

    /// Whether that is what is asked of it; nil: a completion.
    func does(_ task: VectorTask?) -> Bool {
        switch (self, task) {
        case (.text, nil), (.embeddings, .embeddings), (.ranking, .rerank): true
        case (.text, _), (.embeddings, _), (.ranking, _): false
        }
    }

    /// - Throws: `invalidRequest`, when a model of that name is for something else.
    func check(_ task: VectorTask?, of model: String) throws(GatewayError) {
        guard !does(task) else { return }
        let own =
            switch self {
            case .text: "writes text"
            case .embeddings: "makes embeddings (POST /v1/embeddings)"
            case .ranking: "ranks documents (POST /v1/rerank)"
            }
        throw GatewayError(
            code: .invalidRequest,
            message: "\(model) \(own) and \(Self.lack(of: task)); name a model that does, see: martlet ls",
            param: "model")
    }

    private static func lack(of task: VectorTask?) -> String {
        switch task {
        case nil: "writes no text"
        case .embeddings: "makes no embeddings"
        case .rerank: "ranks no documents"
        }
    }
}

extension Capabilities {
    /// Those of a model that is for this only.
    func limited(to work: ModelWork) -> Capabilities {
        var flags = self
        if case .text(seesImages: true, _) = work {} else { flags.images = .none }
        if !work.does(nil) { flags.completions = nil }
        if !work.does(.embeddings) { flags.embeddings = .none }
        if !work.does(.rerank) { flags.rerank = false }
        return flags
    }
}
