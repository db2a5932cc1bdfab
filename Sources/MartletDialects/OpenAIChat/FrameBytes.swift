import MartletWire
import NIOCore

extension ByteBuffer {
    /// The bytes of a range in storage of their own: a slice would keep the whole read alive.
    func copy(_ range: Range<Int>) -> ByteBuffer { ByteBuffer(bytes: part(range).readableBytesView) }

    /// Where the other stands in this buffer, when it stands there exactly once.
    func onlyPlace(of other: ByteBuffer) -> Range<Int>? {
        let ranges = withUnsafeReadableBytes { bytes in
            other.withUnsafeReadableBytes { other in
                (0...max(0, bytes.count - other.count)).filter {
                    $0 + other.count <= bytes.count && other.begins(bytes, at: $0)
                }
            }
        }
        guard ranges.count == 1 else { return nil }
        return ranges[0]..<ranges[0] + other.readableBytes
    }

    /// Writes a chunk as an event of its own.
    mutating func writeChunk(_ chunk: ByteBuffer) {
        writeString("data: ")
        writeImmutableBuffer(chunk)
        writeString("\n\n")
    }

    /// Writes the frame with other data; its other lines stay.
    mutating func writeFrame(_ frame: SSEFrame, data: ByteBuffer) {
        guard let event = frame.event else { return }
        if let range = frame.dataRange {
            writeImmutableBuffer(frame.bytes.part(0..<range.lowerBound))
            writeImmutableBuffer(data)
            writeImmutableBuffer(frame.bytes.part(range.upperBound..<frame.bytes.readableBytes))
            writeClosing(frame)
            return
        }
        // Data of several lines: white space between its tokens, so one line means the same.
        if let name = event.name {
            writeString("event: ")
            writeImmutableBuffer(name)
            writeString("\n")
        }
        var line = data
        line.withUnsafeMutableReadableBytes { bytes in
            for place in bytes.indices where bytes[place] == 0x0A || bytes[place] == 0x0D { bytes[place] = 0x20 }
        }
        writeChunk(line)
    }

    /// The blank line an upstream forgot at the end of its stream, so that more can follow.
    mutating func writeClosing(_ frame: SSEFrame) {
        guard !frame.isClosed else { return }
        let last = frame.bytes.readableBytesView.last
        writeString(last == 0x0A || last == 0x0D ? "\n" : "\n\n")
    }
}
