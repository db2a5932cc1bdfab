/// Layers that keep a state of one size instead of keys and values (`n_embd_r`, `n_embd_s` and `is_recr` in llama.cpp's
/// llama-hparams.cpp and models/*.cpp).
struct RecurrentState {
    /// Elements that one sequence takes in one layer.
    private(set) var elements = 0
    /// The layers have both: Falcon-H1.
    let isBesideAttention: Bool

    private let isWhole: Bool
    /// Every so many layers one has attention; nil: those with heads for keys and values have.
    private let interval: Int?

    private static let whole: Set<String> = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"]
    /// Files of these may leave out the interval (models/qwen3next.cpp, qwen35.cpp, qwen35moe.cpp).
    private static let everyFourth: Set<String> = ["qwen3next", "qwen35", "qwen35moe", "qwen4exp"]

    init(_ keys: ModelKeys, _ architecture: String) throws(EngineError) {
        isWhole = Self.whole.contains(architecture)
        isBesideAttention = architecture == "falcon-h1"
        interval =
            try keys.model("full_attention_interval", most: ModelKeys.mostLayers)
            ?? (Self.everyFourth.contains(architecture) ? 4 : nil)
        // So that no product below goes beyond 2^60.
        let most = 1 << 20
        let embedding = try keys.model("embedding_length", most: ModelKeys.mostElements) ?? 0
        let heads = try keys.layers("attention.head_count", most: ModelKeys.mostElements).max() ?? 0
        let kernel = try keys.model("ssm.conv_kernel", most: most) ?? 0
        if let size = try keys.model("wkv.head_size", most: most) {
            let shifts = try keys.model("token_shift_count", most: most) ?? 2
            elements = embedding * (size + shifts)
        } else if let taps = try keys.model("shortconv.l_cache", most: most) {
            elements = embedding * max(0, taps - 1)
        } else if let size = try keys.model("kda.head_dim", most: 1 << 12) {
            elements = heads * size * (size + 3 * (kernel > 0 ? kernel - 1 : 3))
        } else if let inner = try keys.model("ssm.inner_size", most: most) {
            let state = try keys.model("ssm.state_size", most: most) ?? 0
            let groups = try keys.model("ssm.group_count", most: 1 << 12) ?? 0
            elements = (inner + 2 * groups * state) * max(0, kernel - 1) + state * inner
        }
    }

    func holds(_ index: Int, keyValueHeads: Int) -> Bool {
        guard elements > 0 else { return false }
        if isWhole || isBesideAttention { return true }
        if let interval, interval > 0 { return (index + 1) % interval != 0 }
        return keyValueHeads == 0
    }
}
