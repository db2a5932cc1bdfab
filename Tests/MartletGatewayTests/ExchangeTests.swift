import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("One exchange, step by step")
struct ExchangeTests {
    @Test("A stream goes straight through, is flushed once per read and ends after its terminal mark")
    func stream() {
        var driver = ExchangeDriver()
        #expect(driver.receive(.requestComplete(Make.request("{}"))) == ["decide"])
        #expect(driver.receive(.decided(.complete(driver.plan))) == ["acquire a/m"])
        #expect(driver.receive(.slotGranted(Make.place.origin)) == ["connect"])
        #expect(driver.receive(.connected) == ["send a/m"])
        #expect(driver.receive(.head(Fault.head(200))) == [])
        #expect(driver.receive(.bytes(ByteBuffer(string: "1"))) == ["pass"])
        #expect(driver.receive(.passed(.nothing)) == [])
        #expect(driver.receive(.readComplete) == [], "nothing usable has come: the head is held back")
        #expect(driver.receive(.bytes(ByteBuffer(string: "2"))) == ["pass"])
        #expect(driver.receive(.passed(.usable)) == ["commit"])
        #expect(driver.receive(.readComplete) == ["flush"])
        #expect(driver.receive(.readComplete) == [], "nothing new to flush")
        #expect(driver.receive(.bytes(ByteBuffer(string: "3")), .passed(.complete)) == ["pass", "flush"])
        #expect(
            driver.receive(.end(cleanly: true, reusable: true))
                == ["keep upstream", "end reply", "release", "record complete"])
        #expect(driver.exchange.hasEnded)
        #expect(driver.records[0].attempts == 1)
        #expect(driver.records[0].committed)
        #expect(driver.records[0].candidate == "a/m")
    }

    @Test("An unstreamed reply is taken whole and committed with its body")
    func whole() {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        #expect(driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "{}"))) == ["collect"])
        #expect(driver.receive(.end(cleanly: true, reusable: true)) == ["keep upstream", "finish whole"])
        #expect(driver.receive(.passed(.complete)) == ["commit whole", "release", "record complete"])
        #expect(driver.records[0].committed)
    }

    @Test("A control route is answered, without a slot")
    func control() {
        var driver = ExchangeDriver()
        #expect(driver.receive(.requestComplete(Make.request("")), .decided(.control)) == ["decide", "answer"])
        let reply = ControlReply(status: 200, body: ByteBuffer())
        #expect(driver.receive(.answered(reply)) == ["reply", "record complete"])
        #expect(driver.records[0].candidate == nil)
    }

    @Test("A model that is loading is no news where the client's dialect has no words for it: keep-alives tell it")
    func progress() {
        var driver = ExchangeDriver()
        driver.go(to: .acquiring)
        #expect(driver.receive(.progress(Progress(.load, fraction: 0.5))) == [])
        #expect(driver.wait(.seconds(6)) == ["commit early", "keep alive", "flush"])
        #expect(driver.receive(.progress(Progress(.load, fraction: 0.9))) == [])
    }

    @Test("An unknown model has the lists read anew once, and is then refused")
    func refresh() {
        var driver = ExchangeDriver()
        #expect(driver.receive(.requestComplete(Make.request("{}")), .decided(.refresh)) == ["decide", "refresh"])
        #expect(driver.receive(.catalogRefreshed) == ["decide again"])
        #expect(
            driver.receive(.decided(.refuse(Fault.invalid))) == ["refuse invalid_request", "record invalid_request"])
    }

    @Test("What an upstream goes on to say after the terminal mark is ignored, and cannot keep the reply open")
    func afterTheMark() {
        var driver = ExchangeDriver()
        driver.go(to: .draining)
        for _ in 0..<4 {
            #expect(driver.receive(.bytes(ByteBuffer(string: ": ping\n\n")), .passed(.complete), .readComplete) == [])
            driver.wait(.milliseconds(100))
        }
        #expect(driver.all.suffix(4) == ["close upstream", "end reply", "release", "record complete"])
    }

    @Test("An upstream that says nothing more after the terminal mark is closed after a quarter of a second")
    func silentAfterTheMark() {
        var driver = ExchangeDriver()
        driver.go(to: .draining)
        #expect(driver.wait(.milliseconds(200)) == [])
        #expect(driver.wait(.milliseconds(100)) == ["close upstream", "end reply", "release", "record complete"])
    }

    @Test("A stream whose transport ends gets the dialect's verdict", arguments: [true, false])
    func endWithoutMark(cleanly: Bool) {
        var driver = ExchangeDriver()
        driver.go(to: .committed)
        #expect(driver.receive(.end(cleanly: cleanly, reusable: false)) == ["close upstream", "finish pipe"])
        var good = driver
        #expect(good.receive(.finished(.complete)) == ["flush", "end reply", "release", "record complete"])
        #expect(
            driver.receive(.finished(.failed(.closedEarly)))
                == ["fail upstream_closed_early", "release", "record upstream_closed_early"])
    }

    @Test("Bytes without anything usable are committed once they are many")
    func heldBack() {
        var driver = ExchangeDriver()
        driver.go(to: .streaming)
        let half = ByteBuffer(repeating: 0x20, count: Limits.heldBack / 2)
        #expect(driver.receive(.bytes(half), .passed(.nothing)) == ["pass"])
        #expect(driver.receive(.bytes(half), .passed(.nothing)) == ["pass"])
        #expect(driver.receive(.bytes(ByteBuffer(string: "x")), .passed(.nothing)) == ["pass", "commit"])
    }

    @Test("An unstreamed reply over the limit is given up, and its connection closed")
    func tooLong() {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(200)))
        let piece = ByteBuffer(repeating: 0x20, count: Limits.wholeReply)
        #expect(driver.receive(.bytes(piece)) == ["collect"])
        #expect(
            driver.receive(.bytes(ByteBuffer(string: "x")))
                == ["close upstream", "refuse upstream_bad_reply", "release", "record upstream_bad_reply"])
        #expect(driver.refusals[0].message.contains("64 MiB"))
    }

    @Test("An error body without end is answered once enough of it is read")
    func endlessError() {
        var driver = ExchangeDriver()
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(400)))
        #expect(driver.receive(.bytes(ByteBuffer(repeating: 0x20, count: Limits.errorBody))) == ["collect"])
        #expect(driver.receive(.bytes(ByteBuffer(string: "x"))) == ["close upstream", "finish whole"])
        #expect(
            driver.receive(.passed(.failed(Fault.invalid)))
                == ["refuse invalid_request", "release", "record invalid_request"])
    }

    @Test("In exact mode an upstream's error goes to the client as it is, but for those about our own key")
    func exactErrors() {
        for (status, error, expected) in [
            (400, Fault.invalid, "commit whole"),
            (401, GatewayError(code: .upstreamCredentials, message: "key"), "refuse upstream_credentials"),
            (403, GatewayError(code: .upstreamCredentials, message: "key"), "refuse upstream_credentials"),
            (500, Fault.failed, "commit whole"),
        ] {
            var driver = ExchangeDriver(mode: .exact)
            driver.go(to: .sent)
            driver.receive(.head(Fault.head(status)), .end(cleanly: true, reusable: true))
            #expect(driver.receive(.passed(.failed(error))).first == expected, "\(status)")
            #expect(driver.records.count == 1)
        }
        var repair = ExchangeDriver(mode: .repair)
        repair.go(to: .sent)
        repair.receive(.head(Fault.head(400)), .end(cleanly: true, reusable: true))
        #expect(repair.receive(.passed(.failed(Fault.invalid))).first == "refuse invalid_request")
    }

    // MARK: Back-pressure

    @Test("A client that cannot take more pauses the upstream, and resumes it")
    func pause() {
        var driver = ExchangeDriver(deadlines: Deadlines(idle: .seconds(2)))
        driver.go(to: .committed)
        #expect(driver.receive(.clientWritable(false)) == ["pause"])
        #expect(driver.receive(.clientWritable(false)) == [])
        #expect(
            driver.wait(.seconds(30)) == [],
            "neither an idle upstream nor a keep-alive while the client is the slow one")
        #expect(driver.receive(.clientWritable(true)) == ["resume"])
        #expect(!driver.wait(.milliseconds(1900)).contains("close upstream"), "the idle time begins anew")
        #expect(driver.wait(.milliseconds(200)).first == "close upstream")
    }

    @Test("A client that takes nothing for a minute is given up")
    func stall() {
        var driver = ExchangeDriver()
        driver.go(to: .committed)
        driver.receive(.clientWritable(false))
        #expect(driver.wait(Limits.clientStall - .milliseconds(100)) == [])
        #expect(driver.wait(.milliseconds(100)) == ["close upstream", "close client", "release", "record gone"])
    }

    // MARK: The client leaves

    @Test(
        "A client that leaves ends what was begun for it, gives the slot back once and leaves one record",
        arguments: ExchangeDriver.Phase.allCases)
    func gone(phase: ExchangeDriver.Phase) {
        var driver = ExchangeDriver(candidates: 2)
        driver.go(to: phase)
        let given = driver.receive(.clientGone)
        let expected: [String] =
            switch phase {
            case .receiving, .ended: []
            case .deciding, .answering, .acquiring: ["stop waiting", "record gone"]
            case .connecting, .sent, .whole, .streaming, .committed, .draining:
                ["close upstream", "release", "record gone"]
            case .backingOff: ["record gone"]
            }
        #expect(given == expected)
        #expect(driver.exchange.hasEnded)
        #expect(driver.receive(.clientGone, .slotGranted(Make.place.origin), .connected, .tick) == [])
        #expect(driver.receive(.end(cleanly: true, reusable: true), .passed(.complete), .finished(.complete)) == [])
        #expect(driver.records.count == (phase == .receiving ? 0 : 1))
        #expect(driver.all.filter { $0 == "release" }.count == driver.all.filter { $0 == "connect" }.count)
    }

    @Test("A slow queue or upstream does not change what the record says of time")
    func record() {
        var driver = ExchangeDriver()
        driver.go(to: .sent)
        driver.wait(.milliseconds(300))
        driver.receive(.head(Fault.head(200)), .bytes(ByteBuffer(string: "x")), .passed(.complete))
        driver.receive(.end(cleanly: true, reusable: true))
        #expect(driver.records[0].firstByte == .milliseconds(300))
        #expect(driver.records[0].duration == .milliseconds(300))
    }
}
