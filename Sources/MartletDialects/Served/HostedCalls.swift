import MartletWire
package import NIOCore

/// Follows a reply that may call tools which are run here, over all its rounds: says whose each call is, keeps what the
/// next round's request needs, and holds back a round's end while there is something to run.
///
/// Blocks are numbered through, and tokens summed up. Each round says that it has begun.
struct HostedCalls: ReplyStage {
    private struct Block {
        var kind: BlockKind
        var text = EscapedText()
        var blobs: [OpaqueBlob] = []
        /// Its number in the reply; nil where the client does not see it.
        var shown: BlockID?
        /// A call beyond what the client allows: as if it had not been made.
        var isIgnored = false
        /// Of a call: the tool, by its canonical name.
        var call: Call?
        var run: ToolRun?
    }

    private struct Call {
        var id: String
        var name: String
        /// Nil where nobody offers it.
        var tool: ServedTool?
        /// False: it is the client's own.
        var isHosted: Bool
    }

    private let table: ServedTable
    /// Text of two rounds has nothing between it, where the client sees no call.
    private let parts: Bool
    private var ids: IDSource
    private let prefix: StaticString
    private var names: ToolNameMap
    /// Tokens of the round's prompt, where its upstream does not count them.
    private var inputEstimate: Int

    /// Of this round.
    private var blocks: [Block] = []
    private var places: [BlockID: Int] = [:]
    private var usage = Usage()
    private var held: [ReplyEvent] = []
    private var reason: FinishReason?
    private var hasEnded = false
    /// The round has ended, and there are calls to be run.
    private(set) var isOver = false

    /// Of the rounds before.
    private var spent = Usage()
    private var isFirst = true
    private var hasText = false
    private var next = 0
    /// Of all rounds.
    private var callCount = 0

