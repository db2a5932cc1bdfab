import MartletWire
import NIOCore

/// Frames of one read that go on as they are, side by side: written as one slice of the read, and not copied at all
/// when the client gets nothing else for it.
struct RelayRun {
    private let read: ByteBuffer
    /// Where the next frame begins in the read; below zero while it began in an earlier one.
    private var position: Int
    private var pending = 0..<0

    /// - Parameter held: bytes of earlier reads that belong to the first frame.
    init(_ read: ByteBuffer, held: Int) {
        self.read = read
        position = -held
    }

    var isEmpty: Bool { pending.isEmpty }

    /// The frame goes on as it is.
    mutating func add(_ frame: SSEFrame, into out: inout ByteBuffer) {
        let end = position + frame.bytes.readableBytes
        guard position >= 0, end <= read.readableBytes else {
            flush(into: &out)
            out.writeImmutableBuffer(frame.bytes)
            return
        }
        if pending.upperBound == position, !pending.isEmpty {
            pending = pending.lowerBound..<end
        } else {
            flush(into: &out)
            pending = position..<end
        }
    }

    /// The frame has been dealt with, in whatever way.
    mutating func step(over frame: SSEFrame) { position += frame.bytes.readableBytes }

    mutating func flush(into out: inout ByteBuffer) {
        guard !pending.isEmpty else { return }
        let bytes = read.part(pending)
        pending = 0..<0
        if out.readableBytes == 0 {
            out = bytes
        } else {
            out.writeImmutableBuffer(bytes)
        }
    }
}
