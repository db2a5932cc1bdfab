import MartletDialects
package import NIOCore

extension Exchange {
    /// Fires whatever is due. Called about ten times a second while the exchange lives: a deadline is kept to that
    /// precision, and bytes need only note the time.
    mutating func tick(at now: NIODeadline, into actions: inout [Action]) {
        if case .following = phase { return followingTick(at: now, into: &actions) }
        if toolsTick(at: now, into: &actions) { return }
        guard let deadlines = candidate?.upstream.deadlines else { return }
        if let (total, setting) = deadlines.total(streams: mayTakeLong), now - roundStartedAt >= total, isWaiting,
            !awaitsTools
        {
            return timedOut("total", total, setting, at: now, into: &actions)
        }
        switch phase {
        case .connecting:
            if let connect = deadlines.connect, now - waitingSince >= connect {
                actions.append(.closeUpstream)
                return giveUp(
                    timeout("connect", connect, "connect", verb: "could not be connected\(shownProxy)"), at: now,
                    into: &actions)
            }
        case .sent:
            if let firstByte = deadlines.firstByte, now - waitingSince >= firstByte {
                return timedOut("first byte", firstByte, "first_byte", at: now, into: &actions)
            }
        case .whole:
            if let idle = deadlines.idle, now - waitingSince >= idle {
                return timedOut("idle", idle, "idle", at: now, into: &actions)
            }
        case .streaming:
            if isPaused {
                if now - waitingSince >= Limits.clientStall {
                    actions.append(.closeUpstream)
                    actions.append(.closeClient)
                    return end(.clientGone, at: now, into: &actions)
                }
            } else if let idle = deadlines.idle, now - waitingSince >= idle {
                return timedOut("idle", idle, "idle", at: now, into: &actions)
            }
        case .draining:
            if now - waitingSince >= Limits.streamEnd {
                actions.append(.closeUpstream)
                return drained(at: now, into: &actions)
            }
        case .backingOff(let until):
            if now >= until { acquire(into: &actions) }
        default: break
        }
        keepAliveIfDue(at: now, into: &actions)
    }

    private mutating func followingTick(at now: NIODeadline, into actions: inout [Action]) {
        if isPaused {
            guard now - waitingSince >= Limits.clientStall else { return }
            actions.append(.stopWaiting)
            actions.append(.closeClient)
            return end(.clientGone, at: now, into: &actions)
        }
        guard now - lastWrite >= Limits.keepAliveInterval else { return }
        lastWrite = now
        actions.append(.keepAlive)
        actions.append(.flush)
    }

    /// Whether something else than the client is being waited for.
    private var isWaiting: Bool {
        switch phase {
        case .equipping, .acquiring, .connecting, .sent, .whole, .streaming, .runningTools, .backingOff: true
        default: false
        }
    }

    /// Whether it is tools that are waited for, not an upstream.
    private var awaitsTools: Bool {
        switch phase {
        case .equipping, .runningTools: true
        default: false
        }
    }

    /// A reply that is long in coming is no sign of a fault: a stream says so on its way, and in the background nobody
    /// waits.
    private var mayTakeLong: Bool { plan?.streams == true || plan?.background != nil }

    private var shownProxy: String {
        candidate?.upstream.proxyUse.proxy.map { " through the proxy \($0.shown) (\($0.setting))" } ?? ""
    }

    private mutating func keepAliveIfDue(at now: NIODeadline, into actions: inout [Action]) {
        guard let plan, plan.streams, isWaiting, !isPaused else { return }
        if !committed {
            guard now - startedAt >= Limits.commitDelay else { return }
            committed = true
            if case .streaming(let head) = phase {
                actions.append(.commitStream(head))
            } else {
                actions.append(.commitStream(nil))
            }
        } else if now - lastWrite < Limits.keepAliveInterval {
            return
        }
        lastWrite = now
        actions.append(.keepAlive)
        actions.append(.flush)
    }

    /// A stream in whose dialect that can be said begins at once; elsewhere the client gets keep-alives when they are due.
    mutating func told(_ progress: Progress, at now: NIODeadline, into actions: inout [Action]) {
        guard case .acquiring = phase, let plan, plan.streams, plan.dialect.tellsProgress else { return }
        if !committed {
            committed = true
            actions.append(.commitStream(nil))
        }
        actions.append(.tell(progress))
        actions.append(.flush)
    }

    /// Bytes of the reply have left. Only who writes them knows: what an upstream or a tool says, or how far a load is,
    /// may be nothing in the client's dialect.
    package mutating func wrote(at now: NIODeadline) { lastWrite = now }

    private mutating func timedOut(
        _ name: String, _ after: TimeAmount, _ setting: String, at now: NIODeadline, into actions: inout [Action]
    ) {
        switch phase {
        case .acquiring: actions.append(.stopWaiting)
        case .backingOff: break
        default: actions.append(.closeUpstream)
        }
        fail(timeout(name, after, setting, verb: "did not answer in time"), at: now, into: &actions)
    }

    private func timeout(_ name: String, _ after: TimeAmount, _ setting: String, verb: String) -> GatewayError {
        let upstream = candidate?.upstream
        let place = upstream?.deadlines.place(of: setting, upstream: upstream?.name ?? "*") ?? "timeouts.\(setting)"
        return GatewayError(
            code: .upstreamTimeout,
            message: "\(shownUpstream) \(verb): \(name) timeout after \(after.shown); \(place) raises it")
    }
}

extension Deadlines {
    /// The bound on a whole exchange and the key that sets it; nil: none.
    func total(streams: Bool) -> (bound: TimeAmount, setting: String)? {
        guard !streams, let unstreamed = unstreamedTotal, unstreamed <= total ?? unstreamed else {
            return total.map { ($0, "total") }
        }
        return (unstreamed, "unstreamed_total")
    }

    /// A key's full name in the file that set it.
    func place(of setting: String, upstream: String) -> String {
        guard isInferenceForm else { return "upstreams.\(upstream).timeouts.\(setting)" }
        return setting == "connect" ? "inference.http.connect_timeout_secs" : "inference.http.timeout_secs"
    }
}

extension TimeAmount {
    /// `10 s`, `250 ms`, `30 min`.
    package var shown: String {
        let milliseconds = nanoseconds / 1_000_000
        if milliseconds < 1000 || milliseconds % 1000 != 0 { return "\(milliseconds) ms" }
        let seconds = milliseconds / 1000
        return seconds >= 120 && seconds % 60 == 0 ? "\(seconds / 60) min" : "\(seconds) s"
    }
}
