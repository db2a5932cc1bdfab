import MartletWire
package import NIOCore

/// Errors in OpenAI's form, and whatever form compatible upstreams give theirs.
package enum ChatErrors {
    /// Any upstream's error body, in whatever shape.
    /// - Parameters:
    ///   - status: HTTP status of the reply. 200 is fine: some upstreams send errors with it.
    ///   - retryAfter: from the reply's headers.
    package static func read(status: Int, body: ByteBuffer, retryAfter: Duration? = nil) -> GatewayError {
        let said = UpstreamError(body)
        if status < 400, said.isSilent {
            return GatewayError(
                code: .upstreamBadReply, message: "the upstream answered with something that is no reply",
                detail: "upstream HTTP \(status)")
        }
        var error = classify(said, status: status >= 400 ? status : said.status ?? guessedStatus(said))
        error.retryAfter = retryAfter
        return error
    }

    /// The data of an error event in a stream.
    static func read(inStream data: ByteBuffer) -> GatewayError { read(status: 200, body: data) }

    /// `{"error":{"message":…,"type":…,"param":…,"code":…}}`.
    static func writeObject(_ error: GatewayError, into out: inout ByteBuffer) {
        let row = ErrorTable.row(error.code)
        out.writeString("{\"error\":{\"message\":")
        out.writeJSONString(message(error))
        out.writeString(",\"type\":")
        out.writeJSONString(row.openAIType)
        out.writeString(",\"param\":")
        writeOrNull(error.param, into: &out)
        out.writeString(",\"code\":")
        writeOrNull(row.openAICode, into: &out)
        out.writeString("}}")
    }

    static func writeOrNull(_ text: String?, into out: inout ByteBuffer) {
        if let text {
            out.writeJSONString(text)
        } else {
            out.writeString("null")
        }
    }

    /// Clients recognise an overflow by OpenAI's own sentence.
    package static func message(_ error: GatewayError) -> String {
        guard error.code == .contextOverflow, let maximum = error.overflow?.maximum else { return error.message }
        let limit = "This model's maximum context length is \(maximum) tokens."
        let longest = error.overflow?.longestText.map { " The longest text is input[\($0)]." } ?? ""
        guard let prompt = error.overflow?.prompt else { return limit + " The prompt is longer than that." + longest }
        return limit + " However, your prompt has \(prompt) tokens. Please shorten it." + longest
    }

    private static func classify(_ said: UpstreamError, status: Int) -> GatewayError {
        let detail = "upstream HTTP \(status): \(said.message)"
        func make(_ code: ErrorCode, _ fallback: String, status: Int? = nil) -> GatewayError {
            let message = said.message.isEmpty ? fallback : said.message
            return GatewayError(code: code, message: message, param: said.param, detail: detail, status: status)
        }
        if said.message.hasPrefix("Unexpected endpoint") { return make(.notFound, "") }
        if [400, 413, 422, 500, 502].contains(status), said.isOverflow {
            let text = OverflowText.numbers(in: said.message)
            return .contextOverflow(
                prompt: said.overflow.prompt ?? text.prompt, maximum: said.overflow.maximum ?? text.maximum,
                detail: detail)
        }
        if SchemaRefusalText.matches(said, status: status) { return make(.schemaRefused, "") }
        // llama.cpp's words for an image or speech before a model without a projector, which it calls its own failure.
        let senses = ["image input is not supported", "audio input is not supported"]
        if status == 500, senses.contains(where: said.message.hasPrefix) { return make(.invalidRequest, "") }
        switch status {
        case 401, 403:
            // Its words may quote the key; and it is ours, not the client's.
            return GatewayError(
                code: .upstreamCredentials,
                message: "the upstream refused the gateway's own credentials (HTTP \(status))", detail: detail)
        case 404:
            let isModel =
                said.code == "model_not_found" || said.type == "model_not_found"
                || said.message.lowercased().contains("model")
            return make(isModel ? .modelNotFound : .notFound, "the upstream does not know this")
        case 408, 504: return make(.upstreamTimeout, "the upstream took too long")
        case 413: return make(.bodyTooLarge, "the upstream finds the request too large")
        case 429: return make(.rateLimited, "the upstream limits the rate of requests")
        case 503, 529: return make(.upstreamOverloaded, "the upstream is overloaded")
        case 400 where said.code == "unrecognized_keys": return make(.unrecognizedKeys, "")
        case 400: return make(.invalidRequest, "the upstream refused the request")
        case 402..<500: return make(.invalidRequest, "the upstream refused the request", status: status)
        // llama.cpp: it was not started for this, and will not do it the next time either.
        case 501 where said.type == "not_supported_error": return make(.invalidRequest, "the upstream does not do this")
        case 502: return make(.upstreamFailed, "the upstream failed (HTTP 502)", status: 502)
        default: return make(.upstreamFailed, "the upstream failed (HTTP \(status))")
        }
    }

    /// For errors that came with no status of their own.
    private static func guessedStatus(_ said: UpstreamError) -> Int {
        if said.code == "model_not_found" { return 404 }
        if said.code == "invalid_api_key" { return 401 }
        switch said.type {
        case "invalid_request", "invalid_request_error", "exceed_context_size_error", "badrequesterror": return 400
        case "authentication_error": return 401
        case "permission_error": return 403
        case "not_found_error", "notfounderror", "model_not_found": return 404
        case "request_too_large": return 413
        case "rate_limit_error", "insufficient_quota": return 429
        case "timeout_error": return 504
        case "overloaded_error", "unavailable_error": return 503
        default: return 500
        }
    }
}
