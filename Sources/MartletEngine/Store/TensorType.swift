/// How the numbers of a tensor, or of a KV cache, are stored. The raw values are ggml's (`enum ggml_type` in ggml.h);
/// those that are missing here were taken out of the format, or came after this was written.
package enum TensorType: UInt32, Sendable, Hashable, CaseIterable {
    case f32 = 0, f16 = 1
    case q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q8_1 = 9
    case q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14, q8_k = 15
    case iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22, iq4_xs = 23
    case i8 = 24, i16 = 25, i32 = 26, i64 = 27, f64 = 28, iq1_m = 29, bf16 = 30
    case tq1_0 = 34, tq2_0 = 35, mxfp4 = 39, nvfp4 = 40, q1_0 = 41, q2_0 = 42

    /// As people write it: `Q4_K`.
    package var name: String { "\(self)".uppercased() }

    /// Elements that are stored together, and the bytes they take (`type_traits` in ggml.c).
    package var block: (elements: UInt64, bytes: UInt64) {
        switch self {
        case .f64, .i64: (1, 8)
        case .f32, .i32: (1, 4)
        case .f16, .bf16, .i16: (1, 2)
        case .i8: (1, 1)
        case .q4_0, .iq4_nl: (32, 18)
        case .q4_1: (32, 20)
        case .q5_0: (32, 22)
        case .q5_1: (32, 24)
        case .q8_0: (32, 34)
        case .q8_1: (32, 36)
        case .mxfp4: (32, 17)
        case .nvfp4: (64, 36)
        case .q2_0: (64, 18)
        case .q1_0: (128, 18)
        case .q2_k: (256, 84)
        case .q3_k, .iq3_s: (256, 110)
        case .q4_k: (256, 144)
        case .q5_k: (256, 176)
        case .q6_k: (256, 210)
        case .q8_k: (256, 292)
        case .iq1_s: (256, 50)
        case .iq1_m: (256, 56)
        case .iq2_xxs, .tq2_0: (256, 66)
        case .iq2_xs: (256, 74)
        case .iq2_s: (256, 82)
        case .iq3_xxs: (256, 98)
        case .iq4_xs: (256, 136)
        case .tq1_0: (256, 54)
        }
    }

    /// The bits its name speaks of: 4 of `Q4_K`, 16 of `BF16`.
    package var bits: Int { Int(name.drop { !$0.isNumber }.prefix { $0.isNumber }) ?? 0 }

    /// Numbers as they are, not approximated in blocks.
    var isPlain: Bool { block.elements == 1 }

    /// Bytes of so many elements in rows of whole blocks, nil when that cannot be said in 63 bits.
    func bytes(of elements: UInt64) -> UInt64? {
        let (bytes, overflow) = (elements / block.elements).multipliedReportingOverflow(by: block.bytes)
        return overflow || bytes > Int64.max ? nil : bytes
    }
}
