import MartletWire
import NIOCore

/// Stands where the reader of Responses upstreams will: a relay passes its frames on, and only looks for the end.
struct ResponsesUpstream: StreamReader {
    private var isEnded = false

    static var missing: GatewayError {
        GatewayError(code: .upstreamBadReply, message: "this gateway cannot translate for Responses upstreams")
    }

    mutating func read(_ event: SSEEvent, into events: inout [ReplyEvent]) throws(DialectError) {
        for name: StaticString in ["response.completed", "response.incomplete", "response.failed"]
        where event.isNamed(name) { isEnded = true }
        if event.isDone {
            isEnded = true
            events.append(.ended)
        }
    }

    mutating func finish(into events: inout [ReplyEvent]) throws(DialectError) {
        guard !isEnded else { return }
        throw DialectError(.truncated, "the stream ended before its terminal event")
    }

    func streamed(_ whole: ByteBuffer) -> ByteBuffer? { nil }
}
