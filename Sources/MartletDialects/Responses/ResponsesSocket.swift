package import MartletWire
package import NIOCore

/// A `response.create` that came over a WebSocket (https://developers.openai.com/api/docs/guides/websocket-mode): a
/// request as over HTTP, in a message of its own.
package struct ResponsesCreate: Sendable, Hashable {
    /// What a POST would have had as its body; it streams.
    package let body: ByteBuffer
    /// The lane whose order it keeps; nil: the one without a name.
    package let stream: String?
    /// False: no reply is wanted, only something to continue from.
    package let generates: Bool
    package let previousID: String?

    /// - Parameter message: the text of a message.
    /// - Throws: `invalidJSON`, and `invalidRequest` or `invalidStreamID` with the member at fault.
    package init(_ message: ByteBuffer) throws(GatewayError) {
        let document: JSONDocument
        let members: [JSONMember?]
        let edited: ByteBuffer
        do throws(JSONError) {
            document = try JSONDocument(checking: message)
            members = try Self.names.map { (name) throws(JSONError) in try document.member(name) }
            var edit = JSONEdit()
            for name in ["type", "generate", "stream_id"] {
                if let place = try document.index(of: name) { edit.remove(place, of: document) }
            }
            try edit.set("stream", ByteBuffer(string: "true"), in: document)
            edited = edit.applied(to: message)
        } catch {
            throw GatewayError(code: .invalidJSON, message: error.sentence, param: error.name)
        }
        guard document.root == .object else {
            throw GatewayError(code: .invalidJSON, message: "a message must be a JSON object")
        }
        let type = members[0].flatMap(document.string)
        guard type == "response.create" else {
            let shown = type.map { "\"\($0.prefix(64))\"" } ?? "one without a type"
            throw Self.refusal("type", "this WebSocket takes messages of type response.create, not \(shown)")
        }
        if let member = members[1], member.kind != .null {
            guard let generates = document.bool(member) else {
                throw Self.refusal("generate", "generate must be true or false")
            }
            self.generates = generates
        } else {
            generates = true
        }
        if members[2].flatMap(document.bool) == true {
            throw Self.refusal("background", "background: a reply over a WebSocket is not made in the background")
        }
        if let member = members[3], member.kind != .null {
            guard let name = document.string(member), Self.isStreamName(name) else { throw Self.badStreamName }
            stream = name
        } else {
            stream = nil
        }
        previousID = members[4].flatMap(document.string)
        body = edited
    }

    private static let names = ["type", "generate", "background", "stream_id", "previous_response_id"]

    private static func refusal(_ name: String, _ sentence: String) -> GatewayError {
        GatewayError(code: .invalidRequest, message: sentence, param: name)
    }

    private static var badStreamName: GatewayError {
        GatewayError(
            code: .invalidStreamID,
            message: "stream_id must have 1 to 256 letters, digits, underscores, hyphens or periods",
            param: "stream_id")
    }

    private static func isStreamName(_ name: String) -> Bool {
        (1...256).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || [UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains(byte)
            }
    }
}

/// What is said over a WebSocket of Responses, each a message.
package enum ResponsesSocketEvent {
    /// An event of a stream in pieces, with the name of its lane.
    /// - Parameter data: a JSON object's text.
    package static func pieces(_ data: ByteBuffer, stream: String?) -> [ByteBuffer] {
        guard let stream, data.readableBytes > 2, data.readableBytesView.first == UInt8(ascii: "{") else {
            return [data]
        }
        return [ByteBuffer(string: "{\"stream_id\":\"\(stream)\","), data.part(1..<data.readableBytes)]
    }

    /// An event that says an error outside of any response.
    package static func isError(_ event: SSEEvent) -> Bool { type(of: event) == "error" }

    /// The event that ends a response.
    package static func isLast(_ event: SSEEvent) -> Bool {
        ["response.completed", "response.incomplete", "response.failed"].contains(type(of: event))
    }

    private static func type(of event: SSEEvent) -> String? {
        if let name = event.name { return String(buffer: name) }
        return try? RawObject(event.data)["type"]?.rawString?.unescaped()
    }

    /// An error that no stream of events has: over HTTP it would be a status and a body.
    package static func error(_ error: GatewayError) -> ByteBuffer {
        let row = ErrorTable.row(error.code)
        var out = begun(ErrorTable.status(error, for: .responses))
        out.writeString("{\"type\":")
        out.writeJSONString(row.openAIType)
        out.writeString(",\"code\":")
        out.writeJSONString(row.openAICode ?? row.openAIType)
        out.writeString(",\"message\":")
        out.writeJSONString(ResponsesErrors.message(error))
        out.writeString(",\"param\":")
        ChatErrors.writeOrNull(error.param, into: &out)
        out.writeString("}}")
        return out
    }

    /// An upstream's own error, as it is where it can be.
    package static func error(status: Int, body: ByteBuffer) -> ByteBuffer {
        guard let own = try? RawObject(body)["error"], own.rawKind == .object else {
            return error(Dialects.readError(status: status, body: body))
        }
        var out = begun(status)
        out.writeImmutableBuffer(own)
        out.writeString("}")
        return out
    }

    private static func begun(_ status: Int) -> ByteBuffer {
        ByteBuffer(string: "{\"type\":\"error\",\"status\":\(status),\"error\":")
    }
}

/// A Response whose items a connection holds: what can be continued from while it is open.
package struct RememberedResponse: Sendable, Hashable {
    package let id: String
    /// Of the whole conversation, each a JSON object's text.
    package let items: [ByteBuffer]
    package let bytes: Int

    /// - Parameters:
    ///   - before: all that came before the request.
    ///   - own: the request's items.
    ///   - response: the whole reply. Nil is the result when it cannot be read.
    package init?(_ response: ByteBuffer, before: [ByteBuffer], own: [ByteBuffer]) {
        guard let object = try? RawObject(response), let id = object["id"]?.rawString?.unescaped(),
            let output = try? object["output"]?.rawElements()
        else { return nil }
        self.id = id
        // Copies: a slice would keep the whole message alive.
        items = before + (own + output).map { ByteBuffer(bytes: $0.readableBytesView) }
        bytes = items.reduce(0) { $0 + $1.readableBytes }
    }
}
