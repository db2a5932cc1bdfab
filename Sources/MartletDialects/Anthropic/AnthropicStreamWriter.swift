package import MartletWire
package import NIOCore

/// Writes a reply as a stream of Anthropic Messages (https://docs.anthropic.com/en/api/messages-streaming).
///
/// One block is open at a time, and their indices are contiguous: what an upstream sends side by side waits for its
/// turn. A block of text or thinking is begun with its first piece, so that none is ever empty.
package struct AnthropicStreamWriter: StreamWriter {
    /// What the client sees as open.
    private enum OpenBlock: Sendable {
        case none
        /// Opened by the upstream, and nothing written yet.
        case promised(BlockID, BlockKind)
        case text(BlockID)
        case thinking(BlockID, ThinkingSeal, signature: EscapedText?)
        case call(BlockID, ArgumentFlow, tool: String)
        case opaque(BlockID)

        var id: BlockID? {
            switch self {
            case .none: nil
            case .promised(let id, _), .text(let id), .thinking(let id, _, _), .call(let id, _, _), .opaque(let id): id
            }
        }
    }

    /// A block that waits until the open one has ended.
    private struct Waiting: Sendable {
        var id: BlockID
        var block: ReplyBlock
        var isClosed = false
    }

    /// A call whose arguments cannot be read.
    package private(set) var fault: GatewayError?
    private let model: String
    private let context: ReplyContext
    private let requestID: String
    /// Of the message; nil mints one.
    private var id: String?
    private var ids: IDSource
    private var callIDs: CallIDs
    private var end = AnthropicEnd()
    private var open = OpenBlock.none
    private var waiting: [Waiting] = []
    /// Ids of calls that are run here.
    private var hosted: [BlockID: String] = [:]
    private var next = 0
    private var choice: Int?
    private var hasStarted = false
    private var hasEnded = false
    /// Of the open block.
    private var deltas = DeltaFrame()

    /// - Parameters:
    ///   - model: as the client spelled it.
    ///   - requestID: for an error in the stream; may be empty.
    package init(model: String, context: ReplyContext = ReplyContext(), ids: IDSource, requestID: String = "") {
        self.model = model
        self.context = context
        self.ids = ids
        self.requestID = requestID
        callIDs = CallIDs(context)
    }

    /// For a Message that is said again as a stream: its own id, and its calls' ids.
    init(relaying model: String, id: String, stop: String?) {
        self.init(model: model, context: ReplyContext(clientStops: stop.map { [$0] } ?? []), ids: IDSource(seed: 0))
        self.id = id
    }

    package mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer) {
        guard fault == nil else { return }
        switch event {
        case .delta(let block, let text): grow(block, text, into: &out)
        case .started: start(into: &out)
        case .opened(let block, let kind):
            guard isFirst(block.choice) else { return }
            start(into: &out)
            open(block, kind, into: &out)
        case .blob(let block, let blob): take(block, blob, into: &out)
        case .closed(let block): closed(block, into: &out)
        case .usage(let usage): end.usage.update(with: usage)
        case .finished(let choice, let reason, let stop):
            guard isFirst(choice) else { return }
            end.finish = reason
            end.matchedStop = stop
        case .progress: keepAlive(into: &out)
        case .ran(let block, let run): ran(block, run, into: &out)
        case .called, .failed, .opaque, .ended: break
        }
    }

    package mutating func write(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) {
        guard case .text(delta.block) = open else {
            return grow(delta.block, delta.text(of: frame), into: &out)
        }
        end.bytes &+= delta.range.count
        deltas.write(delta.range, of: frame, into: &out)
    }

    package mutating func finish(into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        start(into: &out)
        close(into: &out)
        while fault == nil, !waiting.isEmpty {
            advance(into: &out)
            close(into: &out)
        }
        guard fault == nil else { return }
        out.writeString("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{")
        end.writeStop(context, into: &out)
        out.writeString("},\"usage\":")
        end.writeUsage(context, into: &out)
        out.writeString("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
        hasEnded = true
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        guard hasStarted else { return start(into: &out) }
        ErrorTable.writeKeepAlive(for: .anthropic, into: &out)
    }

    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        hasEnded = true
        ErrorTable.writeInStream(error, for: .anthropic, requestID: requestID, into: &out)
    }

    private mutating func start(into out: inout ByteBuffer) {
        guard !hasStarted else { return }
        hasStarted = true
        out.writeString(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":")
        out.writeJSONString(id ?? ids.message())
        out.writeString(",\"type\":\"message\",\"role\":\"assistant\",\"model\":")
        out.writeJSONString(model)
        out.writeString(",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":")
        out.writeString("\(context.inputEstimate),\"output_tokens\":0}}}\n\n")
        ErrorTable.writeKeepAlive(for: .anthropic, into: &out)
    }

    private mutating func isFirst(_ choice: Int) -> Bool {
        if self.choice == nil { self.choice = choice }
        return self.choice == choice
    }
}

