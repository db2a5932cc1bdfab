import MartletWire
import NIOCore

/// A whole (unstreamed) reply of LM Studio's own API.
enum LMStudioReply {
    /// What the body of a successful reply says. Throws the upstream's own error when it is one all the same: a path
    /// it does not know is answered so.
    /// - Parameter limit: tokens the reply was to stop at.
    static func events(_ body: ByteBuffer, limit: Int?) throws(GatewayError) -> [ReplyEvent] {
        let reply: LMStudioEvent
        do throws(JSONError) {
            reply = try body.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try LMStudioEvent(&walk)
            }
        } catch {
            if error.code == .notThisType { throw ChatErrors.read(status: 200, body: body) }
            throw GatewayError(unreadable: DialectError(error))
        }
        guard reply.top.output != nil else { throw ChatErrors.read(status: 200, body: body) }
        var reader = LMStudioStreamReader(limit: limit, readsFast: false)
        var events: [ReplyEvent] = []
        do throws(DialectError) {
            try reader.end(reply.top, of: body, into: &events)
        } catch {
            throw GatewayError(unreadable: error)
        }
        return events
    }

    /// A whole reply said as a stream's last event, which brings all of it; an error as the event that says it.
    /// Nil when it is no JSON object.
    static func streamed(_ whole: ByteBuffer) -> ByteBuffer? {
        guard let parsed = try? JSON(parsing: whole), parsed.object != nil else { return nil }
        var event: JSON = ["type": "error", "error": parsed["error"] ?? parsed]
        if parsed["output"]?.array != nil { event = ["type": "chat.end", "result": parsed] }
        var stream = ByteBuffer()
        stream.writeChunk(event.buffer)
        return stream
    }
}
