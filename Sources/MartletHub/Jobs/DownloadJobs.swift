internal import Synchronization

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// Performs what ``JobList`` decides. Its questions are answered at once, so that a loop may ask them.
package final class DownloadJobs: Sendable {
    /// Gets something, telling of its progress.
    /// - Throws: ``HubError``, or `CancellationError` when the server stops.
    package typealias Work = @Sendable (_ report: @escaping @Sendable (DownloadProgress) -> Void) async throws -> Void

    private struct State: Sendable {
        var list = JobList()
        var work: [String: Work] = [:]
        var hasStopped = false
    }

    private let state = Mutex(State())
    private let changes: AsyncStream<Void>
    private let change: AsyncStream<Void>.Continuation
    private let now: @Sendable () -> Date
    private let random: @Sendable () -> UInt64

    /// - Parameters:
    ///   - now: the time of day.
    ///   - random: for the names of jobs.
    package init(
        now: @escaping @Sendable () -> Date = { Date() },
        random: @escaping @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }
    ) {
        self.now = now
        self.random = random
        (changes, change) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Runs the jobs until its task is cancelled, and with it all of them. Called once.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await _ in changes {
                while let (id, work) = takeNext() { group.addTask { await self.perform(id, work) } }
            }
        }
        state.withLock { state in
            state.hasStopped = true
            state.list.pauseWaiting()
            state.work = [:]
        }
    }

    /// Makes a job, or joins the one that gets the same model already.
    /// - Throws: `tooManyDownloads`.
    package func start(_ model: String, total: Int64, work: @escaping Work) throws(HubError) -> DownloadJob {
        let time = now()
        let job = state.withLock { state -> Result<DownloadJob, HubError> in
            var id = newId()
            while state.list.job(id) != nil { id = newId() }
            do throws(HubError) {
                let job = try state.list.add(model, total: total, id: id, now: time)
                if job.id == id { state.work[id] = work }
                if state.hasStopped { state.list.pause(job.id) }
                return .success(state.list.job(job.id) ?? job)
            } catch {
                return .failure(error)
            }
        }
        change.yield()
        return try job.get()
    }

    package func job(_ id: String) -> DownloadJob? { state.withLock { $0.list.job(id) } }

    /// All that run or wait and the last that are over, in the order they were asked for.
    package var all: [DownloadJob] { state.withLock { $0.list.jobs } }

    private func takeNext() -> (String, Work)? {
        state.withLock { state in
            guard let id = state.list.next(), let work = state.work.removeValue(forKey: id) else { return nil }
            return (id, work)
        }
    }

    private func perform(_ id: String, _ work: Work) async {
        do {
            try await work { progress in self.state.withLock { $0.list.note(id, progress) } }
            let time = now()
            state.withLock { $0.list.finish(id, failure: nil, now: time) }
        } catch let error as HubError {
            let time = now()
            state.withLock { $0.list.finish(id, failure: error, now: time) }
        } catch {
            state.withLock { $0.list.pause(id) }
        }
        change.yield()
    }

    private func newId() -> String {
        let digits = String(random() & 0xff_ffff_ffff, radix: 16)
        return "job_" + String(repeating: "0", count: 10 - digits.count) + digits
    }
}
