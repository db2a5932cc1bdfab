package import MartletWire
package import NIOCore

/// Writes a reply as a stream of Responses (https://platform.openai.com/docs/api-reference/responses-streaming).
///
/// Items grow one after another: what follows a call waits until that has its arguments, because LangChain loses a
/// delta that comes for an earlier item. An item of text or reasoning begins with its first piece, so that none is
/// ever empty; it is said to be done when the next one begins or the reply has finished, because only then is it
/// known whether it was cut off. The same items make the stream and the object at its end; a whole reply is that
/// object (`ResponsesReplyWriter`).
package struct ResponsesStreamWriter: StreamWriter {
    private let object: ResponsesObject
    let context: ReplyContext
    let echo: ResponsesEcho
    let seal: ReasoningSeal
    private let clock: (@Sendable () -> Int)?
    let isOpenResponses: Bool
    /// Only the object is wanted.
    let isWhole: Bool
    var ids: IDSource
    private var callIDs: CallIDs
    var items: [ResponsesItem] = []
    private var places: [BlockID: Int] = [:]
    private var promised: ResponsesItem.Promised?
    /// The block whose deltas are written as they come; its item, what its deltas look like, and its text so far, which
    /// the item gets back when it is not hot any more.
    private var hot: BlockID?
    private var hotItem = 0
    private var hotFrame = NumberedFrame()
    private var hotText = ByteBuffer()
    /// Of the next event.
    private var number = 0
    private var choice: Int?
    var finish: FinishReason?
    private var usage = Usage()
    private var hasStarted = false
    private var hasEnded = false
    private var endLength = 0  // bytes of the terminal event and what follows it
    package private(set) var finalObject: ByteBuffer?
    package private(set) var fault: GatewayError?

    package init(_ target: ReplyTarget, context: ReplyContext = ReplyContext()) {
        self.init(target, context: context, isWhole: false)
    }

    init(_ target: ReplyTarget, context: ReplyContext, isWhole: Bool) {
        self.context = context
        self.isWhole = isWhole
        echo = context.echo ?? .unsaid
        seal = target.seal
        clock = target.clock
        isOpenResponses = target.isOpenResponses
        ids = target.ids
        callIDs = CallIDs(context)
        let own = ids.response()
        object = ResponsesObject(id: target.label?.id ?? own, model: target.model, created: target.created, echo: echo)
    }

    package mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer) {
        guard !hasEnded, fault == nil else { return }
        switch event {
        case .delta(let block, let text): grow(block, text, into: &out)
        case .started: start(into: &out)
        case .opened(let block, let kind):
            guard isFirst(block.choice) else { return }
            start(into: &out)
            open(block, kind, into: &out)
        case .blob(let block, let blob):
            if promised?.block == block {
                promised?.blobs.append(blob)
            } else if let place = places[block] {
                items[place].blobs.append(blob)
            }
        case .closed(let block): close(block, into: &out)
        case .usage(let usage): self.usage.update(with: usage)
        case .finished(let choice, let reason, _):
            guard isFirst(choice) else { return }
            start(into: &out)
            finish = reason
            if context.compaction != nil, reason == .contentFilter || lacksSummary {
                places = [:]
                fault = ResponsesCompaction.noSummary(isRefused: reason == .contentFilter)
                return
            }
            settle(all: true, into: &out)
        case .progress: keepAlive(into: &out)
        case .ran(let block, let run): ran(block, run, into: &out)
        case .called, .failed, .opaque, .ended: break
        }
    }

    package mutating func write(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) {
        guard hot == delta.block else { return grow(delta.block, delta.text(of: frame), into: &out) }
        frame.bytes.withUnsafeReadableBytes { bytes in
            writeHot(UnsafeRawBufferPointer(rebasing: bytes[delta.range]), into: &out)
        }
    }

    package mutating func finish(into out: inout ByteBuffer) {
        guard !hasEnded, fault == nil else { return }
        start(into: &out)
        settle(all: true, into: &out)
        hasEnded = true
        // A summary that a limit has cut off is one all the same.
        var ending = ResponsesObject.Ending(context.compaction == nil ? finish : .stop)
        ending.completedAt = clock?() ?? object.created
        ending.output = items.compactMap(\.done)
        ending.usage = ResponsesObject.usage(usage, bytes: generatedBytes, context)
        guard case .conversation(let kept) = context.compaction else { return writeEnd(ending, into: &out) }
        ending.output = kept.map { ResponsesSplice.identified($0, &ids) } + ending.output
        finalObject = object.compaction(ending)
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        guard !hasEnded, !isWhole else { return }
        guard hasStarted else { return start(into: &out) }
        ErrorTable.writeKeepAlive(for: .responses, into: &out)
    }

    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        guard !hasEnded else { return }
        start(into: &out)
        cool()
        release(all: true, into: &out)
        hasEnded = true
        ResponsesErrors.writeEvent(error, number: number, into: &out)
        number += 1
        var ending = ResponsesObject.Ending(status: .failed, error: error)
        // What has begun and will never be done is there all the same, as far as it came.
        ending.output = items.map { $0.done ?? $0.json(.incomplete) }
        if !usage.isEmpty { ending.usage = ResponsesObject.usage(usage, bytes: generatedBytes, context) }
        writeEnd(ending, into: &out)
    }

    private var generatedBytes: Int { items.reduce(0) { $0 + $1.text.readableBytes } }

    private var lacksSummary: Bool {
        items.first.map { EscapedText($0.text).firstVisible == nil } ?? true
    }

    private mutating func isFirst(_ choice: Int) -> Bool {
        if self.choice == nil { self.choice = choice }
        return self.choice == choice
    }
}

