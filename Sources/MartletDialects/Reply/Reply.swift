package import MartletWire

/// A whole reply in no dialect's words: what its events come to.
package struct Reply: Sendable, Hashable {
    /// In the order of their opening; of the first choice only.
    package var blocks: [ReplyBlock] = []
    package var usage = Usage()
    package var finish = FinishReason.stop
    /// The stop string that ended the text, as the upstream or the gateway found it.
    package var matchedStop: EscapedText?
    /// As the upstream gave them.
    package var id = ""
    package var model = ""

    package init() {}
}

package struct ReplyBlock: Sendable, Hashable {
    package var kind: BlockKind
    /// Text, reasoning or arguments, as the kind says.
    package var text = EscapedText()
    package var blobs: [OpaqueBlob] = []
    /// Of a call that was run here.
    package var run: ToolRun?
    /// Of that call: how many blocks there were when it had been run. Its result stands behind all of its round.
    package var resultPlace = 0

    package init(_ kind: BlockKind) { self.kind = kind }
}

/// Folds the events of a reply into the whole of it.
package struct ReplyFold: Sendable {
    package private(set) var reply = Reply()
    private var places: [BlockID: Int] = [:]
    private var choice: Int?

    /// - Parameter choice: nil: the first that comes.
    package init(choice: Int? = nil) { self.choice = choice }

    package mutating func take(_ event: ReplyEvent) {
        switch event {
        case .started(let id, let model):
            // A further round of it has a name of its own.
            if reply.id.isEmpty { reply.id = id }
            if reply.model.isEmpty { reply.model = model }
        case .opened(let block, let kind):
            guard isFirst(block.choice) else { return }
            places[block] = reply.blocks.count
            reply.blocks.append(ReplyBlock(kind))
        case .delta(let block, let text):
            guard let place = places[block] else { return }
            reply.blocks[place].text.append(text)
        case .blob(let block, let blob):
            guard let place = places[block] else { return }
            reply.blocks[place].blobs.append(blob)
        case .ran(let block, let run):
            guard let place = places[block] else { return }
            reply.blocks[place].run = run
            reply.blocks[place].resultPlace = reply.blocks.count
        case .usage(let usage): reply.usage.update(with: usage)
        case .finished(let choice, let reason, let stop):
            guard isFirst(choice) else { return }
            reply.finish = reason
            reply.matchedStop = stop
        case .closed, .called, .failed, .progress, .opaque, .ended: break
        }
    }

    private mutating func isFirst(_ choice: Int) -> Bool {
        if self.choice == nil { self.choice = choice }
        return self.choice == choice
    }
}

extension Reply {
    var summary: ReplySummary {
        let calls = blocks.filter { if case .toolCall = $0.kind { true } else { false } }.count
        var summary = ReplySummary(id: id, model: model, usage: usage, finishes: [finish], toolCalls: calls)
        summary.isStopped = matchedStop != nil
        return summary
    }
}
