import MartletWire
package import NIOCore

/// Replies in several rounds: between two of them tools are run here. The writer lives through all of them.
extension ReplyPipe {
    /// Nothing more of this round is read.
    var isOver: Bool { tally.isOver || isRoundOver }

    var finding: Finding {
        guard isRoundOver, tally.failure == nil else {
            return tally.finding == .nothing && hasProgressed ? .usable : tally.finding
        }
        return .calls(endsReply: filter?.hosted?.endsReply == true, tokens: filter?.hosted?.tokens ?? 0)
    }

    /// The upstream has ended well: whether there is something to be run.
    mutating func endsRound() -> Bool {
        filter?.hosted?.finish(into: &events)
        isRoundOver = filter?.hosted?.isOver == true
        return isRoundOver
    }

    /// Of a round that has ended with `calls`: what is to be run, in its order.
    package var hostedCalls: [HostedCall] { filter?.hosted?.calls ?? [] }

    /// Tells what became of a call.
    package mutating func tell(_ run: ToolRun, of place: Int, into out: inout ByteBuffer) {
        guard let event = filter?.hosted?.ran(place, run) else { return }
        note(event)
        writer?.write(event, into: &out)
    }

    /// Everything has been run, and the reply ends.
    package mutating func endRounds(into out: inout ByteBuffer) -> Finding {
        isRoundOver = false
        for event in filter?.hosted?.takeEnd() ?? [] {
            note(event)
            writer?.write(event, into: &out)
        }
        writer?.finish(into: &out)
        if let fault = writer?.fault { fail(fault) }
        return finding
    }

    /// Everything has been run, and the model is asked again.
    package mutating func endRound() -> ServedRound { filter?.hosted?.endRound() ?? ServedRound() }

    /// What follows is the next round's reply. Nothing happens when it is said twice.
    package mutating func beginRound(from upstream: UpstreamDialect, context: ReplyContext) {
        isRoundOver = false
        var hosted = filter?.hosted
        hosted?.go(on: context)
        filter = ReplyFilter(context, hosted)
        reader = Dialects.reader(of: upstream, context)
        framer = SSEFramer()
        held = 0
        whole = .undecided(ByteBuffer())
    }
}
