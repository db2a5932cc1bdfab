import Foundation
import MartletHub
import MartletWire
import Synchronization
import Testing

@Suite("Downloads that clients of the server ask for")
struct DownloadJobTests {
    private let start = Date(timeIntervalSince1970: 1_777_629_600)

    @Test("the list: three run, the rest wait their turn, and a second request joins the first")
    func turns() throws {
        var list = JobList()
        for number in 0..<5 { _ = try list.add("m\(number)", total: 10, id: "job_\(number)", now: start) }
        #expect(try list.add("m1", total: 10, id: "job_x", now: start).id == "job_1")
        #expect([list.next(), list.next(), list.next(), list.next()] == ["job_0", "job_1", "job_2", nil])
        list.complete("job_1", key: nil, now: start)
        #expect([list.next(), list.next()] == ["job_3", nil])
        #expect(try list.add("m1", total: 10, id: "job_y", now: start).id == "job_y")
        list.pauseWaiting()
        #expect(list.jobs.map(\.status) == [.downloading, .completed, .downloading, .downloading, .paused, .paused])
    }

    @Test("bounds: so many at a time, so many remembered, and those under way never forgotten")
    func bounds() throws {
        var list = JobList()
        _ = try list.add("first", total: 1, id: "first", now: start)
        _ = list.next()
        for number in 0..<150 {
            _ = try list.add("m", total: 1, id: "\(number)", now: start)
            _ = list.next()
            list.fail("\(number)", HubError(.diskFull, "full"))
        }
        #expect(list.jobs.count == JobList.mostFinished + 1)
        #expect(list.job("first")?.status == .downloading)
        #expect(list.job("49") == nil && list.job("50")?.status == .failed)
        for number in 1..<JobList.mostUnfinished {
            _ = try list.add("n\(number)", total: 1, id: "n\(number)", now: start)
        }
        #expect(throws: HubError.self) { try list.add("more", total: 1, id: "more", now: start) }
    }

