import MartletWire
import NIOCore

/// Changes events between reader and writer: one concern each, in a fixed order.
protocol ReplyStage: Sendable {
    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent])
    /// Whether a delta, still escaped, goes on as it is. Then it counts as taken, however often it is asked; else
    /// nothing has changed, and `take` follows.
    mutating func passes(_ block: BlockID, _ text: UnsafeRawBufferPointer) -> Bool
}

extension ReplyStage {
    mutating func passes(_ block: BlockID, _ text: UnsafeRawBufferPointer) -> Bool { false }
}

/// What a reply's events go through before they are written, as its request asked for it: thinking in tags is
/// taken out, a repeated beginning cut off, calls left in the text are made calls, text ended at a stop string,
/// blocks nobody asked for left out.
package struct ReplyFilter: Sendable {
    private var think: ThinkSplitter?
    private var before: [any ReplyStage] = []
    private var calls: TextCalls?
    private var mender: ArgumentMender?
    private var behind: [any ReplyStage] = []
    /// Last: what it sees is what the client gets.
    var hosted: HostedCalls?
    private var aside: [ReplyEvent] = []

    /// Nil when there is nothing to do.
    package init?(_ context: ReplyContext) { self.init(context, nil) }

    /// - Parameter hosted: calls that are run here.
    init?(_ context: ReplyContext, _ hosted: HostedCalls?) {
        self.hosted = hosted
        think = context.splitter
        if let prefill = context.prefill, !prefill.isEmpty { before.append(PrefillCut(prefill)) }
        if let tools = context.tools, !tools.isEmpty {
            if context.findsCalls { calls = TextCalls(tools, readsWhole: !context.wantsJSON) }
            if context.mendsArguments { mender = ArgumentMender(tools) }
        }
        if !context.stops.isEmpty { behind.append(StopMatcher(context.stops)) }
        if context.wantsJSON { behind.append(JSONRescue()) }
        if context.hidesReasoning || context.keepsFirstCallOnly {
            behind.append(
                BlockSieve(hidesReasoning: context.hidesReasoning, keepsFirstCallOnly: context.keepsFirstCallOnly))
        }
        if isSpent { return nil }
    }

    /// One that goes on where a watch over a relay has begun.
    init(_ think: ThinkSplitter?, _ calls: TextCalls?) {
        self.think = think
        self.calls = calls
    }

    /// There is nothing left to do.
    var isSpent: Bool {
        think == nil && before.isEmpty && calls == nil && mender == nil && behind.isEmpty && hosted == nil
    }

    /// What became of calls in the text, and of arguments that were mended.
    package var callTally: CallTally {
        guard let mender, !mender.tally.isEmpty else { return calls?.tally ?? CallTally() }
        return mender.tally.joined(calls?.tally ?? CallTally())
    }

    /// A marker has been seen in the text: what comes out is no longer what the upstream sent.
    var hasFoundMarker: Bool { calls?.isCommitted ?? false }

    /// Appends what becomes of the events. An `ended` among them may be the filter's own: then the upstream is of no
    /// more use.
    package mutating func take(_ given: [ReplyEvent], into events: inout [ReplyEvent]) {
        var current = given
        if think != nil {
            Self.run(&think, &current, &aside)
            if think?.isOver == true { think = nil }
        }
        for place in before.indices { Self.run(&before[place], &current, &aside) }
        if calls != nil { Self.run(&calls, &current, &aside) }
        if mender != nil { Self.run(&mender, &current, &aside) }
        for place in behind.indices { Self.run(&behind[place], &current, &aside) }
        if hosted != nil { Self.run(&hosted, &current, &aside) }
        events += current
    }

    /// Whether a delta, still escaped, goes on as it is. Then it counts as taken; else `take` has to follow.
    mutating func passes(_ block: BlockID, _ text: UnsafeRawBufferPointer) -> Bool {
        guard before.isEmpty, behind.isEmpty, hosted == nil, think?.passes(block, text) ?? true,
            mender?.passes(block, text) ?? true
        else { return false }
        return calls?.passes(block, text) ?? true
    }

    private static func run(
        _ stage: inout some ReplyStage, _ current: inout [ReplyEvent], _ aside: inout [ReplyEvent]
    ) {
        aside.removeAll(keepingCapacity: true)
        for event in current { stage.take(event, into: &aside) }
        swap(&current, &aside)
    }
}

