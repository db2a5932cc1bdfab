import MartletWire
import NIOCore

/// Takes free text out of the object a model was told to wrap it in (`{"input":"…"}`), as its pieces come.
///
/// What is given is content of a JSON string, escaped for it; unescaped once, it is the model's JSON, and what stands
/// between the quotes of `input` is content again, ready to be written. Escapes that are not JSON are made so. An
/// object of another shape waits for its end, and then the most plausible text in it is taken.
struct ResponsesCustomInput: Sendable {
    private enum State: Sendable {
        /// Nothing decided: so far it may become the object that was asked for.
        case opening
        case inside
        case done
        /// Something else.
        case other
    }

    /// An escape that has begun inside the text.
    private enum Escape: Sendable {
        case none, slash
        /// Digits after `\u`, so many and what they come to.
        case digits(count: Int, value: UInt32)
    }

    /// Bytes before the text, white space included; more of it is another shape.
    private static let openingLimit = 64

    private var state = State.opening
    /// Everything so far, while it may still be needed.
    private var raw: [UInt8] = []
    private var escape = Escape.none
    /// The first half of a surrogate pair, which waits for the other.
    private var high: UInt32?
    private var join = SurrogateJoin()

    /// All of the text has been passed on.
    var isDone: Bool { state == .done }

    /// The object has its end, or at least its text.
    var isComplete: Bool {
        switch state {
        case .done: true
        case .inside, .opening: false
        case .other: (try? JSON(parsing: ByteBuffer(bytes: raw))) != nil
        }
    }

    /// Appends what can be passed on now, as the content of a string.
    mutating func take(_ fragment: EscapedText, into out: inout ByteBuffer) {
        let text = join.take(fragment)
        guard !text.isEmpty else { return }
        for byte in text.unescaped().utf8 { step(byte, into: &out) }
    }

    /// Appends what is still to be passed on when nothing follows.
    mutating func end(into out: inout ByteBuffer) {
        if let half = join.end() {
            for byte in half.unescaped().utf8 { step(byte, into: &out) }
        }
        switch state {
        case .done: break
        case .inside: if high != nil { out.writeString("\u{FFFD}") }
        case .opening: break  // cut off before its text began
        case .other:
            out.writeImmutableBuffer(EscapedText(escaping: Self.plausible(raw)).bytes)
        }
        state = .done
        high = nil
    }

    private mutating func step(_ byte: UInt8, into out: inout ByteBuffer) {
        switch state {
        case .done: break
        case .other: raw.append(byte)
        case .inside: content(byte, into: &out)
        case .opening:
            raw.append(byte)
            open()
        }
    }

    /// Compares what has come with `{"input":"`, white space aside.
    private mutating func open() {
        var wanted = Array("{\"input\":\"".utf8)[...]
        var isInName = false
        for byte in raw {
            let isSpace = byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
            if isSpace, !isInName { continue }
            guard byte == wanted.first else {
                state = .other
                return
            }
            if byte == UInt8(ascii: "\"") { isInName.toggle() }
            wanted.removeFirst()
        }
        if wanted.isEmpty {
            state = .inside
            raw = []
        } else if raw.count > Self.openingLimit {
            state = .other
        }
    }

    // MARK: - Inside the text

    private mutating func content(_ byte: UInt8, into out: inout ByteBuffer) {
        switch escape {
        case .none:
            switch byte {
            case UInt8(ascii: "\""):
                dropHalf(into: &out)
                state = .done
            case UInt8(ascii: "\\"): escape = .slash
            case 0..<0x20:
                dropHalf(into: &out)
                out.writeImmutableBuffer(EscapedText(escaping: String(UnicodeScalar(byte))).bytes)
            default:
                dropHalf(into: &out)
                out.writeInteger(byte)
            }
        case .slash:
            escape = .none
            switch byte {
            case UInt8(ascii: "u"): escape = .digits(count: 0, value: 0)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
                UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                dropHalf(into: &out)
                out.writeInteger(UInt8(ascii: "\\"))
                out.writeInteger(byte)
            default:
                // Not an escape: the model meant a backslash.
                dropHalf(into: &out)
                out.writeString("\\\\")
                content(byte, into: &out)
            }
        case .digits(let count, let value):
            guard let digit = Self.digit(byte) else {
                escape = .none
                dropHalf(into: &out)
                out.writeString("\\\\u")
                let digits = String(value, radix: 16)
                if count > 0 { out.writeString(String(repeating: "0", count: count - digits.count) + digits) }
                content(byte, into: &out)
                return
            }
            let value = value << 4 | digit
            escape = count == 3 ? .none : .digits(count: count + 1, value: value)
            if count == 3 { unit(value, into: &out) }
        }
    }

    /// One UTF-16 unit that was spelled `\uXXXX`.
    private mutating func unit(_ value: UInt32, into out: inout ByteBuffer) {
        if let first = high, 0xDC00...0xDFFF ~= value {
            high = nil
            let scalar = 0x10000 + (first - 0xD800) << 10 + (value - 0xDC00)
            if let scalar = UnicodeScalar(scalar) { write(scalar, into: &out) }
            return
        }
        dropHalf(into: &out)
        if 0xD800...0xDBFF ~= value {
            high = value
        } else {
            write(UnicodeScalar(value) ?? "\u{FFFD}", into: &out)
        }
    }

    private func write(_ scalar: UnicodeScalar, into out: inout ByteBuffer) {
        out.writeImmutableBuffer(EscapedText(escaping: String(scalar)).bytes)
    }

    /// A half whose other did not follow.
    private mutating func dropHalf(into out: inout ByteBuffer) {
        guard high != nil else { return }
        high = nil
        out.writeString("\u{FFFD}")
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    // MARK: - Other shapes

    /// `input` wherever it stands, the only text there is, a text by itself; at the latest what was written.
    private static func plausible(_ raw: [UInt8]) -> String {
        let text = String(decoding: raw, as: UTF8.self)
        guard let json = try? JSON(parsing: text) else { return text }
        switch json {
        case .string(let inner): return inner
        case .object(let members):
            if let input = members["input"] { return input.string ?? input.text }
            let texts = members.compactMap(\.value.string)
            if texts.count == 1, let only = texts.first { return only }
            return members.isEmpty ? "" : text
        default: return text
        }
    }
}
