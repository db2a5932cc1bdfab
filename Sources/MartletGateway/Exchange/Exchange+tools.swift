import MartletDialects
import NIOCore

/// Rounds: the model calls tools that are run here, and is asked again with what came of them. The reply goes on
/// through all of them; none but the first is ever begun anew, because what a tool has done is done.
extension Exchange {
    var isInFirstRound: Bool { rounds.count == 0 }

    // MARK: Before the first

    /// - Parameter request: its prompt is to be weighed once they are there.
    mutating func listTools(_ plan: Plan, weighing request: InboundRequest? = nil, into actions: inout [Action]) {
        self.plan = plan
        phase = .equipping(weighing: request)
        actions.append(.listTools(plan))
    }

    mutating func listed(_ plan: Plan, into actions: inout [Action]) {
        guard case .equipping(let request) = phase else { return }
        self.plan = plan
        guard let request else { return acquire(into: &actions) }
        phase = .deciding(request, mayRefresh: false)
        actions.append(.weigh(plan))
    }

    mutating func unlisted(_ error: GatewayError, at now: NIODeadline, into actions: inout [Action]) {
        guard case .equipping = phase else { return }
        fail(plan?.refusal(error) ?? error, stores: false, at: now, into: &actions)
    }

    // MARK: Between two

    /// A slot is given back: what a tool waits for is nobody's computing time. An engine of this machine is kept, whose
    /// slots are its own, so that it is there when the next round comes.
    mutating func yieldSlot(into actions: inout [Action]) {
        if candidate?.upstream.location != .hosted { releaseSlot(into: &actions) }
    }

    /// A round has ended with calls.
    /// - Parameters:
    ///   - tokens: that it took.
    ///   - hasEnded: so has the upstream's transport.
    mutating func runTools(
        _ head: UpstreamHead, endsReply: Bool, tokens: Int, hasEnded: Bool, at now: NIODeadline,
        into actions: inout [Action]
    ) {
        guard let rules = plan?.tools?.rules else { return }
        if endsReply { releaseSlot(into: &actions) } else { yieldSlot(into: &actions) }
        if let error = rounds.begin(rules, tokens, isLast: endsReply, at: now) {
            if !hasEnded { actions.append(.closeUpstream) }
            return fail(error, at: now, into: &actions)
        }
        phase = .runningTools(Round(head: head, endsReply: endsReply, hasEnded: hasEnded))
        waitingSince = now
        actions.append(.runTools)
        flushIfDue(at: now, into: &actions)
    }

    /// What became of one call; they come in the order of the calls.
    mutating func ran(_ place: Int, _ run: ToolRun, isLast: Bool, at now: NIODeadline, into actions: inout [Action]) {
        guard case .runningTools(let round) = phase, let rules = plan?.tools?.rules else { return }
        actions.append(.tellRun(place, rounds.take(run, rules)))
        hasUnflushed = true
        flushIfDue(at: now, into: &actions)
        guard isLast else { return }
        actions.append(round.endsReply ? .endRounds : .prepareRound)
    }

    /// A stream that has said all ends in a moment, and its connection is the next round's.
    mutating func goOn(behindRound plan: Plan, at now: NIODeadline, into actions: inout [Action]) {
        guard case .runningTools(var round) = phase else { return }
        guard round.hasEnded || now - waitingSince >= Limits.streamEnd else {
            round.next = plan
            phase = .runningTools(round)
            return
        }
        if !round.hasEnded { actions.append(.closeUpstream) }
        begin(round: plan, at: now, into: &actions)
    }

    mutating func begin(round plan: Plan, at now: NIODeadline, into actions: inout [Action]) {
        self.plan = plan
        attemptsHere = 0
        hasRetriedStale = false
        endCause = nil
        roundStartedAt = now
        acquire(into: &actions)
    }

    mutating func toolsTick(at now: NIODeadline, into actions: inout [Action]) -> Bool {
        guard case .runningTools(let round) = phase else { return false }
        if let next = round.next {
            goOn(behindRound: next, at: now, into: &actions)
            return true
        }
        guard let rules = plan?.tools?.rules, let error = rounds.overdue(rules, at: now) else { return false }
        actions.append(.stopWaiting)
        if !round.hasEnded { actions.append(.closeUpstream) }
        fail(error, at: now, into: &actions)
        return true
    }

    // MARK: Behind the last

    /// The reply is all there.
    /// - Parameter hasEnded: so has the upstream's transport.
    mutating func completed(
        _ head: UpstreamHead, hasEnded: Bool, at now: NIODeadline, into actions: inout [Action]
    ) {
        if plan?.folds == true { folded = head }
        if folded == nil, isKept { return keep(.stream(hasEnded: hasEnded), into: &actions) }
        guard !hasEnded else {
            if folded == nil { actions.append(.flush) }
            return drained(at: now, into: &actions)
        }
        phase = .draining
        waitingSince = now
        flushIfDue(at: now, into: &actions)
    }

    mutating func drained(at now: NIODeadline, into actions: inout [Action]) {
        guard let head = folded else {
            actions.append(.endReply)
            return end(.complete, at: now, into: &actions)
        }
        phase = .whole(head, bytes: 0)
        wholeRead(.complete, head, at: now, into: &actions)
    }
}
