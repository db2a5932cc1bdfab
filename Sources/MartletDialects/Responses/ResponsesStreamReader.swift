package import MartletWire
package import NIOCore

/// Reads the events of a Responses stream as canonical events.
///
/// Compatible servers leave out much of what OpenAI sends: numbers, the events that announce items and parts, deltas.
/// Whatever brings a text first counts, and it is said once. Events it does not know are left out; items of
/// the API's own tools are opaque.
package struct ResponsesStreamReader: StreamReader {
    private var items = ResponsesOutputItems()
    private var isStarted = false
    private var isFinished = false
    private var isEnded = false
    /// An `error` event in a stream that is relayed as it is: the Response that failed may follow.
    private var failure: GatewayError?
    private var shapes = SequencedShapes()
    /// The frame `readKnown` has not known and `read` is about to see.
    private var unknown: SSEFrame?
    private let readsFast: Bool
    private let awaitsDone: Bool

    /// - Parameters:
    ///   - readsFast: false walks every event, as a measure for the fast path.
    ///   - awaitsDone: the reply ends with `[DONE]` or the upstream's end, not with its terminal event: for relays that
    ///     pass on whatever comes behind it.
    package init(readsFast: Bool = true, awaitsDone: Bool = false) {
        self.readsFast = readsFast
        self.awaitsDone = awaitsDone
    }

    package mutating func readKnown(_ frame: SSEFrame) -> KnownDelta? {
        if let delta = shapes.match(frame) {
            items.note(delta, of: frame)
            return delta
        }
        if readsFast { unknown = frame }
        return nil
    }

    package mutating func read(_ event: SSEEvent, into events: inout [ReplyEvent]) throws(DialectError) {
        let frame = unknown
        unknown = nil
        guard !isEnded, event.data.readableBytes > 0 else { return }
        if event.isDone { return end(into: &events) }
        let before = events.count
        let parsed: ResponsesEvent
        do throws(JSONError) {
            parsed = try event.data.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try ResponsesEvent(&walk)
            }
        } catch {
            throw DialectError(error)
        }
        let isWhole = try take(parsed, event, into: &events)
        if isWhole, let frame, let text = parsed.delta, events.count == before + 1,
            case .delta(let block, _) = events[before]
        {
            var holes: [(Range<Int>, SequencedShapes.Hole)] = [(text, .text)]
            if let range = parsed.sequence { holes.append((range, .number)) }
            if let range = parsed.padding { holes.append((range, .padding)) }
            shapes.learn(frame, holes, block)
        } else {
            shapes.forget()
        }
    }

    package mutating func finish(into events: inout [ReplyEvent]) throws(DialectError) {
        guard !isEnded else { return }
        isEnded = true
        if let failure { return events.append(.failed(failure)) }
        guard isFinished else { throw DialectError(.truncated, "the stream ended before its terminal event") }
    }

    package func streamed(_ whole: ByteBuffer) -> ByteBuffer? { ResponsesReply.streamed(whole) }

    /// `[DONE]`. Without a terminal event before it, what has been said is the reply.
    private mutating func end(into events: inout [ReplyEvent]) {
        isEnded = true
        if let failure { return events.append(.failed(failure)) }
        guard isFinished || !items.items.isEmpty else {
            let message = isStarted ? "the upstream's reply has no output" : "the upstream sent no reply"
            events.append(.failed(GatewayError(code: .upstreamBadReply, message: message)))
            return
        }
        if !isFinished {
            items.closeAll(into: &events)
            let reason = items.hasCalls && items.areCallsWhole ? FinishReason.toolCalls : .stop
            events.append(.finished(choice: 0, reason, matchedStop: nil))
        }
        events.append(.ended)
    }

    // MARK: - Events

    /// - Returns: whether the delta, if it is one, has been said as it stands.
    private mutating func take(
        _ parsed: ResponsesEvent, _ event: SSEEvent, into events: inout [ReplyEvent]
    ) throws(DialectError) -> Bool {
        let data = event.data
        let type = parsed.type.map { data.unescaped($0) } ?? event.name.map { String(buffer: $0) } ?? ""
        if isFinished { return false }  // whatever a server sends behind its terminal event
        if type == "error" || type.isEmpty && parsed.error != nil {
            let failure = ResponsesFailure.read(data)
            if awaitsDone {
                self.failure = failure
            } else {
                isEnded = true
                events.append(.failed(failure))
            }
            return false
        }
        if let response = parsed.response { return try take(response, type, of: data, into: &events) }
        guard let said = ResponsesWord(type) else {
            if type == "response.queued" { events.append(.progress(Progress(.queue))) }
            return false
        }
        start(nil, of: data, into: &events)
        switch said {
        case .delta(let kind, let isRefusal):
            return try items.grow(kind, isRefusal: isRefusal, parsed, of: data, into: &events)
        case .whole(let kind, let isRefusal):
            try items.complete(kind, isRefusal: isRefusal, parsed, of: data, into: &events)
        case .itemAdded:
            if let item = parsed.item { try items.announce(item, at: parsed.outputIndex, of: data, into: &events) }
        case .itemDone:
            if let item = parsed.item { try items.finish(item, at: parsed.outputIndex, of: data, into: &events) }
        }
        return false
    }

    private mutating func take(
        _ response: ResponsesEvent.Response, _ type: String, of data: ByteBuffer,
        into events: inout [ReplyEvent]
    ) throws(DialectError) -> Bool {
        start(response, of: data, into: &events)
        switch type {
        case "response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done":
            var word = String(type.dropFirst("response.".count))
            if let status = response.status.map({ data.unescaped($0) }), word == "completed" || word == "done" {
                word = status
            }
            try end(response, word, of: data, into: &events)
        case "response.queued": events.append(.progress(Progress(.queue)))
        default: break
        }
        return false
    }

    private mutating func start(
        _ response: ResponsesEvent.Response?, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) {
        guard !isStarted else { return }
        isStarted = true
        events.append(.started(id: data.unescaped(response?.id), model: data.unescaped(response?.model)))
    }

    /// - Parameter status: `completed` or what else a Response ends as.
    private mutating func end(
        _ response: ResponsesEvent.Response, _ status: String, of data: ByteBuffer,
        into events: inout [ReplyEvent]
    ) throws(DialectError) {
        isFinished = true
        guard status != "failed", status != "cancelled", response.error == nil else {
            isEnded = true
            events.append(.failed(failure ?? ResponsesFailure.read(response, of: data)))
            return
        }
        try items.finish(response.output ?? [], of: data, into: &events)
        items.closeAll(into: &events)
        if let usage = response.usage { events.append(.usage(usage)) }
        var reason = FinishReason.stop
        if status == "incomplete" {
            reason = data.unescaped(response.reason) == "content_filter" ? .contentFilter : .length
        }
        let agreed = ChatFinish.agree(reason, hasCalls: items.hasCalls)
        events.append(.finished(choice: 0, agreed, matchedStop: nil))
        guard !awaitsDone else { return }
        isEnded = true
        events.append(.ended)
    }

    /// A Response that came as a whole.
    mutating func take(
        whole response: ResponsesEvent.Response, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        start(response, of: data, into: &events)
        try end(response, response.status.map { data.unescaped($0) } ?? "completed", of: data, into: &events)
    }
}

