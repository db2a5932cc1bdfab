import Synchronization

/// Servers that requests get unasked and that cannot be had now: each is named once, and no request waits for it again
/// as it did the first time.
package final class AbsentServers: Sendable {
    /// By label: whether somebody is asking for it again.
    private let absent = Mutex<[String: Bool]>([:])
    private let patience: Duration
    /// For one that may be there again: as long as a server needs that runs already.
    private static let secondPatience = Duration.milliseconds(250)

    package init(patience: Duration) { self.patience = patience }

    /// How long to wait for a server; nil: not at all, because somebody is asking already. Whoever is told to wait
    /// asks.
    package func patience(for label: String) -> Duration? {
        absent.withLock { absent in
            guard let isAsked = absent[label] else { return patience }
            absent[label] = true
            return isAsked ? nil : min(patience, Self.secondPatience)
        }
    }

    /// - Parameter isOver: whoever has asked has its answer.
    /// - Returns: whether it was there before.
    package func begin(_ label: String, isOver: Bool) -> Bool {
        absent.withLock { absent in
            let isNews = absent[label] == nil
            if isNews || isOver { absent[label] = !isOver }
            return isNews
        }
    }

    /// - Returns: whether it was absent.
    package func end(_ label: String) -> Bool { absent.withLock { $0.removeValue(forKey: label) != nil } }
}
