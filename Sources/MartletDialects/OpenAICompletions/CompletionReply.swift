import MartletWire
import NIOCore

/// A whole reply in the form of legacy Completions.
enum CompletionReply {
    /// The body for a client whose upstream spoke another dialect. What is no visible text has no place in it.
    static func write(
        _ reply: Reply, to target: ReplyTarget, context: ReplyContext, ids: inout IDSource
    ) -> ByteBuffer {
        var text = EscapedText()
        var bytes = 0
        for block in reply.blocks {
            bytes += block.text.bytes.readableBytes
            if block.kind == .text || block.kind == .refusal { text.append(block.text) }
        }
        var out = ByteBuffer(string: "{\"id\":\"\(ids.completion())\",\"object\":\"text_completion\"")
        out.writeString(",\"created\":\(target.created),\"model\":")
        out.writeJSONString(target.model)
        out.writeString(",\"choices\":[{\"text\":")
        out.writeEscaped(text)
        let reason = ChatFinish.word(ChatFinish.agree(reply.finish, hasCalls: false))
        out.writeString(",\"index\":0,\"logprobs\":null,\"finish_reason\":\"\(reason)\"}],\"usage\":")
        ChatForm.writeUsage(reply.usage, bytes: bytes, context, into: &out)
        out.writeString("}")
        return out
    }
}
