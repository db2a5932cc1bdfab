import MartletWire
package import NIOCore

/// How each dialect says each error: HTTP status, `type` and `code`. Decided here once, for replies and streams alike.
///
/// Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors.
package enum ErrorTable {
    struct Row {
        /// HTTP status in the OpenAI dialects.
        var status: Int
        /// `error.type` and `error.code` in the OpenAI dialects.
        var openAIType: String
        var openAICode: String?
        /// HTTP status in Anthropic's dialect, where it is another.
        var anthropicStatus: Int?
        /// `error.type` in Anthropic's dialect.
        var anthropicType: String

        init(_ status: Int, _ type: String, _ code: String?, anthropic: String, as anthropicStatus: Int? = nil) {
            self.status = status
            self.openAIType = type
            self.openAICode = code
            self.anthropicStatus = anthropicStatus
            self.anthropicType = anthropic
        }
    }

    private static let invalid = "invalid_request_error"
    private static let fallback = Row(500, "server_error", "internal_error", anthropic: "api_error")
    private static let rows: [ErrorCode: Row] = [
        .invalidRequest: Row(400, invalid, nil, anthropic: invalid),
        .invalidJSON: Row(400, invalid, nil, anthropic: invalid),
        .unsupportedParameter: Row(400, invalid, "unsupported_parameter", anthropic: invalid),
        .missingParameter: Row(400, invalid, "missing_required_parameter", anthropic: invalid),
        .invalidUnion: Row(400, invalid, "invalid_union", anthropic: invalid),
        .unrecognizedKeys: Row(400, invalid, "unrecognized_keys", anthropic: invalid),
        .unsupportedEncoding: Row(415, invalid, "unsupported_encoding", anthropic: invalid, as: 400),
        .bodyTooLarge: Row(413, invalid, "request_too_large", anthropic: "request_too_large"),
        .headersTooLarge: Row(431, invalid, "request_too_large", anthropic: "request_too_large"),
        .unauthorized: Row(401, invalid, "invalid_api_key", anthropic: "authentication_error"),
        .forbiddenHost: Row(403, "permission_error", "forbidden_host", anthropic: "permission_error"),
        .forbiddenOrigin: Row(403, "permission_error", "forbidden_origin", anthropic: "permission_error"),
        .modelNotAllowed: Row(403, "permission_error", "model_not_allowed", anthropic: "permission_error"),
        .modelNotFound: Row(404, invalid, "model_not_found", anthropic: "not_found_error"),
        .notFound: Row(404, invalid, nil, anthropic: "not_found_error"),
        .methodNotAllowed: Row(405, invalid, "method_not_allowed", anthropic: invalid),
        .modelMismatch: Row(404, invalid, "model_not_found", anthropic: "not_found_error"),
        .previousResponseNotFound: Row(400, invalid, "previous_response_not_found", anthropic: invalid),
        .invalidStreamID: Row(400, invalid, "invalid_stream_id", anthropic: invalid),
        .tooManyStreams: Row(400, invalid, "websocket_stream_limit_reached", anthropic: invalid),
        .connectionTooOld: Row(400, invalid, "websocket_connection_limit_reached", anthropic: invalid),
        .contextOverflow: Row(400, invalid, "context_length_exceeded", anthropic: invalid),
        .schemaRefused: Row(400, invalid, nil, anthropic: invalid),
        .answerMisfit: Row(400, invalid, nil, anthropic: invalid),
        .mcpDenied: Row(403, invalid, nil, anthropic: "permission_error"),
        .mcpUnknown: Row(400, invalid, nil, anthropic: invalid),
        .queueFull: Row(429, "rate_limit_error", "rate_limit_exceeded", anthropic: "rate_limit_error"),
        .rateLimited: Row(429, "rate_limit_error", "rate_limit_exceeded", anthropic: "rate_limit_error"),
        .engineFailed: Row(502, "server_error", "engine_failed", anthropic: "api_error"),
        .modelLoadFailed: Row(500, "server_error", "model_load_failed", anthropic: "api_error"),
        .modelTooLarge: Row(503, "server_error", "model_too_large", anthropic: "api_error"),
        .storeUnavailable: Row(503, "server_error", "store_unavailable", anthropic: "api_error"),
        .mcpFailed: Row(424, "external_connector_error", "http_error", anthropic: invalid),
        .toolLimit: Row(422, invalid, "tool_limit", anthropic: "invalid_request_error"),
        .shuttingDown: Row(503, "server_error", "shutting_down", anthropic: "overloaded_error"),
        .internalError: fallback,
        .upstreamOverloaded: Row(
            503, "server_error", "upstream_unavailable", anthropic: "overloaded_error", as: 529),
        .upstreamUnreachable: Row(502, "server_error", "upstream_unavailable", anthropic: "api_error"),
        .upstreamFailed: Row(500, "server_error", "upstream_error", anthropic: "api_error"),
        .upstreamBadReply: Row(502, "server_error", "upstream_bad_reply", anthropic: "api_error"),
        .upstreamClosedEarly: Row(502, "server_error", "upstream_closed", anthropic: "api_error"),
        .upstreamCredentials: Row(502, "server_error", "upstream_credentials", anthropic: "api_error"),
        .upstreamTimeout: Row(504, "server_error", "upstream_timeout", anthropic: "timeout_error"),
        .eventTooLong: Row(502, "server_error", "upstream_bad_reply", anthropic: "api_error"),
    ]

    /// All codes that have a row of their own.
    package static var codes: [ErrorCode] { rows.keys.sorted { $0.rawValue < $1.rawValue } }

    static func row(_ code: ErrorCode) -> Row { rows[code] ?? fallback }

    package static func status(_ error: GatewayError, for dialect: DialectID) -> Int {
        if let status = error.status { return status }
        let row = row(error.code)
        switch dialect {
        case .chat, .completions, .responses, .lmstudio: return row.status
        case .anthropic: return row.anthropicStatus ?? row.status
        }
    }

    /// The body of a reply that is nothing but this error. `requestID` goes where the dialect has a place for it.
    package static func body(_ error: GatewayError, for dialect: DialectID, requestID: String) -> ByteBuffer {
        var body = ByteBuffer()
        switch dialect {
        case .chat, .completions, .responses: ChatErrors.writeObject(error, into: &body)
        case .anthropic: AnthropicErrors.writeObject(error, requestID: requestID, into: &body)
        case .lmstudio: LMStudioErrors.writeObject(error, into: &body)
        }
        return body
    }

    /// The same as LM Studio's older API has it, in words alone: `{"error":"…"}`.
    package static func bareBody(_ error: GatewayError) -> ByteBuffer {
        let body: JSON = ["error": .string(ChatErrors.message(error))]
        return body.buffer
    }

    /// The event that ends a stream which has begun already; nothing may follow it.
    package static func writeInStream(
        _ error: GatewayError, for dialect: DialectID, requestID: String, into out: inout ByteBuffer
    ) {
        switch dialect {
        case .chat, .completions:
            out.writeString("data: ")
            ChatErrors.writeObject(error, into: &out)
        case .anthropic:
            out.writeString("event: error\ndata: ")
            AnthropicErrors.writeObject(error, requestID: requestID, into: &out)
        case .responses: return ResponsesErrors.writeInStream(error, into: &out)
        case .lmstudio: return LMStudioErrors.writeInStream(error, into: &out)
        }
        out.writeString("\n\n")
    }

    /// A sign of life between events.
    package static func writeKeepAlive(for dialect: DialectID, into out: inout ByteBuffer) {
        switch dialect {
        case .chat, .completions, .responses, .lmstudio: out.writeString(": keepalive\n\n")
        case .anthropic: out.writeString("event: ping\ndata: {\"type\":\"ping\"}\n\n")
        }
    }

    /// The label of metrics, from a bounded set.
    package static func shortName(_ error: GatewayError) -> String {
        rows[error.code] == nil ? "other" : error.code.rawValue
    }
}
