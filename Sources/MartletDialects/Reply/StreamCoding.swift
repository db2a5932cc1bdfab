package import MartletWire
package import NIOCore

/// Reads one dialect's stream as canonical events. A value: one per reply, no I/O.
package protocol StreamReader: Sendable {
    /// Throws when the event cannot be read; the reader stays usable. An upstream's own error is a `failed` event.
    mutating func read(_ event: SSEEvent, into events: inout [ReplyEvent]) throws(DialectError)
    /// The upstream ended. Throws `truncated` when its terminal mark never came. After an `ended` event it does nothing.
    mutating func finish(into events: inout [ReplyEvent]) throws(DialectError)
    /// A whole reply that came where a stream was asked for, said as this dialect's stream; nil when it is no such reply.
    func streamed(_ whole: ByteBuffer) -> ByteBuffer?
}

/// Writes canonical events as one dialect's stream, ready to send.
package protocol StreamWriter: Sendable {
    mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer)
    /// The reply ended well: what is still owed, up to the terminal mark. Called once, after the last event.
    mutating func finish(into out: inout ByteBuffer)
    mutating func keepAlive(into out: inout ByteBuffer)
    /// How this dialect says, after the status line has left, that the reply failed.
    mutating func fail(_ error: GatewayError, into out: inout ByteBuffer)
}

/// Changes frames of a stream that is relayed in its own dialect.
package protocol FrameEdit: Sendable {
    /// Whether a frame that cannot be read ends the reply; else it goes on as it is.
    var refusesUnreadable: Bool { get }
    /// True: handled, its replacement (maybe nothing) is in `out`. False: the frame's bytes go on as they are.
    mutating func edit(_ frame: SSEFrame, _ events: [ReplyEvent], into out: inout ByteBuffer) -> Bool
    /// The upstream ended cleanly without a terminal mark: what is still owed.
    mutating func finish(into out: inout ByteBuffer)
    mutating func keepAlive(into out: inout ByteBuffer)
    mutating func fail(_ error: GatewayError, into out: inout ByteBuffer)
}
