import NIOCore

/// Cuts what is read into lines, of which each has a bound. Their breaks, `\n` or `\r\n`, are left out.
struct LineCutter {
    let limit: Int
    private var bytes = ByteBuffer()
    /// Bytes from the reader's index on that hold no break.
    private var searched = 0
    /// Bytes behind the last break.
    private var open = 0

    init(limit: Int) { self.limit = limit }

    /// False when a line is longer than the limit; the whole lines before it can still be had.
    mutating func take(_ read: UnsafeRawBufferPointer) -> Bool {
        bytes.writeBytes(read)
        open = read.lastIndex(of: 0x0A).map { read.count - $0 - 1 } ?? open + read.count
        return open <= limit
    }

    /// The next whole line; nil until more has been taken.
    mutating func next() -> ByteBuffer? {
        let view = bytes.readableBytesView
        guard let end = view[(view.startIndex + searched)...].firstIndex(of: 0x0A) else {
            searched = view.count
            bytes.discardReadBytes()
            return nil
        }
        var line = bytes.readSlice(length: end - view.startIndex) ?? ByteBuffer()
        bytes.moveReaderIndex(forwardBy: 1)
        searched = 0
        if let last = line.readableBytesView.last, last == 0x0D {
            line.moveWriterIndex(to: line.writerIndex - 1)
        }
        return line
    }
}
