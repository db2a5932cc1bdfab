package import MartletWire
package import NIOCore

/// A JSON-RPC 2.0 message of a server, as far as a client of MCP needs to tell them apart.
package enum RPCMessage: Sendable, Hashable {
    /// The answer to our request of that number.
    case reply(id: Int, JSON)
    /// Its refusal.
    case fault(id: Int, RPCFault)
    /// The server asks something itself.
    case request(id: JSON, method: String)
    case notification(method: String)

    /// The messages of a JSON text: one, or several where the server batches (protocol of 2025-03-26). Members that
    /// JSON-RPC does not know are passed over. Half of a surrogate pair, which servers leave that shorten texts, is U+FFFD.
    /// - Returns: nil when it is no JSON-RPC.
    package static func all(in text: ByteBuffer) -> [RPCMessage]? {
        guard let json = try? JSON(parsing: text, loneSurrogates: true) else { return nil }
        guard case .array(let batch) = json else { return RPCMessage(json).map { [$0] } }
        let messages = batch.compactMap(RPCMessage.init)
        return messages.count == batch.count ? messages : nil
    }

    init?(_ json: JSON) {
        guard json["jsonrpc"]?.string == "2.0" else { return nil }
        if let method = json["method"]?.string {
            guard let id = json["id"] else {
                self = .notification(method: method)
                return
            }
            guard id.string != nil || id.int != nil else { return nil }
            self = .request(id: id, method: method)
            return
        }
        // Ids are ours, so they are integers; some servers answer with their text.
        guard let id = json["id"]?.int ?? json["id"]?.string.flatMap({ Int($0) }) else { return nil }
        if let error = json["error"] {
            self = .fault(id: id, RPCFault(error))
        } else if let result = json["result"] {
            self = .reply(id: id, result)
        } else {
            self = .fault(id: id, RPCFault(code: RPCFault.internalError, message: "an answer without result or error"))
        }
    }

    /// The number of our request that this answers.
    var answers: Int? {
        switch self {
        case .reply(let id, _), .fault(let id, _): id
        case .request, .notification: nil
        }
    }
}

/// What a server says when it refuses.
package struct RPCFault: Sendable, Hashable {
    package static let methodNotFound = -32601
    package static let invalidParams = -32602
    static let internalError = -32603

    package var code: Int
    /// Bounded, without control characters.
    package var message: String

    init(code: Int, message: String) {
        self.code = code
        self.message = message
    }

    init(_ error: JSON) {
        code = error["code"]?.int ?? 0
        message = Printable.text(error["message"]?.string ?? "", limit: 500)
    }
}

/// What we send.
enum RPCWriter {
    static func request(id: Int, _ method: String, _ params: JSON) -> ByteBuffer {
        text(["jsonrpc": "2.0", "id": .int(id), "method": .string(method), "params": params])
    }

    static func notification(_ method: String, _ params: JSON? = nil) -> ByteBuffer {
        var json: JSON = ["jsonrpc": "2.0", "method": .string(method)]
        if let params { json["params"] = params }
        return text(json)
    }

    static func reply(to id: JSON) -> ByteBuffer {
        text(["jsonrpc": "2.0", "id": id, "result": [:]])
    }

    static func refusal(of method: String, id: JSON) -> ByteBuffer {
        text([
            "jsonrpc": "2.0", "id": id,
            "error": [
                "code": .int(RPCFault.methodNotFound),
                "message": .string("this client does not do \(Printable.text(method, limit: 100))"),
            ],
        ])
    }

    private static func text(_ json: JSON) -> ByteBuffer { ByteBuffer(string: json.text) }
}