    init(_ table: ServedTable, _ context: ReplyContext, _ target: ReplyTarget) {
        self.table = table
        names = context.toolNames
        inputEstimate = context.inputEstimate
        ids = target.ids
        ids.moveOn()
        prefix = target.dialect == .anthropic ? "mcptoolu_" : "mcp_"
        parts = table.isHidden
    }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        switch event {
        case .started: events.append(event)
        case .opened(let block, let kind): if block.choice == 0 { open(block, kind, into: &events) }
        case .delta(let block, let text): grow(block, text, into: &events)
        case .blob(let block, let blob):
            guard let place = places[block] else { return }
            blocks[place].blobs.append(blob)
            if let shown = blocks[place].shown { events.append(.blob(shown, blob)) }
        case .closed(let block):
            if let shown = places[block].flatMap({ blocks[$0].shown }) { events.append(.closed(shown)) }
        case .called(let block):
            if let shown = places[block].flatMap({ blocks[$0].shown }) { events.append(.called(shown)) }
        case .ran(let block, let run):
            if let shown = places[block].flatMap({ blocks[$0].shown }) { events.append(.ran(shown, run)) }
        case .usage(let more):
            usage.update(with: more)
            events.append(.usage(spent.followed(by: usage)))
        case .finished(let choice, let reason, _):
            guard choice == 0 else { return }
            self.reason = reason
            // Whoever makes nothing but calls that are ignored has stopped.
            let hasStopped =
                reason == .toolCalls && blocks.contains(where: \.isIgnored) && blocks.allSatisfy { $0.call == nil }
            hold(hasStopped ? .finished(choice: 0, .stop, matchedStop: nil) : event, into: &events)
        case .ended:
            end(into: &events)
            if !isOver { events.append(event) }
        case .failed, .progress, .opaque: events.append(event)
        }
    }

    private mutating func hold(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        if wantsRuns { held.append(event) } else { events.append(event) }
    }

    private mutating func open(_ block: BlockID, _ kind: BlockKind, into events: inout [ReplyEvent]) {
        var opened = Block(kind: kind)
        if case .toolCall(let head) = kind, head.kind == .function || head.kind == .custom {
            let call = call(head)
            if call.isHosted, let limit = table.callLimit, callCount >= limit {
                opened.isIgnored = true
                return add(opened, block)
            }
            opened.call = call
            if call.isHosted { callCount += 1 }
            if call.isHosted {
                let name = call.tool?.name ?? call.name
                opened.kind = .toolCall(
                    ToolCallHead(id: call.id, name: name, kind: .hosted(call.tool?.integration.provider)))
            }
        }
        if opened.call?.isHosted != true || !table.isHidden {
            let shown = BlockID(choice: 0, index: next)
            next += 1
            opened.shown = shown
            events.append(.opened(shown, opened.kind))
        }
        add(opened, block)
    }

    private mutating func add(_ opened: Block, _ block: BlockID) {
        places[block] = blocks.count
        blocks.append(opened)
    }

    private mutating func call(_ head: ToolCallHead) -> Call {
        switch table.meaning(of: names.client(head.name)) {
        case .served(let name, let tool): Call(id: ids.mintHex(prefix), name: name, tool: tool, isHosted: true)
        case .own: Call(id: head.id, name: head.name, isHosted: false)
        case .nothing: Call(id: ids.mintHex(prefix), name: names.client(head.name), isHosted: true)
        }
    }

    private mutating func grow(_ block: BlockID, _ text: EscapedText, into events: inout [ReplyEvent]) {
        guard let place = places[block] else { return }
        let isText = blocks[place].kind == .text
        if parts, isText, hasText, !isFirst, blocks[place].text.isEmpty, let shown = blocks[place].shown {
            events.append(.delta(shown, EscapedText(escaping: "\n\n")))
        }
        if isText { hasText = true }
        blocks[place].text.append(text)
        if let shown = blocks[place].shown { events.append(.delta(shown, text)) }
    }

    // MARK: - The end of a round

    /// Whether the round asks for something that is run here. What a limit has cut off is not run, and what the client
    /// would never learn of is not run beside calls of its own: the model asks for it again.
    private var wantsRuns: Bool {
        switch reason {
        case .length, .contextWindow, .contentFilter, .pauseTurn: return false
        case .stop, .toolCalls, nil: break
        }
        return blocks.contains { $0.call?.isHosted == true } && !(table.isHidden && hasOwnCalls)
    }

    private var hasOwnCalls: Bool { blocks.contains { $0.call?.isHosted == false } }

    /// Some of the calls are the client's, or it allows no tokens for what would come of ours: the reply ends behind them.
    var endsReply: Bool { hasOwnCalls || isSpent }

    /// Too little is left of what the client allows: OpenAI's own API refuses to write less than this.
    private var isSpent: Bool {
        table.tokenLimit.map { $0 - (spent.output ?? 0) - (counted.output ?? 0) < Self.leastTokens } ?? false
    }
    private static let leastTokens = 16

    /// Of this round; what its upstream does not count is estimated.
    private var counted: Usage {
        var counted = usage
        counted.input = usage.input ?? inputEstimate
        counted.output =
            usage.output ?? TokenEstimate.ofOutput(bytes: blocks.reduce(0) { $0 + $1.text.bytes.readableBytes })
        return counted
    }

    /// That this round took, its prompt included.
    var tokens: Int {
        let (sum, overflow) = (counted.input ?? 0).addingReportingOverflow(counted.output ?? 0)
        return overflow ? .max : sum
    }

    /// The upstream ended well without a terminal mark.
    mutating func finish(into events: inout [ReplyEvent]) { end(into: &events) }

    private mutating func end(into events: inout [ReplyEvent]) {
        guard !hasEnded else { return }
        hasEnded = true
        guard wantsRuns else { return events += uncounted }
        // Nobody would learn of what is run, neither the client nor the model.
        guard !(table.isHidden && isSpent) else { return events += ending }
        isOver = true
        for call in calls {
            guard let shown = blocks[call.place].shown, case .run = call.checked else { continue }
            events.append(.called(shown))
        }
    }

    private var ending: [ReplyEvent] {
        uncounted + (isSpent ? [.finished(choice: 0, .length, matchedStop: nil)] : held)
    }

    /// What a writer would estimate is the first round's.
    private var uncounted: [ReplyEvent] {
        guard !isFirst, usage.input == nil || usage.output == nil else { return [] }
        return [.usage(spent.followed(by: counted))]
    }

    /// The calls to be run, in their order; the places are those of `ran`.
    var calls: [HostedCall] {
        blocks.indices.compactMap { place in
            guard let call = blocks[place].call, call.isHosted else { return nil }
            return HostedCall(place: place, tool: call.tool, name: call.name, text: blocks[place].text)
        }
    }

    /// - Returns: what the client is told.
    mutating func ran(_ place: Int, _ run: ToolRun) -> ReplyEvent? {
        blocks[place].run = run
        return blocks[place].shown.map { .ran($0, run) }
    }

    /// The held end, behind which nothing follows.
    mutating func takeEnd() -> [ReplyEvent] {
        isOver = false
        defer { held = [] }
        return ending + [.ended]
    }

    /// Begins the next round.
    mutating func endRound() -> ServedRound {
        var items: [Item] = []
        var results: [Item] = []
        for block in blocks {
            switch block.kind {
            case .text: if !block.text.isEmpty { items.append(.message(.assistant, [Part(.text(block.text))])) }
            case .refusal: if !block.text.isEmpty { items.append(.message(.assistant, [Part(.refusal(block.text))])) }
            case .reasoning:
                if !block.text.isEmpty || !block.blobs.isEmpty {
                    items.append(.reasoning(Reasoning(text: block.text, blobs: block.blobs)))
                }
            case .toolCall:
                guard let call = block.call else { continue }
                // An upstream that reads arguments again must be able to.
                let arguments = ReplyArguments.object(block.text, isCut: false)
                var item = ToolCall(id: call.id, name: call.name, arguments: .json(arguments))
                item.server = call.tool?.integration.label
                items.append(.toolCall(item))
                guard let run = block.run else { continue }
                results.append(.toolResult(run.result(of: call.id, tool: call.tool?.name ?? call.name)))
            case .opaque: break
            }
        }
        let round = ServedRound(
            items + results, written: counted.output ?? 0, calls: blocks.count { $0.call?.isHosted == true })
        spent = spent.followed(by: counted)
        (blocks, places, usage, held, reason) = ([], [:], Usage(), [], nil)
        (isOver, hasEnded, isFirst) = (false, false, false)
        return round
    }

    /// - Parameter context: of the next round's request.
    mutating func go(on context: ReplyContext) {
        names = context.toolNames
        inputEstimate = context.inputEstimate
    }
}

