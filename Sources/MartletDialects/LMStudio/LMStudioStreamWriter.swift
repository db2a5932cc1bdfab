package import MartletWire
package import NIOCore

/// Writes a reply as a stream of LM Studio's own API (https://lmstudio.ai/docs/developer/rest/streaming-events).
///
/// Items are told one after another: what an upstream sends side by side waits for its turn. The same items make the
/// stream and the result at its end; a whole reply is that result (`LMStudioReplyWriter`). Where the conversation is
/// kept, the Response that the reply would be is made beside it: that is what every client can continue from.
package struct LMStudioStreamWriter: StreamWriter {
    private let context: ReplyContext
    /// Only the result is wanted.
    let isWhole: Bool
    var instance: String
    /// The upstream says what answers.
    private let takesInstance: Bool
    private let responseID: String?
    private var kept: ResponsesStreamWriter?
    private var ids: IDSource
    private var callIDs: CallIDs
    private var items: [LMStudioItem] = []
    private var places: [BlockID: Int] = [:]
    /// The item that is being told; those before it are done.
    private var turn = 0
    /// The block whose deltas are written as they come, and what they look like.
    private var hot: BlockID?
    private var deltas = DeltaFrame()
    var stage = Stage.waiting
    var loadTime: Duration?
    private var stopwatch: Stopwatch?
    private var choice: Int?
    private var finish: FinishReason?
    private var usage = Usage()
    private var hasStarted = false
    private var hasEnded = false
    private var endLength = 0  // bytes of the last event
    private(set) var result = ByteBuffer()
    package private(set) var finalObject: ByteBuffer?

    /// What precedes output, as far as it has been told.
    enum Stage: Sendable, Comparable { case waiting, loading, loaded, reading, answering }

    package init(_ target: ReplyTarget, context: ReplyContext = ReplyContext()) {
        self.init(target, context: context, isWhole: false)
    }

    init(_ target: ReplyTarget, context: ReplyContext, isWhole: Bool) {
        self.context = context
        self.isWhole = isWhole
        instance = target.instance ?? target.model
        takesInstance = target.instance == nil
        hasStarted = target.hasBegun
        loadTime = target.loadTime
        stopwatch = target.stopwatch
        ids = target.ids
        callIDs = CallIDs(context)
        let isStored = target.label?.isStored == true
        responseID = isStored ? target.label?.id : nil
        kept = isStored ? ResponsesStreamWriter(target, context: context, isWhole: true) : nil
    }

    package mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        note(event)
        switch event {
        case .delta(let block, let text): grow(block, text, into: &out)
        case .started(_, let model):
            if takesInstance, !hasStarted, !model.isEmpty { instance = model }
            start(into: &out)
            // One that speaks this API says itself when it reads the prompt.
            if !takesInstance || stage == .answering { beginPrompt(into: &out) }
        case .opened(let block, let kind):
            guard isFirst(block.choice) else { return }
            start(into: &out)
            open(block, kind, into: &out)
        case .closed(let block): close(block, into: &out)
        case .called(let block):
            guard let place = places[block] else { return }
            items[place].isCalled = true
            tellArguments(into: &out)
        case .ran(let block, let run):
            guard let place = places[block] else { return }
            items[place].run = run
            advance(into: &out)
        case .usage(let usage): self.usage.update(with: usage)
        case .finished(let choice, let reason, _): if isFirst(choice) { finish = reason }
        case .progress(let progress):
            start(into: &out)
            tell(progress, into: &out)
        case .blob, .failed, .opaque, .ended: break
        }
    }

    package mutating func write(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) {
        guard hot == delta.block, let place = places[delta.block] else {
            return write(.delta(delta.block, delta.text(of: frame)), into: &out)
        }
        var nothing = ByteBuffer()
        kept?.write(frame, delta, into: &nothing)
        items[place].grow(delta.text(of: frame))
        if !isWhole { deltas.write(delta.range, of: frame, into: &out) }
    }

    private mutating func note(_ event: ReplyEvent) {
        guard kept != nil else { return }
        if case .progress = event { return }
        var nothing = ByteBuffer()
        kept?.write(event, into: &nothing)
    }

    package mutating func finish(into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        start(into: &out)
        settle(into: &out)
        endPrompt(into: &out)
        var nothing = ByteBuffer()
        kept?.finish(into: &nothing)
        finalObject = kept?.finalObject
        end(responseID, into: &out)
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        guard !hasEnded, !isWhole else { return }
        guard hasStarted else { return start(into: &out) }
        ErrorTable.writeKeepAlive(for: .lmstudio, into: &out)
    }

    /// The last event follows an error, too, with what there is of the reply. Nothing can be continued from it.
    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        start(into: &out)
        endText(into: &out)
        if !isWhole { LMStudioErrors.writeEvent(error, into: &out) }
        end(nil, into: &out)
    }

    package mutating func takeBackEnd(from out: inout ByteBuffer) {
        guard hasEnded, endLength > 0, out.readableBytes >= endLength else { return }
        out.moveWriterIndex(to: out.writerIndex - endLength)
        endLength = 0
        hasEnded = false
        finalObject = nil
    }

    private mutating func isFirst(_ choice: Int) -> Bool {
        if self.choice == nil { self.choice = choice }
        return self.choice == choice
    }

    // MARK: - Beginning and end

    private mutating func start(into out: inout ByteBuffer) {
        guard !hasStarted else { return }
        hasStarted = true
        writeEvent("chat.start", into: &out) { writer, out in writer.writeInstance(into: &out) }
    }

    func writeInstance(into out: inout ByteBuffer) {
        out.writeString(",\"model_instance_id\":")
        out.writeJSONString(instance)
    }

    private mutating func end(_ responseID: String?, into out: inout ByteBuffer) {
        hasEnded = true
        // A call that is not whole is none.
        let output = items.compactMap { !$0.isCall || $0.isDone ? $0.json(isCut: isCut) : nil }
        result.clear()
        LMStudioResult(instance: instance, output: output, stats: stats, responseID: responseID).write(into: &result)
        let before = out.writerIndex
        writeEvent("chat.end", into: &out) { writer, out in
            out.writeString(",\"result\":")
            out.writeImmutableBuffer(writer.result)
        }
        endLength = out.writerIndex - before
    }

    private var isCut: Bool { finish == .length || finish == .contextWindow }

    /// No count is missing: what the upstream did not report is estimated.
    private var stats: LMStudioStats {
        var stats = LMStudioStats()
        let bytes = items.reduce(0) { $0 + $1.text.readableBytes }
        let thought = items.reduce(0) { if case .reasoning = $1.kind { $0 + $1.text.readableBytes } else { $0 } }
        stats.input = max(0, usage.input ?? context.promptEstimate)
        stats.output = max(0, usage.output ?? TokenEstimate.ofOutput(bytes: bytes))
        // Most servers do not count it apart: its share of what was said.
        let share = bytes == 0 ? 0 : (Double(stats.output) * Double(thought) / Double(bytes)).rounded(.up)
        stats.reasoning = max(0, usage.reasoning ?? Int(share))
        var counted = usage
        counted.output = stats.output
        stats.timings = stopwatch?.timings(of: counted) ?? usage.timings ?? Timings()
        stats.timings.modelLoadTime = loadTime?.inSeconds ?? stats.timings.modelLoadTime
        return stats
    }

    func writeEvent(
        _ name: String, into out: inout ByteBuffer, _ body: (Self, inout ByteBuffer) -> Void = { _, _ in }
    ) {
        guard !isWhole else { return }
        out.writeString("event: \(name)\ndata: {\"type\":\"\(name)\"")
        body(self, &out)
        out.writeString("}\n\n")
    }
}

