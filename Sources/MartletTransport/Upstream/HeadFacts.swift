import MartletGateway
import NIOCore

/// What the framing and the exchange need from a response's header lines.
struct HeadFacts {
    var length: Int?
    var isChunked = false
    var keepsAlive: Bool?
    var content = UpstreamHead.Content.other
    var retryAfter: TimeAmount?

    /// - Parameter text: header lines, each ending in LF.
    mutating func read(_ text: ByteBuffer) throws(FramingError) {
        let bytes = text.readableBytesUInt8Span
        var start = 0
        while let line = HeaderLine(in: bytes, from: start) {
            start = line.next
            if line.isBlank { continue }
            try line.check()
            try note(line, bytes)
        }
        guard length == nil || !isChunked else {
            throw FramingError(reason: "it has both a content-length and a transfer-encoding")
        }
    }

    /// A trailer, without its CRLF.
    static func check(_ trailer: ByteBuffer) throws(FramingError) {
        guard let line = HeaderLine(in: trailer.readableBytesUInt8Span, from: 0) else { return }
        try line.check()
    }

    private mutating func note(_ line: HeaderLine, _ bytes: Span<UInt8>) throws(FramingError) {
        switch line.name.count {
        case 10 where line.isNamed("connection", bytes):
            if line.value(bytes, contains: "close") {
                keepsAlive = false
            } else if line.value(bytes, is: "keep-alive"), keepsAlive == nil {
                keepsAlive = true
            }
        case 11 where line.isNamed("retry-after", bytes):
            if let seconds = line.number(bytes), seconds <= 86_400 { retryAfter = .seconds(Int64(seconds)) }
        case 12 where line.isNamed("content-type", bytes):
            if line.value(bytes, begins: "text/event-stream") {
                content = .eventStream
            } else if line.value(bytes, begins: "application/json") {
                content = .json
            }
        case 14 where line.isNamed("content-length", bytes):
            guard let count = line.number(bytes), !line.endsInTab(bytes) else {
                throw FramingError(reason: "its content-length is not a number")
            }
            guard length == nil else { throw FramingError(reason: "it has two content-lengths") }
            length = count
        case 14 where line.isNamed("retry-after-ms", bytes):
            if let count = line.number(bytes), count <= 86_400_000 { retryAfter = .milliseconds(Int64(count)) }
        case 16 where line.isNamed("content-encoding", bytes):
            guard line.value.isEmpty || line.value(bytes, is: "identity") else {
                throw FramingError(reason: "it has a content-encoding nobody asked for")
            }
        case 17 where line.isNamed("transfer-encoding", bytes):
            guard line.value(bytes, is: "chunked"), !line.endsInTab(bytes) else {
                throw FramingError(reason: "its transfer-encoding is not chunked")
            }
            isChunked = true
        default: break
        }
    }
}

extension UpstreamHead {
    /// Where a redirect points, for a message: without user, query and fragment, 200 characters at most.
    var shownLocation: String? {
        location.flatMap { location in
            location.prefix { $0 != "?" && $0 != "#" }.split(separator: "@").last.map { String($0.prefix(200)) }
        }
    }

    /// Where a redirect points.
    var location: String? {
        let bytes = lines.readableBytesUInt8Span
        var at = 0
        while let line = HeaderLine(in: bytes, from: at) {
            if line.isNamed("location", bytes) {
                let start = lines.readerIndex + line.value.lowerBound
                return lines.getString(at: start, length: line.value.count)
            }
            at = line.next
        }
        return nil
    }
}

/// One header line: where its name and its value stand in a span of lines. Names and values are compared with
/// lower-case ASCII, case folded.
struct HeaderLine {
    let line: Range<Int>
    let name: Range<Int>
    /// Without the whitespace around it.
    let value: Range<Int>
    /// Where the next line starts.
    let next: Int
    let hasColon: Bool
    let isFolded: Bool
    /// No byte stands where RFC 9110, 5.5 and 5.6.2 do not allow it.
    let isLegal: Bool

