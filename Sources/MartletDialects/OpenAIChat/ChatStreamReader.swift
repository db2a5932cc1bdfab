package import MartletWire
package import NIOCore

/// Reads Chat Completions chunks as canonical events.
///
/// Chunks of one stream differ in little but the text of their delta, so a chunk that equals an earlier one before and
/// behind its text is not parsed again (`ChunkTemplates`); every other takes the walk. A block of text, reasoning or
/// refusal closes when another kind begins; tool calls stay open until their choice has finished.
package struct ChatStreamReader: StreamReader {
    /// The `n` of a request is at most 128: https://platform.openai.com/docs/api-reference/chat/create
    static let choiceLimit = 128

    private var choices: [ChatChoiceState] = []
    private var templates = ChunkTemplates()
    private let form: ChoiceForm
    private let readsFast: Bool
    private var isStarted = false
    private var isEnded = false

    package init() { self.init(readsFast: true) }

    /// - Parameters:
    ///   - form: where a choice keeps its text.
    ///   - readsFast: false walks every chunk, as a measure for the fast path.
    package init(_ form: ChoiceForm = .message, readsFast: Bool) {
        self.form = form
        self.readsFast = readsFast
    }

    package mutating func read(_ event: SSEEvent, into events: inout [ReplyEvent]) throws(DialectError) {
        guard !isEnded else { return }
        guard !event.saysNothing else { return }
        if event.isDone { return try end(into: &events) }
        if event.isNamed("error") {
            isEnded = true
            events.append(.failed(ChatErrors.read(inStream: event.data)))
            return
        }
        let chunk: ChatChunk
        do throws(JSONError) {
            chunk = try event.data.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try ChatChunk(&walk, form)
            }
        } catch {
            throw DialectError(error)
        }
        try read(chunk, of: event.data, into: &events)
    }

    package mutating func readKnown(_ frame: SSEFrame) -> KnownDelta? {
        guard let delta = templates.match(frame) else { return nil }
        if let call = delta.call { choices[call.choice].calls.take(delta.text(of: frame), slot: call.slot) }
        return delta
    }

    package mutating func finish(into events: inout [ReplyEvent]) throws(DialectError) {
        guard !isEnded else { return }
        isEnded = true
        guard choices.contains(where: \.isFinished), choices.allSatisfy(\.isFinished) else {
            throw DialectError(.truncated, "the stream ended before its finish reason")
        }
    }

    /// `[DONE]`: choices that never said how they ended get the reason inferred.
    private mutating func end(into events: inout [ReplyEvent]) throws(DialectError) {
        isEnded = true
        guard isStarted, !choices.isEmpty else {
            let message = isStarted ? "the upstream's reply has no choices" : "the upstream sent no reply"
            events.append(.failed(GatewayError(code: .upstreamBadReply, message: message)))
            return
        }
        for position in choices.indices where !choices[position].isFinished {
            choices[position].finish(.inferred, stop: nil, into: &events)
        }
        events.append(.ended)
    }

    private mutating func read(
        _ chunk: ChatChunk, of data: ByteBuffer, into events: inout [ReplyEvent]
    ) throws(DialectError) {
        if chunk.error != nil {
            isEnded = true
            events.append(.failed(ChatErrors.read(inStream: data)))
            return
        }
        let before = events.count
        if !isStarted, chunk.hasChoices || chunk.id != nil {
            isStarted = true
            events.append(.started(id: data.unescaped(chunk.id), model: data.unescaped(chunk.model)))
        }
        if let progress = chunk.progress, progress.total > 0 {
            let fraction = min(1, Double(progress.done) / Double(progress.total))
            events.append(.progress(Progress(.prefill, fraction: fraction)))
        }
        var only: ChunkTemplates.Place?
        for (position, choice) in chunk.choices.enumerated() {
            let state = try state(of: choice.index ?? position)
            try choices[state].read(choice, of: data, at: state, into: &events, only: &only)
        }
        if let usage = chunk.usage { events.append(.usage(usage)) }
        guard readsFast else { return }
        if events.count == before + 1, case .delta(let block, _) = events[before], let only {
            templates.learn(data, only, block)
        } else {
            templates.forget()
        }
    }

    private mutating func state(of choice: Int) throws(DialectError) -> Int {
        if let position = choices.firstIndex(where: { $0.choice == choice }) { return position }
        guard choice >= 0, choice < Self.choiceLimit else {
            throw DialectError(.unexpected, at: "choices[].index", "\(choice) is no choice of this reply")
        }
        choices.append(ChatChoiceState(choice: choice))
        return choices.count - 1
    }

    package func streamed(_ whole: ByteBuffer) -> ByteBuffer? { ChatReply.streamed(whole, form) }
}

extension SSEEvent {
    /// No data, or `null`, which llama-server sends between the choices of several prompts.
    var saysNothing: Bool {
        data.readableBytes == 0 || data.readableBytes == 4 && data == ByteBuffer(string: "null")
    }
}

extension ByteBuffer {
    func unescaped(_ range: Range<Int>?) -> String { range.map { EscapedText(part($0)).unescaped() } ?? "" }

    func escaped(_ range: Range<Int>) -> EscapedText { EscapedText(part(range)) }
}
