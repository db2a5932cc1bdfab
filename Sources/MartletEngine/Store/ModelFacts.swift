/// What a model's files say of it in their headers, checked but not proven: only the engine that loads it knows.
package struct ModelFacts: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case llm
        case embedding(Pooling = .own)
        case reranker
        /// What lets a model see or hear; loaded beside its weights.
        case projector
        /// Nothing to be loaded by itself; the clause says why: `it is an adapter (LoRA), …`.
        case other(String)
    }

    /// How the vectors of a text's tokens become one.
    package enum Pooling: String, Sendable, Hashable {
        /// As the file says.
        case own
        /// The file says nothing, and the engine has to be told.
        case mean, last
    }

    package var kind: Kind
    /// llama.cpp's name of it, such as `qwen3moe`; nil where the file names none.
    package var architecture: String?
    /// For people; nil where the file names none.
    package var displayName: String?
    package var parameters: ParameterCount
    package var quantisation: Quantisation?
    /// Tokens the model was trained to look back on; nil where the file does not say, or there is no such thing.
    package var trainedContext: Int?
    /// Entries of its vocabulary; 0 where there is none.
    package var vocabulary: Int
    /// Elements of a token's vector.
    package var embeddingLength: Int
    /// Elements between the two matrices of a feed-forward layer, at most.
    package var feedForwardLength: Int
    /// Query heads of a layer, at most; 0 where there are none.
    package var heads: Int
    /// What each layer keeps of a sequence; their number is that of the layers.
    package var layers: [LayerMemory]
    /// How many experts there are and how many work on a token; nil where there are none.
    package var experts: Experts?
    /// Nil: there is no chat template.
    package var template: TemplateAbilities?
    /// What the projector beside the weights, or the file if it is one, lets in.
    package var senses: Senses
    /// Bytes of all tensors, of all parts.
    package var weightBytes: Int64
    /// Bytes of the tensors of the projector beside the weights; 0 without one.
    package var projectorBytes: Int64

    package struct Experts: Sendable, Hashable {
        package var count: Int
        package var used: Int

        package init(count: Int, used: Int) {
            self.count = count
            self.used = used
        }
    }

    package struct Senses: Sendable, Hashable {
        package var vision = false
        package var audio = false

        package init(vision: Bool = false, audio: Bool = false) {
            self.vision = vision
            self.audio = audio
        }
    }

    /// - Parameters:
    ///   - parts: the headers of a model's parts, in order; at least one.
    ///   - projector: that of the projector that lies beside the weights.
    /// - Throws: `.unreadableModel` when parts do not belong together, or a number is beyond what llama.cpp takes.
    package init(_ parts: [GGUFHeader], projector: GGUFHeader? = nil) throws(EngineError) {
        guard let first = parts.first else { throw EngineError(.unreadableModel, "there is no header to read") }
        let keys = ModelKeys(first.values)
        let tensors = parts.flatMap(\.tensors)
        try Self.checkParts(parts, keys)
        kind = Self.kind(keys, tensors)
        architecture = keys.architecture
        displayName = keys.text("general.name").flatMap(Self.name)
        experts = try Self.experts(keys)
        parameters = ParameterCount(
            tensors, label: keys.text("general.size_label"), experts: experts.map { ($0.count, $0.used) })
        quantisation = Quantisation(fileType: keys.count("general.file_type"), tensors: tensors)
        trainedContext = try keys.model("context_length", most: Int(Int32.max)).flatMap { $0 > 0 ? $0 : nil }
        vocabulary = try keys.vocabulary()
        embeddingLength = try keys.model("embedding_length", most: ModelKeys.mostElements) ?? 0
        feedForwardLength = try keys.layers("feed_forward_length", most: ModelKeys.mostElements).max() ?? 0
        heads = try keys.layers("attention.head_count", most: ModelKeys.mostElements).max() ?? 0
        layers = try LayerMemory.layers(keys)
        template = keys.template()
        senses = Self.senses(kind == .projector ? keys : projector.map { ModelKeys($0.values) })
        weightBytes = Self.bytes(tensors)
        projectorBytes = projector.map { Self.bytes($0.tensors) } ?? 0
    }

    private static func experts(_ keys: ModelKeys) throws(EngineError) -> Experts? {
        guard let count = try keys.model("expert_count", most: 65_536), count > 0 else { return nil }
        let used = try keys.layers("expert_used_count", most: 65_536).max() ?? 0
        return Experts(count: count, used: used > 0 ? min(used, count) : count)
    }

    private static func bytes(_ tensors: [GGUFHeader.Tensor]) -> Int64 {
        // All of them lie in files, one behind the other.
        tensors.reduce(0) { $0 + Int64(clamping: $1.bytes) }
    }

    private static func name(_ text: String) -> String? {
        let shown = Shown.text(text, most: 120)
        guard let start = shown.firstIndex(where: { !$0.isWhitespace }),
            let end = shown.lastIndex(where: { !$0.isWhitespace })
        else { return nil }
        return String(shown[start...end])
    }

    private static func senses(_ keys: ModelKeys?) -> Senses {
        guard let keys else { return Senses() }
        let audio = keys.flag("clip.has_audio_encoder") ?? false
        // Old projectors say nothing, and are for images.
        return Senses(vision: keys.flag("clip.has_vision_encoder") ?? !audio, audio: audio)
    }

    /// As `gguf-split` writes them: each part says how many there are and which it is, from 0.
    private static func checkParts(_ parts: [GGUFHeader], _ keys: ModelKeys) throws(EngineError) {
        let said = keys.count("split.count") ?? 1
        guard parts.count > 1 || said > 1 else { return }
        guard said == parts.count else {
            throw EngineError(
                .incompleteModel,
                "the model says that it has \(said) parts, and \(parts.count) are here\(EngineError.again)")
        }
        for (number, part) in parts.enumerated() where ModelKeys(part.values).count("split.no") != number {
            throw EngineError(
                .unreadableModel,
                "part \(number + 1) of \(said) says that it is another: the parts do not belong together")
        }
        let here = parts.reduce(0) { $0 + $1.tensors.count }
        if let all = keys.count("split.tensors.count"), all != here {
            throw EngineError(
                .unreadableModel,
                "the model says that it has \(all) tensors, and its parts have \(here): they do not belong together")
        }
    }
}
