package import MartletWire
package import NIOCore

/// Writes a reply as a Chat Completions stream (https://platform.openai.com/docs/api-reference/chat-streaming).
package struct ChatStreamWriter: StreamWriter {
    private struct Call: Sendable {
        var index: Int
        var head: ToolCallHead
        var id: String
        /// Some arguments have been written.
        var hasArguments = false
        /// Of a wrapped custom tool: its arguments are unwrapped as a whole.
        var held: EscapedText?
    }

    private struct Thinking: Sendable {
        var text = EscapedText()
        var blobs: [OpaqueBlob] = []
    }

    /// What a delta of the block is written as.
    private enum Block: Sendable {
        case text(StaticString)
        case call(Call)
        case none
    }

    private let target: ReplyTarget
    private let context: ReplyContext
    private var ids: IDSource
    private var callIDs: CallIDs
    private var blocks: [BlockID: Block] = [:]
    private var thinking: [BlockID: Thinking] = [:]
    private var calls: [Int: Int] = [:]
    private var begun: Set<Int> = []
    private var finishes: [(choice: Int, reason: FinishReason)] = []
    private var isStopped = false
    private var legacy: LegacyReply?
    private var usage = Usage()
    private var bytes = 0
    private var hasEnded = false
    /// `data: {"id":…,"model":…,`
    private var head = ByteBuffer()
    /// The block whose deltas came last, and what they look like.
    private var last: BlockID?
    private var deltas = DeltaFrame()

    /// - Parameters:
    ///   - stream: of one that something else has begun.
    ///   - bytes: of text that went before.
    package init(
        _ target: ReplyTarget, context: ReplyContext = ReplyContext(), continuing stream: StreamHead = StreamHead(),
        bytes: Int = 0
    ) {
        self.target = target
        self.context = context
        self.bytes = bytes
        legacy = target.legacy
        ids = target.ids
        callIDs = CallIDs(context)
        let id = ids.chatCompletion()
        head.writeString("data: {\"id\":")
        head.writeImmutableBuffer(stream.id ?? .rawString(id))
        head.writeString(",\"object\":\"chat.completion.chunk\",\"created\":")
        head.writeImmutableBuffer(stream.created ?? ByteBuffer(string: "\(target.created)"))
        head.writeString(",\"model\":")
        head.writeJSONString(target.model)
        head.writeString(",\"choices\":[")
    }

    package mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer) {
        switch event {
        case .delta(let block, let text): grow(block, text, into: &out)
        case .started: begin(0, into: &out)
        case .opened(let block, let kind): open(block, kind, into: &out)
        case .blob(let block, let blob): thinking[block]?.blobs.append(blob)
        case .closed(let block): close(block, into: &out)
        case .usage(let usage): self.usage.update(with: usage)
        case .finished(let choice, let reason, let stop):
            finishes.append((choice, reason))
            isStopped = isStopped || stop != nil
        case .progress: keepAlive(into: &out)
        case .called, .ran, .failed, .opaque, .ended: break
        }
    }

    package mutating func write(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) {
        guard last == delta.block else { return grow(delta.block, delta.text(of: frame), into: &out) }
        bytes &+= delta.range.count
        deltas.write(delta.range, of: frame, into: &out)
    }

    package mutating func finish(into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        hasEnded = true
        begin(0, into: &out)
        for block in blocks.keys.sorted(by: { ($0.choice, $0.index) < ($1.choice, $1.index) }) {
            close(block, into: &out)
        }
        for choice in begun.sorted() where !finishes.contains(where: { $0.choice == choice }) {
            finishes.append((choice, .stop))
        }
        for (place, finish) in finishes.enumerated() {
            begin(finish.choice, into: &out)
            let reason = ChatFinish.agree(finish.reason, hasCalls: calls[finish.choice] != nil)
            out.writeImmutableBuffer(head)
            out.writeString(
                "{\"index\":\(finish.choice),\"delta\":{},\"finish_reason\":\"\(ChatFinish.word(reason))\"}]")
            if target.usage == .finalChunk, place == finishes.count - 1 {
                ChatForm.writeUsageMember(usage, bytes: bytes, context, into: &out)
            } else if target.usage == .asked {
                out.writeString(",\"usage\":null")
            }
            if target.usage != .asked, place == finishes.count - 1 { writeLegacy(into: &out) }
            out.writeString("}\n\n")
        }
        if target.usage == .asked {
            ChatForm.writeUsageChunk(head, usage, bytes: bytes, context, into: &out) { writeLegacy(into: &$0) }
        }
        out.writeString("data: [DONE]\n\n")
    }

    private func writeLegacy(into out: inout ByteBuffer) {
        let reason = finishes.first { $0.choice == 0 }?.reason ?? .stop
        legacy?.writeMembers(
            LegacyReply.End(
                usage: usage, bytes: bytes, reason: ChatFinish.agree(reason, hasCalls: calls[0] != nil),
                isStopped: isStopped), into: &out)
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        ErrorTable.writeKeepAlive(for: .chat, into: &out)
    }

    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        hasEnded = true
        ErrorTable.writeInStream(error, for: .chat, requestID: target.requestID, into: &out)
    }
}

