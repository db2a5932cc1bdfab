import MartletDialects
import NIOCore

extension Exchange {
    // MARK: What the upstream sends

    mutating func received(_ head: UpstreamHead, at now: NIODeadline, into actions: inout [Action]) {
        guard case .sent = phase, let plan else { return }
        firstByteAt = isInFirstRound ? now : firstByteAt ?? now
        waitingSince = now
        if head.isSuccess, !plan.takesWhole {
            if isPaused { actions.append(.pauseUpstream) }
            // The pipe notices by itself when a JSON body comes where a stream was asked for (specs 0.3).
            phase = .streaming(head)
        } else {
            phase = .whole(head, bytes: 0)
        }
    }

    mutating func received(_ bytes: ByteBuffer, at now: NIODeadline, into actions: inout [Action]) {
        switch phase {
        case .streaming:
            waitingSince = now
            rounds.goOn(at: now)
            if !committed { heldBytes += bytes.readableBytes }
            hasUnflushed = true
            if plan?.folds == true, heldBytes > Limits.wholeReply {
                actions.append(.closeUpstream)
                return giveUp(replyTooLong, at: now, into: &actions)
            }
            actions.append(.pass(bytes))
        case .whole(let head, let before):
            waitingSince = now
            let count = before + bytes.readableBytes
            if head.isSuccess, count > Limits.wholeReply {
                actions.append(.closeUpstream)
                return giveUp(replyTooLong, at: now, into: &actions)
            }
            phase = .whole(head, bytes: count)
            guard head.isSuccess || count <= Limits.errorBody else {
                // An error that does not end: what has come tells enough.
                actions.append(.closeUpstream)
                return actions.append(.finishWhole(head))
            }
            actions.append(.collect(bytes))
        default: break
        }
    }

    /// What a read or the end of the stream amounted to.
    mutating func passed(_ finding: Finding, at now: NIODeadline, into actions: inout [Action]) {
        switch phase {
        case .streaming(let head): streamed(finding, head, at: now, into: &actions)
        case .whole(let head, _): wholeRead(finding, head, at: now, into: &actions)
        default: break
        }
    }

    private mutating func streamed(
        _ finding: Finding, _ head: UpstreamHead, at now: NIODeadline, into actions: inout [Action]
    ) {
        switch finding {
        case .nothing:
            if !committed, heldBytes > Limits.heldBack { commit(head, at: now, into: &actions) }
        case .usable: commit(head, at: now, into: &actions)
        case .complete:
            commit(head, at: now, into: &actions)
            completed(head, hasEnded: false, at: now, into: &actions)
        case .calls(let endsReply, let tokens):
            commit(head, at: now, into: &actions)
            runTools(head, endsReply: endsReply, tokens: tokens, hasEnded: false, at: now, into: &actions)
        case .failed(let error):
            actions.append(.closeUpstream)
            trouble(error, retryAfter: nil, at: now, into: &actions)
        }
    }

    mutating func wholeRead(
        _ finding: Finding, _ head: UpstreamHead, at now: NIODeadline, into actions: inout [Action]
    ) {
        if case .failed(let error) = finding {
            if simplify(after: error, into: &actions) { return }
            if error.code == .answerMisfit { return askAgain(after: error, at: now, into: &actions) }
            if Exchange.isRetryable(status: head.status), error.code != .contextOverflow, !committed, isInFirstRound,
                mayTryAgain(after: head.retryAfter, at: now) || hasNextCandidate
            {
                return tryAgain(error, retryAfter: head.retryAfter, at: now, into: &actions)
            }
            if head.status >= 400, !committed, plan?.relaysErrors(of: candidate) == true,
                ![401, 403].contains(head.status)
            {
                committed = true
                actions.append(.commitWhole(head))
                return end(.failed(error.code), at: now, into: &actions)
            }
            return fail(error, at: now, into: &actions)
        }
        if isKept { return keep(.whole(head), into: &actions) }
        sendWhole(head, at: now, into: &actions)
    }

    private mutating func sendWhole(_ head: UpstreamHead, at now: NIODeadline, into actions: inout [Action]) {
        committed = true
        actions.append(.commitWhole(head))
        end(.complete, at: now, into: &actions)
    }