/// What an event says, in the several names servers have for it.
enum ResponsesWord {
    case delta(ResponsesBlock, isRefusal: Bool)
    /// All of a part, or of a call's arguments.
    case whole(ResponsesBlock, isRefusal: Bool)
    case itemAdded, itemDone

    /// Nil for an event that brings nothing.
    init?(_ type: String) {
        switch type {
        case "response.output_item.added": self = .itemAdded
        case "response.output_item.done": self = .itemDone
        case "response.content_part.done": self = .whole(.part, isRefusal: false)
        case "response.reasoning_summary_part.done": self = .whole(.summary, isRefusal: false)
        default:
            guard type.hasPrefix("response."), let dot = type.lastIndex(of: ".") else { return nil }
            let ending = type[type.index(after: dot)...]
            let isRefusal = type.hasPrefix("response.refusal.")
            guard let block = Self.blocks[String(type[..<dot].dropFirst("response.".count))] else { return nil }
            switch ending {
            case "delta": self = .delta(block, isRefusal: isRefusal)
            case "done": self = .whole(block, isRefusal: isRefusal)
            default: return nil
            }
        }
    }

    /// `reasoning` is the Open Responses specification's name (https://www.openresponses.org/specification),
    /// `reasoning_content` and `reasoning_summary` are some servers'.
    private static let blocks: [String: ResponsesBlock] = [
        "output_text": .text, "refusal": .text, "reasoning_text": .thoughts, "reasoning": .thoughts,
        "reasoning_content": .thoughts, "reasoning_summary_text": .summary, "reasoning_summary": .summary,
        "function_call_arguments": .function, "custom_tool_call_input": .custom,
    ]
}

/// What a delta belongs to.
enum ResponsesBlock: Sendable {
    case text
    /// Reasoning itself, and what is said of it.
    case thoughts, summary
    case function, custom
    /// Of a message or of reasoning, as its item says.
    case part

    var kind: ResponsesOutputItem.Kind {
        switch self {
        case .text, .part: .message
        case .thoughts, .summary: .reasoning
        case .function: .function
        case .custom: .custom
        }
    }
}
