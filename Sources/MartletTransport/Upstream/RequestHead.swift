import MartletDialects
import MartletGateway
import NIOCore

/// Writes requests to upstreams: our credentials, our framing, and of the client's headers only those that travel.
enum RequestHead {
    /// Bodies up to this many bytes are copied behind the head, so that one write carries all.
    private static let copied = 16 << 10

    static func pieces(_ plan: Plan, _ candidate: Candidate, _ request: UpstreamRequest) -> [ByteBuffer] {
        let upstream = candidate.upstream
        let body = request.body
        let length = body.reduce(0) { $0 + $1.readableBytes }
        var head = ByteBufferAllocator().buffer(capacity: 512 + (length <= copied ? length : 0))
        head.writeStaticString("POST ")
        head.writeString(upstream.prefix)
        head.writeStaticString(request.path)
        if !plan.query.isEmpty, !request.isTranslated {
            head.writeStaticString("?")
            head.writeString(plan.query)
        }
        head.writeStaticString(" HTTP/1.1\r\n")
        head.writeString(upstream.headLines.revealed)
        head.writeStaticString("accept: ")
        if plan.streams {
            head.writeStaticString("text/event-stream\r\n")
        } else {
            head.writeStaticString("application/json\r\n")
        }
        var hasVersion = false
        for (name, value) in plan.forwarded where !request.isTranslated {
            hasVersion = hasVersion || name.isField("anthropic-version")
            head.writeString(name)
            head.writeStaticString(": ")
            head.writeString(value)
            head.writeStaticString("\r\n")
        }
        if request.dialect == .anthropic, !hasVersion { head.writeStaticString("anthropic-version: 2023-06-01\r\n") }
        head.writeStaticString("x-request-id: ")
        head.writeString(plan.requestID)
        head.writeStaticString("\r\ncontent-length: ")
        head.writeString(String(length))
        head.writeStaticString("\r\n\r\n")
        guard length <= copied else { return [head] + body }
        for piece in body { head.writeImmutableBuffer(piece) }
        return [head]
    }
}
