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
            guard !line.isFolded else { throw FramingError(reason: "a header line is folded") }
            guard line.hasColon else { throw FramingError(reason: "a header line has no colon") }
            try note(line, bytes)
        }
    }

    private mutating func note(_ line: HeaderLine, _ bytes: Span<UInt8>) throws(FramingError) {
        switch line.name.count {
        case 10 where line.isNamed("connection", bytes):
            if line.value(bytes, contains: "close") {
                keepsAlive = false
            } else if line.value(bytes, contains: "keep-alive") {
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
            guard let count = line.number(bytes), length == nil || length == count else {
                throw FramingError(reason: "its content-length is not a number")
            }
            length = count
        case 14 where line.isNamed("retry-after-ms", bytes):
            if let count = line.number(bytes), count <= 86_400_000 { retryAfter = .milliseconds(Int64(count)) }
        case 16 where line.isNamed("content-encoding", bytes):
            guard line.value.isEmpty || line.value(bytes, is: "identity") else {
                throw FramingError(reason: "it compressed the reply unasked")
            }
        case 17 where line.isNamed("transfer-encoding", bytes):
            guard line.value(bytes, is: "chunked") else {
                throw FramingError(reason: "its transfer-encoding is not chunked")
            }
            isChunked = true
        default: break
        }
    }
}

/// One header line: where its name and its value stand in a span of lines. Names and values are compared with lower-case ASCII,
/// case folded.
struct HeaderLine {
    let line: Range<Int>
    let name: Range<Int>
    /// Without the whitespace around it.
    let value: Range<Int>
    /// Where the next line starts.
    let next: Int
    let hasColon: Bool
    let isFolded: Bool

    /// Nil at the end. The last line may lack its LF.
    init?(in bytes: Span<UInt8>, from start: Int) {
        guard start < bytes.count else { return nil }
        var end = start
        var colon = -1
        while end < bytes.count, bytes[end] != 0x0A {
            if colon < 0, bytes[end] == 0x3A { colon = end }
            end += 1
        }
        next = end + 1
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
