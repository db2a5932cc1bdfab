import MartletWire
import NIOCore

/// Writes a reply as a stream of legacy Completions
/// (https://platform.openai.com/docs/api-reference/completions/create): its visible text and nothing else, as the
/// dialect has no place for more.
struct CompletionStreamWriter: StreamWriter {
    private let target: ReplyTarget
    private let context: ReplyContext
    /// `data: {"id":…,"model":…,"choices":[`
    private var head: ByteBuffer
    private var shown: Set<BlockID> = []
    private var deltas: DeltaFrame
    private var usage = Usage()
    private var finish = FinishReason.stop
    private var isStopped = false
    private var legacy: LegacyReply?
    private var bytes = 0

    init(_ target: ReplyTarget, context: ReplyContext) {
        self.target = target
        self.context = context
        legacy = target.legacy
        var ids = target.ids
        head = ByteBuffer(string: "data: {\"id\":\"\(ids.completion())\",\"object\":\"text_completion\",\"created\":")
        head.writeString("\(target.created),\"model\":")
        head.writeJSONString(target.model)
        head.writeString(",\"choices\":[")
        var before = head
        before.writeString("{\"index\":0,\"text\":\"")
        deltas = DeltaFrame(
            before: before,
            behind: "\",\"logprobs\":null,\"finish_reason\":null}]" + Self.noUsage(target.usage) + "}\n\n")
    }

    mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer) {
        switch event {
        case .opened(let block, let kind):
            legacy?.noteToken()
            if kind == .text || kind == .refusal { shown.insert(block) }
        case .delta(let block, let text):
            bytes += text.bytes.readableBytes
            if shown.contains(block) { deltas.write(text, into: &out) }
        case .usage(let usage): self.usage.update(with: usage)
        case .finished(_, let reason, let stop):
            finish = reason
            isStopped = stop != nil
        case .progress: keepAlive(into: &out)
        case .started, .blob, .closed, .called, .ran, .failed, .opaque, .ended: break
        }
    }

    mutating func finish(into out: inout ByteBuffer) {
        let reason = ChatFinish.word(ChatFinish.agree(finish, hasCalls: false))
        out.writeImmutableBuffer(head)
        out.writeString("{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"\(reason)\"}]")
        if target.usage == .finalChunk {
            ChatForm.writeUsageMember(usage, bytes: bytes, context, into: &out)
        } else {
            out.writeString(Self.noUsage(target.usage))
        }
        let end = LegacyReply.End(usage: usage, bytes: bytes, reason: finish, isStopped: isStopped)
        if target.usage != .asked { legacy?.writeMembers(end, into: &out) }
        out.writeString("}\n\n")
        if target.usage == .asked {
            ChatForm.writeUsageChunk(head, usage, bytes: bytes, context, into: &out) {
                legacy?.writeMembers(end, into: &$0)
            }
        }
        out.writeString("data: [DONE]\n\n")
    }

    mutating func keepAlive(into out: inout ByteBuffer) {
        ErrorTable.writeKeepAlive(for: .completions, into: &out)
    }

    mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        ErrorTable.writeInStream(error, for: .completions, requestID: target.requestID, into: &out)
    }

    /// What chunks say of a usage that comes in a chunk of its own.
    private static func noUsage(_ placement: ChatFrameEdit.UsagePlacement) -> String {
        placement == .asked ? ",\"usage\":null" : ""
    }
}
