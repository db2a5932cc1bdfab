package import MartletGateway
package import NIOCore

/// Why an upstream's bytes are no HTTP/1.1 reply.
package struct FramingError: Error, Hashable {
    package var reason: String
}

/// Frames HTTP/1.1 responses (RFC 9112) as they are read: the head once, the body's bytes
/// without their chunk framing, the end.
///
/// Upstreams are unreliable, not hostile: what is wrong is an error, never a guess. A value; one per connection, reset
/// between replies. Tested against llhttp as oracle.
package struct ResponseFraming {
    package struct Parsed {
        package var head: UpstreamHead?
        /// Body bytes of this read, in one piece.
        package var body: ByteBuffer?
        package var isEnd = false
    }

    private enum State {
        case head
        case length(Int)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case trailers
        case untilClose
        case done
    }

    private var state = State.head
    /// A head, or a line of chunk framing, that a read has cut.
    private var partial = ByteBuffer()
    /// Whether the connection may carry another request after this reply.
    package private(set) var isReusable = true
    package private(set) var hasBegun = false
    private var trailerBytes = 0

    package init() {}

    /// Whether the end of the connection is the end of this reply.
    package var endsWithConnection: Bool {
        if case .untilClose = state { true } else { false }
    }

    package mutating func take(_ read: ByteBuffer) throws(FramingError) -> Parsed {
        var parsed = Parsed()
        var input = read
        hasBegun = true
        if partial.readableBytes > 0 {
            partial.writeBuffer(&input)
            input = partial
            partial = ByteBuffer()
        }
        while true {
            switch state {
            case .head:
                guard let head = try takeHead(&input) else {
                    partial = input
                    return parsed
                }
                if head.status >= 200 {
                    parsed.head = head
                } else if head.status == 101 {
                    throw FramingError(reason: "it switched protocols unasked")
                }
            case .length(let left):
                if left > 0, let piece = input.readSlice(length: min(left, input.readableBytes)),
                    piece.readableBytes > 0
                {
                    state = .length(left - piece.readableBytes)
                    parsed.add(piece)
                } else if left == 0 {
                    state = .done
                } else {
                    return parsed
                }
            case .chunkSize:
                guard let line = try takeLine(&input) else { return parsed }
                let size = try ResponseFraming.chunkSize(line)
                state = size == 0 ? .trailers : .chunk(size)
            case .chunk(let left):
                guard let piece = input.readSlice(length: min(left, input.readableBytes)), piece.readableBytes > 0
                else {
                    return parsed
                }
                parsed.add(piece)
                state = piece.readableBytes == left ? .chunkEnd : .chunk(left - piece.readableBytes)
            case .chunkEnd:
                guard input.readableBytes >= 2 else {
                    partial = input
                    return parsed
                }
                guard input.readInteger(as: UInt16.self) == 0x0D0A else {
                    throw FramingError(reason: "a chunk is longer than its size")
                }
                state = .chunkSize
            case .trailers:
                guard let line = try takeLine(&input) else { return parsed }
                trailerBytes += line.readableBytes + 2
                try HeadFacts.check(line)
                guard trailerBytes <= Limits.upstreamHead else {
                    throw FramingError(reason: "its trailers are too long")
                }
                if line.readableBytes == 0 { state = .done }
            case .untilClose:
                if input.readableBytes > 0 { parsed.add(input) }
                return parsed
            case .done:
                parsed.isEnd = true
                if input.readableBytes > 0 { isReusable = false }
                return parsed
            }
        }
    }

    package mutating func reset() { self = ResponseFraming() }

    // MARK: Lines

    /// The next line without its CRLF; nil when the read has cut it.
    private mutating func takeLine(_ input: inout ByteBuffer) throws(FramingError) -> ByteBuffer? {
        guard let end = input.readableBytesView.firstIndex(of: 0x0A) else {
            guard input.readableBytes <= Limits.upstreamHead else { throw FramingError(reason: "a line is too long") }
            partial = input
            return nil
        }
        let length = end - input.readerIndex
        guard length > 0, input.getInteger(at: end - 1, as: UInt8.self) == 0x0D,
            let line = input.readSlice(length: length - 1)
        else { throw FramingError(reason: "a line of its chunk framing does not end in CRLF") }
        input.moveReaderIndex(forwardBy: 2)
        return line
    }

    private static func chunkSize(_ line: ByteBuffer) throws(FramingError) -> Int {
        var size = 0
        var digits = 0
        for byte in line.readableBytesView {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x37
            case 0x61...0x66: digit = byte - 0x57
            case 0x3B:
                guard digits > 0 else { throw FramingError(reason: "a chunk has no size") }
                let words = line.readableBytesView.dropFirst(digits)
                guard words.allSatisfy(isPlainExtension), words.last != byte else {
                    throw FramingError(reason: "a chunk's extension is odd")
                }
                return size
            default: throw FramingError(reason: "a chunk's size is not a number")
            }
            digits += 1
            guard digits <= 12 else { throw FramingError(reason: "a chunk's size is too large") }
            size = size << 4 | Int(digit)
        }
        guard digits > 0 else { throw FramingError(reason: "a chunk has no size") }
        return size
    }

    /// Extensions mean nothing to us, and are taken when they are words (RFC 9112, 7.1.1).
    private static func isPlainExtension(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ";"), UInt8(ascii: "="), UInt8(ascii: "-"),
            UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    // MARK: The head

    private mutating func takeHead(_ input: inout ByteBuffer) throws(FramingError) -> UpstreamHead? {
        guard let length = try ResponseFraming.headLength(input) else {
            guard input.readableBytes <= Limits.upstreamHead else { throw FramingError(reason: "its head is too long") }
            return nil
        }
        guard length <= Limits.upstreamHead, var text = input.readSlice(length: length) else {
            throw FramingError(reason: "its head is too long")
        }
        let (status, minor) = try ResponseFraming.statusLine(&text)
        var facts = HeadFacts()
        try facts.read(text)
        isReusable = facts.keepsAlive ?? (minor > 0)
        if status < 200 {
            state = .head
        } else if status == 204 || status == 304 {
            state = .done
        } else if facts.isChunked {
            state = .chunkSize
        } else if let length = facts.length {
            state = .length(length)
        } else {
            isReusable = false
            state = .untilClose
        }
        // The blank line is not part of the lines.
        let lines = text.getSlice(at: text.readerIndex, length: max(0, text.readableBytes - 2)) ?? ByteBuffer()
        return UpstreamHead(status: status, content: facts.content, retryAfter: facts.retryAfter, lines: lines)
    }

    /// Bytes up to and with the blank line; nil when it has not come yet.
    private static func headLength(_ input: ByteBuffer) throws(FramingError) -> Int? {
        let bytes = input.readableBytesUInt8Span
        let version: StaticString = "HTTP/1."
        for at in 0..<min(bytes.count, version.utf8CodeUnitCount) where bytes[at] != version.utf8Start[at] {
            throw FramingError(reason: "its status line is not HTTP/1.1")
        }
        var start = 0
        var at = 0
        while at < bytes.count {
            guard bytes[at] == 0x0A else {
                at += 1
                continue
            }
            guard at > start, bytes[at - 1] == 0x0D else {
                throw FramingError(reason: "a line of its head does not end in CRLF")
            }
            if at - start == 1 { return at + 1 }
            at += 1
            start = at
        }
        return nil
    }

    /// `HTTP/1.x NNN reason`: the status and the minor version. Moves to the line behind it.
    private static func statusLine(_ text: inout ByteBuffer) throws(FramingError) -> (Int, Int) {
        guard let (status, minor, length) = parsedStatusLine(text.readableBytesUInt8Span) else {
            throw FramingError(reason: "its status line is not HTTP/1.1")
        }
        text.moveReaderIndex(forwardBy: length)
        return (status, minor)
    }

    /// - Returns: with the line's length, its line feed included; nil when it is none.
    private static func parsedStatusLine(_ bytes: Span<UInt8>) -> (status: Int, minor: Int, length: Int)? {
        // The caller has seen `HTTP/1.` and a line that ends in CRLF.
        guard bytes.count >= 14, bytes[7] == 0x30 || bytes[7] == 0x31, bytes[8] == 0x20 else { return nil }
        var status = 0
        for at in 9..<12 {
            guard (0x30...0x39).contains(bytes[at]) else { return nil }
            status = status * 10 + Int(bytes[at] - 0x30)
        }
        guard (100...599).contains(status), bytes[12] == 0x20 || bytes[12] == 0x0D && bytes[13] == 0x0A else {
            return nil
        }
        var at = 12
        while at < bytes.count, bytes[at] != 0x0A {
            let isLegal = bytes[at] >= 0x20 && bytes[at] != 0x7F
            guard isLegal || bytes[at] == 0x0D && at + 1 < bytes.count && bytes[at + 1] == 0x0A else { return nil }
            at += 1
        }
        return at < bytes.count ? (status, Int(bytes[7] - 0x30), at + 1) : nil
    }
}

extension ResponseFraming.Parsed {
    fileprivate mutating func add(_ piece: ByteBuffer) {
        if body == nil { body = piece } else { body?.writeImmutableBuffer(piece) }
    }
}
