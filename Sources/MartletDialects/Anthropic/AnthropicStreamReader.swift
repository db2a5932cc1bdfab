package import MartletWire
package import NIOCore

/// Reads the events of a Messages stream as canonical events. Events, blocks and deltas it does not know are left out;
/// blocks of the API's own tools are opaque.
package struct AnthropicStreamReader: StreamReader {
    /// No Message has more blocks than this.
    private static let blockLimit = 4096

    private struct Open: Sendable {
        var index: Int
        var block: BlockID
        var kind: AnthropicContent.Kind
        /// Of a tool: what it began with, to be said when no fragment follows.
        var input: EscapedText?
        var half = SurrogateJoin()
    }

    private var open: [Open] = []
    private var next = 0
    private var usage = AnthropicUsage()
    private var hasCalls = false
    private var isStarted = false
    private var isFinished = false
    private var isEnded = false
    private var shapes = FrameShapes()
    /// The frame `readKnown` has not known and `read` is about to see.
    private var unknown: SSEFrame?
    private let readsFast: Bool

    package init() { self.init(readsFast: true) }

    /// - Parameter readsFast: false walks every event, as a measure for the fast path.
    package init(readsFast: Bool) { self.readsFast = readsFast }

    /// For a Message whose usage has been read.
    init(usage: AnthropicUsage) {
        self.init(readsFast: false)
        self.usage = usage
    }

    package mutating func readKnown(_ frame: SSEFrame) -> KnownDelta? {
        if let delta = shapes.match(frame) { return delta }
        if readsFast { unknown = frame }
        return nil
    }

    package mutating func read(_ event: SSEEvent, into events: inout [ReplyEvent]) throws(DialectError) {
        let frame = unknown
        unknown = nil
        guard !isEnded, event.data.readableBytes > 0, !event.isDone else { return }
        let before = events.count
        var only: Range<Int>?
        let parsed: AnthropicEvent
        do throws(JSONError) {
            var usage = usage
            parsed = try event.data.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try AnthropicEvent(&walk, usage: &usage)
            }
            self.usage = usage
        } catch {
            throw DialectError(error)
        }
        try take(parsed, event, into: &events, only: &only)
        if let only, let frame, events.count == before + 1, case .delta(let block, _) = events[before] {
            shapes.learn(frame, only, block)
        } else {
            shapes.forget()
        }
    }

    package mutating func finish(into events: inout [ReplyEvent]) throws(DialectError) {
        guard !isEnded else { return }
        isEnded = true
        guard isFinished else { throw DialectError(.truncated, "the stream ended before its stop reason") }
        for place in open.indices { close(place, into: &events) }
    }

    package func streamed(_ whole: ByteBuffer) -> ByteBuffer? { AnthropicReply.streamed(whole) }

    private mutating func take(
        _ parsed: AnthropicEvent, _ event: SSEEvent, into events: inout [ReplyEvent], only: inout Range<Int>?
    ) throws(DialectError) {
        let data = event.data
        let type = parsed.type.map { data.unescaped($0) } ?? event.name.map { String(buffer: $0) }
        switch type {
        case "message_start":
            guard !isStarted, let message = parsed.message else { return }
            start(message, of: data, into: &events)
            for block in message.content ?? [] {
                try begin(block, index: nil, of: data, into: &events)
                close(open.count - 1, into: &events)
                open.removeLast()
            }
        case "content_block_start":
            guard let block = parsed.block else { return }
            try begin(block, index: parsed.index ?? next, of: data, into: &events)
        case "content_block_delta":
            try openImplied(by: parsed.delta.kind, index: parsed.index, into: &events)
            grow(parsed.delta, index: parsed.index, of: data, into: &events, only: &only)
        case "content_block_stop":
            guard let place = place(parsed.index) else { return }
            close(place, into: &events)
            open.remove(at: place)
        case "message_delta":
            events.append(.usage(usage.usage))
            if let reason = parsed.delta.stopReason {
                finish(data.unescaped(reason), parsed.delta.stopSequence.map { data.escaped($0) }, into: &events)
            }
        case "message_stop":
            for place in open.indices { close(place, into: &events) }
            open = []
            finish("", nil, into: &events)
            isEnded = true
            events.append(.ended)
        case "ping": events.append(.progress(Progress(.prefill)))
        case "error":
            isEnded = true
            events.append(.failed(ChatErrors.read(inStream: data)))
        case "message":
            // A whole Message in one event; nobody should, and it is understood all the same.
            try takeWhole(parsed.top, of: data, into: &events)
        default: break
        }
    }

    mutating func takeWhole(
        _ message: AnthropicEvent.Message, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        guard !isStarted else { return }
        start(message, of: data, into: &events)
        for block in message.content ?? [] {
            try begin(block, index: nil, of: data, into: &events)
            close(open.count - 1, into: &events)
            open.removeLast()
        }
        finish(data.unescaped(message.stopReason), message.stopSequence.map { data.escaped($0) }, into: &events)
        isEnded = true
        events.append(.ended)
    }

    private mutating func start(
        _ message: AnthropicEvent.Message, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) {
        isStarted = true
        events.append(.started(id: data.unescaped(message.id), model: data.unescaped(message.model)))
        if !usage.usage.isEmpty { events.append(.usage(usage.usage)) }
    }

    private mutating func finish(_ word: String, _ stop: EscapedText?, into events: inout [ReplyEvent]) {
        guard !isFinished else { return }
        isFinished = true
        let reason: FinishReason =
            switch word {
            case "max_tokens": .length
            case "model_context_window_exceeded": .contextWindow
            case "refusal": .contentFilter
            case "pause_turn": .pauseTurn
            case "tool_use": .toolCalls
            default: .stop
            }
        events.append(
            .finished(choice: 0, ChatFinish.agree(reason, hasCalls: hasCalls), matchedStop: stop))
    }
}

