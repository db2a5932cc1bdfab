import MartletWire
import NIOCore

/// What one choice of a stream has said so far.
struct ChatChoiceState: Sendable {
    enum Ending {
        case said(FinishReason)
        /// `[DONE]` came without a reason.
        case inferred
    }

    /// Where reasoning is read from. Servers that fill several fields fill them with the same text, so the first that
    /// appears is the one.
    private enum ReasoningField: Sendable, Equatable { case string(Int), details }

    /// A block that never stands open beside another of these.
    private struct Open: Sendable {
        var kind: BlockKind
        var block: BlockID
        /// Half a character: the first of two surrogates, whose other half comes in the next delta.
        var half = EscapedText()
    }

    private struct CallBlock: Sendable {
        var block: BlockID?
        /// Fragments that came before the name.
        var waiting: [EscapedText] = []
        var isCustom: Bool
    }

    let choice: Int
    var calls = ChatCalls()
    private(set) var isFinished = false
    private var callBlocks: [CallBlock] = []
    private var open: Open?
    private var reasoning: ReasoningField?
    private var nextBlock = 0

    init(choice: Int) { self.choice = choice }

    /// - Parameter only: set to the place of a delta's text; of use only when the chunk had no other.
    mutating func read(
        _ chunk: ChatChunk.Choice, of data: ByteBuffer, at position: Int, into events: inout [ReplyEvent],
        only: inout ChunkTemplates.Place?
    ) throws(DialectError) {
        guard !isFinished else { return }  // whatever a server appends to a choice it has ended
        for text in reasoningTexts(chunk) { grow(.reasoning, text, of: data, into: &events, only: &only) }
        for text in chunk.content { grow(.text, text, of: data, into: &events, only: &only) }
        if let refusal = chunk.refusal { grow(.refusal, refusal, of: data, into: &events, only: &only) }
        for (place, call) in chunk.calls.enumerated() {
            let slot = try read(call, of: data, at: place, into: &events)
            if let text = call.arguments {
                only = ChunkTemplates.Place(text: text, call: .init(choice: position, slot: slot))
            }
        }
        guard let finish = chunk.finish, !finish.isEmpty else { return }
        switch data.unescaped(finish) {
        case "error", "abort":
            events.append(
                .failed(GatewayError(code: .upstreamFailed, message: "the upstream gave up in the middle of the reply"))
            )
        case let reason:
            let stop = chunk.stopReason.map { data.escaped($0) }
            self.finish(.said(ChatFinish.read(reason)), stop: stop, into: &events)
        }
    }

    mutating func finish(_ ending: Ending, stop: EscapedText?, into events: inout [ReplyEvent]) {
        isFinished = true
        for slot in callBlocks.indices where callBlocks[slot].block == nil { openCall(slot, into: &events) }
        closeOpen(into: &events)
        for call in callBlocks { if let block = call.block { events.append(.closed(block)) } }
        let hasCalls = !callBlocks.isEmpty
        let reason: FinishReason
        switch ending {
        case .said(let said): reason = ChatFinish.agree(said, hasCalls: hasCalls)
        case .inferred:
            let isWhole = hasCalls && calls.calls.allSatisfy { $0.balance.isEmpty || $0.balance.isComplete }
            reason = isWhole ? .toolCalls : .stop
        }
        callBlocks.removeAll()
        calls = ChatCalls()
        events.append(.finished(choice: choice, reason, matchedStop: stop))
    }

    private mutating func reasoningTexts(_ chunk: ChatChunk.Choice) -> [Range<Int>] {
        if reasoning == nil {
            if let first = chunk.reasoning.firstIndex(where: { $0?.isEmpty == false }) {
                reasoning = .string(first)
            } else if chunk.reasoningDetails.contains(where: { !$0.isEmpty }) {
                reasoning = .details
            }
        }
        switch reasoning {
        case .string(let field): return chunk.reasoning[field].map { [$0] } ?? []
        case .details: return chunk.reasoningDetails
        case nil: return []
        }
    }

    private mutating func grow(
        _ kind: BlockKind, _ text: Range<Int>, of data: ByteBuffer, into events: inout [ReplyEvent],
        only: inout ChunkTemplates.Place?
    ) {
        guard !text.isEmpty else { return }
        if open?.kind != kind {
            openNamed(into: &events)
            closeOpen(into: &events)
            let block = takeBlock()
            open = Open(kind: kind, block: block)
            events.append(.opened(block, kind))
        }
        guard var opened = open else { return }
        let whole = opened.half.isEmpty
        var delta = opened.half + data.escaped(text)
        opened.half = EscapedText()
        if delta.endsInHighSurrogate {
            let half = delta.bytes.readableBytes - 6
            opened.half = EscapedText(delta.bytes.part(half..<half + 6))
            delta = EscapedText(delta.bytes.part(0..<half))
        } else if whole {
            only = ChunkTemplates.Place(text: text)
        }
        open = opened
        if !delta.isEmpty { events.append(.delta(opened.block, delta)) }
    }

    /// A half that never found its other is U+FFFD.
    private mutating func closeOpen(into events: inout [ReplyEvent]) {
        guard let opened = open else { return }
        if !opened.half.isEmpty { events.append(.delta(opened.block, EscapedText(escaping: "\u{FFFD}"))) }
        events.append(.closed(opened.block))
        open = nil
    }

    private mutating func read(
        _ call: ChatChunk.Call, of data: ByteBuffer, at place: Int, into events: inout [ReplyEvent]
    ) throws(DialectError) -> Int {
        let id = data.unescaped(call.id)
        let name = data.unescaped(call.name)
        guard let (slot, isNew, _) = calls.slot(index: call.index, id: id, name: name, position: place) else {
            throw DialectError(.unexpected, at: "choices[].delta.tool_calls", "more than \(ChatCalls.limit) calls")
        }
        if isNew {
            openNamed(into: &events)
            callBlocks.append(CallBlock(isCustom: call.isCustom))
        }
        let arguments =
            call.arguments.map { data.escaped($0) }
            ?? call.argumentValue.map { EscapedText(escaping: String(buffer: data.part($0))) }
        guard let arguments, !arguments.isEmpty else { return slot }
        // More of the name may have come until here.
        if callBlocks[slot].block == nil, !calls.calls[slot].name.isEmpty { openCall(slot, into: &events) }
        calls.take(arguments, slot: slot)
        if let block = callBlocks[slot].block {
            events.append(.delta(block, arguments))
        } else {
            callBlocks[slot].waiting.append(arguments)
        }
        return slot
    }

    /// Something else begins: calls that have a name have all of it.
    private mutating func openNamed(into events: inout [ReplyEvent]) {
        for slot in callBlocks.indices where callBlocks[slot].block == nil && !calls.calls[slot].name.isEmpty {
            openCall(slot, into: &events)
        }
    }

    private mutating func openCall(_ slot: Int, into events: inout [ReplyEvent]) {
        closeOpen(into: &events)
        let block = takeBlock()
        let call = calls.calls[slot]
        let head = ToolCallHead(
            id: call.id, name: call.name, kind: callBlocks[slot].isCustom ? .custom : .function)
        callBlocks[slot].block = block
        events.append(.opened(block, .toolCall(head)))
        for text in callBlocks[slot].waiting { events.append(.delta(block, text)) }
        callBlocks[slot].waiting = []
    }

    private mutating func takeBlock() -> BlockID {
        defer { nextBlock += 1 }
        return BlockID(choice: choice, index: nextBlock)
    }
}