    @Test("replies in LM Studio's words")
    func replies() throws {
        var list = JobList()
        _ = try list.add("acme/writer@Q4_K_M", total: 5_030_000_000, id: "job_1a2b3c4d5e", now: start)
        let began = try #require(list.job("job_1a2b3c4d5e"))
        #expect(
            began.startReply.text
                == #"{"job_id":"job_1a2b3c4d5e","status":"downloading","total_size_bytes":5030000000,"#
                + #""started_at":"2026-05-01T10:00:00.000Z"}"#
        )
        list.note(
            "job_1a2b3c4d5e", DownloadProgress(bytes: 1_048_576, total: 5_030_000_000, bytesPerSecond: 41_000_000))
        let job = try #require(list.job("job_1a2b3c4d5e"))
        let status = job.statusReply(at: start.addingTimeInterval(1))
        #expect(status["downloaded_bytes"] == 1_048_576)
        #expect(status["bytes_per_second"] == 41_000_000)
        #expect(status["estimated_completion"] == "2026-05-01T10:02:03.000Z")
        #expect(status["completed_at"] == nil && status["key"] == nil)
        list.complete("job_1a2b3c4d5e", key: "writer", now: start.addingTimeInterval(124.5))
        let done = try #require(list.job("job_1a2b3c4d5e")).statusReply(at: start)
        #expect(done["status"] == "completed")
        #expect(done["key"] == "writer")
        #expect(done["completed_at"] == "2026-05-01T10:02:04.500Z")
        #expect(done["downloaded_bytes"] == 5_030_000_000)
        #expect(done["bytes_per_second"] == nil && done["estimated_completion"] == nil && done["error"] == nil)
        #expect(DownloadJob.presentReply(key: nil).text == #"{"status":"already_downloaded"}"#)
    }

    @Test("jobs are performed, their progress is told, and a failure keeps its sentence")
    func service() async throws {
        let random = Mutex<UInt64>(0)
        let jobs = DownloadJobs(
            now: { [start] in start },
            random: {
                random.withLock {
                    $0 += 1; return $0
                }
            })
        let service = Task { await jobs.run() }
        let good = try jobs.start("good", total: 10) { report in
            report(DownloadProgress(bytes: 4, total: 10))
            return "good"
        }
        let bad = try jobs.start("bad", total: 10) { report in
            report(DownloadProgress(bytes: 4, total: 10))
            throw HubError(.wrongDigest, "the digest is wrong")
        }
        #expect(good.id == "job_0000000001")
        try await state { jobs.all.allSatisfy { $0.status != .downloading } }
        #expect(jobs.job(good.id)?.status == .completed && jobs.job(good.id)?.key == "good")
        #expect(jobs.job(good.id)?.progress.bytes == 10)
        let failed = try #require(jobs.job(bad.id)).statusReply(at: start)
        #expect(failed["status"] == "failed")
        #expect(failed["downloaded_bytes"] == 4)
        #expect(failed["error"]?["message"] == "the digest is wrong")
        service.cancel()
        await service.value
    }

    @Test("a job that is cancelled has ended by then, waiting or running, and nothing else has")
    func cancel() async throws {
        let jobs = DownloadJobs()
        let service = Task { await jobs.run() }
        let ended = Mutex(0)
        var made: [DownloadJob] = []
        for number in 0..<4 {
            made.append(
                try jobs.start("m\(number)", total: 2) { report in
                    report(DownloadProgress(bytes: 1, total: 2))
                    defer { ended.withLock { $0 += 1 } }
                    try await Task.sleep(for: .seconds(600))
                    return nil
                })
        }
        try await state { jobs.all.filter { $0.progress.bytes == 1 }.count == 3 }
        #expect(await jobs.cancel(made[3].id)?.status == .paused)
        #expect(ended.withLock(\.self) == 0)
        let gone = await jobs.cancel(made[0].id)
        #expect(gone?.status == .paused && gone?.progress.bytes == 1 && ended.withLock(\.self) == 1)
        #expect(await jobs.cancel(made[0].id)?.status == .paused, "once more does nothing")
        #expect(await jobs.cancel("job_0") == nil)
        #expect(jobs.all.map(\.status) == [.paused, .downloading, .downloading, .paused])
        let again = try jobs.start("m0", total: 2) { _ in nil }
        try await state { jobs.job(again.id)?.status == .completed }
        #expect(await jobs.cancel(again.id)?.status == .completed)
        service.cancel()
        await service.value
    }

    @Test("when the server stops, downloads under way are cancelled and said to be paused")
    func stop() async throws {
        let jobs = DownloadJobs()
        let service = Task { await jobs.run() }
        for number in 0..<5 {
            _ = try jobs.start("m\(number)", total: 1) { report in
                report(DownloadProgress(bytes: 1, total: 2))
                try await Task.sleep(for: .seconds(600))
                return nil
            }
        }
        try await state { jobs.all.filter { $0.progress.bytes == 1 }.count == 3 }
        service.cancel()
        await service.value
        #expect(jobs.all.map(\.status) == Array(repeating: .paused, count: 5))
        #expect(try jobs.start("late", total: 1) { _ in nil }.status == .paused)
    }

    @Test("the speed is that of the last seconds")
    func speed() {
        var meter = RateMeter()
        #expect(meter.bytesPerSecond == nil)
        meter.note(0, at: .zero)
        #expect(meter.bytesPerSecond == nil)
        for second in 1...20 { meter.note(Int64(second) * 1000, at: .seconds(second)) }
        #expect(meter.bytesPerSecond == 1000)
        for second in 21...40 { meter.note(20_000 + Int64(second - 20) * 50, at: .seconds(second)) }
        #expect(meter.bytesPerSecond == 50)
        #expect(DownloadProgress(bytes: 100, total: 1100, bytesPerSecond: 50).remaining == .seconds(20))
        #expect(DownloadProgress(bytes: 0, total: 10, bytesPerSecond: 0).remaining == nil)
    }

    /// Waits until it is so, 10 s at most.
    private func state(_ isSo: () -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(10)
        while !isSo() {
            try #require(ContinuousClock.now < end)
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