// MARK: - Blocks

extension AnthropicStreamReader {
    private func place(_ index: Int?) -> Int? {
        guard let index else { return open.indices.last }
        return open.lastIndex { $0.index == index }
    }

    /// Opens the block of a delta whose beginning was never sent, after the delta's type. Tools have
    /// no name then, and are an error.
    private mutating func openImplied(
        by kind: AnthropicEvent.Delta.Kind, index: Int?, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        guard place(index) == nil else { return }
        let content: AnthropicContent.Kind
        switch kind {
        case .text: content = .text
        case .thinking: content = .thinking
        case .json where index ?? next >= next:
            throw DialectError(.unexpected, at: "index", "arguments of a call that has not begun")
        case .json, .signature, .other: return
        }
        // Such an upstream does not end its blocks either.
        for place in open.indices { close(place, into: &events) }
        open = []
        try checkRoom()
        let block = BlockID(choice: 0, index: next)
        open.append(Open(index: index ?? next, block: block, kind: content))
        next += 1
        events.append(.opened(block, content == .text ? .text : .reasoning))
    }

    private func checkRoom() throws(DialectError) {
        guard next < Self.blockLimit else {
            throw DialectError(.unexpected, at: "content", "more than \(Self.blockLimit) blocks")
        }
    }

    private mutating func begin(
        _ content: AnthropicContent, index: Int?, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        try checkRoom()
        let block = BlockID(choice: 0, index: next)
        var opened = Open(index: index ?? next, block: block, kind: content.kind)
        next += 1
        let kind: BlockKind
        switch content.kind {
        case .text: kind = .text
        case .thinking, .redacted: kind = .reasoning
        case .toolUse:
            hasCalls = true
            kind = .toolCall(ToolCallHead(id: data.unescaped(content.id), name: data.unescaped(content.name)))
            if let input = content.input {
                let text = EscapedText(escaping: String(buffer: data.part(input)))
                if text.bytes != ByteBuffer(string: "{}") { opened.input = text }
            }
        case .other:
            let text = data.part(content.range)
            kind = .opaque(.anthropic, (try? JSON(parsing: text)) ?? .null)
        }
        events.append(.opened(block, kind))
        switch content.kind {
        case .text, .thinking:
            if let text = content.text, !text.isEmpty {
                let whole = opened.half.take(data.escaped(text))
                if !whole.isEmpty { events.append(.delta(block, whole)) }
            }
            if let signature = content.signature, !signature.isEmpty {
                events.append(.blob(block, Self.blob(.signature, data.escaped(signature))))
            }
        case .redacted:
            if let text = content.text { events.append(.blob(block, Self.blob(.redacted, data.escaped(text)))) }
        case .toolUse, .other: break
        }
        open.append(opened)
    }

    private mutating func grow(
        _ delta: AnthropicEvent.Delta, index: Int?, of data: ByteBuffer, into events: inout [ReplyEvent],
        only: inout Range<Int>?
    ) {
        guard let place = place(index), let range = delta.text, !range.isEmpty else { return }
        let block = open[place].block
        switch (delta.kind, open[place].kind) {
        case (.text, .text), (.thinking, .thinking):
            let wasWhole = open[place].half.isEmpty
            let text = open[place].half.take(data.escaped(range))
            if wasWhole, open[place].half.isEmpty { only = range }
            if !text.isEmpty { events.append(.delta(block, text)) }
        case (.json, .toolUse):
            open[place].input = nil
            only = range
            events.append(.delta(block, data.escaped(range)))
        case (.signature, .thinking):
            events.append(.blob(block, Self.blob(.signature, data.escaped(range))))
        default: break
        }
    }

    private mutating func close(_ place: Int, into events: inout [ReplyEvent]) {
        let block = open[place].block
        if let rest = open[place].half.end() { events.append(.delta(block, rest)) }
        if let input = open[place].input { events.append(.delta(block, input)) }
        events.append(.closed(block))
    }

    private static func blob(_ kind: OpaqueBlob.Kind, _ text: EscapedText) -> OpaqueBlob {
        OpaqueBlob(
            origin: .anthropic, kind: kind, text: EscapedText(text.bytes.copy(0..<text.bytes.readableBytes)))
    }
}
