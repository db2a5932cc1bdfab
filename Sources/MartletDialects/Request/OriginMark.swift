package import MartletWire
import NIOCore

/// How a blob of one dialect travels through a client of another: `gw1.`, the dialect, its kind, and the blob as it
/// was. The gateway knows it again when the client sends it back, and gives it to that dialect only.
package extension OpaqueBlob {
    /// With its mark, for a place that is meant for another dialect's blobs.
    var marked: EscapedText {
        var bytes = EscapedText(escaping: Self.mark(origin, kind)).bytes
        bytes.writeImmutableBuffer(text.bytes)
        return EscapedText(bytes)
    }

    /// Nil for what bears no such mark.
    init?(marked text: EscapedText) {
        guard text.starts(with: Reasoning.gatewayMark) else { return nil }
        for origin in DialectID.allCases {
            for kind in [Kind.encrypted, .signature, .redacted] {
                let mark = Self.mark(origin, kind)
                let length = mark.utf8.count
                guard text.bytes.readableBytesView.starts(with: mark.utf8), text.bytes.readableBytes > length else {
                    continue
                }
                let rest = text.bytes.part(length..<text.bytes.readableBytes)
                self.init(origin: origin, kind: kind, text: EscapedText(rest))
                return
            }
        }
        return nil
    }

    private static func mark(_ origin: DialectID, _ kind: Kind) -> String {
        let word =
            switch kind {
            case .signature: "signature"
            case .encrypted: "encrypted"
            case .redacted: "redacted"
            }
        return "\(Reasoning.gatewayMark)\(origin.rawValue).\(word)."
    }
}
