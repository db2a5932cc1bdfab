import MartletWire
package import NIOCore

/// A whole (unstreamed) Response.
package enum ResponsesReply {
    /// What the body of a successful reply says. Throws the upstream's own error when it is one all the same.
    package static func events(_ body: ByteBuffer) throws(GatewayError) -> [ReplyEvent] {
        let response: ResponsesEvent.Response
        do throws(JSONError) {
            response = try body.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                let response = try ResponsesEvent.Response(&walk)
                try walk.end()
                return response
            }
        } catch {
            if error.code == .notThisType { throw ChatErrors.read(status: 200, body: body) }
            throw GatewayError(unreadable: DialectError(error))
        }
        if response.error != nil || response.output == nil { throw ResponsesFailure.read(body) }
        var reader = ResponsesStreamReader(readsFast: false)
        var events: [ReplyEvent] = []
        do throws(DialectError) {
            try reader.take(whole: response, of: body, into: &events)
        } catch {
            throw GatewayError(unreadable: error)
        }
        for case .failed(let error) in events { throw error }
        return events
    }

    /// A whole Response said as a stream; an error in its place as an event of its own. Nil when it is no JSON object.
    static func streamed(_ whole: ByteBuffer) -> ByteBuffer? {
        guard let response = try? RawObject(whole) else { return nil }
        var replay = ResponsesReplay()
        replay.say(response, whole)
        return replay.out
    }

    /// The Response in the terminal event of a stream that has been collected; nil when there is none.
    static func whole(of stream: ByteBuffer) -> ByteBuffer? {
        var framer = SSEFramer()
        guard framer.take(stream) else { return nil }
        while let frame = framer.next() ?? framer.finish() {
            guard let event = frame.event, let object = try? RawObject(event.data),
                let type = object["type"]?.rawString?.unescaped() ?? event.name.map({ String(buffer: $0) })
            else { continue }
            let isTerminal = ["response.completed", "response.incomplete", "response.failed"].contains(type)
            if isTerminal, let response = object["response"] { return response }
        }
        return nil
    }
}
