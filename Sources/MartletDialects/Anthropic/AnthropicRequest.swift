package import MartletWire
import NIOCore
import NIOCore

/// A request of Anthropic Messages (https://docs.anthropic.com/en/api/messages).
package enum AnthropicRequest {
    /// Reads a body that has been checked. Unknown members, blocks and values are no errors.
    ///
    /// - Parameters:
    ///   - version: of the `anthropic-version` header.
    ///   - betas: of the `anthropic-beta` headers.
    /// - Throws: `invalidRequest` with the path of a member that cannot be what it should be.
    package static func read(
        _ document: JSONDocument, version: String? = nil, betas: [String] = []
    ) throws(GatewayError) -> CanonicalRequest {
        do throws(DialectError) {
            var reader = try AnthropicRequestReader(document)
            var request = try reader.request()
            request.origin = RequestOrigin(
                dialect: .anthropic, version: version, betas: betas, bytes: document.bytes.readableBytes)
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
        try AnthropicRequestWriter.write(request, for: target)
    }
}
