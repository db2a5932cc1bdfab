import MartletWire
package import NIOCore

extension ChatReply {
    /// What the body of a successful reply says. Throws the upstream's own error when it is one all the same.
    package static func events(
        _ body: ByteBuffer, _ form: ChoiceForm = .message
    ) throws(GatewayError) -> [ReplyEvent] {
        _ = try read(body, form)
        var reader = ChatStreamReader(form, readsFast: false)
        var events: [ReplyEvent] = []
        do throws(DialectError) {
            try reader.read(SSEEvent(data: body), into: &events)
            try reader.read(SSEEvent(data: ByteBuffer(string: "[DONE]")), into: &events)
        } catch {
            throw GatewayError(unreadable: error)
        }
        for case .failed(let error) in events { throw error }
        return events
    }

    /// The body for a Chat client.
    package static func write(
        _ reply: Reply, to target: ReplyTarget, context: ReplyContext = ReplyContext(), ids: inout IDSource
    ) -> ByteBuffer {
        var out = ByteBuffer(string: "{\"id\":\"\(ids.chatCompletion())\",\"object\":\"chat.completion\"")
        out.writeString(",\"created\":\(target.created),\"model\":")
        out.writeJSONString(target.model)
        out.writeString(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":")
        let calls = calls(of: reply, context, &ids)
        let content = text(of: reply, .text)
        if content.isEmpty, !calls.isEmpty {
            out.writeString("null")
        } else {
            out.writeEscaped(content)
        }
        let refusal = text(of: reply, .refusal)
        if !refusal.isEmpty {
            out.writeString(",\"refusal\":")
            out.writeEscaped(refusal)
        }
        writeReasoning(reply, blocks: target.showsThinkingBlocks, into: &out)
        for (place, call) in calls.enumerated() {
            out.writeString(place == 0 ? ",\"tool_calls\":[{" : ",{")
            ChatForm.writeCall(call, into: &out)
            out.writeString(place == calls.count - 1 ? "}]" : "}")
        }
        let reason = ChatFinish.word(ChatFinish.agree(reply.finish, hasCalls: !calls.isEmpty))
        out.writeString("},\"logprobs\":null,\"finish_reason\":\"\(reason)\"}],\"usage\":")
        let bytes = reply.blocks.reduce(0) { $0 + $1.text.bytes.readableBytes }
        ChatForm.writeUsage(reply.usage, bytes: bytes, context, into: &out)
        out.writeString("}")
        return out
    }

    private static func text(of reply: Reply, _ kind: BlockKind) -> EscapedText {
        var text = EscapedText()
        for block in reply.blocks where block.kind == kind { text.append(block.text) }
        return text
    }

    private static func writeReasoning(_ reply: Reply, blocks: Bool, into out: inout ByteBuffer) {
        let reasoning = text(of: reply, .reasoning)
        if !reasoning.isEmpty {
            out.writeString(",\"reasoning_content\":")
            out.writeEscaped(reasoning)
        }
        guard blocks else { return }
        let thinking = reply.blocks.filter { $0.kind == .reasoning }
            .compactMap { ChatForm.thinkingBlock($0.text, $0.blobs) }
        guard !thinking.isEmpty else { return }
        out.writeString(",\"thinking_blocks\":")
        out.writeImmutableBuffer(.rawArray(thinking))
    }

    private static func calls(
        of reply: Reply, _ context: ReplyContext, _ ids: inout IDSource
    ) -> [ChatForm.Call] {
        var callIDs = CallIDs(context)
        var calls: [ChatForm.Call] = []
        for block in reply.blocks {
            guard case .toolCall(let head) = block.kind, head.hosted == nil else { continue }
            let isCustom = context.toolNames.isWrapped(head.name)
            let given = block.text.isEmpty ? EscapedText(escaping: "{}") : block.text
            calls.append(
                ChatForm.Call(
                    id: callIDs.take(head.id) { ids.chatCall() }, name: context.toolNames.client(head.name),
                    isCustom: isCustom, arguments: isCustom ? ChatForm.unwrapped(given) : given))
        }
        return calls
    }
}