// MARK: - Blocks

extension AnthropicStreamWriter {
    private mutating func open(_ id: BlockID, _ kind: BlockKind, into out: inout ByteBuffer) {
        guard mayClose, waiting.isEmpty else {
            waiting.append(Waiting(id: id, block: ReplyBlock(kind)))
            return advance(into: &out)
        }
        close(into: &out)
        if fault == nil { begin(id, kind, into: &out) }
    }

    /// The open block has all it will get, as far as can be seen. A call stays open while its arguments are incomplete:
    /// what comes of them later would have no place, and how they end may depend on how the reply ends.
    private var mayClose: Bool {
        guard case .call(_, let flow, _) = open else { return true }
        return flow.isComplete
    }

    private mutating func grow(_ id: BlockID, _ text: EscapedText, into out: inout ByteBuffer) {
        if case .text(id) = open {
            end.bytes &+= text.bytes.readableBytes
            return deltas.write(text, into: &out)
        }
        guard open.id == id else {
            guard let place = waiting.firstIndex(where: { $0.id == id }) else { return }
            end.bytes &+= text.bytes.readableBytes
            waiting[place].block.text.append(text)
            if mayClose { advance(into: &out) }
            return
        }
        end.bytes &+= text.bytes.readableBytes
        beginPromised(into: &out)
        switch open {
        case .text: deltas.write(text, into: &out)
        case .thinking(_, var seal, let signature):
            seal.take(text)
            open = .thinking(id, seal, signature: signature)
            deltas.write(text, into: &out)
        case .call(_, var flow, let tool):
            open = .none  // so that the flow's text has one owner while it grows
            let piece = flow.take(text)
            open = .call(id, flow, tool: tool)
            if let piece { deltas.write(piece, into: &out) }
        case .none, .promised, .opaque: break
        }
    }

    private mutating func take(_ id: BlockID, _ blob: OpaqueBlob, into out: inout ByteBuffer) {
        guard open.id == id else {
            guard let place = waiting.firstIndex(where: { $0.id == id }) else { return }
            waiting[place].block.blobs.append(blob)
            return
        }
        switch blob.origin == .anthropic ? blob.kind : .encrypted {
        case .signature:
            beginPromised(into: &out)
            if case .thinking(_, let seal, _) = open { open = .thinking(id, seal, signature: blob.text) }
        case .redacted: redact(id, blob.text, into: &out)
        case .encrypted:
            // Sealed by another dialect: it travels marked, in whichever place the block has for it.
            if case .thinking(_, let seal, _) = open {
                open = .thinking(id, seal, signature: blob.marked)
            } else {
                redact(id, blob.marked, into: &out)
            }
        }
    }

    private mutating func redact(_ id: BlockID, _ text: EscapedText, into out: inout ByteBuffer) {
        guard case .promised(_, .reasoning) = open else { return }
        var block = ByteBuffer(string: "{\"type\":\"redacted_thinking\",\"data\":")
        block.writeEscaped(text)
        block.writeString("}")
        writeStart(block, into: &out)
        open = .opaque(id)
    }

    private mutating func closed(_ id: BlockID, into out: inout ByteBuffer) {
        guard open.id == id else {
            if let place = waiting.firstIndex(where: { $0.id == id }) { waiting[place].isClosed = true }
            return
        }
        if case .call(_, let flow, _) = open, !flow.isComplete, !flow.isEmpty { return }
        close(into: &out)
        advance(into: &out)
    }

    /// Lets waiting blocks take their turn, as far as they can.
    private mutating func advance(into out: inout ByteBuffer) {
        while mayClose, !waiting.isEmpty {
            close(into: &out)
            guard fault == nil else { return }
            let first = waiting.removeFirst()
            begin(first.id, first.block.kind, into: &out)
            guard fault == nil else { return }
            for blob in first.block.blobs where blob.kind == .redacted { take(first.id, blob, into: &out) }
            if !first.block.text.isEmpty {
                end.bytes &-= first.block.text.bytes.readableBytes  // counted when it came
                grow(first.id, first.block.text, into: &out)
            }
            for blob in first.block.blobs where blob.kind != .redacted { take(first.id, blob, into: &out) }
            if first.isClosed { closed(first.id, into: &out) }
        }
    }

