import MartletDialects
import MartletGateway
import NIOCore
import NIOHTTP1

/// Writes response heads as bytes.
struct ReplyHead {
    private(set) var bytes: ByteBuffer
    let status: Int

    init(status: Int, into buffer: ByteBuffer) {
        bytes = buffer
        self.status = status
        guard status != 200 else {
            bytes.writeStaticString("HTTP/1.1 200 OK\r\n")
            return
        }
        bytes.writeStaticString("HTTP/1.1 ")
        bytes.writeString(String(status))
        bytes.writeStaticString(" ")
        bytes.writeString(HTTPResponseStatus(statusCode: status).reasonPhrase)
        bytes.writeStaticString("\r\n")
    }

    mutating func add(_ name: StaticString, _ value: String) {
        bytes.write(room: name.utf8CodeUnitCount + value.utf8.count + 4) { line in
            line.add(name)
            line.add(": ")
            line.add(value)
            line.add("\r\n")
        }
    }

    mutating func add(_ name: StaticString, _ first: String, _ between: StaticString, _ second: String) {
        let length = name.utf8CodeUnitCount + first.utf8.count + between.utf8CodeUnitCount + second.utf8.count
        bytes.write(room: length + 4) { line in
            line.add(name)
            line.add(": ")
            line.add(first)
            line.add(between)
            line.add(second)
            line.add("\r\n")
        }
    }

    mutating func add(line: String) { bytes.writeString(line) }

    mutating func add(fixed line: StaticString) { bytes.writeStaticString(line) }

    /// The upstream's lines that travel to the client: rate limits, `anthropic-…`, `openai-…`; in `exact` mode
    /// everything that is not about the connection, the body's framing or cookies (specs 2.0, Pass-through).
    /// - Parameter contentType: whether the body is of the type the upstream said.
    mutating func add(_ head: UpstreamHead, exact: Bool, contentType: Bool) {
        let lines = head.lines.readableBytesUInt8Span
        var start = 0
        while let line = HeaderLine(in: lines, from: start) {
            start = line.next
            let isWanted =
                line.isNamed("content-type", lines)
                ? contentType : exact ? !ReplyHead.stays(line, lines) : ReplyHead.travels(line, lines)
            guard line.hasColon, isWanted,
                let piece = head.lines.getSlice(
                    at: head.lines.readerIndex + line.line.lowerBound, length: line.line.count)
            else { continue }
            bytes.writeImmutableBuffer(piece)
            bytes.writeStaticString("\r\n")
        }
    }

    mutating func end() -> ByteBuffer {
        bytes.writeStaticString("\r\n")
        return bytes
    }

    /// Names that travel in every mode.
    private static func travels(_ line: HeaderLine, _ bytes: Span<UInt8>) -> Bool {
        line.isNamed(bytes, beginning: "x-ratelimit-") || line.isNamed(bytes, beginning: "anthropic-")
            || line.isNamed(bytes, beginning: "openai-") || line.isNamed(bytes, beginning: "retry-after")
            || line.isNamed("x-should-retry", bytes)
    }

    /// Names that never travel: hop by hop (RFC 9110, 7.6.1), the body's framing, what we say ourselves, cookies.
    private static func stays(_ line: HeaderLine, _ bytes: Span<UInt8>) -> Bool {
        if line.isNamed(bytes, beginning: "access-control-") || line.isNamed(bytes, beginning: "proxy-") { return true }
        for name in ReplyHead.ownNames where line.isNamed(name, bytes) { return true }
        return false
    }

    private static let ownNames: [StaticString] = [
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
        "content-encoding",
        "etag", "last-modified", "content-md5", "digest", "accept-ranges", "date", "set-cookie", "x-request-id",
        "request-id", "x-martlet-model", "x-martlet-blocked-tools", "alt-svc", "x-accel-buffering", "cache-control",
    ]
}
