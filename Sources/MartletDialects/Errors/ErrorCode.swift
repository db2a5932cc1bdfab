/// What went wrong, from a bounded set that also serves as metric labels. New codes may be added; their wire form is a
/// row of `ErrorTable`.
package struct ErrorCode: Hashable, Sendable, RawRepresentable {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }
    private init(_ rawValue: String) { self.rawValue = rawValue }

    // The request.
    package static let invalidRequest = ErrorCode("invalid_request")
    package static let invalidJSON = ErrorCode("invalid_json")
    /// Well-formed, but nothing that the model's upstream could honour.
    package static let unsupportedParameter = ErrorCode("unsupported_parameter")
    /// What LM Studio's own API tells apart of requests it refuses.
    package static let missingParameter = ErrorCode("missing_parameter")
    package static let invalidUnion = ErrorCode("invalid_union")
    package static let unrecognizedKeys = ErrorCode("unrecognized_keys")
    package static let unsupportedEncoding = ErrorCode("unsupported_encoding")
    package static let bodyTooLarge = ErrorCode("body_too_large")
    package static let headersTooLarge = ErrorCode("headers_too_large")
    package static let unauthorized = ErrorCode("unauthorized")
    package static let forbiddenHost = ErrorCode("forbidden_host")
    package static let forbiddenOrigin = ErrorCode("forbidden_origin")
    package static let modelNotAllowed = ErrorCode("model_not_allowed")
    package static let modelNotFound = ErrorCode("model_not_found")
    package static let notFound = ErrorCode("not_found")
    package static let methodNotAllowed = ErrorCode("method_not_allowed")
    /// The model is known, but not of the kind this endpoint needs.
    package static let modelMismatch = ErrorCode("model_mismatch")
    /// A response to continue from is not kept here, or no longer.
    package static let previousResponseNotFound = ErrorCode("previous_response_not_found")
    /// The name of a lane of a WebSocket is none, or one too many.
    package static let invalidStreamID = ErrorCode("invalid_stream_id")
    package static let tooManyStreams = ErrorCode("too_many_streams")
    /// A WebSocket has been open for as long as it may.
    package static let connectionTooOld = ErrorCode("connection_too_old")
    package static let contextOverflow = ErrorCode("context_overflow")
    /// The upstream could not make use of a JSON Schema; a simpler one may do.
    package static let schemaRefused = ErrorCode("schema_refused")
    /// The model was asked for an answer in some form and gave one in another.
    package static let answerMisfit = ErrorCode("answer_misfit")

    /// A tool of an MCP server is asked for that this client may not use, or nobody may.
    package static let mcpDenied = ErrorCode("mcp_denied")
    /// The request names an MCP server that nobody has configured.
    package static let mcpUnknown = ErrorCode("mcp_unknown")

    // Ourselves.
    package static let queueFull = ErrorCode("queue_full")
    package static let rateLimited = ErrorCode("rate_limited")
    package static let engineFailed = ErrorCode("engine_failed")
    package static let modelLoadFailed = ErrorCode("model_load_failed")
    /// There is not enough memory for it beside what stays loaded.
    package static let modelTooLarge = ErrorCode("model_too_large")
    /// What is to be kept cannot be kept, or read again.
    package static let storeUnavailable = ErrorCode("store_unavailable")
    /// An MCP server cannot be had.
    package static let mcpFailed = ErrorCode("mcp_failed")
    /// The model goes on calling tools.
    package static let toolLimit = ErrorCode("tool_limit")
    package static let shuttingDown = ErrorCode("shutting_down")
    package static let internalError = ErrorCode("internal_error")

    // The upstream.
    package static let upstreamOverloaded = ErrorCode("upstream_overloaded")
    package static let upstreamUnreachable = ErrorCode("upstream_unreachable")
    package static let upstreamFailed = ErrorCode("upstream_failed")
    package static let upstreamBadReply = ErrorCode("upstream_bad_reply")
    package static let upstreamClosedEarly = ErrorCode("upstream_closed_early")
    /// The upstream refused our own key; the client's is fine.
    package static let upstreamCredentials = ErrorCode("upstream_credentials")
    package static let upstreamTimeout = ErrorCode("upstream_timeout")
    package static let eventTooLong = ErrorCode("event_too_long")
}
