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
                text[start + 2] == UInt8(ascii: "d") || text[start + 2] == UInt8(ascii: "D")
            else { return false }
            switch text[start + 3] {
            case 0x38, 0x39, 0x41, 0x42, 0x61, 0x62: break  // 8, 9, a, b
            default: return false
            }
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
            while at < content.count {
                let rest = content.count - at
                writeWithUnsafeMutableBytes(minimumWritableBytes: rest + rest / 8 + 6) { room in
                    guard let out = room.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
                    let step = cscan_escape(start + at, rest, out, room.count)
                    at += step.taken
                    return step.written
                }
            }
        }
    }
}
