package import MartletWire
package import NIOCore

/// Reads the events of a stream of LM Studio's own API (https://lmstudio.ai/docs/developer/rest/streaming-events) as
/// canonical events. Events it does not know are left out; so are calls of tools the server runs by itself, of which no
/// request of ours names any.
package struct LMStudioStreamReader: StreamReader {
    /// No reply has more blocks than this.
    private static let blockLimit = 4096

    private struct Open: Sendable {
        var isReasoning: Bool
        var block: BlockID
        var half = SurrogateJoin()
    }

    private var open: Open?
    private var next = 0
    private var isStarted = false
    private var isEnded = false
    private var shapes = FrameShapes()
    /// The frame `readKnown` has not known and `read` is about to see.
    private var unknown: SSEFrame?
    private let limit: Int?
    private let readsFast: Bool

    /// - Parameters:
    ///   - limit: tokens the reply was to stop at: the API does not say why one ended.
    ///   - readsFast: false walks every event, as a measure for the fast path.
    package init(limit: Int? = nil, readsFast: Bool = true) {
        self.limit = limit
        self.readsFast = readsFast
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
        let parsed: LMStudioEvent
        do throws(JSONError) {
            parsed = try event.data.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try LMStudioEvent(&walk)
            }
        } catch {
            throw DialectError(error)
        }
        let before = events.count
        let isPlain = try take(parsed, event, into: &events)
        if isPlain, let frame, let text = parsed.content, events.count == before + 1,
            case .delta(let block, _) = events[before]
        {
            shapes.learn(frame, text, block)
        } else {
            shapes.forget()
        }
    }

    package mutating func finish(into events: inout [ReplyEvent]) throws(DialectError) {
        guard !isEnded else { return }
        isEnded = true
        throw DialectError(.truncated, "the stream ended before chat.end")
    }

    package func streamed(_ whole: ByteBuffer) -> ByteBuffer? { LMStudioReply.streamed(whole) }

    /// - Returns: whether the event is a delta that stands as it came.
    private mutating func take(
        _ parsed: LMStudioEvent, _ event: SSEEvent, into events: inout [ReplyEvent]
    ) throws(DialectError) -> Bool {
        let data = event.data
        let type = parsed.type.map { data.unescaped($0) } ?? event.name.map { String(buffer: $0) } ?? ""
        switch type {
        case "chat.start": start(parsed.top.model, of: data, into: &events)
        case "model_load.start", "model_load.progress":
            events.append(.progress(Progress(.load, fraction: parsed.progress)))
        case "model_load.end":
            events.append(.progress(Progress(.load, fraction: 1, elapsed: .seconds(parsed.loadTime ?? 0))))
        case "prompt_processing.start", "prompt_processing.progress":
            events.append(.progress(Progress(.prefill, fraction: parsed.progress)))
        case "message.delta", "reasoning.delta":
            guard let content = parsed.content, !content.isEmpty else { return false }
            start(nil, of: data, into: &events)
            return try grow(isReasoning: type == "reasoning.delta", data.escaped(content), into: &events)
        case "chat.end": try end(parsed.result ?? LMStudioEvent.Result(), of: data, into: &events)
        case "error": fail(data, into: &events)
        case "" where parsed.error != nil: fail(data, into: &events)
        default: close(into: &events)  // what begins or ends anything else ends the block before it
        }
        return false
    }

    private mutating func fail(_ data: ByteBuffer, into events: inout [ReplyEvent]) {
        isEnded = true
        events.append(.failed(ChatErrors.read(inStream: data)))
    }

    private mutating func start(_ model: Range<Int>?, of data: ByteBuffer, into events: inout [ReplyEvent]) {
        guard !isStarted else { return }
        isStarted = true
        events.append(.started(id: "", model: data.unescaped(model)))
    }

    /// All of the reply. What has not been streamed is said now.
    mutating func end(
        _ result: LMStudioEvent.Result, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        isEnded = true
        start(result.model, of: data, into: &events)
        if next == 0 {
            for item in result.output ?? [] where !item.content.isEmpty {
                close(into: &events)
                _ = try grow(isReasoning: item.isReasoning, data.escaped(item.content), into: &events)
            }
        }
        close(into: &events)
        if let usage = result.usage { events.append(.usage(usage)) }
        let isFull = if let limit, let output = result.usage?.output { output >= limit } else { false }
        events.append(.finished(choice: 0, isFull ? .length : .stop, matchedStop: nil))
        events.append(.ended)
    }

    // MARK: - Blocks

    private mutating func grow(
        isReasoning: Bool, _ text: EscapedText, into events: inout [ReplyEvent]
    ) throws(DialectError) -> Bool {
        if open?.isReasoning != isReasoning {
            close(into: &events)
            guard next < Self.blockLimit else {
                throw DialectError(.unexpected, at: "output", "more than \(Self.blockLimit) blocks")
            }
            let block = BlockID(choice: 0, index: next)
            next += 1
            open = Open(isReasoning: isReasoning, block: block)
            events.append(.opened(block, isReasoning ? .reasoning : .text))
        }
        guard var grown = open else { return false }
        let wasWhole = grown.half.isEmpty
        let whole = grown.half.take(text)
        open = grown
        if !whole.isEmpty { events.append(.delta(grown.block, whole)) }
        return wasWhole && grown.half.isEmpty
    }

    private mutating func close(into events: inout [ReplyEvent]) {
        guard var closed = open else { return }
        open = nil
        if let rest = closed.half.end() { events.append(.delta(closed.block, rest)) }
        events.append(.closed(closed.block))
    }
}
