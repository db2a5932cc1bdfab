internal import CScan
package import NIOCore

/// Still-escaped string content: bytes that can be written between quotes as they stand.
package struct EscapedText: Sendable, Hashable {
    package var bytes: ByteBuffer

    package init() { bytes = ByteBuffer() }

    /// Takes content found by a walk, which has checked it.
    package init(_ slice: ByteBuffer) { bytes = slice }

    package init(escaping text: String) {
        bytes = ByteBuffer()
        bytes.writeEscaping(text)
    }

    /// Takes the bytes if they are well-formed string content as a whole, without an unescaped quote; else nil.
    package init?(checking slice: ByteBuffer) {
        let isContent = slice.withUnsafeReadableBytes { text in
            guard let start = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return true }
            return cscan_is_content(start, text.count) != 0
        }
        guard isContent else { return nil }
        bytes = slice
    }

    package var isEmpty: Bool { bytes.readableBytes == 0 }

    package func unescaped() -> String { bytes.withUnsafeReadableBytes { JSONText.unescaped($0) } }

    package mutating func append(_ other: EscapedText) {
        if isEmpty {
            bytes = other.bytes
        } else {
            bytes.writeImmutableBuffer(other.bytes)
        }
    }

    package static func + (first: EscapedText, second: EscapedText) -> EscapedText {
        var both = first
        both.append(second)
        return both
    }

    /// The text ends with the first half of a surrogate pair: cut here, and the character is lost.
    package var endsInHighSurrogate: Bool {
        bytes.withUnsafeReadableBytes { text in
            let start = text.count - 6
            guard start >= 0, text[start] == UInt8(ascii: "\\"), text[start + 1] == UInt8(ascii: "u"),
                text[start + 2] | 0x20 == UInt8(ascii: "d"),
                [UInt8(ascii: "8"), UInt8(ascii: "9"), UInt8(ascii: "a"), UInt8(ascii: "b")]
                    .contains(text[start + 3] | 0x20)
            else { return false }
            // `\\ud83d` is a backslash and five letters.
            let slashes = text[..<start].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
            return slashes.isMultiple(of: 2)
        }
    }
}

extension ByteBuffer {
    /// Writes a JSON string: quotes, and inside them the text with what must be escaped.
    package mutating func writeJSONString(_ text: String) {
        writeInteger(UInt8(ascii: "\""))
        writeEscaping(text)
        writeInteger(UInt8(ascii: "\""))
    }

    /// Writes content that is already escaped as a JSON string, with its quotes.
    package mutating func writeEscaped(_ text: EscapedText) {
        writeInteger(UInt8(ascii: "\""))
        writeImmutableBuffer(text.bytes)
        writeInteger(UInt8(ascii: "\""))
    }

    /// Writes the text as string content, without quotes. Escaped is what RFC 8259 section 7 demands and no more.
    mutating func writeEscaping(_ text: String) {
        var text = text
        text.withUTF8 { content in
            guard let start = content.baseAddress else { return }
            var at = 0
            while true {
                let run = cscan_plain(start + at, content.count - at)
                writeBytes(UnsafeRawBufferPointer(start: start + at, count: run))
                at += run
                guard at < content.count else { return }
                writeEscape(content[at])
                at += 1
            }
        }
    }

    private mutating func writeEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): writeStaticString("\\\"")
        case UInt8(ascii: "\\"): writeStaticString("\\\\")
        case 0x08: writeStaticString("\\b")
        case 0x09: writeStaticString("\\t")
        case 0x0A: writeStaticString("\\n")
        case 0x0C: writeStaticString("\\f")
        case 0x0D: writeStaticString("\\r")
        default:
            let digits: StaticString = "0123456789abcdef"
            writeStaticString("\\u00")
            digits.withUTF8Buffer { digits in
                writeInteger(digits[Int(byte >> 4)])
                writeInteger(digits[Int(byte & 15)])
            }
        }
    }
}
