import MartletWire
import NIOCore

/// What has gone by in one reply: the basis of its record, of metrics and of the verdict about its end.
package struct ReplyTally: Sendable {
    package private(set) var id = ""
    /// As the upstream named it.
    package private(set) var model = ""
    package private(set) var usage = Usage()
    /// Per choice, in the order in which they ended. One element unless the client asked for several choices.
    package private(set) var finishes: [(choice: Int, reason: FinishReason)] = []
    /// A choice ended at a stop string of the request's, as far as that was told.
    package private(set) var isStopped = false
    package private(set) var failure: GatewayError? { didSet { isOver = failure != nil || isEnded } }
    /// A block has opened, or a choice has ended: something a client can use.
    package private(set) var isUsable = false
    /// The terminal mark has gone by.
    package private(set) var isEnded = false { didSet { isOver = failure != nil || isEnded } }
    /// Failed or ended. Kept as a value of its own: asked for at each frame.
    package private(set) var isOver = false
    package private(set) var events = 0
    /// Bytes of all deltas, JSON escapes included.
    package private(set) var deltaBytes = 0
    package private(set) var deltas = 0
    package private(set) var toolCalls = 0
    package private(set) var openToolCalls: Set<BlockID> = []

    package init() {}

    /// Of the first choice.
    package var finishReason: FinishReason? { finishes.first { $0.choice == 0 }?.reason ?? finishes.first?.reason }

    package var finding: Finding {
        if let failure { return .failed(failure) }
        if isEnded { return .complete }
        return isUsable ? .usable : .nothing
    }

    package mutating func note(_ event: ReplyEvent) {
        if case .delta(_, let text) = event { return noteDelta(bytes: text.bytes.readableBytes) }
        events &+= 1
        switch event {
        case .started(let id, let model):
            self.id = id
            self.model = model
        case .opened(let block, let kind):
            isUsable = true
            if case .toolCall = kind {
                toolCalls += 1
                openToolCalls.insert(block)
            }
        case .closed(let block): openToolCalls.remove(block)
        case .usage(let usage): self.usage.update(with: usage)
        case .finished(let choice, let reason, let stop):
            isUsable = true
            if stop != nil { isStopped = true }
            finishes.append((choice, reason))
        case .failed(let error): failure = failure ?? error
        case .ended: isEnded = true
        case .delta, .blob, .called, .ran, .opaque, .progress: break
        }
    }

    /// The same as noting a delta of so many bytes.
    package mutating func noteDelta(bytes: Int) {
        events &+= 1
        deltas &+= 1
        deltaBytes &+= bytes
    }

    /// The upstream ended, or could not be understood, in a way no event says.
    package mutating func fail(_ error: GatewayError) { failure = failure ?? error }

    /// The upstream ended well without a terminal mark.
    package mutating func end() { isEnded = true }
}

/// What is known of a reply so far.
package enum Finding: Sendable, Hashable {
    /// Nothing a client can use.
    case nothing
    case usable
    /// Its end has gone by, or was agreed on.
    case complete
    /// A round has ended, and there are calls to be run here.
    /// - endsReply: the reply ends behind them, because the client has calls of its own to run, or allows no more tokens.
    /// - tokens: that the round took, its prompt included; estimated where its upstream does not count.
    case calls(endsReply: Bool, tokens: Int = 0)
    case failed(GatewayError)
}
