import MartletWire
import NIOCore

/// What a Responses upstream says about its failure, in a stream or in a body.
enum ResponsesFailure {
    /// - Parameter text: the data of an `error` event, flat or nested, or the `error` of a Response.
    static func read(_ text: ByteBuffer) -> GatewayError {
        guard let status = status(UpstreamError(text).code) else { return ChatErrors.read(inStream: text) }
        return ChatErrors.read(status: status, body: text)
    }

    /// A Response that failed, or was cancelled.
    static func read(_ response: ResponsesEvent.Response, of data: ByteBuffer) -> GatewayError {
        guard let error = response.error else {
            return GatewayError(code: .upstreamFailed, message: "the upstream gave up in the middle of the reply")
        }
        return read(data.part(error))
    }

    /// The HTTP status a code stands for (https://platform.openai.com/docs/api-reference/responses/object,
    /// `error.code`); nil where type and message say more than the code.
    private static func status(_ code: String) -> Int? {
        switch code {
        case "server_error": 500
        case "rate_limit_exceeded", "insufficient_quota", "usage_not_included": 429
        case "server_is_overloaded", "slow_down": 503
        case "invalid_prompt", "context_length_exceeded", "bio_policy", "empty_image_file", "image_parse_error",
            "failed_to_download_image", "image_file_not_found", "unsupported_image_media_type":
            400
        case "vector_store_timeout": 504
        default: code.hasPrefix("invalid_image") || code.hasPrefix("image_") ? 400 : nil
        }
    }

    // MARK: - In a stream

    /// The events that end a stream which has begun already. Some clients raise on the first of them,
    /// others read nothing but the second.
    /// - Parameters:
    ///   - number: of the first of them.
    ///   - response: as the stream has told it so far; nil when it has told nothing.
    ///   - isSaid: the stream has had the first of them.
    /// - Returns: the Response as the second of them has it.
    @discardableResult
    static func write(
        _ error: GatewayError, number: Int, response: RawObject?, isSaid: Bool = false, into out: inout ByteBuffer
    ) -> ByteBuffer {
        if !isSaid { ResponsesErrors.writeEvent(error, number: number, into: &out) }
        var reason = ByteBuffer()
        ResponsesErrors.writeDetail(error, into: &reason)
        var whole = response ?? RawObject()
        whole.set("status", .rawString("failed"))
        whole.set("error", reason)
        var failed = RawObject()
        failed.set("type", .rawString("response.failed"))
        failed.set("sequence_number", ByteBuffer(string: "\(isSaid ? number : number + 1)"))
        let text = whole.text
        failed.set("response", text)
        out.writeString("event: response.failed\n")
        out.writeFrame(data: failed.text)
        out.writeString("data: [DONE]\n\n")
        return text
    }
}