    /// The conversation is summed up; what was asked is asked behind the summary.
    mutating func goOn(with plan: Plan, into actions: inout [Action]) {
        guard case .whole = phase else { return }
        self.plan = plan
        attemptsHere = 0
        hasRetriedStale = false
        prepareNextAttempt(into: &actions)
        acquire(into: &actions)
    }

    // MARK: Replies that are kept

    var isKept: Bool { plan?.isKept(from: candidate) == true }

    mutating func keep(_ reply: Kept, into actions: inout [Action]) {
        phase = .keeping(reply)
        actions.append(.keepResponse)
    }

    /// The reply leaves, or in its place, or behind what has left of it, why it could not be kept.
    mutating func kept(_ error: GatewayError?, at now: NIODeadline, into actions: inout [Action]) {
        guard case .keeping(let reply) = phase else { return }
        if case .failed(let code) = reply { return end(.failed(code), at: now, into: &actions) }
        if let error {
            if case .stream(hasEnded: false) = reply { actions.append(.closeUpstream) }
            return fail(error, stores: false, at: now, into: &actions)
        }
        switch reply {
        case .own(let reply):
            actions.append(.reply(reply))
            end(.complete, at: now, into: &actions)
        case .whole(let head): sendWhole(head, at: now, into: &actions)
        case .stream(hasEnded: true):
            actions.append(.flush)
            actions.append(.endReply)
            end(.complete, at: now, into: &actions)
        case .stream(hasEnded: false):
            phase = .draining
            waitingSince = now
            actions.append(.flush)
        case .failed: break
        }
    }

    private mutating func commit(_ head: UpstreamHead?, at now: NIODeadline, into actions: inout [Action]) {
        guard !committed, plan?.folds != true else { return }
        committed = true
        lastWrite = now
        actions.append(.commitStream(head))
    }

    /// Once per upstream read, never per event.
    mutating func flushIfDue(at now: NIODeadline, into actions: inout [Action]) {
        guard committed, hasUnflushed else { return }
        hasUnflushed = false
        actions.append(.flush)
    }

    mutating func upstreamEnded(
        cleanly: Bool, reusable: Bool, cause: GatewayError? = nil, at now: NIODeadline, into actions: inout [Action]
    ) {
        switch phase {
        case .streaming:
            // The verdict is the dialect's: a stream that said all is complete however its transport ended (specs 0.5).
            actions.append(reusable ? .keepUpstream : .closeUpstream)
            endCause = cause
            actions.append(.finishPipe(cleanly: cleanly))
        case .runningTools(var round) where !round.hasEnded:
            actions.append(reusable ? .keepUpstream : .closeUpstream)
            if let next = round.next { return begin(round: next, at: now, into: &actions) }
            round.hasEnded = true
            phase = .runningTools(round)
        case .draining:
            actions.append(reusable ? .keepUpstream : .closeUpstream)
            drained(at: now, into: &actions)
        case .keeping(.stream(hasEnded: false)):
            actions.append(reusable ? .keepUpstream : .closeUpstream)
            phase = .keeping(.stream(hasEnded: true))
        case .whole(let head, _):
            actions.append(reusable ? .keepUpstream : .closeUpstream)
            guard cleanly else { return trouble(cause ?? closedEarly, retryAfter: nil, at: now, into: &actions) }
            actions.append(.finishWhole(head))
        default: break
        }
    }

    /// Answer to `finishPipe`: the stream's last word.
    mutating func finished(_ finding: Finding, at now: NIODeadline, into actions: inout [Action]) {
        let head: UpstreamHead
        var hasEnded = true
        switch phase {
        case .streaming(let streamed): head = streamed
        case .runningTools(let round): (head, hasEnded) = (round.head, round.hasEnded)
        default: return
        }
        switch finding {
        case .failed(let error):
            if !hasEnded { actions.append(.closeUpstream) }
            trouble(endCause ?? error, retryAfter: nil, at: now, into: &actions)
        case .nothing, .usable, .complete:
            commit(head, at: now, into: &actions)
            completed(head, hasEnded: hasEnded, at: now, into: &actions)
        case .calls(let endsReply, let tokens):
            commit(head, at: now, into: &actions)
            runTools(head, endsReply: endsReply, tokens: tokens, hasEnded: true, at: now, into: &actions)
        }
    }

