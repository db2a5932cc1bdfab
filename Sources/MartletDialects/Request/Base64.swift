import MartletWire
import NIOCore

/// Base64 (https://www.rfc-editor.org/rfc/rfc4648#section-4), for the few files that are inlined
/// as text, and for what is sealed.
enum Base64 {
    /// Nil when it is no base64, or what it stands for is not UTF-8.
    static func text(_ content: EscapedText) -> String? {
        bytes(content).flatMap { String(validating: $0, as: UTF8.self) }
    }

    static func encoded(_ bytes: ByteBuffer) -> ByteBuffer {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out = ByteBuffer()
        out.reserveCapacity((bytes.readableBytes + 2) / 3 * 4)
        bytes.withUnsafeReadableBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let count = min(3, bytes.count - start)
                var word: UInt32 = 0
                for place in 0..<3 { word = word << 8 | (place < count ? UInt32(bytes[start + place]) : 0) }
                for place in 0..<4 {
                    let digit = alphabet[Int(word >> UInt32(18 - 6 * place) & 63)]
                    out.writeInteger(place <= count ? digit : UInt8(ascii: "="))
                }
            }
        }
        return out
    }

    /// Nil when it is no base64.
    static func bytes(_ content: EscapedText) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in content.bytes.readableBytesView {
            // `\/` is a slash; no other escape can stand in base64.
            if byte == UInt8(ascii: "=") { break }
            if byte == UInt8(ascii: "\\") { continue }
            guard let digit = digit(byte) else { return nil }
            bits = bits << 6 | digit
            count += 1
            if count == 4 {
                bytes += [UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)]
                bits = 0
                count = 0
            }
        }
        switch count {
        case 0: break
        case 2: bytes.append(UInt8(bits >> 4 & 255))
        case 3: bytes += [UInt8(bits >> 10 & 255), UInt8(bits >> 2 & 255)]
        default: return nil
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - 65)
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - 71)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte) + 4
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
