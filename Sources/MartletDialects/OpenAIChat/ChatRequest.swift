package import MartletWire
import NIOCore

/// A request of OpenAI Chat Completions (https://platform.openai.com/docs/api-reference/chat/create).
package enum ChatRequest {
    /// Reads a body that has been checked. Unknown members, parts and values are no errors.
    ///
    /// - Throws: `invalidRequest` with the path of a member that cannot be what it should be.
    package static func read(_ document: JSONDocument) throws(GatewayError) -> CanonicalRequest {
        do throws(DialectError) {
            var reader = try ChatRequestReader(document)
            var request = try reader.request()
            request.origin.bytes = document.bytes.readableBytes
            return request
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    /// Writes a request of another dialect. Deterministic: the same conversation gives the same bytes, and a longer one
    /// begins with those of the shorter.
    ///
    /// - Throws: `invalidRequest` for what must be honoured and cannot be; in strict mode for what else is lost, too.
    package static func write(
        _ request: CanonicalRequest, for target: WriteTarget
    ) throws(GatewayError) -> TranslatedRequest {
        try ChatRequestWriter.write(request, for: target)
    }
}
