package import MartletDialects
package import NIOCore

/// One request and its reply, as a value: facts go in, orders come out. It holds no socket, clock, lock or task.
///
/// Before the commit failures are HTTP statuses and may be retried or go to the next candidate; after it they are
/// events of the client's dialect, and never do (specs 0.4, 0.7).
package struct Exchange: Sendable {
    enum Phase: Sendable {
        case receiving
        /// A decision, or a fresh model list, is on its way.
        case deciding(InboundRequest, mayRefresh: Bool)
        /// Tools are being listed that the request is given; set: its prompt is weighed with them.
        case equipping(weighing: InboundRequest?)
        /// A control route is at work.
        case answering
        /// The reply is made elsewhere and read along.
        case following(Following, isWaiting: Bool)
        case acquiring
        case connecting
        /// The request is sent; nothing has come back.
        case sent
        /// The reply is taken whole: an unstreamed reply, or an error's body.
        case whole(UpstreamHead, bytes: Int)
        case streaming(UpstreamHead)
        /// A round has ended, and its calls are run.
        case runningTools(Round)
        /// The stream has said all; its transport has not ended yet.
        case draining
        /// The reply is all there; it leaves once it is stored.
        case keeping(Kept)
        case backingOff(until: NIODeadline)
        case ended
    }

    /// A round whose calls are run here.
    struct Round: Sendable {
        var head: UpstreamHead
        /// The client has calls of its own to run: there is no further round.
        var endsReply: Bool
        /// The upstream's transport has ended.
        var hasEnded: Bool
        /// Set once there is a next one, which waits for that.
        var next: Plan?
    }

    /// Which reply is being stored.
    enum Kept: Sendable {
        /// - hasEnded: so has the upstream's transport.
        case stream(hasEnded: Bool)
        case whole(UpstreamHead)
        case own(ControlReply)
        /// A stream that has failed; its last word is written, and leaves whether or not it could be stored.
        case failed(ErrorCode)
    }

    var phase = Phase.receiving
    package internal(set) var plan: Plan?
    var candidateIndex = 0
    /// At all candidates together, so that it also tells one attempt from another.
    package internal(set) var attempts = 0
    /// At the current candidate.
    var attemptsHere = 0
    var hasRetriedStale = false
    /// How far down the schemas have been brought at the current candidate; nil: its first form.
    package var rung: SchemaRung?
    /// The current candidate has answered in another form than was asked for, and is asked once more.
    package internal(set) var asksAgain = false
    var holdsSlot = false
    var committed = false
    var isPaused = false
    /// Bytes passed before the commit.
    var heldBytes = 0
    /// Why the upstream's stream ended before its time.
    var endCause: GatewayError?
    /// Bytes were passed since the last flush.
    var hasUnflushed = false

    var rounds = ToolRounds()
    /// Set where a reply that came as a stream leaves whole, once all of it is there.
    var folded: UpstreamHead?

    var startedAt = NIODeadline.distantPast
    /// Of the last attempt in the first round.
    package private(set) var sentAt: NIODeadline?
    var roundStartedAt = NIODeadline.distantPast
    var firstByteAt: NIODeadline?
    /// When the current wait (connect, first byte, idle, stall) began.
    var waitingSince = NIODeadline.distantPast
    var lastWrite = NIODeadline.distantPast

    package init() {}

    package var hasEnded: Bool {
        if case .ended = phase { true } else { false }
    }

    var hasNextCandidate: Bool { candidateIndex + 1 < plan?.candidates.count ?? 0 }

    var candidate: Candidate? { plan?.candidates[candidateIndex] }

    package mutating func receive(_ event: Event, at now: NIODeadline, into actions: inout [Action]) {
        switch event {
        case .bytes(let bytes): received(bytes, at: now, into: &actions)
        case .passed(let finding): passed(finding, at: now, into: &actions)
        case .finished(let finding): finished(finding, at: now, into: &actions)
        case .readComplete: flushIfDue(at: now, into: &actions)
        case .tick: tick(at: now, into: &actions)
        case .clientWritable(let writable): clientWritable(writable, at: now, into: &actions)
        case .clientGone: clientGone(at: now, into: &actions)
        case .shutDown: shutDown(at: now, into: &actions)
        case .head(let head): received(head, at: now, into: &actions)
        case .end(let cleanly, let reusable):
            upstreamEnded(cleanly: cleanly, reusable: reusable, at: now, into: &actions)
        case .upstreamFailed(let error, let stale): upstreamFailed(error, stale: stale, at: now, into: &actions)
        case .requestComplete(let request):
            guard case .receiving = phase else { return }
            start(at: now)
            phase = .deciding(request, mayRefresh: true)
            actions.append(.decide(request, mayRefresh: true))
        case .planned(let plan):
            guard case .receiving = phase else { return }
            start(at: now)
            if plan.awaitsTools { return listTools(plan, into: &actions) }
            self.plan = plan
            acquire(into: &actions)
        case .decided(let decision): decided(decision, at: now, into: &actions)
        case .catalogRefreshed:
            guard case .deciding(let request, _) = phase else { return }
            phase = .deciding(request, mayRefresh: false)
            actions.append(.decide(request, mayRefresh: false))
        case .answered(let reply):
            switch phase {
            case .answering: break
            case .acquiring where !committed: break
            default: return
            }
            actions.append(.reply(reply))
            guard let following = reply.following else { return end(.complete, at: now, into: &actions) }
            committed = true
            lastWrite = now
            follow(following, into: &actions)
        case .followed(let batch): followed(batch, at: now, into: &actions)
        case .prepared(let reply):
            guard case .acquiring = phase, !committed else { return }
            keep(.own(reply), into: &actions)
        case .toolsListed(let plan): listed(plan, into: &actions)
        case .toolsRefused(let error): unlisted(error, at: now, into: &actions)
        case .toolRan(let place, let run, let isLast):
            ran(place, run, isLast: isLast, at: now, into: &actions)
        case .roundPrepared(let plan): goOn(behindRound: plan, at: now, into: &actions)
        case .summedUp(let plan): goOn(with: plan, into: &actions)
        case .kept(let error): kept(error, at: now, into: &actions)
        case .progress(let progress): told(progress, at: now, into: &actions)
        case .slotGranted(let origin):
            guard case .acquiring = phase, let upstream = candidate?.upstream else { return }
            holdsSlot = true
            phase = .connecting
            waitingSince = now
            actions.append(.connect(origin, upstream))
        case .slotRefused(let error):
            guard case .acquiring = phase else { return }
            giveUp(error, at: now, into: &actions)
        case .connected:
            guard case .connecting = phase, let plan, let candidate else { return }
            phase = .sent
            waitingSince = now
            if isInFirstRound { sentAt = now }
            actions.append(.send(plan, candidate))
        }
    }

    private mutating func start(at now: NIODeadline) {
        startedAt = now
        roundStartedAt = now
        lastWrite = now
    }

    private mutating func decided(_ decision: Decision, at now: NIODeadline, into actions: inout [Action]) {
        guard case .deciding(let request, _) = phase else { return }
        switch decision {
        case .refuse(let error) where committed: fail(error, stores: false, at: now, into: &actions)
        case .refuse(let error):
            actions.append(.refuse(error))
            end(.failed(error.code), at: now, into: &actions)
        case .refresh: actions.append(.refreshCatalog)
        case .weigh(let plan) where plan.awaitsTools: listTools(plan, weighing: request, into: &actions)
        case .weigh(let plan): actions.append(.weigh(plan))
        case .recall(let plan): actions.append(.recall(plan))
        case .control:
            phase = .answering
            actions.append(.answer(request))
        case .complete(let plan) where plan.isToBeQueued:
            phase = .answering
            actions.append(.queue(plan))
        case .complete(let plan) where plan.awaitsTools: listTools(plan, into: &actions)
        case .complete(let plan):
            self.plan = plan
            acquire(into: &actions)
        }
    }

    mutating func acquire(into actions: inout [Action]) {
        guard let candidate else { return }
        attempts += 1
        attemptsHere += 1
        phase = .acquiring
        actions.append(.acquire(candidate))
    }

    // MARK: Reading along

    private mutating func follow(_ following: Following, into actions: inout [Action]) {
        phase = .following(following, isWaiting: true)
        actions.append(.follow(following))
    }

    private mutating func followed(_ batch: EventBatch, at now: NIODeadline, into actions: inout [Action]) {
        guard case .following = phase else { return }
        lastWrite = now
        actions.append(.write(batch.bytes))
        actions.append(.flush)
        guard let rest = batch.rest else {
            actions.append(.endReply)
            return end(.complete, at: now, into: &actions)
        }
        if isPaused { phase = .following(rest, isWaiting: false) } else { follow(rest, into: &actions) }
    }

    // MARK: The client

    private mutating func clientWritable(_ writable: Bool, at now: NIODeadline, into actions: inout [Action]) {
        if case .following(let following, let isWaiting) = phase, writable == isPaused {
            isPaused = !writable
            waitingSince = now
            if writable, !isWaiting { follow(following, into: &actions) }
            return
        }
        if plan?.runsTools == true, !isStreaming, !hasEnded {
            // Between two rounds; the next one's stream is paused when it comes.
            isPaused = !writable
            return
        }
        guard isStreaming, writable == isPaused else { return }
        isPaused = !writable
        waitingSince = now
        actions.append(writable ? .resumeUpstream : .pauseUpstream)
    }

    private var isStreaming: Bool {
        if case .streaming = phase { true } else { false }
    }

    private mutating func clientGone(at now: NIODeadline, into actions: inout [Action]) {
        guard abandon(into: &actions) else { return }
        end(.clientGone, at: now, into: &actions)
    }

    private mutating func shutDown(at now: NIODeadline, into actions: inout [Action]) {
        guard abandon(into: &actions) else { return }
        fail(
            GatewayError(code: .shuttingDown, message: "the server is shutting down", retryAfter: .seconds(5)),
            stores: false, at: now, into: &actions)
    }

    /// Stops what is under way. False when nothing is.
    private mutating func abandon(into actions: inout [Action]) -> Bool {
        switch phase {
        case .ended: return false
        case .receiving:
            phase = .ended
            return false
        case .deciding, .equipping, .answering, .acquiring, .following: actions.append(.stopWaiting)
        case .runningTools(let round):
            actions.append(.stopWaiting)
            if !round.hasEnded { actions.append(.closeUpstream) }
        case .connecting, .sent, .whole, .streaming, .draining, .keeping(.stream(hasEnded: false)):
            actions.append(.closeUpstream)
        case .keeping: break
        case .backingOff: break
        }
        return true
    }

    // MARK: The end

    /// The one place where an exchange ends and its record is made.
    mutating func end(_ outcome: ExchangeRecord.Outcome, at now: NIODeadline, into actions: inout [Action]) {
        releaseSlot(into: &actions)
        phase = .ended
        hasUnflushed = false
        actions.append(
            .record(
                ExchangeRecord(
                    outcome: outcome, place: candidate, attempts: attempts, duration: now - startedAt,
                    firstByte: firstByteAt.map { $0 - startedAt }, committed: committed, rung: rung,
                    asksAgain: asksAgain)))
    }

    /// A failure that no retry will mend: a status while the head is ours, an event afterwards.
    /// - Parameter stores: a stream that is kept is kept as it failed.
    mutating func fail(
        _ error: GatewayError, stores: Bool = true, at now: NIODeadline, into actions: inout [Action]
    ) {
        let error = candidate.map { error.naming($0.upstream).doubting($0) } ?? error
        actions.append(committed ? .failInDialect(error) : .refuse(error))
        if committed, stores, isKept { return keep(.failed(error.code), into: &actions) }
        end(.failed(error.code), at: now, into: &actions)
    }

    /// This candidate will not answer: the next one, or the error.
    mutating func giveUp(_ error: GatewayError, at now: NIODeadline, into actions: inout [Action]) {
        guard !committed, isInFirstRound, hasNextCandidate else { return fail(error, at: now, into: &actions) }
        prepareNextAttempt(into: &actions)
        candidateIndex += 1
        attemptsHere = 0
        rung = nil
        asksAgain = false
        hasRetriedStale = false
        acquire(into: &actions)
    }

    /// The slot is given back before the next is asked for.
    mutating func prepareNextAttempt(into actions: inout [Action]) {
        endCause = nil
        // What the rounds before have said stays said.
        guard isInFirstRound else { return yieldSlot(into: &actions) }
        releaseSlot(into: &actions)
        heldBytes = 0
        hasUnflushed = false
        isPaused = false
        actions.append(.resetReply)
    }

    mutating func releaseSlot(into actions: inout [Action]) {
        guard holdsSlot else { return }
        holdsSlot = false
        actions.append(.release)
    }
}

extension Exchange {
    /// The reply is all there and is being stored: nothing of it may leave.
    package var isKeeping: Bool {
        if case .keeping = phase { true } else { false }
    }

    package var isAcquiring: Bool {
        if case .acquiring = phase { true } else { false }
    }

    /// Whether a connection that was asked for by this attempt is still wanted.
    package func isConnecting(attempt: Int) -> Bool {
        if case .connecting = phase { attempts == attempt } else { false }
    }

    /// How long its model has had nothing to say between rounds.
    package func paused(at now: NIODeadline) -> TimeAmount { rounds.paused(at: now) }

    package func elapsed(at now: NIODeadline) -> TimeAmount { now - startedAt }
}
