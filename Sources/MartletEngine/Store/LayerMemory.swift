/// What one layer keeps of each sequence while it is worked on, in elements.
///
/// By llama.cpp's `llama_hparams` (llama-hparams.cpp) and the key-value caches that are made of it (llama-kv-cache.cpp,
/// llama-kv-cache-iswa.cpp, llama-memory-recurrent.cpp).
package struct LayerMemory: Sendable, Hashable {
    /// Elements of the keys of one token; 0 where the layer keeps none.
    package var keys = 0
    /// Of the values; 0 also where they are read out of the keys (MLA).
    package var values = 0
    /// Heads that keys and values are kept for.
    package var heads = 0
    /// Tokens the layer looks back on; nil: all.
    package var window: Int?
    /// Elements of a state that does not grow (Mamba, RWKV and their kin), kept as 32-bit numbers; 0: it has none.
    package var state = 0

    package init() {}

    /// One for each layer of the model; none for what has no layers.
    static func layers(_ keys: ModelKeys) throws(EngineError) -> [LayerMemory] {
        guard let architecture = keys.architecture,
            let count = try keys.model("block_count", most: ModelKeys.mostLayers), count > 0
        else { return [] }
        let shape = try AttentionShape(keys, architecture)
        let state = try RecurrentState(keys, architecture)
        let windows = try SlidingWindows(keys, architecture, layers: count)
        var layers: [LayerMemory] = []
        for index in 0..<count {
            var layer = LayerMemory()
            let isRecurrent = state.holds(index, keyValueHeads: shape.keyValueHeads(index))
            if isRecurrent { layer.state = state.elements }
            if shape.isKept(index, of: count), !isRecurrent || state.isBesideAttention {
                layer.window = windows.window(index)
                (layer.keys, layer.values) = shape.elements(index, isWindowed: layer.window != nil)
                layer.heads = shape.keyValueHeads(index)
            }
            layers.append(layer)
        }
        return layers
    }
}

/// How large keys and values are.
struct AttentionShape {
    private let isEncoder: Bool
    private let heads: [Int]
    private let keyValueHeads: [Int]
    private let full: (key: Int, value: Int)
    private let windowed: (key: Int, value: Int)
    private let isMLA: Bool
    /// The last layers that use the keys and values of others.
    private let shared: Int

    /// Encoders, which read a text once and keep nothing of it (`llama_model::create_memory` in llama-model.cpp).
    static let withoutMemory: Set<String> = [
        "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
        "gemma-embedding",
    ]

    init(_ keys: ModelKeys, _ architecture: String) throws(EngineError) {
        let most = ModelKeys.mostElements
        isEncoder = Self.withoutMemory.contains(architecture)
        heads = try keys.layers("attention.head_count", most: most)
        keyValueHeads = try keys.layers("attention.head_count_kv", most: most)
        let embedding = try keys.model("embedding_length", most: most) ?? 0
        let usual = heads.first.map { $0 > 0 ? embedding / $0 : 0 } ?? 0
        full = (
            try keys.model("attention.key_length", most: most) ?? usual,
            try keys.model("attention.value_length", most: most) ?? usual
        )
        windowed = (
            try keys.model("attention.key_length_swa", most: most) ?? full.key,
            try keys.model("attention.value_length_swa", most: most) ?? full.value
        )
        isMLA = try keys.model("attention.key_length_mla", most: most) ?? 0 > 0
        let shared = try keys.model("attention.shared_kv_layers", most: ModelKeys.mostLayers)
        // Gemma 3n does not say so: layers from the 20th on share (models/gemma3n.cpp).
        let layers = try keys.model("block_count", most: ModelKeys.mostLayers) ?? 0
        self.shared = architecture == "gemma3n" ? max(0, layers - 20) : shared ?? 0
    }

    /// Heads of the layer that keys and values are kept for; those of the queries where the file does not say.
    func keyValueHeads(_ index: Int) -> Int {
        let list = keyValueHeads.isEmpty ? heads : keyValueHeads
        return list.count == 1 ? list[0] : list.indices.contains(index) ? list[index] : 0
    }

    func isKept(_ index: Int, of count: Int) -> Bool { !isEncoder && index < count - shared }

    /// Elements of one token's keys and values.
    func elements(_ index: Int, isWindowed: Bool) -> (keys: Int, values: Int) {
        let length = isWindowed ? windowed : full
        let heads = keyValueHeads(index)
        return (length.key * heads, isMLA ? 0 : length.value * heads)
    }
}
