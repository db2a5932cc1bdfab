import MartletWire
import NIOCore

/// What chunks and whole replies of Chat Completions say alike: usage, calls, and the arguments of wrapped tools.
enum ChatForm {
    /// `{"prompt_tokens":…}`. No count is missing: what the upstream did not report is estimated.
    /// - Parameter bytes: of all that was generated.
    static func writeUsage(_ usage: Usage, bytes: Int, _ context: ReplyContext, into out: inout ByteBuffer) {
        let input = max(0, usage.input ?? context.promptEstimate)
        let output = max(0, usage.output ?? TokenEstimate.ofOutput(bytes: bytes))
        let (total, overflow) = input.addingReportingOverflow(output)
        out.writeString("{\"prompt_tokens\":\(input),\"completion_tokens\":\(output)")
        out.writeString(",\"total_tokens\":\(overflow ? .max : total)")
        if usage.cacheRead != nil || usage.cacheWrite != nil {
            out.writeString(",\"prompt_tokens_details\":{\"cached_tokens\":\(max(0, usage.cacheRead ?? 0))")
            if let written = usage.cacheWrite { out.writeString(",\"cache_write_tokens\":\(max(0, written))") }
            out.writeString("}")
        }
        if let reasoning = usage.reasoning {
            out.writeString(",\"completion_tokens_details\":{\"reasoning_tokens\":\(max(0, reasoning))}")
        }
        out.writeString("}")
    }

    /// An upstream's own usage; estimated where it has none, or counts are missing in it.
    static func counted(_ given: ByteBuffer?, _ known: Usage, bytes: Int, _ context: ReplyContext) -> ByteBuffer {
        var usage = given.flatMap { try? RawObject($0) } ?? RawObject()
        let names = ["prompt_tokens", "completion_tokens", "total_tokens"]
        if let given, names.allSatisfy({ usage[$0]?.rawKind == .number }) { return given }
        var whole = ByteBuffer()
        writeUsage(known, bytes: bytes, context, into: &whole)
        guard let estimate = try? RawObject(whole), given?.rawKind == .object else { return whole }
        for name in names where usage[name]?.rawKind != .number {
            if let count = estimate[name] { usage.set(name, count) }
        }
        return usage.text
    }

    /// The same behind other members.
    static func writeUsageMember(_ usage: Usage, bytes: Int, _ context: ReplyContext, into out: inout ByteBuffer) {
        out.writeString(",\"usage\":")
        writeUsage(usage, bytes: bytes, context, into: &out)
    }

    /// The last chunk of a stream, which has no choices.
    /// - Parameters:
    ///   - head: up to the first choice.
    ///   - more: writes members behind the usage.
    static func writeUsageChunk(
        _ head: ByteBuffer, _ usage: Usage, bytes: Int, _ context: ReplyContext, into out: inout ByteBuffer,
        more: (inout ByteBuffer) -> Void
    ) {
        out.writeImmutableBuffer(head)
        out.writeString("]")
        writeUsageMember(usage, bytes: bytes, context, into: &out)
        more(&out)
        out.writeString("}\n\n")
    }

    /// The call without its index: `"id":…,"type":…,"function":{…}`.
    static func writeCall(_ call: Call, into out: inout ByteBuffer) {
        out.writeString("\"id\":\"\(call.id)\",\"type\":\"")
        out.writeString(call.isCustom ? "custom\",\"custom\":{\"name\":" : "function\",\"function\":{\"name\":")
        out.writeJSONString(call.name)
        out.writeString(call.isCustom ? ",\"input\":" : ",\"arguments\":")
        out.writeEscaped(call.arguments)
        out.writeString("}")
    }

    struct Call {
        var id: String
        /// The client's.
        var name: String
        var isCustom: Bool
        var arguments: EscapedText
    }

    /// What a custom tool gets: the one string of the object the upstream was told to write.
    static func unwrapped(_ arguments: EscapedText) -> EscapedText {
        let text = ByteBuffer(string: arguments.unescaped())
        guard let object = try? RawObject(text), let input = object["input"]?.rawString else { return arguments }
        return EscapedText(input.bytes.copy(0..<input.bytes.readableBytes))
    }

    /// A thinking block with its signature, as clients keep it for the next turn; nil when there is none to keep.
    static func thinkingBlock(_ text: EscapedText, _ blobs: [OpaqueBlob]) -> ByteBuffer? {
        var out = ByteBuffer()
        let sealed = blobs.last { $0.kind == .encrypted }?.marked
        let redacted = blobs.first { $0.kind == .redacted }?.text
        if let redacted = redacted ?? (text.isEmpty ? sealed : nil) {
            out.writeString("{\"type\":\"redacted_thinking\",\"data\":")
            out.writeEscaped(redacted)
        } else if let signature = blobs.last(where: { $0.kind == .signature })?.text ?? sealed {
            out.writeString("{\"type\":\"thinking\",\"thinking\":")
            out.writeEscaped(text)
            out.writeString(",\"signature\":")
            out.writeEscaped(signature)
        } else {
            return nil
        }
        out.writeString("}")
        return out
    }
}
