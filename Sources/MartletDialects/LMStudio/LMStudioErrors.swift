import MartletWire
import NIOCore

/// `error.type` of LM Studio's own API (https://lmstudio.ai/docs/developer/rest/chat).
enum NativeErrorType: String, Sendable {
    case invalid = "invalid_request"
    case notImplemented = "not_implemented"
    case modelNotFound = "model_not_found"
    case connection = "mcp_connection_error"
    case plugin = "plugin_connection_error"
    case internalError = "internal_error"
    case unknown

    /// What is wrong with a request, what is not there, what broke here; the rest may be mended by waiting.
    init(_ code: ErrorCode) {
        switch code {
        case .modelNotFound, .modelMismatch: self = .modelNotFound
        case .unsupportedParameter: self = .notImplemented
        case .mcpDenied, .mcpFailed: self = .connection
        case .mcpUnknown: self = .plugin
        case .queueFull, .rateLimited, .shuttingDown, .upstreamOverloaded, .upstreamUnreachable, .upstreamTimeout:
            self = .unknown
        default: self = ErrorTable.row(code).status < 500 ? .invalid : .internalError
        }
    }
}

/// Errors in the form of LM Studio's own API.
enum LMStudioErrors {
    /// `{"error":{"type":…,"message":…,"code":…,"param":…}}`; the last two only where there is something to say.
    static func writeObject(_ error: GatewayError, into out: inout ByteBuffer) {
        out.writeString("{\"error\":")
        writeDetail(error, into: &out)
        out.writeString("}")
    }

    /// OpenAI's, but for servers of tools: of these it has none that says something.
    private static func code(_ code: ErrorCode) -> String? {
        switch code {
        case .mcpDenied: "mcp_denied"
        case .mcpFailed: "mcp_server_failed"
        case .mcpUnknown: "mcp_server_not_found"
        default: ErrorTable.row(code).openAICode
        }
    }

    private static func writeDetail(_ error: GatewayError, into out: inout ByteBuffer) {
        out.writeString("{\"type\":\"\(NativeErrorType(error.code).rawValue)\",\"message\":")
        out.writeJSONString(ChatErrors.message(error))
        if let code = code(error.code) { out.writeString(",\"code\":\"\(code)\"") }
        if let param = error.param {
            out.writeString(",\"param\":")
            out.writeJSONString(param)
        }
        out.writeString("}")
    }

    /// The event; the last one of a stream still follows it.
    static func writeEvent(_ error: GatewayError, into out: inout ByteBuffer) {
        out.writeString("event: error\ndata: {\"type\":\"error\",\"error\":")
        writeDetail(error, into: &out)
        out.writeString("}\n\n")
    }

    /// The end of a stream nobody has kept count of.
    static func writeInStream(_ error: GatewayError, into out: inout ByteBuffer) {
        writeEvent(error, into: &out)
        out.writeString("event: chat.end\ndata: {\"type\":\"chat.end\",\"result\":")
        LMStudioResult(instance: "").write(into: &out)
        out.writeString("}\n\n")
    }
}