    /// Nil at the end. The last line may lack its LF.
    init?(in bytes: Span<UInt8>, from start: Int) {
        guard start < bytes.count else { return nil }
        var end = start
        var colon = -1
        var isLegal = true
        while end < bytes.count, bytes[end] != 0x0A {
            let byte = bytes[end]
            if colon >= 0 {
                if byte < 0x20 || byte == 0x7F, byte != 0x09 {
                    isLegal = isLegal && byte == 0x0D && end + 1 < bytes.count && bytes[end + 1] == 0x0A
                }
            } else if byte == 0x3A {
                colon = end
            } else if !Self.isTokenByte(byte) {
                isLegal = false
            }
            end += 1
        }
        next = end + 1
        self.isLegal = isLegal && colon != start
        if end > start, bytes[end - 1] == 0x0D { end -= 1 }
        line = start..<end
        isFolded = end > start && (bytes[start] == 0x20 || bytes[start] == 0x09)
        hasColon = colon >= 0
        guard colon >= 0 else {
            name = start..<end
            value = end..<end
            return
        }
        name = start..<colon
        var lower = colon + 1
        var upper = max(end, lower)
        while lower < upper, bytes[lower] == 0x20 || bytes[lower] == 0x09 { lower += 1 }
        while upper > lower, bytes[upper - 1] == 0x20 || bytes[upper - 1] == 0x09 { upper -= 1 }
        value = lower..<upper
    }

    var isBlank: Bool { line.isEmpty }

    func check() throws(FramingError) {
        guard !isFolded else { throw FramingError(reason: "a header line is folded") }
        guard hasColon else { throw FramingError(reason: "a header line has no colon") }
        guard isLegal else { throw FramingError(reason: "a header line holds a character that may not stand there") }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7A, 0x41...0x5A, 0x30...0x39, 0x2D, 0x5F, 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2E, 0x5E, 0x60, 0x7C,
            0x7E:
            true
        default: false
        }
    }

    func isNamed(_ wanted: StaticString, _ bytes: Span<UInt8>) -> Bool {
        name.count == wanted.utf8CodeUnitCount && Self.folds(bytes, at: name.lowerBound, to: wanted)
    }

    func isNamed(_ bytes: Span<UInt8>, beginning wanted: StaticString) -> Bool {
        name.count >= wanted.utf8CodeUnitCount && Self.folds(bytes, at: name.lowerBound, to: wanted)
    }

    func value(_ bytes: Span<UInt8>, is wanted: StaticString) -> Bool {
        value.count == wanted.utf8CodeUnitCount && Self.folds(bytes, at: value.lowerBound, to: wanted)
    }

    func value(_ bytes: Span<UInt8>, begins wanted: StaticString) -> Bool {
        value.count >= wanted.utf8CodeUnitCount && Self.folds(bytes, at: value.lowerBound, to: wanted)
    }

    func value(_ bytes: Span<UInt8>, contains wanted: StaticString) -> Bool {
        let last = value.upperBound - wanted.utf8CodeUnitCount
        var at = value.lowerBound
        while at <= last {
            if Self.folds(bytes, at: at, to: wanted) { return true }
            at += 1
        }
        return false
    }

    /// Whether a tab follows the value, which llhttp does not take in what frames the body.
    func endsInTab(_ bytes: Span<UInt8>) -> Bool {
        for at in value.upperBound..<line.upperBound where bytes[at] == 0x09 { return true }
        return false
    }

    /// The value as a decimal number of at most 15 digits.
    func number(_ bytes: Span<UInt8>) -> Int? {
        guard (1...15).contains(value.count) else { return nil }
        var number = 0
        for at in value {
            guard (0x30...0x39).contains(bytes[at]) else { return nil }
            number = number * 10 + Int(bytes[at] - 0x30)
        }
        return number
    }

    private static func folds(_ bytes: Span<UInt8>, at start: Int, to wanted: StaticString) -> Bool {
        let text = wanted.utf8Start
        for offset in 0..<wanted.utf8CodeUnitCount {
            let byte = bytes[start + offset]
            let folded = byte &- 0x41 < 26 ? byte | 0x20 : byte
            if folded != text[offset] { return false }
        }
        return true
    }
}
