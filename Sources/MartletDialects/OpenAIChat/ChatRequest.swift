package import MartletWire
import NIOCore

/// A request of OpenAI Chat Completions (https://platform.openai.com/docs/api-reference/chat/create).
package enum ChatRequest {
    /// Reads a body that has been checked.
    package static func read(_ document: JSONDocument) throws(GatewayError) -> CanonicalRequest {
        CanonicalRequest(model: "", origin: RequestOrigin(dialect: .chat))
    }

    /// Writes a request of another dialect. Deterministic: the same conversation gives the same bytes, and a longer one
    /// begins with those of the shorter.
    ///
    /// - Throws: `invalidRequest` for what must be honoured and cannot be; in strict mode for what else is lost, too.
    package static func write(
        _ request: CanonicalRequest, for target: WriteTarget
    ) throws(GatewayError) -> TranslatedRequest {
        var writer = ChatRequestWriter(request, target)
        return try writer.write()
    }
}
