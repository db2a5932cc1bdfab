import MartletTestSupport
import NIOCore

extension Seeded {
    /// A text that is a JSON value but for the few strings that are spoilt on purpose.
    mutating func json(depth: Int) -> [UInt8] {
        switch below(depth > 0 ? 9 : 6) {
        case 0: return pick(["0", "-0", "12", "-1.5", "1e5", "1E+5", "0.0e-3", "1234567890123456789012"]).bytes
        case 1: return pick(["true", "false", "null"]).bytes
        case 2...5: return string()
        case 6, 7:
            let members = (0..<below(5)).map { _ in
                space() + string() + space() + [0x3A] + space() + json(depth: depth - 1)
            }
            return [0x7B] + space() + members.joined(separator: [0x2C]) + space() + [0x7D]
        default:
            let elements = (0..<below(5)).map { _ in space() + json(depth: depth - 1) + space() }
            return [0x5B] + elements.joined(separator: [0x2C]) + space() + [0x5D]
        }
    }

    private mutating func space() -> [UInt8] { pick(["", "", "", "", "", " ", "\n", "\t", "\r\n  "]).bytes }

    private mutating func string() -> [UInt8] {
        var content = [UInt8]()
        for _ in 0..<pick([0, 1, 3, 8, 20, 90]) {
            switch below(20) {
            case 0: content += pick(["\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\ud83d\\uDE00", "\\u0000"]).bytes
            case 1: content += pick(["é", "你", "😀", "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10FFFF}", "\u{7F}"]).bytes
            case 2 where below(20) == 0:
                content += pick(["\\ud83d", "\\udc00", "\\u12", "\\x", "\u{1}", "\n", "\\"]).bytes
            default: content += pick(["a", "b", "Z", "0", " ", "/", "{", ",", "word "]).bytes
            }
        }
        return [0x22] + content + [0x22]
    }

    mutating func mutate(_ text: inout [UInt8]) {
        for _ in 0..<(1 + below(3)) where !text.isEmpty {
            let at = below(text.count)
            switch below(5) {
            case 0: text.remove(at: at)
            case 1: text[at] = UInt8(below(256))
            case 2:
                text.insert(pick(Array("\"\\{}[],:0123456789eE+-. \n\tutfn".utf8) + [0xC3, 0xA9, 0xED, 0xA0]), at: at)
            case 3: text.removeSubrange(at...)
            default: text[at] ^= 1 << below(8)
            }
        }
    }
}

extension String {
    var bytes: [UInt8] { Array(utf8) }
    var buffer: ByteBuffer { ByteBuffer(string: self) }
}

extension ByteBuffer {
    /// The text, for comparing; what is not UTF-8 shows.
    var shown: String { String(buffer: self) }
}
