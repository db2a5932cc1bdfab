import MartletWire
import NIOCore

/// A whole reply of LM Studio's own API: the body of an unstreamed one, and what the last event of a stream brings.
struct LMStudioResult: Sendable {
    /// What answered.
    var instance: String
    /// JSON texts, in their order.
    var output: [ByteBuffer] = []
    var stats = LMStudioStats()
    /// Set where the conversation can be continued from here.
    var responseID: String?

    func write(into out: inout ByteBuffer) {
        out.writeString("{\"model_instance_id\":")
        out.writeJSONString(instance)
        out.writeString(",\"output\":")
        out.writeImmutableBuffer(.rawArray(output))
        out.writeString(",\"stats\":")
        stats.write(into: &out)
        if let responseID {
            out.writeString(",\"response_id\":")
            out.writeJSONString(responseID)
        }
        out.writeString("}")
    }
}

/// What a reply took. Every member is there but the last, which is left out where nothing was loaded for it.
struct LMStudioStats: Sendable {
    /// Tokens of the whole prompt.
    var input = 0
    /// Tokens, reasoning included.
    var output = 0
    var reasoning = 0
    var timings = Timings()

    func write(into out: inout ByteBuffer) {
        out.writeString("{\"input_tokens\":\(input),\"total_output_tokens\":\(output)")
        out.writeString(",\"reasoning_output_tokens\":\(reasoning)")
        out.writeString(",\"tokens_per_second\":\((timings.tokensPerSecond ?? 0).shown)")
        out.writeString(",\"time_to_first_token_seconds\":\((timings.timeToFirstToken ?? 0).shown)")
        if let load = timings.modelLoadTime { out.writeString(",\"model_load_time_seconds\":\(load.shown)") }
        out.writeString("}")
    }
}

extension Duration {
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

extension Double {
    /// As a JSON number, with three decimals at most; 0 for what is none.
    var shown: String {
        guard isFinite else { return "0" }
        return JSON.double((self * 1000).rounded() / 1000).text
    }
}
