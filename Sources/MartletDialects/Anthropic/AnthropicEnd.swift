import MartletWire
import NIOCore

/// How a reply ended and what it cost, in Anthropic's words. Shared by streams and whole replies.
struct AnthropicEnd: Sendable {
    /// The upstream's reason, as far as it is known.
    var finish = FinishReason.stop
    var matchedStop: EscapedText?
    var usage = Usage()
    var hasCalls = false
    var isRefused = false
    /// Bytes of all text, reasoning and arguments, for an estimate where the upstream counts nothing.
    var bytes = 0

    /// The reply was ended by a limit: calls may be incomplete.
    var isCut: Bool { finish == .length || finish == .contextWindow }

    /// `"stop_reason":…,"stop_sequence":…`, without braces.
    func writeStop(_ context: ReplyContext, into out: inout ByteBuffer) {
        var reason = self.reason(context)
        var stop: EscapedText?
        if reason == "end_turn", let matchedStop, context.clientStops.contains(matchedStop.unescaped()) {
            reason = "stop_sequence"
            stop = matchedStop
        }
        out.writeString("\"stop_reason\":\"\(reason)\",\"stop_sequence\":")
        if let stop {
            out.writeEscaped(stop)
        } else {
            out.writeString("null")
        }
        if reason == "refusal" {
            out.writeString(",\"stop_details\":{\"type\":\"refusal\",\"category\":null,\"explanation\":null}")
        }
    }

    /// `{"input_tokens":…}`. Cached tokens are no part of the input here, and no count is ever missing.
    func writeUsage(_ context: ReplyContext, into out: inout ByteBuffer) {
        let read = max(0, usage.cacheRead ?? 0)
        let written = max(0, usage.cacheWrite ?? 0)
        let input = usage.input.map { max(0, $0 - read - written) } ?? context.inputEstimate
        out.writeString("{\"input_tokens\":\(input),\"cache_read_input_tokens\":\(read)")
        out.writeString(",\"cache_creation_input_tokens\":\(written),\"output_tokens\":\(output)")
        if let reasoning = usage.reasoning {
            out.writeString(",\"output_tokens_details\":{\"thinking_tokens\":\(max(0, reasoning))}")
        }
        out.writeString("}")
    }

    private var output: Int { max(0, usage.output ?? TokenEstimate.ofOutput(bytes: bytes)) }

    private func reason(_ context: ReplyContext) -> String {
        if isRefused { return "refusal" }
        switch finish {
        case .stop, .toolCalls: return hasCalls ? "tool_use" : "end_turn"
        case .length:
            guard let window = context.contextWindow, let input = usage.input, let output = usage.output else {
                return "max_tokens"
            }
            return input + output >= window ? "model_context_window_exceeded" : "max_tokens"
        case .contextWindow: return "model_context_window_exceeded"
        case .contentFilter: return "refusal"
        case .pauseTurn: return "pause_turn"
        }
    }
}

extension TokenEstimate {
    /// Tokens of generated text of so many bytes.
    static func ofOutput(bytes: Int) -> Int { (bytes * 10 + 31) / 32 }
}

/// The mark in place of a signature, of thinking no Anthropic model has signed: the gateway knows it again when the
/// client sends it back. A digest of the text follows, so that equal history has equal bytes.
struct ThinkingSeal: Sendable {
    /// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/index.html): the same however the text was cut.
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func take(_ text: EscapedText) {
        text.bytes.withUnsafeReadableBytes { bytes in
            for byte in bytes { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        }
    }

    var signature: String {
        let digits = String(state, radix: 16)
        return "\(Reasoning.gatewayMark)" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Ids of the calls of one reply: the upstream's where it is well-formed and new to the conversation, else a fresh one.
struct CallIDs: Sendable {
    private var used: Set<String>

    init(_ context: ReplyContext) { used = context.callIDs }

    mutating func take(_ given: String, or mint: () -> String) -> String {
        let isFit =
            (1...64).contains(given.utf8.count)
            && given.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"): true
                default: false
                }
            }
        if isFit, used.insert(given).inserted { return given }
        let id = mint()
        used.insert(id)
        return id
    }
}
