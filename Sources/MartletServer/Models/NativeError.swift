import MartletGateway
import MartletHub
import MartletWire

/// An error in the form of LM Studio's native API (docs/LMSTUDIO.md, its own API).
struct NativeError: Error {
    var status: Int
    /// One of the types that LM Studio has.
    var type: String
    var message: String
    var code: String?
    var param: String?

    /// A request that cannot be meant.
    static func invalid(_ message: String, code: String? = nil, param: String? = nil) -> NativeError {
        NativeError(status: 400, type: "invalid_request", message: message, code: code, param: param)
    }

    init(status: Int, type: String, message: String, code: String? = nil, param: String? = nil) {
        self.status = status
        self.type = type
        self.message = message
        self.code = code
        self.param = param
    }

    init(_ error: HubError) {
        (status, type) =
            switch error.code {
            case .invalidReference, .ambiguous: (400, "invalid_request")
            case .notFound, .noSuchFile: (404, "model_not_found")
            case .unauthorized, .gated: (403, "invalid_request")
            case .busy: (409, "invalid_request")
            case .rateLimited, .tooManyDownloads: (429, "unknown")
            case .stalled: (504, "unknown")
            case .unreachable, .serverFailed, .badReply, .badRedirect, .wrongDigest, .wrongSize: (502, "unknown")
            case .diskFull: (507, "internal_error")
            default: (500, "internal_error")
            }
        message = error.message
        code = error.code.description
    }

    var reply: ControlReply {
        let error: JSON = [
            "type": .string(type), "message": .string(message), "code": code.map(JSON.string) ?? .null,
            "param": param.map(JSON.string) ?? .null,
        ]
        return ControlReply(status: status, body: (["error": error] as JSON).buffer)
    }
}
