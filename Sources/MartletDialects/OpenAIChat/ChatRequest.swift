package import MartletWire
import NIOCore
import NIOCore

/// A request of OpenAI Chat Completions (https://platform.openai.com/docs/api-reference/chat/create).
package enum ChatRequest {
    /// Reads a body that has been checked.
    package static func read(_ document: JSONDocument) throws(GatewayError) -> CanonicalRequest {
        CanonicalRequest(model: "", origin: RequestOrigin(dialect: .chat))
    }

    package static func write(
        _ request: CanonicalRequest, for target: WriteTarget
    ) throws(GatewayError) -> TranslatedRequest {
        TranslatedRequest(body: .init(), dropped: [], context: ReplyContext())
    }
}
