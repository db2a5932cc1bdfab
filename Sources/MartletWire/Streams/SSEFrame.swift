package import NIOCore

/// One frame of an event stream: the bytes up to and with a blank line.
package struct SSEFrame: Sendable, Hashable {
    /// Exactly as received; the frames of a stream joined are the stream.
    package let bytes: ByteBuffer
    /// False for what stood at the end of the stream without its blank line: whoever writes on must add it.
    package let isClosed: Bool
    // Ranges in `bytes`, and buffers made of them only when asked for: a frame that is merely passed on costs no more
    // than its bytes.
    private let name: Range<UInt32>
    private let data: Range<UInt32>?
    private let joined: Joined?

    /// Data of several lines: rare, so kept apart.
    private indirect enum Joined: Hashable { case lines(ByteBuffer) }

    /// - Parameters:
    ///   - name: where in the bytes the event's name stands; empty for none.
    ///   - data: where the data stands, or its first line; nil for none.
    ///   - joined: the data, where it has several lines.
    init(bytes: ByteBuffer, isClosed: Bool, name: Range<Int>, data: Range<Int>?, joined: ByteBuffer? = nil) {
        self.bytes = bytes
        self.isClosed = isClosed
        self.name = UInt32(name.lowerBound)..<UInt32(name.upperBound)
        self.data = data.map { UInt32($0.lowerBound)..<UInt32($0.upperBound) }
        self.joined = joined.map { .lines($0) }
    }

    /// Nil for a frame without a `data:` line: comments, blank lines, only `event:` or `retry:`.
    package var event: SSEEvent? {
        guard let data else { return nil }
        guard case .lines(let lines) = joined else {
            return name.isEmpty ? SSEEvent(data: part(data)) : SSEEvent(name: part(name), data: part(data))
        }
        return SSEEvent(name: name.isEmpty ? nil : part(name), data: lines)
    }

    /// Where the event's data stands in `bytes`, counted from `readerIndex`; nil when
    /// there is none, or not in one piece.
    package var dataRange: Range<Int>? {
        guard let data, joined == nil else { return nil }
        return Int(data.lowerBound)..<Int(data.upperBound)
    }

    private func part(_ range: Range<UInt32>) -> ByteBuffer {
        bytes.getSlice(at: bytes.readerIndex + Int(range.lowerBound), length: range.count) ?? ByteBuffer()
    }
}
