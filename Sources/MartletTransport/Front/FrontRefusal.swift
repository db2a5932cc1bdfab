import MartletDialects
import MartletGateway
import NIOCore
import NIOHTTP1
import NIOHTTPCompression

/// What is refused before a byte of the body is kept.
enum FrontRefusal {
    /// - Parameters:
    ///   - isKnown: the request carries a valid token.
    ///   - namesUs: its `Host` is one of our names.
    static func check(
        _ facts: RequestFacts, _ match: Endpoints.Match, _ dialect: DialectID, isKnown: Bool, namesUs: Bool,
        in context: LoopContext
    ) -> GatewayError? {
        let snapshot = context.snapshot
        guard facts.hostCount == 1, let host = facts.host, isKnown || namesUs else {
            return GatewayError(
                code: .forbiddenHost,
                message: facts.hostCount == 1
                    ? "the Host \"\(facts.host ?? "")\" is not one of this server's names; server.allowed_hosts adds some"
                    : "the request must carry one Host header")
        }
        if let origin = facts.origin, !snapshot.hosts.allows(origin: origin, host: host) {
            return GatewayError(
                code: .forbiddenOrigin,
                message:
                    "pages from \(origin.prefix(100)) may not call this server; server.allowed_origins adds origins")
        }
        if facts.origin == nil, !snapshot.hosts.allows(site: facts.site) {
            return GatewayError(
                code: .forbiddenOrigin,
                message: "pages of other sites may not call this server; server.allowed_origins adds origins")
        }
        if snapshot.keys.isRequired, !isKnown, !isPublic(match.endpoint), facts.method != "OPTIONS" {
            return unauthorized(facts, dialect)
        }
        if context.isClosing {
            return GatewayError(code: .shuttingDown, message: "the server is shutting down", retryAfter: .seconds(5))
        }
        let isPreflight = facts.method == "OPTIONS" && facts.origin.map(snapshot.hosts.grantsCrossOrigin) == true
        if case .unknown = match.endpoint, !isPreflight {
            return GatewayError(
                code: .notFound, message: unexpected(facts))
        }
        if facts.isUpgrade, facts.method == "GET", match.endpoint == .completion(.responses) {
            return WebSocketHandshake.refusal(facts)
        }
        if !match.methods.contains(facts.method), !isPreflight {
            return GatewayError(
                code: .methodNotAllowed,
                message: unexpected(facts) + " It takes \(match.methods.joined(separator: " or ")).")
        }
        if let encoding = facts.encoding, !["identity", "gzip", "deflate"].contains(encoding) {
            return GatewayError(
                code: .unsupportedEncoding,
                message: "content-encoding \(encoding.prefix(32)) is not supported; send gzip, deflate or none")
        }
        if let length = facts.length, length > snapshot.maxBody { return tooLarge(snapshot.maxBody) }
        return nil
    }

    /// In LM Studio's words, by which its clients know that there is no such route.
    private static func unexpected(_ facts: RequestFacts) -> String {
        "Unexpected endpoint or method. (\(facts.method.prefix(16)) \(facts.path.prefix(200)))"
    }

    /// What tells nothing but that somebody is there.
    private static func isPublic(_ endpoint: Endpoint) -> Bool {
        switch endpoint {
        case .live, .hello, .greeting, .apiStatus: true
        default: false
        }
    }

    private static func unauthorized(_ facts: RequestFacts, _ dialect: DialectID) -> GatewayError {
        var looked = facts.bearer != nil ? "Authorization" : nil
        if facts.apiKey != nil, looked == nil || dialect == .anthropic { looked = "x-api-key" }
        let sentence =
            if let looked {
                "the token in \(looked) is not valid; auth.tokens holds the sha256 digests of those that are"
            } else if dialect == .lmstudio {
                "An LM Studio API token is required to make requests to this server, but none was provided using the "
                    + "Authorization header: send it as Authorization: Bearer TOKEN; who runs this server adds tokens to "
                    + "auth.tokens"
            } else {
                "this server wants a token: send it as Authorization: Bearer TOKEN or as x-api-key; "
                    + "who runs it adds tokens to auth.tokens"
            }
        return GatewayError(code: .unauthorized, message: sentence)
    }

    static func tooLarge(_ limit: Int) -> GatewayError {
        GatewayError(
            code: .bodyTooLarge,
            message: "the request body is larger than \(limit >> 20) MiB; server.max_body raises the limit")
    }

    /// What the layers below the front complain of; nil: not the client's doing.
    static func error(_ error: any Error, maxBody: Int) -> GatewayError? {
        if let parser = error as? HTTPParserError {
            if parser == .headerOverflow {
                return GatewayError(code: .headersTooLarge, message: "the request's headers are larger than 80 KiB")
            }
            return GatewayError(
                code: .invalidRequest, message: "the request is not valid HTTP/1.1 (\(parser.debugName))")
        }
        if let decompression = error as? NIOHTTPDecompression.DecompressionError {
            return decompression == .limit
                ? tooLarge(maxBody)
                : GatewayError(code: .invalidRequest, message: "the request body is not valid gzip or deflate data")
        }
        if error is NIOHTTPDecompression.ExtraDecompressionError {
            return GatewayError(code: .invalidRequest, message: "the request body is not valid gzip or deflate data")
        }
        return nil
    }
}

extension HTTPParserError {
    /// The parser's own word for it.
    fileprivate var debugName: String {
        switch self {
        case .unexpectedContentLength: "two content-lengths, or one beside a transfer-encoding"
        case .invalidContentLength: "invalid content-length"
        case .invalidHeaderToken: "invalid header"
        case .invalidMethod: "invalid method"
        case .invalidVersion: "invalid version"
        case .invalidURL: "invalid target"
        case .invalidChunkSize: "invalid chunk size"
        case .unknown: "malformed, or its length is told in two ways"
        default: "malformed"
        }
    }
}
