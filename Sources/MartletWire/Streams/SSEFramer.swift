internal import CScan
package import NIOCore

/// Cuts what is read from an event stream into frames whose concatenation is the stream
/// (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
///
/// However the stream is cut into reads, the frames are the same. A frame that lies in one read is a slice of it; one
/// that spans reads is joined in a buffer of its own. After `take`, call `next` until it gives nil.
package struct SSEFramer: Sendable {
    private let limit: Int
    /// What has not been given out of the last read.
    private var read = ByteBuffer()
    /// The beginning of a frame whose end has not been read.
    private var begun = ByteBuffer()
    private var cutter = SSECutter()
    private var isFirst = true
    private var isOver = false

    /// - Parameter limit: bytes of one frame, its blank line included.
    package init(limit: Int = WireLimits.event) { self.limit = limit }

    /// Takes the next bytes of the stream.
    ///
    /// - Returns: false when a frame is longer than the limit; from then on there are no more frames.
    package mutating func take(_ read: ByteBuffer) -> Bool {
        if isOver { return false }
        if self.read.readableBytes == 0 {
            self.read = read
        } else {
            self.read.writeImmutableBuffer(read)
        }
        // No frame can be longer than all there is.
        if begun.readableBytes + self.read.readableBytes > limit, !isWithinLimit {
            isOver = true
            self.read = ByteBuffer()
            begun = ByteBuffer()
        }
        return !isOver
    }

    /// The next whole frame; nil until more has been taken.
    package mutating func next() -> SSEFrame? {
        if begun.readableBytes == 0 {
            if read.readableBytes == 0 { return nil }
            if !isFirst {
                let shape = read.withUnsafeReadableBytes { SSEShape($0) }
                if shape.length > 0 { return shape.cut(from: &read) }
            }
        }
        guard let length = read.withUnsafeReadableBytes({ cutter.end(in: $0) }) else {
            keep()
            return nil
        }
        cutter = SSECutter()
        if begun.readableBytes == 0 {
            guard let bytes = read.readSlice(length: length) else { return nil }
            return frame(bytes, isClosed: true)
        }
        if let rest = read.readSlice(length: length) { begun.writeImmutableBuffer(rest) }
        let bytes = begun
        begun = ByteBuffer()
        return frame(bytes, isClosed: true)
    }

    /// What stands behind the last blank line, when the stream has ended; nil when nothing does.
    ///
    /// The standard throws an unfinished event away. Upstreams forget the last blank line, so it counts here.
    package mutating func finish() -> SSEFrame? {
        if isOver { return nil }
        keep()
        let bytes = begun
        let isClosed = cutter.isAtBlankLine
        begun = ByteBuffer()
        cutter = SSECutter()
        return bytes.readableBytes == 0 ? nil : frame(bytes, isClosed: isClosed)
    }

    private var isWithinLimit: Bool {
        var cutter = cutter
        var begun = begun.readableBytes
        return read.withUnsafeReadableBytes { bytes in
            var rest = bytes
            while let length = cutter.end(in: rest) {
                if begun + length > limit { return false }
                begun = 0
                rest = UnsafeRawBufferPointer(rebasing: rest[length...])
                cutter = SSECutter()
            }
            return begun + rest.count <= limit
        }
    }

    private mutating func keep() {
        begun.writeImmutableBuffer(read)  // a copy, so that the read's storage can go
        read = ByteBuffer()
    }

    private mutating func frame(_ bytes: ByteBuffer, isClosed: Bool) -> SSEFrame {
        let fields = SSEFields(bytes, mayHaveMark: isFirst)
        isFirst = false
        return fields.frame(bytes, isClosed: isClosed)
    }
}
