package import MartletWire
package import NIOCore

/// Relays a Messages stream: the model in `message_start` is put back to the client's spelling, all else stays.
package struct AnthropicFrameEdit: FrameEdit {
    /// As a JSON string, with its quotes.
    private let model: ByteBuffer
    private let requestID: String
    /// `message_start` has gone by: no other event names the model.
    private var isDone = false

    package var refusesUnreadable: Bool { false }

    /// - Parameter model: as the client spelled it.
    package init(model: String, requestID: String = "") {
        self.model = .rawString(model)
        self.requestID = requestID
    }

    package mutating func edit(_ frame: SSEFrame, _ events: [ReplyEvent], into out: inout ByteBuffer) -> Bool {
        guard !isDone, let data = frame.event?.data, let value = Self.find(in: data) else { return false }
        isDone = true
        guard data.part(value) != model else { return false }
        var edited = data.copy(0..<value.lowerBound)
        edited.writeImmutableBuffer(model)
        edited.writeImmutableBuffer(data.part(value.upperBound..<data.readableBytes))
        out.writeFrame(frame, data: edited)
        return true
    }

    package mutating func edit(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) -> Bool { false }

    package mutating func finish(into out: inout ByteBuffer) {
        out.writeString("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        ErrorTable.writeKeepAlive(for: .anthropic, into: &out)
    }

    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        ErrorTable.writeInStream(error, for: .anthropic, requestID: requestID, into: &out)
    }

    /// The `model` inside `message`, with its quotes.
    private static func find(in text: ByteBuffer) -> Range<Int>? {
        try? text.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) -> Range<Int>? in
            try walk.enterObject()
            while let key = try walk.nextKey() {
                guard walk.key(key, is: "message"), try walk.kind() == .object else {
                    _ = try walk.skip()
                    continue
                }
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    let value = try walk.skip()
                    if walk.key(key, is: "model") { return value }
                }
            }
            return nil
        }
    }
}

extension ModelSplice {
    /// A whole reply with the client's spelling, as pieces to be written one after another.
    static func splice(_ model: String, into body: ByteBuffer) -> [ByteBuffer] {
        let name = ByteBuffer.rawString(model)
        guard let value = find(in: body), body.part(value) != name else { return [body] }
        return [body.part(0..<value.lowerBound), name, body.part(value.upperBound..<body.readableBytes)]
    }
}
