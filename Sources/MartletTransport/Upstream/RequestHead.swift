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
        let isForeign = request.dialect != .anthropic
        let travelling =
            request.isTranslated
            ? [] : plan.forwarded.filter { !isForeign || !$0.name.hasFieldPrefix("anthropic-") }
        let isCopied = length <= copied
        var room = upstream.prefix.utf8.count + plan.query.utf8.count + upstream.headLines.revealed.utf8.count
        room += plan.requestID.utf8.count + 256
        for (name, value) in travelling { room += name.utf8.count + value.utf8.count + 4 }
        let allocated = room + (isCopied ? length : 0)
        var head = ByteBufferAllocator().buffer(capacity: allocated)
        head.write(room: allocated) { head in
            head.add("POST ")
            head.add(upstream.prefix)
            head.add(request.path)
            if !plan.query.isEmpty, !request.isTranslated {
                head.add("?")
                head.add(plan.query)
            }
            head.add(" HTTP/1.1\r\n")
            head.add(upstream.headLines.revealed)
            head.add(plan.takesWhole ? "accept: application/json\r\n" : "accept: text/event-stream\r\n")
            var hasVersion = isForeign
            for (name, value) in travelling {
                hasVersion = hasVersion || name.isField("anthropic-version")
                head.add(name)
                head.add(": ")
                head.add(value)
                head.add("\r\n")
            }
            if !hasVersion { head.add("anthropic-version: 2023-06-01\r\n") }
            head.add("x-request-id: ")
            head.add(plan.requestID)
            head.add("\r\ncontent-length: ")
            head.add(String(length))
            head.add("\r\n\r\n")
            if isCopied {
                for piece in body { head.add(piece) }
            }
        }
        return isCopied ? [head] : [head] + body
    }
}
