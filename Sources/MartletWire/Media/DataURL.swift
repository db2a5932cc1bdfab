internal import CScan
package import NIOCore

/// A `data:` URL with base64 content (https://www.rfc-editor.org/rfc/rfc2397), as images and files come in requests.
package struct DataURL: Sendable, Hashable {
    /// In lower case, without parameters: `image/png`.
    package let mediaType: String
    /// The base64 text, padding included: well-formed, not decoded.
    package let payload: ByteBuffer

    /// Bytes the payload stands for.
    package var decodedBytes: Int {
        let padding = payload.readableBytesView.suffix(2).filter { $0 == UInt8(ascii: "=") }.count
        return payload.readableBytes / 4 * 3 - padding
    }

    /// Takes a string's content; the payload is a slice of it, unless the text has escapes (`\/`).
    package init?(_ text: EscapedText) {
        guard text.bytes.readableBytes <= WireLimits.dataURL else { return nil }
        self.init(unescaped: Self.unescaped(text))
    }

    /// Whether a string's content is base64 in groups of four, at least one.
    package static func isBase64(_ text: EscapedText) -> Bool { isBase64(unescaped(text)) }

    /// A slice of the text, unless it has escapes.
    private static func unescaped(_ text: EscapedText) -> ByteBuffer {
        let isEscaped = text.bytes.withUnsafeReadableBytes { bytes in
            cscan_has_escape(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count) != 0
        }
        return isEscaped ? ByteBuffer(string: text.unescaped()) : text.bytes
    }

    package init?(_ text: String) {
        guard text.utf8.count <= WireLimits.dataURL else { return nil }
        self.init(unescaped: ByteBuffer(string: text))
    }

    /// Nil unless it is `data:type/subtype[;parameter]…;base64,` and then base64 in groups of four
    /// (https://www.rfc-editor.org/rfc/rfc4648#section-4), at least one.
    private init?(unescaped bytes: ByteBuffer) {
        let view = bytes.readableBytesView
        guard let comma = view.prefix(WireLimits.dataURLHead).firstIndex(of: UInt8(ascii: ",")) else { return nil }
        let head = String(decoding: view[..<comma], as: UTF8.self).lowercased()
        guard head.hasPrefix("data:") else { return nil }
        let parts = head.dropFirst(5).split(separator: ";", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts.last == "base64", let type = parts.first, Self.isMediaType(type) else {
            return nil
        }
        let payload = bytes.part(comma + 1 - view.startIndex..<bytes.readableBytes)
        guard Self.isBase64(payload) else { return nil }
        mediaType = Self.registered(String(type))
        self.payload = payload
    }

    /// The name a type is registered by (https://www.iana.org/assignments/media-types): clients write `image/jpg`, too.
    /// - Parameter type: in lower case.
    package static func registered(_ type: String) -> String { type == "image/jpg" ? "image/jpeg" : type }

    /// `type/subtype`, each of the characters https://www.rfc-editor.org/rfc/rfc6838#section-4.2 allows.
    private static func isMediaType(_ text: Substring) -> Bool {
        let names = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return names.count == 2
            && names.allSatisfy { name in
                guard let first = name.first, isAlphanumeric(first) else { return false }
                return name.allSatisfy { isAlphanumeric($0) || "!#$&-^_.+".utf8.contains($0) }
            }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func isBase64(_ text: ByteBuffer) -> Bool {
        guard text.readableBytes >= 4, text.readableBytes.isMultiple(of: 4) else { return false }
        return text.withUnsafeReadableBytes { bytes in
            var count = bytes.count
            while count > bytes.count - 2, bytes[count - 1] == UInt8(ascii: "=") { count -= 1 }
            guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
            return cscan_is_base64(start, count) != 0
        }
    }
}
