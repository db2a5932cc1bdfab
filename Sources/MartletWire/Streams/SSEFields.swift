internal import CScan
internal import NIOCore

/// The fields of one frame that matter here: `event` and `data`. `id` and `retry` are for clients that reconnect.
struct SSEFields {
    private var name: Range<Int>?
    /// The content of the first `data` line, and from where on there may be others.
    private var data: Range<Int>?
    private var dataLines = 0
    private var mayHaveMark: Bool

    /// - Parameter mayHaveMark: the frame is the stream's first, where a byte order mark is ignored.
    init(_ frame: ByteBuffer, mayHaveMark: Bool) {
        self.mayHaveMark = mayHaveMark
        var name: Range<Int>?
        var data: Range<Int>?
        var dataLines = 0
        frame.withUnsafeReadableBytes { bytes in
            Self.forEachField(bytes, mayHaveMark: mayHaveMark) { field, value in
                switch field {
                case .event: name = value.isEmpty ? nil : value
                case .data:
                    if dataLines == 0 { data = value }
                    dataLines += 1
                }
            }
        }
        self.name = name
        self.data = data
        self.dataLines = dataLines
    }

    /// The event, if the frame has data. One line of data is a slice; several are joined.
    func event(in frame: ByteBuffer) -> SSEEvent? {
        guard let data else { return nil }
        let name = name.map { frame.part($0) }
        if dataLines == 1 { return SSEEvent(name: name, data: frame.part(data)) }
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
        return SSEEvent(name: name, data: joined)
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
            if let (field, length) = field(UnsafeRawBufferPointer(rebasing: bytes[at..<end])) {
                var value = min(at + length + 1, end)
                if value < end, start[value] == 0x20 { value += 1 }
                body(field, value..<end)
            }
            // Whether CR and LF are one line end or two makes no difference here: blank lines say nothing.
            at = end + 1
        }
    }

    private static func field(_ line: UnsafeRawBufferPointer) -> (Field, length: Int)? {
        if line.starts(with: "data".utf8), line.count == 4 || line[4] == UInt8(ascii: ":") { return (.data, 4) }
        if line.starts(with: "event".utf8), line.count == 5 || line[5] == UInt8(ascii: ":") { return (.event, 5) }
        return nil
    }
}

/// The two forms nearly every frame has: `data: …` alone or behind an `event: …`, lines ended by `\n`. Numbers only, so
/// that nothing is retained while looking.
struct SSEShape {
    private var nameStart = 0
    private var nameEnd = 0
    private var dataStart = 0
    private var dataEnd = 0
    /// Of the frame; 0 when the bytes begin with none of that form, or not with all of it.
    private(set) var length = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        let count = bytes.count
        var line = 0
        if count > 6, cscan_same(start, "event:", 6) != 0 {
            nameStart = start[6] == 0x20 ? 7 : 6
            nameEnd = cscan_line_end(start, count, nameStart)
            guard nameEnd < count, start[nameEnd] == 0x0A else { return }
            line = nameEnd + 1
        }
        guard count - line > 5, cscan_same(start + line, "data:", 5) != 0 else { return }
        dataStart = start[line + 5] == 0x20 ? line + 6 : line + 5
        dataEnd = cscan_line_end(start, count, dataStart)
        guard count - dataEnd > 1, start[dataEnd] == 0x0A, start[dataEnd + 1] == 0x0A else { return }
        length = dataEnd + 2
    }

    /// The frame, taken from the beginning of the bytes that were looked at.
    func cut(from read: inout ByteBuffer) -> SSEFrame? {
        let start = read.readerIndex
        guard let data = read.getSlice(at: start + dataStart, length: dataEnd - dataStart),
            let bytes = read.readSlice(length: length)
        else { return nil }
        let name = nameStart < nameEnd ? bytes.part(nameStart..<nameEnd) : nil
        return SSEFrame(bytes: bytes, event: SSEEvent(name: name, data: data))
    }
}
