import MartletWire
import NIOCore

/// Errors inside a stream and inside a Response. Outside of both, this dialect has Chat's form.
enum ResponsesErrors {
    /// `error.code` of a Response; clients compact, wait or give up by it.
    static func code(_ error: GatewayError) -> String {
        switch error.code {
        case .contextOverflow: "context_length_exceeded"
        case .rateLimited, .queueFull: "rate_limit_exceeded"
        case .invalidRequest, .invalidJSON, .modelMismatch: "invalid_prompt"
        case .modelNotFound: "model_not_found"
        default: "server_error"
        }
    }

    /// An agent reads from the words how long to wait.
    static func message(_ error: GatewayError) -> String {
        let message = ChatErrors.message(error)
        guard code(error) == "rate_limit_exceeded", let wait = error.retryAfter else { return message }
        let seconds = max(1, wait.components.seconds + (wait.components.attoseconds > 0 ? 1 : 0))
        return "\(message) Please try again in \(seconds)s."
    }

    /// `{"code":…,"message":…}`, of a Response.
    static func writeDetail(_ error: GatewayError, into out: inout ByteBuffer) {
        out.writeString("{\"code\":\"\(code(error))\",\"message\":")
        out.writeJSONString(message(error))
        out.writeString("}")
    }

    /// The `error` event, in both of its forms at once: there are clients that know only the flat one, and such that
    /// know only the nested one.
    static func writeEvent(_ error: GatewayError, number: Int, into out: inout ByteBuffer) {
        var message = ByteBuffer()
        message.writeJSONString(Self.message(error))
        var param = ByteBuffer()
        ChatErrors.writeOrNull(error.param, into: &param)
        out.writeString("event: error\ndata: {\"type\":\"error\",\"sequence_number\":\(number),\"code\":")
        let code = code(error)
        func writeBody() {
            out.writeString("\"\(code)\",\"message\":")
            out.writeImmutableBuffer(message)
            out.writeString(",\"param\":")
            out.writeImmutableBuffer(param)
        }
        writeBody()
        out.writeString(",\"error\":{\"type\":")
        out.writeJSONString(ErrorTable.row(error.code).openAIType)
        out.writeString(",\"code\":")
        writeBody()
        out.writeString("}}\n\n")
    }

    /// The end of a stream nobody has kept count of.
    static func writeInStream(_ error: GatewayError, into out: inout ByteBuffer) {
        writeEvent(error, number: 0, into: &out)
        let object = ResponsesObject(id: "resp_0", model: "", created: 0, echo: .unsaid)
        out.writeString(
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":1,\"response\":")
        object.write(ResponsesObject.Ending(status: .failed, error: error), into: &out)
        out.writeString("}\n\ndata: [DONE]\n\n")
    }
}