// MARK: - Items

extension LMStudioStreamWriter {
    private mutating func open(_ block: BlockID, _ kind: BlockKind, into out: inout ByteBuffer) {
        switch kind {
        case .text, .refusal: add(LMStudioItem(.message), block, into: &out)
        case .reasoning: add(LMStudioItem(.reasoning), block, into: &out)
        case .toolCall(let head):
            if case .hosted(let provider) = head.kind {
                return add(LMStudioItem(.hosted(tool: head.name, provider)), block, into: &out)
            }
            let id = callIDs.take(head.id) { ids.chatCall() }
            add(LMStudioItem(.call(tool: context.toolNames.client(head.name), id: id)), block, into: &out)
        case .opaque: break
        }
    }

    private mutating func add(_ item: LMStudioItem, _ block: BlockID, into out: inout ByteBuffer) {
        if !item.isCall, let last = items.indices.last, !items[last].isCall { items[last].isClosed = true }
        places[block] = items.count
        items.append(item)
        advance(into: &out)
        if item.isCall { tellBeginning(into: &out) }
    }

    private mutating func grow(_ block: BlockID, _ text: EscapedText, into out: inout ByteBuffer) {
        guard let place = places[block], place >= turn, !items[place].isClosed else { return }
        items[place].grow(text)
        guard place == turn else { return }
        if items[place].isCall {
            advance(into: &out)
        } else {
            if hot != block { heat(block, into: &out) }
            if !isWhole { deltas.write(text, into: &out) }
        }
    }

