import MartletDialects
import MartletEngine
import MartletGateway
import MartletHub
import MartletWire

/// An error in the form of LM Studio's native API (docs/LMSTUDIO.md, its own API).
package struct NativeError: Error {
    package var status: Int
    /// One of the types that LM Studio has.
    package var type: String
    package var message: String
    package var code: String?
    package var param: String?
    /// How long until a retry can succeed; nil when waiting does not help.
    var retryAfter: Duration?

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
            case .unreachable, .serverFailed, .badReply, .badRedirect, .wrongDigest, .wrongSize, .unusable:
                (502, "unknown")
            case .diskFull: (507, "internal_error")
            case .offline: (503, "internal_error")
            default: (500, "internal_error")
            }
        message = error.message
        code = error.code.description
    }

    init(_ error: EngineError) {
        (status, type) =
            switch error.code {
            case .badSetting, .nameTaken: (400, "invalid_request")
            case .noSuchModel: (404, "model_not_found")
            case .atCapacity: (429, "unknown")
            case .doesNotFit, .cancelled: (503, "internal_error")
            default: (500, "internal_error")
            }
        message = EngineHost.sentence(error)
        code = error.loadFault?.rawValue ?? error.code.description
        param = error.setting
        retryAfter = error.retryAfter
    }

    static func notInstalled(_ model: String, closest ids: [String]) -> NativeError {
        let near = ModelName.closest(to: model, among: ids)
        return NativeError(
            status: 404, type: "model_not_found",
            message: "model \"\(model.prefix(Limits.modelName))\" is not installed here"
                + (near.isEmpty ? "" : "; closest: \(near.joined(separator: ", "))")
                + ". Get one with: martlet get OWNER/REPOSITORY",
            code: "model_not_found", param: "model")
    }

    /// The object that bodies and events hold; without what there is nothing to say about.
    var json: JSON {
        var error: JSON = ["type": .string(type), "message": .string(message)]
        error["code"] = code.map(JSON.string)
        error["param"] = param.map(JSON.string)
        return ["error": error]
    }

    var reply: ControlReply { reply(json) }

    /// As the older API has it, in words alone.
    var bareReply: ControlReply { reply(["error": .string(message)]) }

    private func reply(_ body: JSON) -> ControlReply {
        ControlReply(
            status: status, body: body.buffer,
            headers: retryAfter.map { ["retry-after: \(max(1, Int($0.seconds.rounded(.up))))"] } ?? [])
    }
}