// MARK: - Blocks

extension ResponsesStreamWriter {
    private mutating func open(_ block: BlockID, _ kind: BlockKind, into out: inout ByteBuffer) {
        if context.compaction != nil { return openSummary(block, kind, into: &out) }
        keepPromise(into: &out)
        settle(all: false, into: &out)
        switch kind {
        case .text: promised = ResponsesItem.Promised(block: block, kind: .message(isRefusal: false))
        case .refusal: promised = ResponsesItem.Promised(block: block, kind: .message(isRefusal: true))
        case .reasoning: promised = ResponsesItem.Promised(block: block, kind: .reasoning(isSummary: echo.wantsSummary))
        case .toolCall(let head) where head.hosted != nil:
            let label = head.hosted??.label ?? ""
            begin(block, .served(label: label, tool: head.name), id: head.id, into: &out)
        case .toolCall(let head):
            let name = context.toolNames.client(head.name)
            let isWrapped = context.toolNames.isWrapped(head.name) && head.kind != .custom
            let isCustom = isWrapped || head.kind == .custom
            let tool = echo.tools[name] ?? ResponsesTool(isCustom ? .custom : .function, name: name)
            let callID = callIDs.take(head.id) { ids.chatCall() }
            begin(block, .call(tool, callID: callID), into: &out)
            if tool.form == .custom, head.kind != .custom { items[items.count - 1].input = ResponsesCustomInput() }
        case .opaque: break
        }
    }

    /// All text is the summary's; what else the model gives is nobody's.
    private mutating func openSummary(_ block: BlockID, _ kind: BlockKind, into out: inout ByteBuffer) {
        guard kind == .text else { return }
        guard !items.isEmpty else {
            return begin(block, .compaction(kept: context.compaction?.kept ?? 0), into: &out)
        }
        places[block] = 0
        items[0].isClosed = false
        items[0].text.writeString("\\n\\n")
    }

    private mutating func grow(_ block: BlockID, _ text: EscapedText, into out: inout ByteBuffer) {
        if hot == block {
            return text.bytes.withUnsafeReadableBytes { writeHot($0, into: &out) }
        }
        if promised?.block == block { beginPromised(into: &out) }
        guard let place = places[block], !items[place].isClosed else { return }
        if items[place].isPlain, !items[place].isHeld {
            heat(place)
            return text.bytes.withUnsafeReadableBytes { writeHot($0, into: &out) }
        }
        if items[place].input != nil {
            var content = ByteBuffer()
            items[place].input?.take(text, into: &content)
            add(EscapedText(content), to: place, into: &out)
        } else {
            add(items[place].isPlain ? text : items[place].join.take(text), to: place, into: &out)
        }
        release(all: false, into: &out)
    }

    /// Text that is copied as it stands: the one thing that is done thousands of times in a reply.
    private mutating func writeHot(_ text: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        hotText.writeBytes(text)
        guard !isWhole else { return }
        hotFrame.write(number, text, into: &out)
        number &+= 1
    }

    private mutating func heat(_ place: Int) {
        cool()
        hot = items[place].block
        hotItem = place
        hotFrame = items[place].frame
        swap(&hotText, &items[place].text)
    }

    mutating func cool() {
        guard hot != nil else { return }
        hot = nil
        swap(&hotText, &items[hotItem].text)
    }

    mutating func add(_ text: EscapedText, to place: Int, into out: inout ByteBuffer) {
        guard !text.isEmpty else { return }
        items[place].text.writeImmutableBuffer(text.bytes)
        guard !items[place].isHeld else { return }
        writeDelta(text, of: place, into: &out)
    }

    mutating func writeDelta(_ text: EscapedText, of place: Int, into out: inout ByteBuffer) {
        guard !isWhole, !items[place].isBuiltin else { return }
        if case .compaction = items[place].kind {
            let at = items[place].place(ResponsesEventNames(items[place].kind, isOpenResponses: isOpenResponses))
            return writeEvent("compaction.compacting", into: &out) { $0.writeString(at) }
        }
        items[place].frame.write(number, text, into: &out)
        number += 1
    }

