import MartletEngine
import MartletTestSupport
import Testing

/// A header of an architecture and what each of its layers keeps of a sequence.
struct LayersCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var model: GGUFWriter
    var layers: [LayerMemory]

    init(
        _ architecture: String, _ keys: [(String, GGUFWriter.Value)], _ layers: [LayerMemory], _ what: String = ""
    ) {
        testDescription = what.isEmpty ? architecture : "\(architecture), \(what)"
        model = .model(architecture, layers: UInt32(layers.count), keys)
        self.layers = layers
    }

    private static func kept(
        _ keys: Int, _ values: Int? = nil, heads: Int = 16, window: Int? = nil, state: Int = 0
    ) -> LayerMemory {
        var layer = LayerMemory()
        (layer.keys, layer.values, layer.heads, layer.window) = (keys, values ?? keys, heads, window)
        layer.state = state
        return layer
    }

    private static func state(_ elements: Int) -> LayerMemory { kept(0, heads: 0, state: elements) }

    /// `full` at every so many, the others with a window.
    private static func every(_ period: Int, of count: Int, isFirst: Bool = false, window: Int) -> [LayerMemory] {
        (0..<count).map { index in
            kept(1024, window: index % period == (isFirst ? 0 : period - 1) ? nil : window)
        }
    }

    static let all: [LayersCase] = [
        LayersCase("gpt2", [], Array(repeating: kept(1024), count: 4), "no heads of its own for keys and values"),
        LayersCase(
            "llama", [("ARCH.attention.head_count_kv", .uint32(4))], Array(repeating: kept(256, heads: 4), count: 4)),
        LayersCase(
            "qwen3",
            [
                ("ARCH.attention.head_count_kv", .uint32(8)), ("ARCH.attention.key_length", .uint32(128)),
                ("ARCH.attention.value_length", .uint32(96)), ("ARCH.attention.sliding_window", .uint32(4096)),
            ], Array(repeating: kept(1024, 768, heads: 8), count: 3), "a window it does not use"),
        LayersCase(
            "deci", [("ARCH.attention.head_count_kv", GGUFWriter.numbers([8, 0, 2]))],
            [kept(512, heads: 8), kept(0, heads: 0), kept(128, heads: 2)], "heads of each layer"),
        LayersCase("gemma2", [], every(2, of: 4, window: 4096)),
        LayersCase("gemma3", [("ARCH.attention.sliding_window", .uint32(1024))], every(6, of: 13, window: 1024)),
        LayersCase("gemma3", [], Array(repeating: kept(1024), count: 3), "no window"),
        LayersCase("gpt-oss", [("ARCH.attention.sliding_window", .uint32(128))], every(2, of: 5, window: 128)),
        LayersCase(
            "cohere2moe", [("ARCH.attention.sliding_window", .uint32(512))], every(4, of: 6, isFirst: true, window: 512)
        ),
        LayersCase(
            "phi3", [("ARCH.attention.sliding_window", .uint32(2047))], Array(repeating: kept(1024), count: 2),
            "a window llama.cpp leaves out"),
        LayersCase(
            "olmo2",
            [("ARCH.attention.sliding_window", .uint32(64)), ("ARCH.attention.sliding_window_pattern", .uint32(3))],
            every(3, of: 6, window: 64), "a period of its own"),
        LayersCase(
            "gemma4",
            [
                ("ARCH.attention.sliding_window", .uint32(1024)),
                ("ARCH.attention.head_count_kv", GGUFWriter.numbers([8, 2, 8, 2])),
                ("ARCH.attention.sliding_window_pattern", GGUFWriter.flags([true, false, true, false])),
                ("ARCH.attention.key_length", .uint32(512)), ("ARCH.attention.value_length", .uint32(512)),
                ("ARCH.attention.key_length_swa", .uint32(256)), ("ARCH.attention.value_length_swa", .uint32(256)),
                ("ARCH.attention.shared_kv_layers", .uint32(1)),
            ],
            [
                kept(2048, heads: 8, window: 1024), kept(1024, heads: 2), kept(2048, heads: 8, window: 1024),
                kept(0, heads: 0),
            ]),
        LayersCase(
            "gemma3n", [("ARCH.attention.sliding_window", .uint32(512))],
            every(5, of: 20, window: 512) + Array(repeating: kept(0, heads: 0), count: 10)),
        LayersCase(
            "deepseek2",
            [
                ("ARCH.attention.head_count_kv", .uint32(1)), ("ARCH.attention.key_length", .uint32(576)),
                ("ARCH.attention.value_length", .uint32(512)), ("ARCH.attention.key_length_mla", .uint32(192)),
                ("ARCH.attention.value_length_mla", .uint32(128)),
            ], Array(repeating: kept(576, 0, heads: 1), count: 3), "values within the keys"),
        LayersCase(
            "mamba",
            [
                ("ARCH.ssm.conv_kernel", .uint32(4)), ("ARCH.ssm.inner_size", .uint32(2048)),
                ("ARCH.ssm.state_size", .uint32(16)), ("ARCH.attention.head_count", .uint32(0)),
            ], Array(repeating: state(3 * 2048 + 16 * 2048), count: 2)),
        LayersCase(
            "rwkv7", [("ARCH.wkv.head_size", .uint32(64)), ("ARCH.attention.head_count", .uint32(0))],
            Array(repeating: state(1024 * (64 + 2)), count: 2)),
        LayersCase(
            "qwen3next",
            [
                ("ARCH.ssm.conv_kernel", .uint32(4)), ("ARCH.ssm.inner_size", .uint32(4096)),
                ("ARCH.ssm.state_size", .uint32(128)), ("ARCH.ssm.group_count", .uint32(16)),
                ("ARCH.attention.head_count_kv", .uint32(2)), ("ARCH.attention.key_length", .uint32(256)),
                ("ARCH.attention.value_length", .uint32(256)),
            ],
            (0..<8).map { $0 % 4 == 3 ? kept(512, heads: 2) : state(3 * (4096 + 2 * 16 * 128) + 128 * 4096) }),
        LayersCase(
            "lfm2",
            [("ARCH.shortconv.l_cache", .uint32(3)), ("ARCH.attention.head_count_kv", GGUFWriter.numbers([0, 0, 8]))],
            [state(2048), state(2048), kept(512, heads: 8)]),
        LayersCase(
            "falcon-h1",
            [
                ("ARCH.ssm.conv_kernel", .uint32(4)), ("ARCH.ssm.inner_size", .uint32(1024)),
                ("ARCH.ssm.state_size", .uint32(8)), ("ARCH.attention.head_count_kv", .uint32(2)),
            ], Array(repeating: kept(128, heads: 2, state: 3 * 1024 + 8 * 1024), count: 2)),
        LayersCase(
            "kimi-linear",
            [
                ("ARCH.kda.head_dim", .uint32(128)), ("ARCH.ssm.conv_kernel", .uint32(4)),
                ("ARCH.attention.head_count_kv", GGUFWriter.numbers([0, 1])),
                ("ARCH.attention.key_length", .uint32(576)),
                ("ARCH.attention.value_length", .uint32(512)), ("ARCH.attention.key_length_mla", .uint32(192)),
            ], [state(16 * 128 * (128 + 9)), kept(576, 0, heads: 1)]),
        LayersCase("bert", [], Array(repeating: kept(0, heads: 0), count: 2), "an encoder keeps nothing"),
    ]
}
