import MartletWire
import NIOCore

/// Puts halves of characters together that were cut apart between two deltas: a client that decodes
/// each by itself would lose both.
struct SurrogateJoin: Sendable {
    /// The first of two surrogates, escaped.
    private var half = EscapedText()

    var isEmpty: Bool { half.isEmpty }

    /// - Returns: what is whole so far; may be empty.
    mutating func take(_ text: EscapedText) -> EscapedText {
        guard !half.isEmpty || text.endsInHighSurrogate else { return text }
        let joined = half + text
        half = EscapedText()
        guard joined.endsInHighSurrogate else { return joined }
        let end = joined.bytes.readableBytes - 6
        half = EscapedText(joined.bytes.copy(end..<end + 6))
        return EscapedText(joined.bytes.part(0..<end))
    }

    /// A half that never found its other is U+FFFD; nil when there is none.
    mutating func end() -> EscapedText? {
        guard !half.isEmpty else { return nil }
        half = EscapedText()
        return EscapedText(escaping: "\u{FFFD}")
    }
}
