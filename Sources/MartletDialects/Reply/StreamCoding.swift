package import MartletWire
package import NIOCore

/// Reads one dialect's stream as canonical events. A value: one per reply, no I/O.
package protocol StreamReader: Sendable {
    /// Throws when the event cannot be read; the reader stays usable. An upstream's own error is a `failed` event.
    mutating func read(_ event: SSEEvent, into events: inout [ReplyEvent]) throws(DialectError)
    /// A frame of a shape that has been read before, and that means nothing but its one delta; nil for any other, which
    /// `read` then takes. Readers without such a fast path have none.
    mutating func readKnown(_ frame: SSEFrame) -> KnownDelta?
    /// The upstream ended. Throws `truncated` when its terminal mark never came. After an
    /// `ended` event it does nothing.
    mutating func finish(into events: inout [ReplyEvent]) throws(DialectError)
    /// A whole reply that came where a stream was asked for, said as this dialect's
    /// stream; nil when it is no such reply.
    func streamed(_ whole: ByteBuffer) -> ByteBuffer?
}

/// Writes canonical events as one dialect's stream, ready to send.
package protocol StreamWriter: Sendable {
    /// What cannot be said as this dialect's stream. Once there is such a thing, the writer writes nothing but `fail`.
    var fault: GatewayError? { get }
    mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer)
    /// The same for a frame the reader has taken by `readKnown`.
    mutating func write(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer)
    /// The reply ended well: what is still owed, up to the terminal mark. Called once, after the last event.
    mutating func finish(into out: inout ByteBuffer)
    mutating func keepAlive(into out: inout ByteBuffer)
    /// How this dialect says, after the status line has left, that the reply failed.
    mutating func fail(_ error: GatewayError, into out: inout ByteBuffer)
    /// Of a dialect whose replies are kept: the whole reply as a later request for it gets it. Nil until the stream has
    /// ended, well or not.
    var finalObject: ByteBuffer? { get }
    /// Takes back the terminal event, the last thing that was written: `fail` may follow.
    mutating func takeBackEnd(from out: inout ByteBuffer)
}

/// Changes frames of a stream that is relayed in its own dialect.
package protocol FrameEdit: Sendable {
    /// Whether a frame that cannot be read ends the reply; else it goes on as it is.
    var refusesUnreadable: Bool { get }
    /// True: handled, its replacement (maybe nothing) is in `out`. False: the frame's bytes go on as they are.
    mutating func edit(_ frame: SSEFrame, _ events: [ReplyEvent], into out: inout ByteBuffer) -> Bool
    /// The same for a frame the reader has taken by `readKnown`: frames of one shape differ in their text only.
    mutating func edit(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) -> Bool
    /// What has gone by, once, before the end is edited.
    mutating func note(_ tally: ReplyTally)
    /// The upstream ended cleanly without a terminal mark: what is still owed.
    mutating func finish(into out: inout ByteBuffer)
    mutating func keepAlive(into out: inout ByteBuffer)
    mutating func fail(_ error: GatewayError, into out: inout ByteBuffer)
    /// The whole reply of a relay that is kept here, as `StreamWriter` has it.
    var finalObject: ByteBuffer? { get }
    /// The reply is kept, also one that failed: whatever happens, it ends in a whole reply.
    var keepsReply: Bool { get }
    mutating func takeBackEnd(from out: inout ByteBuffer)
    /// For a writer that goes on with the stream.
    var head: StreamHead { get }
}

/// The only event of a frame that differs from an earlier one in nothing but its delta's text.
package struct KnownDelta: Sendable {
    package var block: BlockID
    /// Where the text stands in the frame's bytes.
    package var range: Range<Int>
    /// The same number, the same bytes before and behind the text, and the same state of the reply. Never used again
    /// for another.
    package var shape: Int
    /// For an edit that follows tool calls: the piece's place in the reader's lists.
    package var call: CallPlace?

    /// Position of a choice in the order of their first appearance, and of a tool call within it.
    package struct CallPlace: Sendable, Hashable {
        package var choice: Int
        package var slot: Int
    }

    package init(block: BlockID, range: Range<Int>, shape: Int, call: CallPlace? = nil) {
        self.block = block
        self.range = range
        self.shape = shape
        self.call = call
    }

    package func text(of frame: SSEFrame) -> EscapedText { EscapedText(frame.bytes.part(range)) }
}

package extension StreamReader {
    mutating func readKnown(_ frame: SSEFrame) -> KnownDelta? { nil }
}

package extension StreamWriter {
    var finalObject: ByteBuffer? { nil }
    mutating func takeBackEnd(from out: inout ByteBuffer) {}
    var fault: GatewayError? { nil }

    mutating func write(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) {
        write(.delta(delta.block, delta.text(of: frame)), into: &out)
    }
}

package extension FrameEdit {
    mutating func note(_ tally: ReplyTally) {}
    var head: StreamHead { StreamHead() }
    var finalObject: ByteBuffer? { nil }
    var keepsReply: Bool { false }
    mutating func takeBackEnd(from out: inout ByteBuffer) {}

    mutating func edit(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) -> Bool {
        edit(frame, [.delta(delta.block, delta.text(of: frame))], into: &out)
    }
}
