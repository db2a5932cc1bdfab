/// What a key of a GGUF header says.
package enum GGUFValue: Sendable, Hashable {
    case integer(Int64)
    /// Whole numbers above those of `Int64` only.
    case unsigned(UInt64)
    case real(Double)
    case flag(Bool)
    case text(String)
    /// A text too long to keep.
    case longText(bytes: UInt64)
    case list(GGUFList)

    /// The number if it is one, whole, and neither negative nor above 2^53.
    package var count: Int? {
        switch self {
        case .integer(let number) where (0...1 << 53).contains(number): Int(number)
        case .real(let number) where number >= 0 && number <= 0x1p53 && number.rounded() == number: Int(number)
        default: nil
        }
    }

    package var text: String? { if case .text(let text) = self { text } else { nil } }

    package var list: GGUFList? { if case .list(let list) = self { list } else { nil } }

    package var flag: Bool? { if case .flag(let flag) = self { flag } else { nil } }
}

/// A list of a GGUF header: how long it is, and what is in it unless that was too much to keep.
package struct GGUFList: Sendable, Hashable {
    /// As the header says; nothing of this size is ever allocated.
    package var count: UInt64
    /// Nil: too many, lists themselves, or beyond what is kept of a header.
    package var elements: [GGUFValue]?

    package init(count: UInt64, elements: [GGUFValue]?) {
        self.count = count
        self.elements = elements
    }
}

/// The kinds of values, with the numbers the format gives them.
/// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (`gguf_metadata_value_type`)
enum GGUFKind: UInt32 {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of one; nil where that differs from one to the next.
    var width: UInt64? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }
}
