import Crypto
import MartletDialects
import MartletGateway
import NIOCore

/// The request that turns a connection into a WebSocket (RFC 6455, 4.2). Host, Origin and token have been checked as
/// for any other: browsers let every page open a WebSocket to anywhere, and only say whose page it is.
struct WebSocketHandshake {
    private let key: String

    /// Nil unless the request is one that can be answered with a WebSocket.
    init?(_ facts: RequestFacts, _ endpoint: Endpoint) {
        guard facts.isUpgrade, facts.method == "GET", endpoint == .completion(.responses),
            WebSocketHandshake.refusal(facts) == nil, let key = facts.socketKey
        else { return nil }
        self.key = key
    }

    /// What is wrong with a request that asks for an upgrade.
    static func refusal(_ facts: RequestFacts) -> GatewayError? {
        func refuse(_ reason: String) -> GatewayError {
            GatewayError(code: .invalidRequest, message: "this is no request for a WebSocket: \(reason)")
        }
        let protocols = facts.upgrade?.lowercased().split(separator: ",").map { $0.drop { $0 == " " } } ?? []
        guard protocols.contains("websocket"), facts.socketVersion == "13" else {
            return GatewayError(
                code: .methodNotAllowed,
                message: "\(facts.path) takes POST over HTTP, or a WebSocket of version 13", status: 426)
        }
        guard facts.usesChunks, facts.connectionUpgrades else {
            return refuse("it is HTTP/1.1 and has Connection: Upgrade")
        }
        guard let key = facts.socketKey, key.utf8.count == 24, key.hasSuffix("==") else {
            return refuse("its Sec-WebSocket-Key is 16 bytes in base64")
        }
        guard facts.length ?? 0 == 0, !facts.isChunked else { return refuse("it has no body") }
        return nil
    }

    /// Tells the client that what follows are frames.
    func reply(requestID: String, dateLine: String) -> ByteBuffer {
        var head = ReplyHead(status: 101, into: ByteBuffer())
        head.add(line: dateLine)
        head.add(fixed: "upgrade: websocket\r\nconnection: Upgrade\r\n")
        head.add("sec-websocket-accept", accept)
        head.add("x-request-id", requestID)
        return head.end()
    }

    /// `Sec-WebSocket-Accept`: proves that the server has read the request. Nothing is kept secret by it.
    var accept: String {
        let digest = Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return WebSocketHandshake.base64(Array(digest))
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let three = bytes[start..<min(start + 3, bytes.count)]
            var word = three.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            word <<= 8 * UInt32(3 - three.count)
            for place in 0..<4 {
                text.append(
                    place <= three.count ? digits[Int(word >> (18 - 6 * UInt32(place)) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
