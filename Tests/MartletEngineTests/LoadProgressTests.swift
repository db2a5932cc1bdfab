#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import MartletEngine
import Testing

@Suite("Whoever waits for a model is told how far it is")
struct LoadProgressTests {
    @Test("Whoever waits is told that the model is loading")
    func progress() async throws {
        let supervised = try Supervised()
        let said = Box<[LoadProgress]>([])
        _ = try await supervised.supervisor.acquire("alpha") { step in said.change { $0.append(step) } }
        #expect(said.value.first?.sentence == "loading alpha (590.1 kB) on CPU")
        #expect(said.value.first?.fraction == nil, "nobody knows whether this engine tells it")
        #expect(said.value.last?.phase == .ready)
        #expect(said.value.last?.fraction == 1)
        let told = said.value.count
        _ = try await supervised.supervisor.acquire("alpha") { step in said.change { $0.append(step) } }
        #expect(said.value.count == told, "who has nothing to wait for is told nothing")
        await supervised.stop()
    }

    @Test("An engine of ours says how far it is with loading, also to somebody who comes later")
    func fraction() async throws {
        let supervised = try Supervised(
            fake: "reports-load", binary: { () async throws(EngineError) in Fixture.fakeEngine(origin: .wheel) })
        let said = Box<[LoadProgress]>([])
        let first = Task {
            try await supervised.supervisor.acquire("alpha") { step in said.change { $0.append(step) } }
        }
        try await eventually("half of the first part") { said.value.contains { $0.fraction == 0.25 } }
        let later = Box<[LoadProgress]>([])
        _ = try await supervised.supervisor.acquire("alpha") { step in later.change { $0.append(step) } }
        _ = try await first.value
        #expect(later.value.first.map { $0.phase == .loading && ($0.fraction ?? 0) >= 0.25 } == true)
        let fractions = said.value.compactMap(\.fraction)
        #expect(fractions == fractions.sorted())
        #expect(fractions.first == 0)
        #expect(fractions.contains(0.75), "of two parts, half of the second")
        #expect(fractions.last == 1)
        let elapsed = said.value.map(\.elapsed)
        #expect(elapsed == elapsed.sorted())
        #expect(try #require(elapsed.last) >= .milliseconds(600))
        await supervised.stop()
    }

    @Test("An engine that says nothing is as far as it has the memory it will take, as far as that is known")
    func measuredFraction() async throws {
        let held = Box<Int64>(0)
        let supervised = try Supervised(fake: "slow-load", measure: { _ in held.value })
        let said = Box<[LoadProgress]>([])
        let request = Task {
            try await supervised.supervisor.acquire("alpha") { step in said.change { $0.append(step) } }
        }
        try await eventually("it loads") { said.value.contains { $0.fraction == 0 } }
        let resident = try #require(await supervised.supervisor.residents().first)
        held.change { $0 = resident.bytes / 2 }
        try await eventually("half of it") { said.value.contains { abs(($0.fraction ?? 0) - 0.5) < 0.01 } }
        held.change { $0 = resident.bytes * 2 }
        try await eventually("nearly all of it") { said.value.contains { $0.fraction == 0.99 } }
        held.change { $0 = 0 }
        let told = said.value.count
        try await eventually("told again") { said.value.count > told + 1 }
        try Data().write(to: URL(filePath: resident.socketPath + ".go"))
        _ = try await request.value
        let fractions = said.value.compactMap(\.fraction)
        #expect(fractions == fractions.sorted() && fractions.last == 1)
        await supervised.stop()
    }

    @Test("Whoever waits for room in memory is told so, and then that the model is loading")
    func queued() async throws {
        let supervised = try Supervised(change: { $0.limits.residents = 1 })
        let lease = try await supervised.acquire("alpha").get()
        let said = Box<[LoadProgress]>([])
        let waiting = Task {
            try await supervised.supervisor.acquire("beta") { step in said.change { $0.append(step) } }
        }
        try await eventually("queued") { said.value.first?.phase == .queued }
        #expect(said.value.first?.sentence == "beta waits for memory, which is held by alpha (1.2 GB, 1 request)")
        await supervised.supervisor.release(socketPath: lease.socketPath)
        _ = try await waiting.value
        #expect(said.value.map(\.phase).contains(.loading))
        #expect(said.value.last?.phase == .ready)
        await supervised.stop()
    }
}