/// A call that is to be run here.
package struct HostedCall: Sendable {
    /// Among what the model has said this round.
    package var place: Int
    /// Nil where nobody offers it.
    package var tool: ServedTool?
    /// As the model called it.
    package var name: String
    fileprivate var text: EscapedText

    /// What is to be run, or why that cannot be, so that the model can mend it.
    package var checked: Result {
        guard let tool else {
            return .fault(ToolRun(.invalidName("Cannot find tool with name \(name.prefix(128))."), by: nil))
        }
        let text = self.text.firstVisible == nil ? "{}" : self.text.unescaped()
        guard let arguments = try? JSON(parsing: text) else {
            return .fault(ToolRun(.invalidArguments("The arguments are no JSON."), by: tool.integration.provider))
        }
        guard arguments.object != nil else {
            return .fault(
                ToolRun(.invalidArguments("The arguments are no JSON object."), by: tool.integration.provider))
        }
        guard let schema = tool.schema.flatMap({ try? JSON(parsing: $0) }) else {
            return .run(tool, ByteBuffer(string: text))
        }
        // Where only one thing can be meant, it is what was meant.
        let fitted = arguments.object.map { JSON.object(ArgumentFit.fit($0, to: schema)) } ?? arguments
        var check = SchemaCheck(schema)
        if let violation = check.violation(of: fitted) {
            return .fault(
                ToolRun(
                    .invalidArguments("The arguments do not fit: \(violation.sentence)."),
                    by: tool.integration.provider))
        }
        return .run(tool, fitted == arguments ? ByteBuffer(string: text) : fitted.buffer)
    }

    package enum Result: Sendable {
        case run(ServedTool, ByteBuffer)
        case fault(ToolRun)
    }
}
