internal import CScan
internal import NIOCore

/// Where in one frame its fields stand, those that matter here: `event` and `data`. (`id` and `retry` are for clients
/// that reconnect.)
struct SSEFields {
    /// Empty for none.
    private var name = 0..<0
    /// The content of the first `data` line.
    private var data: Range<Int>?
    private var dataLines = 0
    private let mayHaveMark: Bool

    /// - Parameter mayHaveMark: the frame is the stream's first, where a byte order mark is ignored.
    init(_ frame: ByteBuffer, mayHaveMark: Bool) {
        self.mayHaveMark = mayHaveMark
        frame.withUnsafeReadableBytes { bytes in
            Self.forEachField(bytes, mayHaveMark: mayHaveMark) { field, value in
                switch field {
                case .event: name = value
                case .data:
                    if dataLines == 0 { data = value }
                    dataLines += 1
                }
            }
        }
    }

    func frame(_ bytes: ByteBuffer, isClosed: Bool) -> SSEFrame {
        SSEFrame(
            bytes: bytes, isClosed: isClosed, name: name, data: data, joined: dataLines > 1 ? joined(bytes) : nil)
    }

    private func joined(_ frame: ByteBuffer) -> ByteBuffer {
        var joined = ByteBuffer()
        joined.reserveCapacity(frame.readableBytes)
        frame.withUnsafeReadableBytes { bytes in
            var isFirst = true
            Self.forEachField(bytes, mayHaveMark: mayHaveMark) { field, value in
                guard field == .data else { return }
                if !isFirst { joined.writeInteger(UInt8(ascii: "\n")) }
                isFirst = false
                joined.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[value]))
            }
        }
        return joined
    }

    private enum Field { case event, data }

    /// "If the line contains a U+003A COLON character, collect the characters before the first as field, those after it
    /// as value; if value starts with a U+0020 SPACE, remove it." A line without a colon is a field without a value.
    private static func forEachField(
        _ bytes: UnsafeRawBufferPointer, mayHaveMark: Bool, _ body: (Field, Range<Int>) -> Void
    ) {
        guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        var at = mayHaveMark && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while at < bytes.count {
            let end = cscan_line_end(start, bytes.count, at)
            if let (field, length) = field(start + at, end - at) {
                var value = min(at + length + 1, end)
                if value < end, start[value] == 0x20 { value += 1 }
                body(field, value..<end)
            }
            // Whether CR and LF are one line end or two makes no difference here: blank lines say nothing.
            at = end + 1
        }
    }

    private static func field(_ line: UnsafePointer<UInt8>, _ count: Int) -> (Field, length: Int)? {
        if count >= 4, cscan_same(line, "data", 4) != 0, count == 4 || line[4] == 0x3A { return (.data, 4) }
        if count >= 5, cscan_same(line, "event", 5) != 0, count == 5 || line[5] == 0x3A { return (.event, 5) }
        return nil
    }
}

/// The two forms nearly every frame has: `data: …` alone or behind an `event: …`, lines ended by `\n`.
struct SSEShape {
    private var name = 0..<0
    private var data = 0..<0
    /// Of the frame; 0 when the bytes begin with none of that form, or not with all of it.
    private(set) var length = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        let count = bytes.count
        var line = 0
        if count > 6, cscan_same(start, "event:", 6) != 0 {
            let from = start[6] == 0x20 ? 7 : 6
            let end = cscan_line_end(start, count, from)
            guard end < count, start[end] == 0x0A else { return }
            name = from..<end
            line = end + 1
        }
        guard count - line > 5, cscan_same(start + line, "data:", 5) != 0 else { return }
        let from = start[line + 5] == 0x20 ? line + 6 : line + 5
        let end = cscan_line_end(start, count, from)
        guard count - end > 1, start[end] == 0x0A, start[end + 1] == 0x0A else { return }
        data = from..<end
        length = end + 2
    }

    /// The frame, taken from the beginning of the bytes that were looked at.
    func cut(from read: inout ByteBuffer) -> SSEFrame? {
        guard let bytes = read.readSlice(length: length) else { return nil }
        return SSEFrame(bytes: bytes, isClosed: true, name: name, data: data)
    }
}
