#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// The downloads of a server: which run, which wait, which were. Decides, and does nothing itself.
package struct JobList: Sendable {
    /// Downloads that run at a time.
    package static let mostRunning = 3
    /// Downloads that run or wait.
    package static let mostUnfinished = 64
    /// Downloads that are over and still told of; the oldest go.
    package static let mostFinished = 100

    /// In the order they were asked for.
    package private(set) var jobs: [DownloadJob] = []
    private var waiting: [String] = []
    private var running: Set<String> = []

    package init() {}

    /// A job for the model; the one that is under way, if there is.
    /// - Parameter id: for a new job; must be unused.
    /// - Throws: `tooManyDownloads`.
    package mutating func add(_ model: String, total: Int64, id: String, now: Date) throws(HubError) -> DownloadJob {
        if let job = jobs.first(where: { $0.model == model && $0.status == .downloading }) { return job }
        guard waiting.count + running.count < Self.mostUnfinished else {
            throw HubError(
                .tooManyDownloads,
                "\(Self.mostUnfinished) downloads are under way, which is the most there may be: wait until one is done"
            )
        }
        let job = DownloadJob(id: id, model: model, total: total, startedAt: now)
        jobs.append(job)
        waiting.append(id)
        return job
    }

    /// The job that has its turn now, which counts as running from here on; nil when none may run.
    package mutating func next() -> String? {
        guard running.count < Self.mostRunning, !waiting.isEmpty else { return nil }
        let id = waiting.removeFirst()
        running.insert(id)
        return id
    }

    package mutating func note(_ id: String, _ progress: DownloadProgress) {
        edit(id) { if $0.status == .downloading { $0.progress = progress } }
    }

    /// The job is over, and all is here.
    /// - Parameter key: what the model is listed by.
    package mutating func complete(_ id: String, key: String?, now: Date) {
        edit(id) { job in
            job.status = .completed
            job.key = key
            job.completedAt = now
            job.progress = DownloadProgress(bytes: job.progress.total, total: job.progress.total)
        }
        forget(id)
    }

    package mutating func fail(_ id: String, _ failure: HubError) {
        edit(id) { job in
            job.status = .failed
            job.failure = failure
        }
        forget(id)
    }

    /// The job was cancelled, by a client or the server's end.
    package mutating func pause(_ id: String) {
        edit(id) { $0.status = .paused }
        forget(id)
    }

    /// Whoever waits waits no longer.
    package mutating func pauseWaiting() { waiting.forEach { pause($0) } }

    package func job(_ id: String) -> DownloadJob? { jobs.first { $0.id == id } }

    private mutating func edit(_ id: String, _ change: (inout DownloadJob) -> Void) {
        guard let index = jobs.firstIndex(where: { $0.id == id }) else { return }
        change(&jobs[index])
    }

    private mutating func forget(_ id: String) {
        running.remove(id)
        waiting.removeAll { $0 == id }
        let over = jobs.filter { $0.status != .downloading }
        guard over.count > Self.mostFinished else { return }
        let old = Set(over.prefix(over.count - Self.mostFinished).map(\.id))
        jobs.removeAll { old.contains($0.id) }
    }
}
