package import MartletWire
package import NIOCore

/// Edits the chunks of a relayed Chat Completions stream.
package struct ChatFrameEdit: FrameEdit {
    package enum Mode: Sendable, Hashable {
        /// Only the value of `model` is put back to the client's spelling.
        case exact
        /// What compatible servers get wrong is set right; unknown members stay byte for byte.
        case repair
    }

    /// Where the client expects usage. Only `repair` moves it.
    package enum UsagePlacement: Sendable, Hashable {
        /// In a chunk of its own with `choices: []`, before `[DONE]` (`stream_options.include_usage`).
        case asked
        /// Inside the finish chunk.
        case finalChunk
        /// Nowhere: the client did not ask.
        case hidden
    }

    /// Stands for a delta's text when a frame is edited only to learn what the edit does around it.
    private static let marker = ByteBuffer(string: "~the text of a delta~")

    // One of the two.
    private var splice: ModelSplice?
    private var repair: ChatStreamRepair?
    private var templates = FrameTemplates()
    private let hidesProgress: Bool
    private let learns: Bool

    package var refusesUnreadable: Bool { repair != nil }
    package var head: StreamHead { repair?.head ?? StreamHead() }

    /// - Parameters:
    ///   - form: where a choice keeps its text.
    ///   - model: as the client spelled it.
    ///   - created: for upstreams that give none; seconds since 1970.
    ///   - context: of it, whether progress is hidden, and the prompt's tokens where nobody counts them.
    ///   - legacy: what the last chunk has to hold; of `repair` only.
    ///   - learns: false edits every frame from scratch, as a measure for the fast path.
    package init(
        _ form: ChoiceForm = .message, mode: Mode, model: String, usage: UsagePlacement = .hidden, created: Int = 0,
        ids: IDSource, context: ReplyContext = ReplyContext(), legacy: LegacyReply? = nil, learns: Bool = true
    ) {
        hidesProgress = context.hidesProgress
        self.learns = learns
        switch mode {
        case .exact: splice = ModelSplice(model: model)
        case .repair:
            repair = ChatStreamRepair(
                form, model: model, usage: usage, created: created, ids: ids, context, legacy: legacy)
        }
    }

    package mutating func edit(_ frame: SSEFrame, _ events: [ReplyEvent], into out: inout ByteBuffer) -> Bool {
        if hidesProgress, events.tellOnlyProgress {
            keepAlive(into: &out)
            return true
        }
        if let done = splice?.edit(frame, into: &out) { return done }
        repair?.note(events)
        return rewrite(frame, events, into: &out)
    }

    package mutating func edit(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) -> Bool {
        if let done = splice?.edit(frame, into: &out) { return done }
        guard let position = templates.position(of: delta.shape) else {
            let isEdited = rewrite(frame, [], into: &out)
            if learns { learn(frame, delta) }
            return isEdited
        }
        if let call = delta.call { repair?.take(delta.text(of: frame), call) }
        return templates.write(position, frame, delta.range, into: &out)
    }

    private mutating func rewrite(_ frame: SSEFrame, _ events: [ReplyEvent], into out: inout ByteBuffer) -> Bool {
        guard let event = frame.event else { return close(frame, into: &out) }
        if event.isDone {
            for chunk in repair?.owed(events) ?? [] { out.writeChunk(chunk) }
            out.writeImmutableBuffer(frame.bytes)
            out.writeClosing(frame)
            return true
        }
        if event.saysNothing {
            // Clients read an empty data line as broken JSON, and `null` as a chunk.
            out.writeString(":\n\n")
            return true
        }
        guard let chunks = repair?.edit(event.data) else { return close(frame, into: &out) }
        for chunk in chunks.dropLast() { out.writeChunk(chunk) }
        if let last = chunks.last { out.writeFrame(frame, data: last) }
        return true
    }

    /// A frame that stays as it is, but for a blank line the upstream forgot.
    private func close(_ frame: SSEFrame, into out: inout ByteBuffer) -> Bool {
        guard !frame.isClosed else { return false }
        out.writeImmutableBuffer(frame.bytes)
        out.writeClosing(frame)
        return true
    }

    /// Edits the frame once more with a marker for its text, to see what the edit does before and behind it.
    private mutating func learn(_ frame: SSEFrame, _ delta: KnownDelta) {
        var bytes = frame.bytes.copy(0..<delta.range.lowerBound)
        bytes.writeImmutableBuffer(Self.marker)
        bytes.writeImmutableBuffer(frame.bytes.part(delta.range.upperBound..<frame.bytes.readableBytes))
        var framer = SSEFramer()
        guard framer.take(bytes), let marked = framer.next() else { return }
        var trial = self
        var out = ByteBuffer()
        if trial.rewrite(marked, [], into: &out) {
            guard let place = out.onlyPlace(of: Self.marker) else { return }
            templates.learn(
                delta.shape, head: out.part(0..<place.lowerBound), tail: out.part(place.upperBound..<out.readableBytes))
        } else {
            templates.learnUnchanged(delta.shape)
        }
    }

    package mutating func note(_ tally: ReplyTally) { repair?.note(tally) }

    package mutating func finish(into out: inout ByteBuffer) {
        guard repair != nil else { return }
        for chunk in repair?.owed([]) ?? [] { out.writeChunk(chunk) }
        out.writeString("data: [DONE]\n\n")
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        ErrorTable.writeKeepAlive(for: .chat, into: &out)
    }

    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        ErrorTable.writeInStream(error, for: .chat, requestID: "", into: &out)
    }
}

extension [ReplyEvent] {
    /// How far the prompt is read, and at most that there is a reply.
    fileprivate var tellOnlyProgress: Bool {
        guard case .progress = last else { return false }
        return dropLast().allSatisfy { if case .started = $0 { true } else { false } }
    }
}
