/// How a model's weights are stored, in the words people use.
package struct Quantisation: Sendable, Hashable {
    /// `Q4_K_M`, `F16`.
    package var name: String
    /// The bits the name speaks of, as LM Studio shows them: 4 of `Q4_K_M`.
    package var bits: Int
    /// Bits of the file's tensors per parameter: 4.8 of a `Q4_K_M`.
    package var bitsPerWeight: Double

    /// By what the file says of itself (`general.file_type`), if most of its matrices bear that out; else by those.
    /// Token embeddings and the output are left aside: they are often stored otherwise, and are most of a small model.
    ///
    /// - Returns: nil when neither is known.
    init?(fileType: Int?, tensors: [GGUFHeader.Tensor]) {
        var elements: [TensorType: Double] = [:]
        var all = (elements: 0.0, bytes: 0.0)
        for tensor in tensors {
            all.elements += Double(tensor.elements)
            all.bytes += Double(tensor.bytes)
            guard let type = TensorType(rawValue: tensor.type), tensor.dimensions.count > 1,
                !tensor.name.hasPrefix("token_embd"), !tensor.name.hasPrefix("output")
            else { continue }
            elements[type, default: 0] += Double(tensor.elements)
        }
        let most = elements.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key
        // 1024 marks a guess of llama.cpp's.
        let said = fileType.flatMap { Self.names[$0 & ~1024] }
        guard let name = Self.chosen(said, most) else { return nil }
        self.name = name
        bits = Int(name.drop { !$0.isNumber }.prefix { $0.isNumber }) ?? 0
        bitsPerWeight = all.elements > 0 ? all.bytes * 8 / all.elements : 0
    }

    private static func chosen(_ said: String?, _ most: TensorType?) -> String? {
        guard let said else { return most?.name }
        guard let most, most.name != said else { return said }
        let bits = Int(said.drop { !$0.isNumber }.prefix { $0.isNumber })
        return most.isPlain || most.bits != bits ? most.name : said
    }

    /// llama.cpp's `llama_ftype` (llama.h).
    private static let names: [Int: String] = [
        0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
        12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
        20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
        28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
        39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
    ]
}