extension Optional: ReplyStage where Wrapped: ReplyStage {
    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) { self?.take(event, into: &events) }
}

/// Leaves out whole blocks.
struct BlockSieve: ReplyStage {
    let hidesReasoning: Bool
    let keepsFirstCallOnly: Bool
    private var hidden: Set<BlockID> = []
    private var calls: Set<Int> = []

    init(hidesReasoning: Bool, keepsFirstCallOnly: Bool) {
        self.hidesReasoning = hidesReasoning
        self.keepsFirstCallOnly = keepsFirstCallOnly
    }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        switch event {
        case .opened(let block, .reasoning) where hidesReasoning: hidden.insert(block)
        case .opened(let block, .toolCall) where keepsFirstCallOnly:
            if calls.insert(block.choice).inserted {
                events.append(event)
            } else {
                hidden.insert(block)
            }
        case .delta(let block, _), .blob(let block, _): if !hidden.contains(block) { events.append(event) }
        case .closed(let block): if hidden.remove(block) == nil { events.append(event) }
        default: events.append(event)
        }
    }
}

/// Cuts off the beginning of the text when it repeats the turn it was to continue.
struct PrefillCut: ReplyStage {
    private enum State: Sendable { case comparing(BlockID?, EscapedText), done }

    private let prefill: [UInt8]
    private var state = State.comparing(nil, EscapedText())

    init(_ prefill: EscapedText) { self.prefill = Array(prefill.unescaped().utf8) }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        guard case .comparing(let block, var held) = state else { return events.append(event) }
        switch event {
        case .opened(let opened, .text):
            state = .comparing(opened, held)
            events.append(event)
        case .delta(let grown, let text) where grown == block:
            held.append(text)
            let bytes = Array(held.unescaped().utf8)
            if bytes.starts(with: prefill) {
                state = .done
                let rest = bytes[prefill.count...]
                if !rest.isEmpty {
                    events.append(.delta(grown, EscapedText(escaping: String(decoding: rest, as: UTF8.self))))
                }
            } else if prefill.starts(with: bytes) {
                state = .comparing(block, held)
            } else {
                state = .done
                events.append(.delta(grown, held))
            }
        case .closed(let closed) where closed == block:
            state = .done
            if !held.isEmpty { events.append(.delta(closed, held)) }
            events.append(event)
        default: events.append(event)
        }
    }
}

/// Models that think before a structured answer sometimes put the answer where the thinking belongs and leave the text
/// empty: then it is moved. Reasoning that looks like JSON waits for that until the text begins.
struct JSONRescue: ReplyStage {
    private enum State: Sendable {
        case waiting
        case holding(BlockID)
        case done
    }

    private var state = State.waiting
    private var text = EscapedText()
    private var held: [ReplyEvent] = []

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        switch state {
        case .done: events.append(event)
        case .waiting:
            guard case .opened(let block, let kind) = event else { return events.append(event) }
            if kind == .reasoning {
                state = .holding(block)
                held.append(event)
            } else {
                pass(event, into: &events)
            }
        case .holding(let block): hold(event, block, into: &events)
        }
    }

    private mutating func hold(_ event: ReplyEvent, _ block: BlockID, into events: inout [ReplyEvent]) {
        switch event {
        case .delta(let grown, let more) where grown == block:
            text.append(more)
            held.append(event)
            guard let first = text.firstVisible, first != UInt8(ascii: "{"), first != UInt8(ascii: "[") else { return }
            release(into: &events)
        case .closed(let grown) where grown == block: held.append(event)
        case .blob(let grown, _) where grown == block: held.append(event)
        case .opened: pass(event, into: &events)
        case .finished(_, .stop, _):
            guard (try? JSON(parsing: text.unescaped())) != nil else { return pass(event, into: &events) }
            state = .done
            events += [.opened(block, .text), .delta(block, text), .closed(block), event]
        case .finished, .ended: pass(event, into: &events)
        default: events.append(event)
        }
    }

    private mutating func pass(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        release(into: &events)
        events.append(event)
    }

    private mutating func release(into events: inout [ReplyEvent]) {
        events += held
        held = []
        state = .done
    }
}