    mutating func upstreamFailed(
        _ error: GatewayError, stale: Bool, at now: NIODeadline, into actions: inout [Action]
    ) {
        switch phase {
        case .connecting, .sent:
            actions.append(.closeUpstream)
            if stale, !hasRetriedStale {
                hasRetriedStale = true
                attempts -= 1
                attemptsHere -= 1
                prepareNextAttempt(into: &actions)
                return acquire(into: &actions)
            }
            trouble(error, retryAfter: nil, at: now, into: &actions)
        case .whole:
            actions.append(.closeUpstream)
            trouble(error, retryAfter: nil, at: now, into: &actions)
        case .streaming, .runningTools, .draining, .keeping:
            upstreamEnded(cleanly: false, reusable: false, cause: error, at: now, into: &actions)
        default: break
        }
    }

    // MARK: Retries

    /// A failure that another attempt may mend (specs 0.7): only before the commit, and only some kinds.
    mutating func trouble(
        _ error: GatewayError, retryAfter: TimeAmount?, at now: NIODeadline, into actions: inout [Action]
    ) {
        // What killed an engine would kill it again.
        if error.code == .engineFailed { return giveUp(error, at: now, into: &actions) }
        if simplify(after: error, into: &actions) { return }
        guard !committed, isInFirstRound, Exchange.isRetryable(error.code) else {
            return fail(error, at: now, into: &actions)
        }
        tryAgain(error, retryAfter: retryAfter, at: now, into: &actions)
    }

    /// Asks again with simpler schemas where these were refused (specs 5.3); each form
    /// once, and none counts as a retry.
    private mutating func simplify(after error: GatewayError, into actions: inout [Action]) -> Bool {
        guard error.code == .schemaRefused, !committed, isInFirstRound, let candidate,
            let next = plan?.rung(after: rung, at: candidate, refusal: error)
        else { return false }
        rung = next
        attemptsHere -= 1
        prepareNextAttempt(into: &actions)
        acquire(into: &actions)
        return true
    }

    /// Asks once more for an answer that came in another form, telling what is wrong with it (specs 2.9.10). No retry.
    private mutating func askAgain(
        after error: GatewayError, at now: NIODeadline, into actions: inout [Action]
    ) {
        guard !asksAgain else { return giveUp(error, at: now, into: &actions) }
        asksAgain = true
        attemptsHere -= 1
        prepareNextAttempt(into: &actions)
        acquire(into: &actions)
    }

    /// Backs off before the next attempt. A `retry-after` that is not waited for is not cut short either.
    private mutating func tryAgain(
        _ error: GatewayError, retryAfter: TimeAmount?, at now: NIODeadline, into actions: inout [Action]
    ) {
        guard mayTryAgain(after: retryAfter, at: now) else { return giveUp(error, at: now, into: &actions) }
        prepareNextAttempt(into: &actions)
        let doubled = Limits.firstBackOff.nanoseconds << Int64(min(attemptsHere - 1, 20))
        phase = .backingOff(until: now + (retryAfter ?? min(.nanoseconds(doubled), Limits.backOff)))
    }

    /// What an upstream asks to wait is waited for while the status line is held, all attempts together.
    /// Beyond that a stream would have to begin before anybody knows whether there will be one, and the client
    /// knows better what to do meanwhile.
    private func mayTryAgain(after retryAfter: TimeAmount?, at now: NIODeadline) -> Bool {
        guard let upstream = candidate?.upstream, attemptsHere <= upstream.retries else { return false }
        return retryAfter.map { now - startedAt + $0 <= Limits.commitDelay - Limits.answerRoom } ?? true
    }

    static func isRetryable(_ code: ErrorCode) -> Bool {
        [.upstreamUnreachable, .upstreamClosedEarly, .upstreamOverloaded, .rateLimited].contains(code)
    }

    static func isRetryable(status: Int) -> Bool { [408, 429, 502, 503, 529].contains(status) }

    private var replyTooLong: GatewayError {
        GatewayError(
            code: .upstreamBadReply, message: "\(shownUpstream)'s reply is longer than \(Limits.wholeReply >> 20) MiB")
    }

    var closedEarly: GatewayError {
        GatewayError(
            code: .upstreamClosedEarly, message: "\(shownUpstream) closed the connection before its reply was complete")
    }

    var shownUpstream: String { candidate?.upstream.shown ?? "the upstream" }
}
