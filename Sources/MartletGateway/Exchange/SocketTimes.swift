package import NIOCore

/// What time does to a WebSocket: when it is pinged, and when it ends. Facts go in as they
/// happen; asked a few times a second.
package struct SocketTimes: Sendable {
    package enum Due: Sendable, Hashable {
        /// A sign of life, which most clients answer.
        case ping
        /// It has been open for as long as it may.
        case retire
        /// Nothing has come for long.
        case leave
        /// A message does not come to its end.
        case refuse
        /// The client takes nothing, or does not close its side.
        case giveUp
    }

    private let openedAt: NIODeadline
    private var heardAt: NIODeadline
    private var pingedAt: NIODeadline
    /// When the message that is coming in began.
    private var begunAt: NIODeadline?
    /// Since when the client takes nothing.
    private var stuckSince: NIODeadline?
    private var closingSince: NIODeadline?

    package init(openedAt now: NIODeadline) {
        openedAt = now
        heardAt = now
        pingedAt = now
    }

    /// Something has come.
    /// - Parameter isInMessage: a message has begun by now and not ended.
    package mutating func heard(isInMessage: Bool, at now: NIODeadline) {
        heardAt = now
        begunAt = isInMessage ? begunAt ?? now : nil
    }

    package mutating func pinged(at now: NIODeadline) { pingedAt = now }

    package mutating func writable(_ isWritable: Bool, at now: NIODeadline) {
        stuckSince = isWritable ? nil : stuckSince ?? now
    }

    /// Our close frame is on its way.
    package mutating func closing(at now: NIODeadline) { closingSince = closingSince ?? now }

    package func isOld(at now: NIODeadline) -> Bool { now - openedAt >= Limits.socketLifetime }

    /// What is to be done now; a reply under way has deadlines of its own, and is waited for.
    package func due(isAnswering: Bool, at now: NIODeadline) -> Due? {
        if let closingSince { return now - closingSince >= Limits.socketClose ? .giveUp : nil }
        if let begunAt, now - heardAt >= Limits.clientStall || now - begunAt >= Limits.socketMessage { return .refuse }
        if !isAnswering {
            if let stuckSince, now - stuckSince >= Limits.clientStall { return .giveUp }
            if isOld(at: now) { return .retire }
            if now - heardAt >= Limits.socketIdle { return .leave }
        }
        return stuckSince == nil && now - max(heardAt, pingedAt) >= Limits.socketPing ? .ping : nil
    }
}
