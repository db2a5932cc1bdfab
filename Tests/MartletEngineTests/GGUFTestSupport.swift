import Foundation
import MartletEngine
import MartletTestSupport

extension GGUFWriter.Tensor {
    /// Data of the size that type and dimensions make.
    init(_ name: String, _ type: TensorType, _ dimensions: [UInt64], offset: UInt64? = nil) {
        let elements = dimensions.reduce(1, *)
        self.init(
            name, type: type.rawValue, dimensions, bytes: elements / type.block.elements * type.block.bytes,
            offset: offset)
    }
}

extension GGUFWriter {
    /// A small model with something of everything, 2 KB of weights.
    static var sample: GGUFWriter {
        GGUFWriter(
            [
                ("general.architecture", .text("llama")), ("general.name", .text("Sample")),
                ("general.file_type", .uint32(1)), ("llama.context_length", .uint32(4096)),
                ("llama.embedding_length", .uint32(64)), ("llama.block_count", .uint64(2)),
                ("llama.feed_forward_length", .list(4, [.uint32(96), .uint32(128)])),
                ("llama.attention.head_count", .int32(4)), ("llama.attention.head_count_kv", .uint16(2)),
                ("llama.rope.freq_base", .float32(10000)), ("some.deep", .raw(9, nested(3))),
                ("some.bytes", .list(0, [.uint8(1), .uint8(255)])), ("some.real", .float64(0.5)),
                ("some.negative", .int64(-5)), ("some.int8", .int8(-1)), ("some.int16", .int16(-300)),
                ("some.flag", .flag(true)), ("some.most", .uint64(.max)), ("some.none", .list(8, [])),
                ("tokenizer.ggml.tokens", .list(8, [.text("a"), .text("b"), .text("")])),
                ("tokenizer.chat_template", .text("{% for m in messages %}{{ m.content }}{% endfor %}")),
            ],
            tensors: [
                Tensor("token_embd.weight", .f16, [64, 3]), Tensor("blk.0.attn_norm.weight", .f32, [64]),
                Tensor("blk.0.attn_q.weight", .q8_0, [64, 16]), Tensor("scale", .f32, []),
                Tensor("output.weight", .f16, [64, 3]),
            ])
    }

    /// What stands behind a list's kind: so many lists, each in the other, and a number in the last.
    static func nested(_ depth: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 1..<depth { bytes += little(UInt32(9)) + little(UInt64(1)) }
        return bytes + little(UInt32(0)) + little(UInt64(1)) + [7]
    }

    /// A model of an architecture; `ARCH` in the keys of `more` stands for its name.
    static func model(
        _ architecture: String, layers: UInt32 = 4, _ more: [(String, Value)] = [], tensors: [Tensor]? = nil
    ) -> GGUFWriter {
        let more = more.map { ($0.0.replacing("ARCH", with: architecture), $0.1) }
        let usual: [(String, Value)] = [
            ("general.architecture", .text(architecture)), ("\(architecture).block_count", .uint32(layers)),
            ("\(architecture).context_length", .uint32(32_768)), ("\(architecture).embedding_length", .uint32(1024)),
            ("\(architecture).feed_forward_length", .uint32(4096)),
            ("\(architecture).attention.head_count", .uint32(16)),
        ]
        return GGUFWriter(
            usual.filter { key, _ in !more.contains { $0.0 == key } } + more,
            tensors: tensors ?? [Tensor("blk.0.attn_q.weight", .q4_k, [1024, 1024])])
    }

    /// A list of numbers, one for each layer.
    static func numbers(_ numbers: [UInt32]) -> Value { .list(4, numbers.map { .uint32($0) }) }
    static func flags(_ flags: [Bool]) -> Value { .list(7, flags.map { .flag($0) }) }
}

extension Scratch {
    /// Writes bytes as a file and returns its path.
    func bytes(_ bytes: [UInt8], _ name: String = "model.gguf") throws -> String {
        let path = "\(path)/\(name)"
        try Data(bytes).write(to: URL(filePath: path))
        return path
    }

    /// Writes a model whose weights are a hole, however large, and returns its path.
    func model(_ writer: GGUFWriter, _ name: String = "model.gguf") throws -> String {
        let path = try bytes([], name)
        try writer.write(to: path)
        return path
    }

    /// The facts of a model made for it.
    func facts(_ writer: GGUFWriter, projector: GGUFWriter? = nil) throws -> ModelFacts {
        let header = try GGUFHeader.read(model(writer))
        return try ModelFacts([header], projector: projector.map { try GGUFHeader.read(model($0, "mmproj.gguf")) })
    }
}

/// The error of a reading, nil when it succeeds.
func fault<Value>(_ read: () throws(EngineError) -> Value) -> EngineError? {
    do throws(EngineError) {
        _ = try read()
        return nil
    } catch {
        return error
    }
}
