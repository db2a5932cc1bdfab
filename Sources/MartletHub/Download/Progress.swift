internal import Synchronization

/// How far a download is.
package struct DownloadProgress: Sendable, Hashable {
    /// Bytes that are here, of all files together.
    package var bytes: Int64
    /// Of all files together.
    package var total: Int64
    /// Over the last seconds; nil before anything came.
    package var bytesPerSecond: Int64?

    package init(bytes: Int64, total: Int64, bytesPerSecond: Int64? = nil) {
        self.bytes = bytes
        self.total = total
        self.bytesPerSecond = bytesPerSecond
    }

    /// Until the end at that speed; nil when nothing comes.
    package var remaining: Duration? {
        guard let bytesPerSecond, bytesPerSecond > 0 else { return nil }
        return .seconds(max(total - bytes, 0) / bytesPerSecond)
    }
}

/// Bytes per second over the last few seconds.
package struct RateMeter: Sendable {
    /// What is older does not count.
    static let window = Duration.seconds(10)
    /// More samples than this are not kept; the oldest go.
    static let mostSamples = 64

    private var samples: [(time: Duration, bytes: Int64)] = []

    package init() {}

    /// - Parameters:
    ///   - time: since any moment, never less than before.
    ///   - bytes: in all.
    package mutating func note(_ bytes: Int64, at time: Duration) {
        samples.append((time, bytes))
        while samples.count > Self.mostSamples || (samples.count > 2 && time - samples[1].time >= Self.window) {
            samples.removeFirst()
        }
    }

    /// nil until there is something to compare.
    package var bytesPerSecond: Int64? {
        guard let first = samples.first, let last = samples.last, last.time > first.time else { return nil }
        let seconds = (last.time - first.time) / .seconds(1)
        return Int64(clamping: Int((Double(max(last.bytes - first.bytes, 0)) / seconds).rounded()))
    }
}

/// Tells of progress, not too often.
final class ProgressReport: Sendable {
    private struct State: Sendable {
        var meter = RateMeter()
        var told: Duration?
    }

    private let total: Int64
    private let every: Duration
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let report: @Sendable (DownloadProgress) -> Void
    private let state = Mutex(State())

    init(total: Int64, every: Duration, _ report: @escaping @Sendable (DownloadProgress) -> Void) {
        self.total = total
        self.every = every
        self.report = report
        start = clock.now
    }

    /// - Parameter isDue: whether it is told whatever was told a moment ago.
    func note(_ bytes: Int64, isDue: Bool = false) {
        let time = clock.now - start
        let progress = state.withLock { state -> DownloadProgress? in
            guard isDue || state.told.map({ time - $0 >= every }) ?? true else { return nil }
            state.told = time
            state.meter.note(bytes, at: time)
            return DownloadProgress(bytes: bytes, total: total, bytesPerSecond: state.meter.bytesPerSecond)
        }
        if let progress { report(progress) }
    }
}
