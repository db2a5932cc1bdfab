import MartletDialects
import MartletGateway
import NIOCore
import NIOHTTP1

/// Writes response heads as bytes.
struct ReplyHead {
    private(set) var bytes: ByteBuffer

    init(status: Int, into buffer: ByteBuffer) {
        bytes = buffer
        bytes.writeStaticString("HTTP/1.1 ")
        bytes.writeString(String(status))
        bytes.writeStaticString(" ")
        bytes.writeString(HTTPResponseStatus(statusCode: status).reasonPhrase)
        bytes.writeStaticString("\r\n")
    }

    mutating func add(_ name: StaticString, _ value: String) {
        bytes.writeStaticString(name)
        bytes.writeStaticString(": ")
        bytes.writeString(value)
        bytes.writeStaticString("\r\n")
    }

    mutating func add(line: String) { bytes.writeString(line) }

    mutating func add(fixed line: StaticString) { bytes.writeStaticString(line) }

    /// The upstream's lines that travel to the client: rate limits, `anthropic-…`, `openai-…`; in `exact` mode everything that is
    /// not about the connection, the body's framing or cookies (specs 2.0, Pass-through).
    mutating func add(_ head: UpstreamHead, exact: Bool) {
        let view = head.lines.readableBytesView
        var start = view.startIndex
        while start < view.endIndex {
            let end = view[start...].firstIndex(of: 0x0A) ?? view.endIndex
            let line = view[start..<end]
            start = end < view.endIndex ? end + 1 : end
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            guard exact ? !ReplyHead.stays(name) : ReplyHead.travels(name) else { continue }
            bytes.writeBytes(line)
            if line.last != 0x0D { bytes.writeInteger(UInt8(0x0D)) }
            bytes.writeInteger(UInt8(0x0A))
        }
    }

    mutating func end() -> ByteBuffer {
        bytes.writeStaticString("\r\n")
        return bytes
    }

    /// Names that travel in every mode.
    static func travels(_ name: String) -> Bool {
        name.hasPrefix("x-ratelimit-") || name.hasPrefix("anthropic-") || name.hasPrefix("openai-")
            || name.hasPrefix("retry-after") || name == "x-should-retry"
    }

    /// Names that never travel: hop by hop (RFC 9110, 7.6.1), the body's framing, what we say ourselves, cookies.
    static func stays(_ name: String) -> Bool {
        switch name {
        case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
            "transfer-encoding", "upgrade", "content-length", "content-encoding", "etag", "last-modified", "content-md5",
            "digest", "accept-ranges", "date", "set-cookie", "x-request-id", "x-martlet-model", "alt-svc",
            "access-control-allow-origin", "access-control-allow-headers", "access-control-allow-methods",
            "access-control-allow-credentials", "access-control-expose-headers", "x-accel-buffering", "cache-control":
            true
        default: false
        }
    }
}