// MARK: - Blocks

extension ChatStreamWriter {
    private mutating func open(_ id: BlockID, _ kind: BlockKind, into out: inout ByteBuffer) {
        begin(id.choice, into: &out)
        legacy?.noteToken()
        switch kind {
        case .text: blocks[id] = .text("content")
        case .refusal: blocks[id] = .text("refusal")
        case .reasoning:
            blocks[id] = .text("reasoning_content")
            if target.showsThinkingBlocks { thinking[id] = Thinking() }
        case .toolCall(let head) where head.hosted != nil: blocks[id] = Block.none
        case .toolCall(let head):
            let index = calls[id.choice, default: 0]
            calls[id.choice] = index + 1
            var call = Call(index: index, head: head, id: callIDs.take(head.id) { ids.chatCall() })
            if context.toolNames.isWrapped(head.name) {
                call.held = EscapedText()
            } else {
                writeCall(call, arguments: EscapedText(), choice: id.choice, into: &out)
            }
            blocks[id] = .call(call)
        case .opaque: blocks[id] = Block.none
        }
    }

    private mutating func grow(_ id: BlockID, _ text: EscapedText, into out: inout ByteBuffer) {
        bytes &+= text.bytes.readableBytes
        if last == id { return deltas.write(text, into: &out) }
        switch blocks[id] {
        case .text(let member):
            thinking[id]?.text.append(text)
            setDelta(id, "{\"\(member)\":\"", "\"}")
            if thinking[id] != nil { last = nil }  // each of its deltas is kept too
            deltas.write(text, into: &out)
        case .call(var call):
            if call.held != nil {
                call.held?.append(text)
                blocks[id] = .call(call)
                return
            }
            call.hasArguments = true
            blocks[id] = .call(call)
            setDelta(id, "{\"tool_calls\":[{\"index\":\(call.index),\"function\":{\"arguments\":\"", "\"}}]}")
            deltas.write(text, into: &out)
        case .none?, nil: break
        }
    }

    private mutating func close(_ id: BlockID, into out: inout ByteBuffer) {
        guard let block = blocks.removeValue(forKey: id) else { return }
        if last == id { last = nil }
        if let thinking = thinking.removeValue(forKey: id),
            let block = ChatForm.thinkingBlock(thinking.text, thinking.blobs)
        {
            writeChunk(choice: id.choice, into: &out) {
                $0.writeString("{\"thinking_blocks\":[")
                $0.writeImmutableBuffer(block)
                $0.writeString("]}")
            }
        }
        guard case .call(let call) = block else { return }
        if let held = call.held {
            writeCall(call, arguments: ChatForm.unwrapped(held), choice: id.choice, into: &out)
        } else if !call.hasArguments {
            // Clients parse the arguments whatever they are.
            writeChunk(choice: id.choice, into: &out) {
                $0.writeString("{\"tool_calls\":[{\"index\":\(call.index),\"function\":{\"arguments\":\"{}\"}}]}")
            }
        }
    }

    private func writeCall(_ call: Call, arguments: EscapedText, choice: Int, into out: inout ByteBuffer) {
        let form = ChatForm.Call(
            id: call.id, name: context.toolNames.client(call.head.name), isCustom: call.held != nil,
            arguments: arguments)
        writeChunk(choice: choice, into: &out) {
            $0.writeString("{\"tool_calls\":[{\"index\":\(call.index),")
            ChatForm.writeCall(form, into: &$0)
            $0.writeString("}]}")
        }
    }

    private mutating func begin(_ choice: Int, into out: inout ByteBuffer) {
        guard begun.insert(choice).inserted else { return }
        writeChunk(choice: choice, into: &out) { $0.writeString("{\"role\":\"assistant\",\"content\":\"\"}") }
    }

    private func writeChunk(choice: Int, into out: inout ByteBuffer, _ delta: (inout ByteBuffer) -> Void) {
        out.writeImmutableBuffer(head)
        out.writeString("{\"index\":\(choice),\"delta\":")
        delta(&out)
        out.writeStaticString(",\"finish_reason\":null}]")
        if target.usage == .asked { out.writeStaticString(",\"usage\":null") }
        out.writeStaticString("}\n\n")
    }

    /// Prepares the deltas of one block: all alike but for their text.
    private mutating func setDelta(_ id: BlockID, _ before: String, _ behind: String) {
        last = id
        var start = head
        start.writeString("{\"index\":\(id.choice),\"delta\":\(before)")
        let usage = target.usage == .asked ? ",\"usage\":null" : ""
        deltas = DeltaFrame(before: start, behind: "\(behind),\"finish_reason\":null}]\(usage)}\n\n")
    }
}
