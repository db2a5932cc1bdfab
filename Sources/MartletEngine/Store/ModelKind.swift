extension ModelFacts {
    /// Architectures that write no text.
    private static let encoders = AttentionShape.withoutMemory.union(["llama-embed", "t5encoder"])

    /// What is no model for llama-server, and why.
    private static let others: [String: String] = [
        "controlvector": "it is a control vector, used with a model and not by itself",
        "eagle3": "it is a draft head, used with a larger model and not by itself",
        "dflash": "it is a draft head, used with a larger model and not by itself",
        "gemma4-assistant": "it is a draft head, used with a larger model and not by itself",
        "wavtokenizer-dec": "it turns codes into sound and writes no text",
        "qwen3tts": "it turns text into sound and writes none",
        "pockettts": "it turns text into sound and writes none",
    ]

    /// llama.cpp's `LLAMA_POOLING_TYPE_*` (llama.h).
    private enum PoolingType { static let none = 0, rank = 4 }

    static func kind(_ keys: ModelKeys, _ tensors: [GGUFHeader.Tensor]) -> Kind {
        switch keys.text("general.type") {
        case "adapter": return .other("it is an adapter (LoRA), used with a model and not by itself")
        case "imatrix": return .other("it is an importance matrix, for quantising a model")
        case "mmproj": return .projector
        default: break
        }
        guard let architecture = keys.architecture else { return .other("it does not say what architecture it is of") }
        if architecture == "clip" { return .projector }
        if let clause = others[architecture] { return .other(clause) }
        if let number = keys.count("split.no"), number > 0 {
            return .other("it is part \(number + 1) of a model, whose first part loads them all")
        }
        if tensors.isEmpty { return .other("it holds a vocabulary and no weights") }
        let pooling = keys.count("\(architecture).pooling_type") ?? PoolingType.none
        if pooling == PoolingType.rank
            || tensors.contains(where: { $0.name.hasPrefix("cls.") && $0.name != "cls.norm.weight" })
        {
            return .reranker
        }
        if pooling != PoolingType.none { return .embedding(.own) }
        if encoders.contains(architecture) { return .embedding(.mean) }
        return isNamedForEmbeddings(keys) ? .embedding(.last) : .llm
    }

    static func isProjector(_ header: GGUFHeader) -> Bool {
        kind(ModelKeys(header.values), header.tensors) == .projector
    }

    /// Files of embedding models made of ones that write text are old enough to say nothing of it but their name, and
    /// have no chat template. Such models put the sense of a text into its last token.
    private static func isNamedForEmbeddings(_ keys: ModelKeys) -> Bool {
        let name = [keys.text("general.name"), keys.text("general.basename")].compactMap(\.self).joined(separator: " ")
        return name.lowercased().contains("embed") && keys.template() == nil
    }
}
