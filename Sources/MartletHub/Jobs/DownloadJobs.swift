internal import Synchronization

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// Performs what ``JobList`` decides. Its questions are answered at once, so that a loop may ask them.
package final class DownloadJobs: Sendable {
    /// Gets something, telling of its progress, and returns what it is listed by then.
    /// - Throws: ``HubError``, or `CancellationError` when the server stops.
    package typealias Work =
        @Sendable (_ report: @escaping @Sendable (DownloadProgress) -> Void) async throws -> String?

    private struct State: Sendable {
        var list = JobList()
        var work: [String: Work] = [:]
        /// Of jobs that run: ended, it ends the job.
        var stops: [String: AsyncStream<Never>.Continuation] = [:]
        /// Of jobs that were told to end: who waits until they have.
        var ends: [String: [CheckedContinuation<Void, Never>]] = [:]
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
                while let (id, work, stop) = takeNext() { group.addTask { await self.perform(id, work, until: stop) } }
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

    /// Ends a job that waits or runs, and returns it when it has ended: paused, with what came kept. One that is over
    /// stays as it is; nil: there is none of that name.
    package func cancel(_ id: String) async -> DownloadJob? {
        await withCheckedContinuation { continuation in
            let stop = state.withLock { state -> AsyncStream<Never>.Continuation? in
                state.work[id] = nil
                guard let stop = state.stops[id] else {
                    if state.list.job(id)?.status == .downloading { state.list.pause(id) }
                    return nil
                }
                state.ends[id, default: []].append(continuation)
                return stop
            }
            if let stop { stop.finish() } else { continuation.resume() }
        }
        change.yield()
        return job(id)
    }

    package func job(_ id: String) -> DownloadJob? { state.withLock { $0.list.job(id) } }

    /// All that run or wait and the last that are over, in the order they were asked for.
    package var all: [DownloadJob] { state.withLock { $0.list.jobs } }

    private func takeNext() -> (String, Work, AsyncStream<Never>)? {
        state.withLock { state in
            guard let id = state.list.next(), let work = state.work.removeValue(forKey: id) else { return nil }
            let (stop, continuation) = AsyncStream<Never>.makeStream()
            state.stops[id] = continuation
            return (id, work, stop)
        }
    }

    private func perform(_ id: String, _ work: @escaping Work, until stop: AsyncStream<Never>) async {
        do {
            let key = try await withThrowingTaskGroup(of: String?.self) { group in
                group.addTask { try await work { progress in self.state.withLock { $0.list.note(id, progress) } } }
                group.addTask {
                    for await _ in stop {}
                    throw CancellationError()
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            end(id) { $0.complete(id, key: key, now: now()) }
        } catch let error as HubError {
            end(id) { $0.fail(id, error) }
        } catch {
            end(id) { $0.pause(id) }
        }
        change.yield()
    }

    private func end(_ id: String, _ edit: (inout JobList) -> Void) {
        let waiting = state.withLock { state in
            edit(&state.list)
            state.stops[id] = nil
            return state.ends.removeValue(forKey: id) ?? []
        }
        waiting.forEach { $0.resume() }
    }

    private func newId() -> String {
        let digits = String(random() & 0xff_ffff_ffff, radix: 16)
        return "job_" + String(repeating: "0", count: 10 - digits.count) + digits
    }
}
