import MartletWire
import NIOCore

/// Errors in Anthropic's form. https://docs.anthropic.com/en/api/errors
enum AnthropicErrors {
    /// `{"type":"error","error":{"type":…,"message":…},"request_id":…}`; the id is left out when it is empty.
    static func writeObject(_ error: GatewayError, requestID: String, into out: inout ByteBuffer) {
        out.writeString("{\"type\":\"error\",\"error\":{\"type\":")
        out.writeJSONString(type(error))
        out.writeString(",\"message\":")
        out.writeJSONString(message(error))
        out.writeString("}")
        if !requestID.isEmpty {
            out.writeString(",\"request_id\":")
            out.writeJSONString(requestID)
        }
        out.writeString("}")
    }

    /// An upstream's own 4xx keeps its status, and the type has to agree with it.
    private static func type(_ error: GatewayError) -> String {
        guard error.code == .invalidRequest, let status = error.status else {
            return ErrorTable.row(error.code).anthropicType
        }
        switch status {
        case 402: return "billing_error"
        case 403: return "permission_error"
        case 404: return "not_found_error"
        case 409: return "conflict_error"
        case 413: return "request_too_large"
        default: return "invalid_request_error"
        }
    }

    /// Two messages are protocol: agents compact when they read the first, and show the second as an unknown model.
    private static func message(_ error: GatewayError) -> String {
        switch error.code {
        case .contextOverflow:
            guard let prompt = error.overflow?.prompt, let maximum = error.overflow?.maximum else {
                return "prompt is too long: it does not fit in the model's context window"
            }
            return "prompt is too long: \(prompt) tokens > \(maximum) maximum"
        case .modelNotFound:
            guard let model = error.subject else { return error.message }
            return "model: \(model)"
        default:
            return error.message
        }
    }
}
