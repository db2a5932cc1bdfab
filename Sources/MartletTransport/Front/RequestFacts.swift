import MartletDialects
import MartletGateway
import NIOCore
import NIOHTTP1

/// What the front needs to know of a request's head, read in one pass over its headers.
struct RequestFacts {
    var method: String
    var path: Substring
    var query: Substring
    var host: String?
    var hostCount = 0
    var origin: String?
    var preflight = Preflight()
    /// `Sec-Fetch-Site`.
    var site: String?
    var length: Int?
    var isChunked = false
    var expectsContinue = false
    var hasAnthropicVersion = false
    var encoding: String?
    /// `Upgrade`, and whether `Connection` names it.
    var upgrade: String?
    var connectionUpgrades = false
    /// `Sec-WebSocket-Key` and `-Version`.
    var socketKey: String?
    var socketVersion: String?
    var keepsAlive: Bool
    var usesChunks: Bool
    /// The token behind `Authorization: Bearer`.
    var bearer: String?
    var apiKey: String?
    /// A client's own id, if it can stand in a header and a log line.
    var requestID: String?
    var forwarded: [(name: String, value: String)] = []

    init(_ head: HTTPRequestHead) {
        method = head.method.rawValue
        let uri = head.uri
        if let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = uri[..<mark]
            query = uri[uri.index(after: mark)...]
        } else {
            path = uri[...]
            query = ""
        }
        keepsAlive = head.version.minor > 0
        usesChunks = head.version.minor > 0
        for (name, value) in head.headers { note(name, value) }
    }

    var isUpgrade: Bool { upgrade != nil }

    /// Whether the body comes under some coding.
    static func isEncoded(_ head: HTTPRequestHead) -> Bool {
        for (name, _) in head.headers where name.utf8.count == 16 && name.isField("content-encoding") { return true }
        return false
    }

    private mutating func note(_ name: String, _ value: String) {
        switch name.utf8.count {
        case 4 where name.isField("host"):
            host = value
            hostCount += 1
        case 6 where name.isField("origin"): origin = value
        case 6 where name.isField("expect"): expectsContinue = value.lowercased() == "100-continue"
        case 7 where name.isField("upgrade"): upgrade = value
        case 9 where name.isField("x-api-key"): apiKey = value
        case 10 where name.isField("connection"):
            let text = value.lowercased()
            if text.contains("upgrade") { connectionUpgrades = true }
            if text.contains("close") { keepsAlive = false } else if text.contains("keep-alive") { keepsAlive = true }
        case 12 where name.isField("x-request-id"): if RequestFacts.isPlainID(value) { requestID = value }
        case 13 where name.isField("authorization"):
            if value.utf8.count > 7, value.hasFieldPrefix("bearer ") {
                bearer = String(value.dropFirst(7).drop { $0 == " " })
            }
        case 14 where name.isField("content-length"): length = Int(value)
        case 14 where name.isField("sec-fetch-site"): site = value
        case 16 where name.isField("content-encoding"): encoding = value.lowercased()
        case 17 where name.isField("transfer-encoding"): isChunked = true
        case 17 where name.isField("sec-websocket-key"): socketKey = value
        case 21 where name.isField("sec-websocket-version"): socketVersion = value
        case 30 where name.isField("access-control-request-headers"): preflight.headers.append(value)
        case 38 where name.isField("access-control-request-private-network"):
            preflight.reachesPrivateNetwork = value == "true"
        default: forward(name, value)
        }
    }

    /// Headers of the dialects that travel upstream (specs 2.0). NIO has refused values
    /// with control characters already.
    private mutating func forward(_ name: String, _ value: String) {
        guard let first = name.utf8.first else { return }
        switch first | 0x20 {
        case UInt8(ascii: "a") where name.hasFieldPrefix("anthropic-"):
            if name.isField("anthropic-version") { hasAnthropicVersion = true }
            forwarded.append((name, value))
        case UInt8(ascii: "o") where name.hasFieldPrefix("openai-"): forwarded.append((name, value))
        case UInt8(ascii: "x") where name.hasFieldPrefix("x-stainless-"): forwarded.append((name, value))
        default: break
        }
    }

    private static func isPlainID(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            }
    }
}

extension String {
    /// Compares a header's name with a lower-case one.
    func isField(_ name: StaticString) -> Bool {
        utf8.count == name.utf8CodeUnitCount && hasFieldPrefix(name)
    }

    func hasFieldPrefix(_ prefix: StaticString) -> Bool {
        prefix.withUTF8Buffer { wanted in
            var rest = utf8.makeIterator()
            for want in wanted {
                guard let byte = rest.next(), byte == want || (0x41...0x5A).contains(byte) && byte | 0x20 == want else {
                    return false
                }
            }
            return true
        }
    }
}