    private mutating func close(_ block: BlockID, into out: inout ByteBuffer) {
        if promised?.block == block { keepPromise(into: &out) }
        if hot == block { cool() }
        guard let place = places[block] else { return }
        items[place].isClosed = true
        release(all: false, into: &out)
    }

    /// Reasoning without text is an item all the same when there is something to keep for the next turn.
    mutating func keepPromise(into out: inout ByteBuffer) {
        guard let waiting = promised else { return }
        if case .reasoning = waiting.kind, echo.sealsReasoning, !waiting.blobs.isEmpty {
            beginPromised(hasText: false, into: &out)
        } else {
            promised = nil
        }
    }

    private mutating func beginPromised(hasText: Bool = true, into out: inout ByteBuffer) {
        guard let waiting = promised else { return }
        promised = nil
        begin(waiting.block, waiting.kind, hasText: hasText, into: &out)
        items[items.count - 1].blobs = waiting.blobs
    }

    /// - Parameter hasText: a piece of its text follows.
    private mutating func begin(
        _ block: BlockID, _ kind: ResponsesItem.Kind, id: String? = nil, hasText: Bool = true,
        into out: inout ByteBuffer
    ) {
        let item = ResponsesItem(
            block: block, kind: kind, id: id ?? ids.mintHex(ResponsesItem.prefix(kind)), index: items.count)
        places[block] = item.index
        items.append(item)
        let isHeld = hasToWait(item.index)
        items[item.index].isHeld = isHeld
        if !isHeld { announce(item.index, hasText: hasText, into: &out) }
    }

    mutating func announce(_ place: Int, hasText: Bool, into out: inout ByteBuffer) {
        guard !isWhole else { return }
        if place > 0 { endBefore(place, into: &out) }
        let item = items[place]
        let names = ResponsesEventNames(item.kind, isOpenResponses: isOpenResponses)
        writeEvent("output_item.added", into: &out) {
            $0.writeString(",\"output_index\":\(place),\"item\":")
            $0.writeImmutableBuffer(item.json(.inProgress))
        }
        if item.awaitsRun { writeEvent("mcp_call.in_progress", into: &out) { $0.writeString(item.place(names)) } }
        guard let text = names.text else { return }
        if hasText { writePartEvent("added", item, names, isEmpty: true, into: &out) }
        items[place].frame = NumberedFrame(
            "event: response.\(text).delta\ndata: {\"type\":\"response.\(text).delta\",\"sequence_number\":",
            item.place(names) + ",\"delta\":\"", text == "output_text" ? "\",\"logprobs\":[]}\n\n" : "\"}\n\n")
    }
}

// MARK: - Events

extension ResponsesStreamWriter {
    private mutating func start(into out: inout ByteBuffer) {
        guard !hasStarted else { return }
        hasStarted = true
        defer {
            beginWithSummary(into: &out)
            beginWithTools(into: &out)
        }
        guard !isWhole else { return }
        var begun = ByteBuffer()
        object.write(ResponsesObject.Ending(status: .inProgress), into: &begun)
        for name in ["created", "in_progress"] {
            writeEvent(name, into: &out) {
                $0.writeString(",\"response\":")
                $0.writeImmutableBuffer(begun)
            }
        }
    }

    private mutating func writeEnd(_ ending: ResponsesObject.Ending, into out: inout ByteBuffer) {
        var whole = ByteBuffer()
        object.write(ending, into: &whole)
        finalObject = whole
        guard !isWhole else { return }
        let before = out.writerIndex
        writeEvent(ending.status.rawValue, into: &out) {
            $0.writeString(",\"response\":")
            $0.writeImmutableBuffer(whole)
        }
        out.writeString("data: [DONE]\n\n")
        endLength = out.writerIndex - before
    }

    package mutating func takeBackEnd(from out: inout ByteBuffer) {
        guard hasEnded, endLength > 0, out.readableBytes >= endLength else { return }
        out.moveWriterIndex(to: out.writerIndex - endLength)
        endLength = 0
        number -= 1
        hasEnded = false
        finalObject = nil
    }

    mutating func writePartEvent(
        _ verb: String, _ item: ResponsesItem, _ names: ResponsesEventNames, isEmpty: Bool, into out: inout ByteBuffer
    ) {
        guard let part = names.part else { return }
        writeEvent("\(part).\(verb)", into: &out) {
            $0.writeString("\(item.place(names)),\"part\":")
            item.writePart(isEmpty: isEmpty, into: &$0)
        }
    }

    mutating func writeEvent(_ name: String, into out: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void) {
        out.writeString("event: response.\(name)\ndata: {\"type\":\"response.\(name)\",\"sequence_number\":\(number)")
        body(&out)
        out.writeString("}\n\n")
        number += 1
    }
}
