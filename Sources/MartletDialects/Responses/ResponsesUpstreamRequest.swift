import MartletWire
import NIOCore

/// A request of OpenAI Responses (https://platform.openai.com/docs/api-reference/responses/create).
package enum ResponsesUpstreamRequest {
    /// Writes a request of another dialect. Deterministic: the same conversation gives the same bytes, and the items of
    /// a longer one begin with those of the shorter. Nothing is kept at the upstream: reasoning travels sealed.
    ///
    /// - Throws: `invalidRequest` for what must be honoured and cannot be; in strict mode for what else is lost, too.
    package static func write(
        _ request: CanonicalRequest, for target: WriteTarget
    ) throws(GatewayError) -> TranslatedRequest {
        try ResponsesRequestWriter.write(request, for: target)
    }
}
