import MartletWire
import NIOCore

/// The Response object (https://platform.openai.com/docs/api-reference/responses/object), with every member it has: at
/// the beginning of a stream, at its end, and by itself.
struct ResponsesObject: Sendable {
    enum Status: String, Sendable {
        case inProgress = "in_progress"
        case queued, completed, incomplete, failed
    }

    struct Ending {
        var status: Status
        var error: GatewayError?
        /// Why it is incomplete.
        var reason: String?
        /// Seconds since 1970.
        var completedAt: Int?
        /// JSON texts.
        var output: [ByteBuffer] = []
        /// JSON text; nil while nothing is known.
        var usage: ByteBuffer?

        init(status: Status, error: GatewayError? = nil) {
            self.status = status
            self.error = error
        }

        /// Of a reply that ended well; a limit counts as well, too.
        init(_ finish: FinishReason?) {
            switch finish {
            case .stop, .toolCalls, .pauseTurn, nil: status = .completed
            case .length, .contextWindow:
                status = .incomplete
                reason = "max_output_tokens"
            case .contentFilter:
                status = .incomplete
                reason = "content_filter"
            }
        }
    }

    let id: String
    /// As the client spelled it.
    let model: String
    /// Seconds since 1970.
    let created: Int
    let echo: ResponsesEcho

    func write(_ ending: Ending, into out: inout ByteBuffer) {
        out.writeString("{\"id\":\"\(id)\",\"object\":\"response\",\"created_at\":\(created),\"completed_at\":")
        out.writeString(ending.completedAt.map { "\($0)" } ?? "null")
        out.writeString(",\"status\":\"\(ending.status.rawValue)\",\"error\":")
        if let error = ending.error {
            ResponsesErrors.writeDetail(error, into: &out)
        } else {
            out.writeString("null")
        }
        out.writeString(",\"incomplete_details\":")
        out.writeString(ending.reason.map { "{\"reason\":\"\($0)\"}" } ?? "null")
        out.writeString(",\"model\":")
        out.writeJSONString(model)
        out.writeString(",\"output\":")
        out.writeImmutableBuffer(.rawArray(ending.output))
        out.writeString(",\"usage\":")
        out.writeImmutableBuffer(ending.usage ?? ByteBuffer(string: "null"))
        out.writeString(",\"previous_response_id\":")
        ChatErrors.writeOrNull(echo.previousID, into: &out)
        out.writeString(",\"store\":\(echo.isStored),")
        out.writeImmutableBuffer(echo.members)
        out.writeString("}")
    }

    /// The object of `/v1/responses/compact`.
    func compaction(_ ending: Ending) -> ByteBuffer {
        var out = ByteBuffer(string: "{\"id\":\"\(id)\",\"object\":\"response.compaction\",\"created_at\":\(created),")
        out.writeString("\"output\":")
        out.writeImmutableBuffer(.rawArray(ending.output))
        out.writeString(",\"usage\":")
        out.writeImmutableBuffer(ending.usage ?? ByteBuffer(string: "null"))
        out.writeString("}")
        return out
    }

    /// `{"input_tokens":…}`. No count is missing: what the upstream did not report is estimated.
    /// - Parameter bytes: of all that was generated.
    static func usage(_ usage: Usage, bytes: Int, _ context: ReplyContext) -> ByteBuffer {
        let input = max(0, usage.input ?? context.inputEstimate)
        let output = max(0, usage.output ?? TokenEstimate.ofOutput(bytes: bytes))
        let (total, overflow) = input.addingReportingOverflow(output)
        var out = ByteBuffer(string: "{\"input_tokens\":\(input),\"input_tokens_details\":{\"cached_tokens\":")
        out.writeString("\(max(0, usage.cacheRead ?? 0)),\"cache_write_tokens\":\(max(0, usage.cacheWrite ?? 0))}")
        out.writeString(",\"output_tokens\":\(output),\"output_tokens_details\":{\"reasoning_tokens\":")
        out.writeString("\(max(0, usage.reasoning ?? 0))},\"total_tokens\":\(overflow ? .max : total)}")
        return out
    }
}
