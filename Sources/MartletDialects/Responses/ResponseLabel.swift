import MartletWire
package import NIOCore

/// What a Response that is kept here says of itself, whatever its upstream was told and says: an id of our own, so that
/// no two are ever the same, and what of the request stayed here.
package struct ResponseLabel: Sendable, Hashable {
    package var id: String
    /// The response the request continues from.
    package var previousID: String?
    package var isStored: Bool
    /// It is made while nobody waits for it.
    package var isBackground: Bool

    package init(id: String, previousID: String? = nil, isStored: Bool = true, isBackground: Bool = false) {
        self.id = id
        self.previousID = previousID
        self.isStored = isStored
        self.isBackground = isBackground
    }

    func put(on response: inout RawObject) {
        response.set("id", .rawString(id))
        response.set("previous_response_id", previousID.map { .rawString($0) } ?? .rawNull)
        response.set("store", ByteBuffer(string: isStored ? "true" : "false"))
        response.set("background", ByteBuffer(string: isBackground ? "true" : "false"))
    }
}

/// Responses that no writer is at work on: before the first word of a reply, and where there will be none.
package enum ResponsesDraft {
    package enum Ending: String, Sendable { case failed, cancelled }

    /// One that waits for its turn.
    /// - Parameters:
    ///   - model: as the client spelled it.
    ///   - created: seconds since 1970.
    package static func queued(
        _ label: ResponseLabel, model: String, created: Int, echo: ResponsesEcho?
    ) -> ByteBuffer {
        let echo = (echo ?? .unsaid).with(previousID: label.previousID, isStored: label.isStored)
        var out = ByteBuffer()
        ResponsesObject(id: label.id, model: model, created: created, echo: echo)
            .write(ResponsesObject.Ending(status: .queued), into: &out)
        return out
    }

    /// The same in another state.
    package static func begun(_ response: ByteBuffer) -> ByteBuffer { edited(response, "in_progress", nil) }

    /// The same when nothing more will come of it.
    package static func ended(_ response: ByteBuffer, _ ending: Ending, _ error: GatewayError? = nil) -> ByteBuffer {
        edited(response, ending.rawValue, error)
    }

    private static func edited(_ response: ByteBuffer, _ status: String, _ error: GatewayError?) -> ByteBuffer {
        guard var whole = try? RawObject(response) else { return response }
        whole.set("status", .rawString(status))
        if let error {
            var reason = ByteBuffer()
            ResponsesErrors.writeDetail(error, into: &reason)
            whole.set("error", reason)
        }
        return whole.text
    }

    /// The last event of a stream that says no more of a Response.
    /// - Parameter number: its place among the events.
    package static func lastEvent(_ response: ByteBuffer, number: Int) -> ByteBuffer {
        let type = (try? RawObject(response)).map(ResponsesReplay.ending) ?? "response.failed"
        var event = RawObject()
        event.set("type", .rawString(type))
        event.set("sequence_number", ByteBuffer(string: "\(number)"))
        event.set("response", response)
        var out = ByteBuffer(string: "event: \(type)\n")
        out.writeFrame(data: event.text)
        return out
    }

    /// The Response in the event that ends a stream; nil when this is another event.
    package static func ending(_ event: ByteBuffer) -> ByteBuffer? { ResponsesReply.whole(of: event) }

    /// What follows the last event.
    package static var endMark: ByteBuffer { ByteBuffer(string: "data: [DONE]\n\n") }

    /// A whole Response as the events that would have built it up, each with its blank line; empty when it is none.
    package static func events(_ response: ByteBuffer) -> [ByteBuffer] {
        ResponsesReply.streamed(response).map(ResponsesDraft.cut) ?? []
    }

    /// The events of a stream that is all there, without comments and its end mark; of any length.
    package static func cut(_ stream: ByteBuffer) -> [ByteBuffer] {
        var cutter = ResponsesEventCutter(limit: .max)
        return cutter.take(stream) ?? []
    }
}

/// Cuts a stream of Responses that comes in pieces into its events, each as its bytes; comments
/// and the end mark are left out.
package struct ResponsesEventCutter: Sendable {
    private var framer: SSEFramer

    package init() { framer = SSEFramer() }

    /// - Parameter limit: bytes of one event.
    init(limit: Int) { framer = SSEFramer(limit: limit) }

    /// Nil once an event has been longer than the limit.
    package mutating func take(_ piece: ByteBuffer) -> [ByteBuffer]? {
        var events: [ByteBuffer] = []
        guard framer.take(piece) else { return nil }
        while let frame = framer.next() {
            guard let event = frame.event, !event.isDone, event.data.readableBytes > 0 else { continue }
            events.append(frame.bytes.copy(0..<frame.bytes.readableBytes))
        }
        return events
    }
}
