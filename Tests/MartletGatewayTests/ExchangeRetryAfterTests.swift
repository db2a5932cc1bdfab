import MartletDialects
import MartletGateway
import MartletTestSupport
import NIOCore
import Testing

@Suite("How long an upstream's retry-after is waited for")
struct ExchangeRetryAfterTests {
    /// The attempt under way is answered with a 429 at once.
    private static func limit(_ driver: inout ExchangeDriver, retryAfter: TimeAmount?) -> [String] {
        driver.receive(.slotGranted(Make.place.origin), .connected)
        driver.receive(.head(Fault.head(429, retryAfter: retryAfter)), .end(cleanly: true, reusable: true))
        return driver.receive(.passed(.failed(Fault.limited)))
    }

    @Test("One that would outlast the hold is the client's at once, streamed or not", arguments: [true, false])
    func tooLong(streams: Bool) {
        var driver = ExchangeDriver(streams: streams)
        driver.go(to: .acquiring)
        #expect(
            Self.limit(&driver, retryAfter: .seconds(7)) == ["refuse rate_limited", "release", "record rate_limited"])
        #expect(driver.records[0].attempts == 1)
    }

    @Test("One that would outlast the hold goes to the next candidate at once")
    func next() {
        var driver = ExchangeDriver(candidates: 2)
        driver.go(to: .acquiring)
        #expect(Self.limit(&driver, retryAfter: .seconds(7)) == ["release", "reset", "acquire b/m"])
    }

    @Test("Those that fit one by one are waited for only as long as they fit together")
    func summed() {
        var driver = ExchangeDriver(retries: 9)
        driver.go(to: .acquiring)
        for _ in 0..<2 {
            #expect(Self.limit(&driver, retryAfter: .seconds(2)) == ["release", "reset"])
            #expect(driver.wait(.seconds(2)) == ["acquire a/m"])
        }
        #expect(
            Self.limit(&driver, retryAfter: .seconds(2)) == ["refuse rate_limited", "release", "record rate_limited"])
    }

    @Test("Whatever upstreams ask to wait, their last word is a status, and comes within the hold", arguments: 0..<200)
    func property(seed: UInt64) {
        var random = Seeded(seed)
        var driver = ExchangeDriver(
            streams: random.below(2) == 0, candidates: 1 + random.below(3), retries: random.below(20))
        driver.go(to: .acquiring)
        let start = driver.now
        var given = Self.limit(&driver, retryAfter: .milliseconds(Int64(1 + random.below(8000))))
        while driver.records.isEmpty, driver.now - start < .seconds(60) {
            if given.last?.hasPrefix("acquire") == true {
                given = Self.limit(&driver, retryAfter: .milliseconds(Int64(300 + random.below(8000))))
            } else {
                given = driver.wait(.milliseconds(100))
            }
        }
        #expect(driver.now - start <= Limits.commitDelay, "seed \(seed)")
        let trace = driver.all.joined(separator: ", ")
        #expect(!driver.all.contains("commit early"), "seed \(seed): \(trace)")
        #expect(driver.all.last == "record rate_limited", "seed \(seed): \(trace)")
    }
}
