import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Retries, fail-over and deadlines of an exchange")
struct ExchangeRetryTests {
    static let again = ["release", "reset"]

    @Test("A kept connection that had gone stale is tried once more, uncounted and without a pause")
    func stale() {
        var driver = ExchangeDriver(retries: 0)
        driver.go(to: .sent)
        #expect(
            driver.receive(.upstreamFailed(Fault.closed, stale: true))
                == ["close upstream", "release", "reset", "acquire a/m"])
        driver.receive(.slotGranted(Make.place.origin), .connected)
        #expect(
            driver.receive(.upstreamFailed(Fault.closed, stale: true))
                == ["close upstream", "refuse upstream_closed_early", "release", "record upstream_closed_early"])
        #expect(driver.records[0].attempts == 1)
    }

    @Test("Retries back off, twice as long each time, and the slot is free meanwhile")
    func backOff() {
        var driver = ExchangeDriver(retries: 3)
        driver.go(to: .connecting)
        for pause in [100, 200, 400] {
            #expect(
                driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
                    == ["close upstream", "release", "reset"])
            let before = driver.all.count
            driver.wait(.milliseconds(Int64(pause) - 100))
            #expect(driver.all.count == before, "\(pause) ms are not over")
            #expect(driver.wait(.milliseconds(100)) == ["acquire a/m"], "after \(pause) ms")
            #expect(driver.receive(.slotGranted(Make.place.origin)) == ["connect"])
        }
        #expect(
            driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
                == ["close upstream", "refuse upstream_unreachable", "release", "record upstream_unreachable"])
        #expect(driver.records[0].attempts == 4)
    }

    @Test("An upstream's retry-after is honoured; one longer than anybody waits is passed on instead")
    func retryAfter() {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(429, retryAfter: .seconds(2))), .end(cleanly: true, reusable: true))
        #expect(driver.receive(.passed(.failed(Fault.limited))) == Self.again)
        #expect(driver.wait(.milliseconds(1900)) == [])
        #expect(driver.wait(.milliseconds(100)) == ["acquire a/m"])
        driver.receive(.slotGranted(Make.place.origin), .connected)
        driver.receive(.head(Fault.head(429, retryAfter: .hours(1))), .end(cleanly: true, reusable: true))
        #expect(
            driver.receive(.passed(.failed(Fault.limited)))
                == ["refuse rate_limited", "release", "record rate_limited"])
    }

    @Test(
        "Statuses that another attempt may mend are tried again, the rest is not",
        arguments: [
            (408, true), (429, true), (500, false), (501, false), (502, true), (503, true), (504, false), (529, true),
            (400, false), (404, false),
        ])
    func statuses(status: Int, again: Bool) {
        var driver = ExchangeDriver()
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(status)), .end(cleanly: true, reusable: true))
        let error = ChatErrors.read(status: status, body: ByteBuffer())
        let given = driver.receive(.passed(.failed(error)))
        if again {
            #expect(given == Self.again)
        } else {
            #expect(given == ["refuse \(error.code.rawValue)", "release", "record \(error.code.rawValue)"])
        }
    }

    @Test("In exact mode the last candidate's last word goes to the client as it is, rate limits and all")
    func exactAfterRetries() {
        var driver = ExchangeDriver(candidates: 2, mode: .exact, retries: 0)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(429)), .end(cleanly: true, reusable: true))
        #expect(driver.receive(.passed(.failed(Fault.limited))) == ["release", "reset", "acquire b/m"])
        driver.receive(.slotGranted(Make.place.origin), .connected)
        driver.receive(.head(Fault.head(429)), .end(cleanly: true, reusable: true))
        #expect(driver.receive(.passed(.failed(Fault.limited))) == ["commit whole", "release", "record rate_limited"])
    }

    @Test("A prompt that does not fit is not sent again, whatever status says so")
    func overflow() {
        var driver = ExchangeDriver(candidates: 2)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(503)), .end(cleanly: true, reusable: true))
        #expect(
            driver.receive(.passed(.failed(.contextOverflow())))
                == ["refuse context_overflow", "release", "record context_overflow"])
    }

    @Test("When retries are used up the next candidate is asked, with retries of its own")
    func failOver() {
        var driver = ExchangeDriver(candidates: 2, retries: 1)
        driver.go(to: .connecting)
        driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
        driver.wait(.milliseconds(100))
        driver.receive(.slotGranted(Make.place.origin))
        #expect(
            driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
                == ["close upstream", "release", "reset", "acquire b/m"])
        driver.receive(.slotGranted(Make.place.origin), .connected)
        #expect(
            driver.receive(.upstreamFailed(Fault.closed, stale: true)).last == "acquire b/m",
            "each candidate has its own stale connection")
        driver.receive(.slotGranted(Make.place.origin))
        #expect(
            driver.receive(.upstreamFailed(Fault.unreachable, stale: false)) == ["close upstream", "release", "reset"])
        #expect(driver.wait(.milliseconds(100)) == ["acquire b/m"], "the pause begins small again")
        driver.receive(.slotGranted(Make.place.origin))
        #expect(
            driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
                == ["close upstream", "refuse upstream_unreachable", "release", "record upstream_unreachable"])
        #expect(driver.records[0].candidate == "b/m")
        #expect(driver.records[0].attempts == 4, "all attempts count, at whatever candidate")
    }

    @Test("A full queue goes to the next candidate, then is an error")
    func queueFull() {
        var driver = ExchangeDriver(candidates: 2)
        driver.go(to: .acquiring)
        #expect(driver.receive(.slotRefused(Fault.busy)) == ["reset", "acquire b/m"])
        #expect(driver.receive(.slotRefused(Fault.busy)) == ["refuse queue_full", "record queue_full"])
    }

    @Test("A connection that one attempt asked for is never taken by a later one")
    func lateConnection() {
        var driver = ExchangeDriver(candidates: 2, deadlines: Deadlines(connect: .seconds(1)))
        driver.go(to: .connecting)
        let first = driver.exchange.attempts
        #expect(driver.exchange.isConnecting(attempt: first))
        #expect(driver.wait(.seconds(1)) == ["close upstream", "release", "reset", "acquire b/m"])
        driver.receive(.slotGranted(Make.place.origin))
        #expect(!driver.exchange.isConnecting(attempt: first), "b's request would go to a, with b's key")
        #expect(driver.exchange.isConnecting(attempt: driver.exchange.attempts))
    }

    @Test("E17: a stream that breaks before the commit is tried again; after it, it never is")
    func broken() {
        var driver = ExchangeDriver(candidates: 2)
        driver.go(to: .streaming)
        driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.nothing))
        driver.receive(.end(cleanly: false, reusable: false))
        #expect(driver.receive(.finished(.failed(.closedEarly))) == Self.again)
        var committed = ExchangeDriver(candidates: 2)
        committed.go(to: .committed)
        committed.receive(.upstreamFailed(Fault.closed, stale: false))
        #expect(
            committed.receive(.finished(.failed(.closedEarly)))
                == ["fail upstream_closed_early", "release", "record upstream_closed_early"])
    }

    @Test("What killed an engine is not sent to it again: the next candidate, or the engine's own words")
    func engineDied() {
        for phase in [ExchangeDriver.Phase.sent, .whole] {
            var driver = ExchangeDriver()
            driver.go(to: phase)
            #expect(
                driver.receive(.upstreamFailed(Fault.died, stale: false))
                    == ["close upstream", "refuse engine_failed", "release", "record engine_failed"])
        }
        var two = ExchangeDriver(candidates: 2)
        two.go(to: .sent)
        #expect(
            two.receive(.upstreamFailed(Fault.died, stale: false))
                == ["close upstream", "release", "reset", "acquire b/m"])
        var held = ExchangeDriver()
        held.go(to: .streaming)
        #expect(held.receive(.upstreamFailed(Fault.died, stale: false)) == ["close upstream", "finish pipe"])
        #expect(
            held.receive(.finished(.failed(.closedEarly)))
                == ["refuse engine_failed", "release", "record engine_failed"])
        var committed = ExchangeDriver(candidates: 2)
        committed.go(to: .committed)
        committed.receive(.upstreamFailed(Fault.died, stale: false))
        #expect(
            committed.receive(.finished(.failed(.closedEarly)))
                == ["fail engine_failed", "release", "record engine_failed"])
        #expect(committed.refusals.last?.message == "the engine died")
    }

    @Test("An error inside the stream closes the upstream: a status before the commit, an event after it")
    func errorInStream() {
        var driver = ExchangeDriver()
        driver.go(to: .streaming)
        #expect(
            driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.failed(Fault.failed)))
                == ["pass", "close upstream", "refuse upstream_failed", "release", "record upstream_failed"])
        var committed = ExchangeDriver()
        committed.go(to: .committed)
        #expect(
            committed.receive(.bytes(ByteBuffer(string: "x")), .passed(.failed(Fault.limited)))
                == ["pass", "close upstream", "fail rate_limited", "release", "record rate_limited"])
    }

    @Test("A whole reply that is no HTTP says so, and is not asked for again")
    func notHTTP() {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "{")))
        #expect(
            driver.receive(.upstreamFailed(Fault.bad, stale: false))
                == ["close upstream", "refuse upstream_bad_reply", "release", "record upstream_bad_reply"])
        #expect(driver.refusals.first?.message == "not HTTP")
    }

    @Test("A whole reply that is cut off is asked for again", arguments: [200, 400])
    func cut(status: Int) {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(status)), .bytes(ByteBuffer(string: "{")))
        #expect(driver.receive(.upstreamFailed(Fault.closed, stale: false)) == ["close upstream"] + Self.again)
    }

    @Test(
        "What fails in a phase where nothing is out changes nothing",
        arguments: [ExchangeDriver.Phase.deciding, .answering, .acquiring, .backingOff, .ended])
    func failedTooLate(phase: ExchangeDriver.Phase) {
        var driver = ExchangeDriver()
        driver.go(to: phase)
        #expect(driver.receive(.upstreamFailed(Fault.closed, stale: false)) == [])
        #expect(
            driver.receive(.end(cleanly: true, reusable: true), .bytes(ByteBuffer(string: "x")), .readComplete) == [])
        #expect(driver.receive(.head(Fault.head(200)), .connected, .clientWritable(false)) == [])
    }

    // MARK: Deadlines

    struct Deadline: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var phase: ExchangeDriver.Phase
        var deadlines: Deadlines
        var sentence: String
    }

    static let deadlines: [Deadline] = [
        Deadline(
            testDescription: "connect", phase: .connecting, deadlines: Deadlines(connect: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 could not be connected: connect timeout after 3 s; upstreams.a.timeouts.connect raises it"
        ),
        Deadline(
            testDescription: "first byte", phase: .sent, deadlines: Deadlines(firstByte: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 did not answer in time: first byte timeout after 3 s; upstreams.a.timeouts.first_byte raises it"
        ),
        Deadline(
            testDescription: "idle, whole", phase: .whole, deadlines: Deadlines(idle: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 did not answer in time: idle timeout after 3 s; upstreams.a.timeouts.idle raises it"
        ),
        Deadline(
            testDescription: "idle, stream", phase: .streaming, deadlines: Deadlines(idle: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 did not answer in time: idle timeout after 3 s; upstreams.a.timeouts.idle raises it"
        ),
        Deadline(
            testDescription: "total, in the queue", phase: .acquiring, deadlines: Deadlines(total: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 did not answer in time: total timeout after 3 s; upstreams.a.timeouts.total raises it"
        ),
        Deadline(
            testDescription: "total, before the first byte", phase: .sent, deadlines: Deadlines(total: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 did not answer in time: total timeout after 3 s; upstreams.a.timeouts.total raises it"
        ),
        Deadline(
            testDescription: "total, in the stream", phase: .streaming, deadlines: Deadlines(total: .seconds(3)),
            sentence:
                "vLLM at 127.0.0.1:9 did not answer in time: total timeout after 3 s; upstreams.a.timeouts.total raises it"
        ),
    ]

    @Test("A deadline that passes is a 504 that names it, and the setting that raises it", arguments: deadlines)
    func deadline(_ deadline: Deadline) {
        var driver = ExchangeDriver(deadlines: deadline.deadlines)
        driver.go(to: deadline.phase)
        #expect(driver.wait(.milliseconds(2900)) == [])
        let given = driver.wait(.milliseconds(100))
        let stops = deadline.phase == .acquiring ? ["stop waiting"] : ["close upstream"]
        let releases = deadline.phase == .acquiring ? [] : ["release"]
        #expect(given == stops + ["refuse upstream_timeout"] + releases + ["record upstream_timeout"])
        #expect(driver.refusals.map(\.message) == [deadline.sentence])
    }

    @Test("A deadline that passes after the commit is an event of the stream")
    func deadlineInStream() {
        var driver = ExchangeDriver(deadlines: Deadlines(idle: .seconds(3)))
        driver.go(to: .committed)
        driver.wait(.milliseconds(2900))
        #expect(
            driver.wait(.milliseconds(100))
                == ["close upstream", "fail upstream_timeout", "release", "record upstream_timeout"])
    }

    @Test("Bytes that come begin the idle time anew, the total time not")
    func idleAndTotal() {
        var driver = ExchangeDriver(deadlines: Deadlines(idle: .seconds(2), total: .seconds(7)))
        driver.go(to: .committed)
        for _ in 0..<4 {
            driver.wait(.milliseconds(1700))
            driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.usable), .readComplete)
        }
        #expect(!driver.exchange.hasEnded)
        driver.wait(.milliseconds(200))
        #expect(driver.refusals.first?.message.contains("total timeout after 7 s") == true)
    }

    @Test("No deadline: no end to the wait")
    func noDeadline() {
        var driver = ExchangeDriver(
            streams: false, deadlines: Deadlines(connect: nil, firstByte: nil, idle: nil, total: nil))
        driver.go(to: .sent)
        #expect(driver.wait(.hours(1)) == [])
    }

    // MARK: Keep-alive

    @Test(
        "A17, A21: within five seconds the head leaves with a first keep-alive, and one follows within each five more",
        arguments: [ExchangeDriver.Phase.acquiring, .connecting, .sent, .streaming])
    func keepAlive(phase: ExchangeDriver.Phase) {
        var driver = ExchangeDriver(deadlines: Deadlines(connect: nil))
        driver.go(to: phase)
        #expect(driver.wait(.milliseconds(4400)) == [])
        let first = driver.wait(.milliseconds(100))
        #expect(first == [phase == .streaming ? "commit" : "commit early", "keep alive", "flush"])
        #expect(driver.wait(.milliseconds(4400)) == [])
        #expect(driver.wait(.milliseconds(100)) == ["keep alive", "flush"])
        #expect(driver.wait(.milliseconds(4400)) == [])
        #expect(driver.wait(.milliseconds(100)) == ["keep alive", "flush"])
    }

    @Test("Bytes that leave put the next keep-alive off, and nothing else does")
    func keepAliveOff() {
        var driver = ExchangeDriver()
        driver.go(to: .committed)
        driver.wait(.seconds(4))
        driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.usable), .readComplete)
        driver.wrote()
        driver.wait(.seconds(4))
        driver.receive(.bytes(ByteBuffer(string: ": comment\n\n")), .passed(.usable), .readComplete)
        #expect(driver.wait(.milliseconds(400)) == [])
        #expect(driver.wait(.milliseconds(100)) == ["keep alive", "flush"])
    }

    @Test("An unstreamed reply has no keep-alive")
    func noKeepAlive() {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        #expect(driver.wait(.minutes(20)) == [])
    }

    @Test("After a keep-alive has committed, failures are events, and nothing is tried again")
    func failureAfterKeepAlive() {
        for phase in [ExchangeDriver.Phase.connecting, .sent] {
            var driver = ExchangeDriver(candidates: 2, deadlines: Deadlines(connect: nil))
            driver.go(to: phase)
            driver.wait(.seconds(5))
            #expect(
                driver.receive(.upstreamFailed(Fault.unreachable, stale: false))
                    == ["close upstream", "fail upstream_unreachable", "release", "record upstream_unreachable"])
        }
        var refused = ExchangeDriver(candidates: 2)
        refused.go(to: .acquiring)
        refused.wait(.seconds(5))
        #expect(refused.receive(.slotRefused(Fault.busy)) == ["fail queue_full", "record queue_full"])
        var status = ExchangeDriver(mode: .exact)
        status.go(to: .sent)
        status.wait(.seconds(5))
        status.receive(.head(Fault.head(429)), .end(cleanly: true, reusable: true))
        #expect(
            status.receive(.passed(.failed(Fault.limited))) == ["fail rate_limited", "release", "record rate_limited"])
    }

    @Test("A stale connection is renewed even after a keep-alive has committed: nothing of the reply is lost")
    func staleAfterKeepAlive() {
        var driver = ExchangeDriver()
        driver.go(to: .sent)
        driver.wait(.seconds(5))
        #expect(driver.receive(.upstreamFailed(Fault.closed, stale: true)).last == "acquire a/m")
    }
}
