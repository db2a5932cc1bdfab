import MartletWire
package import NIOCore

/// Watches a relayed Chat stream for calls in its text, and for thinking in tags where it begins. Frames that may begin
/// one wait; those that did not go on as they came. When a marker is complete, a writer goes on with the stream where
/// the relay left it.
struct CallWatch: Sendable {
    enum Verdict: Sendable {
        /// All that came may go on as it is.
        case clear
        case waits
        /// From here on frames and what the client gets differ.
        case found
    }

    struct Frame: Sendable {
        var frame: SSEFrame
        var events: [ReplyEvent]
    }

    private(set) var think: ThinkSplitter?
    private(set) var calls: TextCalls?
    private let target: ReplyTarget
    private let context: ReplyContext
    /// Frames that wait, and what their events came to. No more than a marker is long, or white space at the beginning.
    private var frames: [Frame] = []
    private var waiting: [ReplyEvent] = []
    /// What the relay has sent, for the writer that may follow: a delta stands for all of its block.
    private var sent: [ReplyEvent] = []
    private var grown: Set<BlockID> = []

    /// Nil when there is nothing to watch for.
    init?(_ target: ReplyTarget, _ context: ReplyContext) {
        think = context.splitter
        if context.findsCalls, let tools = context.tools, !tools.isEmpty {
            calls = TextCalls(tools, readsWhole: !context.wantsJSON)
        }
        if think == nil, calls == nil { return nil }
        self.target = target
        self.context = context
    }

    var isWaiting: Bool { !frames.isEmpty }
    /// Nothing can be found any more.
    var isOver: Bool { think == nil && calls == nil && frames.isEmpty }

    /// Whether a frame of a known shape goes on as it is.
    mutating func passes(_ frame: SSEFrame, _ delta: KnownDelta) -> Bool {
        guard frames.isEmpty else { return false }
        return frame.bytes.withUnsafeReadableBytes {
            let text = UnsafeRawBufferPointer(rebasing: $0[delta.range])
            return think?.passes(delta.block, text) ?? true && calls?.passes(delta.block, text) ?? true
        }
    }

    /// - Parameter shown: what the frame's events come to.
    mutating func take(_ frame: SSEFrame, _ events: [ReplyEvent], into shown: inout [ReplyEvent]) -> Verdict {
        let isFound = find(events, into: &shown)
        if isFound {
            waiting += shown
            return .found
        }
        if think?.holds == true || calls?.holds == true {
            frames.append(Frame(frame: frame, events: events))
            waiting += shown
            return .waits
        }
        note(waiting)
        note(shown)
        waiting = []
        return .clear
    }

    /// - Returns: whether there is something.
    private mutating func find(_ events: [ReplyEvent], into shown: inout [ReplyEvent]) -> Bool {
        guard think != nil else {
            for event in events { calls.take(event, into: &shown) }
            return calls?.isCommitted == true
        }
        var split: [ReplyEvent] = []
        for event in events { think?.take(event, into: &split) }
        if think?.isOver == true { think = nil }
        if calls == nil {
            shown += split
        } else {
            for event in split { calls.take(event, into: &shown) }
        }
        return think?.hasSplit == true || calls?.isCommitted == true
    }

    /// Frames that need not wait any longer.
    mutating func release() -> [Frame] {
        defer { frames = [] }
        return frames
    }

    /// A writer for the rest of the stream, and what of it has waited.
    /// - Parameters:
    ///   - stream: id and creation time the client knows.
    ///   - tally: of what went by, the frames that wait left out.
    func writer(_ stream: StreamHead, _ tally: ReplyTally, into out: inout ByteBuffer) -> any StreamWriter {
        var writer = ChatStreamWriter(target, context: context, continuing: stream, bytes: tally.deltaBytes)
        var written = ByteBuffer()
        for event in sent { writer.write(event, into: &written) }
        writer.write(.usage(tally.usage), into: &written)
        for event in waiting { writer.write(event, into: &out) }
        return writer
    }

    private mutating func note(_ events: [ReplyEvent]) {
        for event in events {
            switch event {
            case .started, .opened, .closed: sent.append(event)
            case .delta(let block, let text): if grown.insert(block).inserted { sent.append(.delta(block, text)) }
            // The relay keeps the end of a choice back only when usage is to go with it.
            case .finished: if target.usage == .finalChunk { sent.append(event) }
            case .blob, .called, .ran, .usage, .failed, .progress, .opaque, .ended: break
            }
        }
    }
}

/// What all chunks of a stream share, as JSON text.
package struct StreamHead: Sendable {
    package var id: ByteBuffer?
    package var created: ByteBuffer?

    package init(id: ByteBuffer? = nil, created: ByteBuffer? = nil) {
        self.id = id
        self.created = created
    }
}