    /// The block's deltas are written from now on.
    private mutating func heat(_ block: BlockID, into out: inout ByteBuffer) {
        tellBeginning(into: &out)
        hot = block
        let name = items[turn].name
        deltas = DeltaFrame(
            before: "event: \(name).delta\ndata: {\"type\":\"\(name).delta\",\"content\":\"", behind: "\"}\n\n")
    }

    private mutating func close(_ block: BlockID, into out: inout ByteBuffer) {
        guard let place = places[block] else { return }
        items[place].isClosed = true
        advance(into: &out)
    }

    /// Ends the items that are done, and tells what has come meanwhile for the one whose turn it is then.
    private mutating func advance(into out: inout ByteBuffer) {
        while turn < items.count, items[turn].isDone {
            hot = nil
            tellEnd(into: &out)
            turn += 1
            guard turn < items.count else { return }
            if items[turn].isCall || items[turn].text.readableBytes > 0 { tellBeginning(into: &out) }
            tellArguments(into: &out)
            guard !items[turn].isCall, items[turn].text.readableBytes > 0 else { continue }
            let (name, text) = (items[turn].name, items[turn].text)
            writeEvent("\(name).delta", into: &out) { _, out in
                out.writeString(",\"content\":")
                out.writeEscaped(EscapedText(text))
            }
        }
    }

    private mutating func tellBeginning(into out: inout ByteBuffer) {
        guard turn < items.count, !items[turn].isTold else { return }
        items[turn].isTold = true
        if !isWhole { stopwatch?.noteToken() }
        endPrompt(into: &out)
        let item = items[turn]
        writeEvent("\(item.name).start", into: &out) { _, out in
            guard item.isCall else { return }
            out.writeString(",")
            item.writeHead(into: &out)
        }
    }

    /// What a tool is run with, before it is; what it came to follows.
    private mutating func tellArguments(into out: inout ByteBuffer) {
        guard turn < items.count, items[turn].isCalled, !items[turn].hasArguments else { return }
        tellBeginning(into: &out)
        items[turn].hasArguments = true
        let arguments = items[turn].made(isCut: false)
        writeEvent("tool_call.arguments", into: &out) { _, out in out.writeImmutableBuffer(arguments) }
    }

    /// What is empty was never begun.
    private mutating func tellEnd(into out: inout ByteBuffer) {
        if items[turn].isCall { tellBeginning(into: &out) }
        let item = items[turn]
        guard item.isTold else { return }
        guard item.isCall else { return writeEvent("\(item.name).end", into: &out) }
        for (name, body) in item.endings(isCut: isCut) {
            writeEvent(name, into: &out) { _, out in out.writeImmutableBuffer(body) }
        }
    }

    /// Nothing more comes for any of them.
    private mutating func settle(into out: inout ByteBuffer) {
        for place in items.indices { (items[place].isClosed, items[place].isSettled) = (true, true) }
        advance(into: &out)
    }

    /// The item that is being told gets its end where it has a text; a call that is not whole stays without.
    private mutating func endText(into out: inout ByteBuffer) {
        guard turn < items.count, !items[turn].isCall else { return }
        items[turn].isClosed = true
        tellEnd(into: &out)
        turn = items.count
    }
}
