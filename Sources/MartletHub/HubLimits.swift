/// Bounds of everything that is asked of the hub.
package struct HubLimits: Sendable, Hashable {
    /// Redirects followed for one request.
    package var redirects = 5
    /// Failures in a row, without a byte gained between them, after which a download gives up.
    package var retries = 5
    /// Requests for one file in all.
    package var attempts = 500
    /// The pause after the first failure; doubled after each further one.
    package var backOff = Duration.seconds(1)
    /// The longest pause. A hub that asks for a longer one is not waited for.
    package var longestBackOff = Duration.seconds(60)
    package var connect = Duration.seconds(10)
    /// Silence of the hub, before the head of a reply or within its body.
    package var stall = Duration.seconds(30)
    /// Bytes of a reply that is JSON.
    package var reply = 16 << 20
    /// Pages of a list of files; the hub puts about 1000 on one.
    package var pages = 100
    /// Bytes that stay free on the disk beyond the files themselves.
    package var diskMargin: Int64 = 512 << 20
    /// Between two reports of progress.
    package var reportEvery = Duration.milliseconds(250)

    package init() {}
}

/// When a failed request is made again.
struct Retries: Sendable {
    let limits: HubLimits
    private var failures = 0
    private var attempts = 0

    init(_ limits: HubLimits) { self.limits = limits }

    /// How long to pause before the next attempt; nil: give up.
    /// - Parameter gained: whether bytes came since the failure before.
    mutating func pause(after error: HubError, gained: Bool) -> Duration? {
        failures = gained ? 1 : failures + 1
        attempts += 1
        guard error.isPassing, failures <= limits.retries, attempts < limits.attempts else { return nil }
        if let asked = error.retryAfter { return asked <= limits.longestBackOff ? asked : nil }
        return min(limits.backOff * (1 << min(failures - 1, 20)), limits.longestBackOff)
    }
}