    private mutating func begin(_ id: BlockID, _ kind: BlockKind, into out: inout ByteBuffer) {
        switch kind {
        case .text, .reasoning: open = .promised(id, kind)
        case .refusal:
            end.isRefused = true
            open = .promised(id, .text)
        case .toolCall(let head) where head.hosted != nil: beginHosted(id, head, into: &out)
        case .toolCall(let head):
            guard !head.name.isEmpty else {
                fault = ReplyArguments.namelessCall
                return
            }
            end.hasCalls = true
            let callID = callIDs.take(head.id) { ids.toolUse() }
            let tool = context.toolNames.client(head.name)
            var block = ByteBuffer(string: "{\"type\":\"tool_use\",\"id\":\"\(callID)\",\"name\":")
            block.writeJSONString(tool)
            block.writeString(",\"input\":{}}")
            setDelta("input_json_delta", "partial_json")
            writeStart(block, into: &out)
            open = .call(id, ArgumentFlow(), tool: tool)
        case .opaque(let dialect, let json):
            open = .opaque(id)
            guard dialect == .anthropic else {
                open = .none
                return
            }
            writeStart(json.buffer, into: &out)
        }
    }

    private mutating func beginHosted(_ id: BlockID, _ head: ToolCallHead, into out: inout ByteBuffer) {
        hosted[id] = head.id
        var block = ByteBuffer(string: "{\"type\":\"mcp_tool_use\",\"id\":\"\(head.id)\",\"name\":")
        block.writeJSONString(head.name)
        block.writeString(",\"server_name\":")
        block.writeJSONString(head.hosted??.label ?? "")
        block.writeString(",\"input\":{}}")
        setDelta("input_json_delta", "partial_json")
        writeStart(block, into: &out)
        open = .call(id, ArgumentFlow(), tool: head.name)
    }

    /// The round has ended: nothing waits behind a call whose arguments lack their end.
    private mutating func ran(_ id: BlockID, _ run: ToolRun, into out: inout ByteBuffer) {
        guard fault == nil else { return }
        close(into: &out)
        while !waiting.isEmpty, fault == nil {
            advance(into: &out)
            close(into: &out)
        }
        guard let callID = hosted.removeValue(forKey: id) else { return }
        writeStart(AnthropicReply.hostedResult(run, of: callID), into: &out)
        out.writeString("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":\(next - 1)}\n\n")
    }

    private mutating func beginPromised(into out: inout ByteBuffer) {
        guard case .promised(let id, let kind) = open else { return }
        if kind == .reasoning {
            setDelta("thinking_delta", "thinking")
            writeStart(ByteBuffer(string: "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"), into: &out)
            open = .thinking(id, ThinkingSeal(), signature: nil)
        } else {
            setDelta("text_delta", "text")
            writeStart(ByteBuffer(string: "{\"type\":\"text\",\"text\":\"\"}"), into: &out)
            open = .text(id)
        }
    }

    private mutating func close(into out: inout ByteBuffer) {
        let closing = open
        open = .none
        switch closing {
        case .none, .promised: return
        case .text, .opaque: break
        case .thinking(_, let seal, let signature):
            setDelta("signature_delta", "signature")
            deltas.write(signature ?? EscapedText(escaping: seal.signature), into: &out)
        case .call(_, var flow, let tool):
            guard hosted[closing.id ?? BlockID(choice: 0, index: -1)] != nil || !flow.isBroken(isCut: end.isCut) else {
                fault = ReplyArguments.fault(of: tool)
                return
            }
            if let rest = flow.end(isCut: end.isCut) { deltas.write(rest, into: &out) }
        }
        out.writeString("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":\(next - 1)}\n\n")
    }
}

// MARK: - Frames

extension AnthropicStreamWriter {
    private mutating func writeStart(_ block: ByteBuffer, into out: inout ByteBuffer) {
        out.writeString("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":\(next)")
        out.writeString(",\"content_block\":")
        out.writeImmutableBuffer(block)
        out.writeString("}\n\n")
        next += 1
    }

    /// - Note: for the open block, or one that `writeStart` opens next.
    private mutating func setDelta(_ type: String, _ member: String) {
        let index = type == "signature_delta" ? next - 1 : next
        let event = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":\(index)"
        deltas = DeltaFrame(
            before: event + ",\"delta\":{\"type\":\"\(type)\",\"\(member)\":\"", behind: "\"}}\n\n")
    }
}
