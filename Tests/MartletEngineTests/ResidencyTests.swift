import MartletEngine
import Testing

@Suite("Residency decides event by event")
struct ResidencyTests {
    @Test("The first request launches, the second joins, both are granted when the engine is ready")
    func joins() {
        var line = Line()
        #expect(line(ask("a", 60, 1)) == ["launch a"])
        #expect(line(ask("a", 60, 2)) == [])
        #expect(line(.ready("a", bytes: nil)) == ["1 gets a", "2 gets a"])
        #expect(line(ask("a", 60, 3)) == ["3 gets a"])
        #expect(line.residency.instances.map(\.users) == [3])
    }

    @Test("What does not fit unloads what is idle, the least recently used first, and only as much as it needs")
    func evictsIdle() {
        var line = Line()
        for (index, model) in ["a", "b", "c"].enumerated() {
            line.now += .seconds(1)
            line.keep(model, 30, UInt64(index))
        }
        line.now += .seconds(1)
        _ = line(ask("a", 30, 4))
        _ = line(.released("a"))
        #expect(line(ask("d", 60, 5)) == ["stop b", "stop c"])
        #expect(line(.exited("b", nil)) == [], "the memory of c is not free before c is gone")
        #expect(line(.exited("c", nil)) == ["launch d"])
    }

    @Test("A model in use is never stopped for another: it gets no new requests, and goes with its last one")
    func drains() {
        var line = Line()
        line.use("a", 60, 1)
        _ = line(ask("a", 60, 2))
        line.now += .seconds(20)
        #expect(line(ask("b", 60, 3)) == [])
        #expect(line.residency.instances[0].phase == .draining(evicted: true))
        #expect(line(ask("a", 60, 4)) == [], "it waits behind b")
        #expect(line(.released("a")) == [])
        #expect(line(.released("a")) == ["stop a"])
        #expect(line(.exited("a", nil)) == ["launch b"])
        #expect(line(.ready("b", bytes: nil)) == ["3 gets b"])
        line.now += .seconds(9)
        #expect(line(.tick) == [])
        #expect(line(ask("b", 60, 5)) == ["5 gets b"], "whoever has just been loaded works for a while")
        line.now += .seconds(1)
        #expect(line(.tick) == [])
        #expect(line(ask("b", 60, 6)) == [])
        #expect(line(.released("b")) == [])
        #expect(line(.released("b")) == ["stop b"])
        #expect(line(.exited("b", nil)) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) == ["4 gets a"])
    }

    @Test("When nobody waits for its memory any more a drained model goes on")
    func drainedForNobody() {
        var line = Line()
        line.use("a", 60, 1)
        line.now += .seconds(20)
        _ = line(ask("b", 60, 2))
        _ = line(ask("a", 60, 3))
        #expect(line(.cancelled(.init(2))) == ["3 gets a"])
        #expect(line(ask("a", 60, 4)) == ["4 gets a"])
        _ = line(ask("b", 60, 5))
        #expect(line.residency.instances[0].phase == .draining(evicted: true))
        _ = line(.cancelled(.init(5)))
        #expect(line.residency.instances[0].phase == .ready)
    }

    @Test("First come, first served: a small load does not overtake a large one that waits")
    func fair() {
        var line = Line()
        line.use("a", 60, 1)
        #expect(line(ask("large", 90, 2)) == [])
        #expect(line(ask("small", 5, 3)) == [])
        line.now += .seconds(20)
        _ = line(.tick)
        #expect(line(.released("a")) == ["stop a"])
        #expect(line(.exited("a", nil)) == ["launch large", "launch small"])
    }

    @Test("What can never fit is refused at once, with the numbers and what to change")
    func neverFits() throws {
        var line = Line(budget: 12_000_000_000)
        _ = line(load("kept", 5_000_000_000, 1))
        _ = line(.ready("kept", bytes: nil))
        line.use("pinned", 3_000_000_000, 2)
        _ = line(.pin("pinned", true))
        let refusal = line.refusal(ask("a", 4_100_000_000, 3))
        let error = try #require(refusal)
        #expect(error.code == .doesNotFit)
        #expect(
            error.message == """
                a does not fit: it needs 4.1 GB, and 4.0 GB of the 12.0 GB that engines may take (engine.memory) can be \
                free. The rest is held by kept (5.0 GB, loaded explicitly), pinned (3.0 GB, pinned, 1 request). Unload \
                kept, or raise engine.memory.
                """)
        #expect(line(ask("a", 4_000_000_000, 4)) == ["launch a"])
        #expect(
            line.refusal(ask("huge", 12_100_000_000, 5))?.message
                == "huge does not fit: it needs 12.1 GB, and engines may take 12.0 GB in all (engine.memory). Raise "
                + "engine.memory.")
        _ = line(.pin("pinned", false))
        #expect(line(ask("b", 7_000_000_000, 6)) == [], "what is not pinned any more can go")
    }

    @Test("A load nobody waits for any more is stopped; one in line is never launched")
    func cancels() {
        var line = Line()
        _ = line(ask("a", 60, 1))
        _ = line(ask("a", 60, 2))
        _ = line(ask("b", 60, 3))
        #expect(line(.cancelled(.init(1))) == [])
        #expect(line(.cancelled(.init(3))) == [])
        #expect(line(.cancelled(.init(2))) == ["stop a"])
        #expect(line(.ready("a", bytes: nil)) == [])
        #expect(line(ask("a", 60, 4)) == [], "the old one has to be gone first")
        #expect(line(.exited("a", nil)) == ["launch a"])
        #expect(line(.cancelled(.init(77))) == [])
    }

    @Test("How long an instance stays is decided by whoever still waits for it when it is ready")
    func remaining() {
        var line = Line()
        _ = line(load("a", 60, 1)) + line(ask("a", 60, 2, ttl: .seconds(60))) + line(.cancelled(.init(1)))
        #expect(line(.ready("a", bytes: nil)) == ["2 gets a"])
        #expect(line.residency.instances[0].demand.ttl == .seconds(60))
        #expect(line(.released("a")) == [])
        line.now += .seconds(2)
        #expect(line(ask("b", 60, 3)) == ["stop a"], "nobody who is left asked for it to stay")
    }

    @Test("Who wants a model loaded takes what is ready, loading or in line; else one is loaded, which stays")
    func ensures() {
        var line = Line(budget: 130)
        func ensure(_ model: String, _ bytes: Int64, _ ticket: UInt64) -> Residency.Event {
            .ensured(.init(model, size: LoadSize(bytes: bytes)), .init(ticket))
        }
        #expect(line(ask("a", 60, 1)) + line(ensure("a", 60, 2)) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) + line(ensure("a", 60, 3)) == ["1 gets a", "2 gets a", "3 gets a"])
        line.use("busy", 40, 4)
        #expect(line(ask("c", 40, 5)) == [] && line(ensure("c", 40, 6)) == [])
        #expect(line.residency.waitingForRoom == 2)
        _ = line(.cancelled(.init(5))) + line(.cancelled(.init(6)))
        #expect(line(ensure("b", 30, 7)) + line(ensure("b", 30, 8)) + line(.cancelled(.init(7))) == ["launch b"])
        #expect(line(.ready("b", bytes: nil)) == ["8 gets b"])
        #expect(line.residency.instances.map(\.users) == [1, 1, 0], "an order uses nothing")
        #expect(line.residency.instances.map(\.isExplicit) == [true, false, true])
    }

    @Test("What waits for room is told with what has it, and is taken out of the line by its name")
    func waiting() {
        var line = Line(budget: 100)
        line.use("busy", 70, 1)
        #expect(line(ask("a", 60, 2)) + line(load("b", 90, 3)) == [])
        #expect(line.residency.waitingLoads.map(\.name) == ["a", "b"])
        #expect(line.residency.waitingLoads.map(\.isExplicit) == [false, true])
        #expect(
            line.residency.waitingLoads[0].sentence
                == "a waits for memory, which is held by busy (70 B, 1 request)")
        #expect(line(.unload("a", .whenIdle)) == ["2 refused: engine_cancelled"])
        #expect(line(.unload("nobody", .now)) == [])
        #expect(line.residency.waitingLoads.map(\.model) == ["b"])
    }

    @Test("What its settings pin is pinned from the beginning")
    func pinnedBySettings() {
        var line = Line(budget: 100)
        var settings = EffectiveLoad()
        settings.isPinned = Chosen(true, .modelSettings)
        #expect(
            line(.requested(.init("a", size: LoadSize(bytes: 60), settings: settings), .init(1))) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) + line(.released("a")) == ["1 gets a"])
        line.now += .seconds(100_000)
        #expect(line(.tick) == [] && line.residency.instances.map(\.isPinned) == [true])
        #expect(line(ask("b", 60, 2)) == ["2 refused: engine_does_not_fit"])
    }

    @Test("An idle model goes when its TTL is over, counted from its last request; a busy, pinned or kept one stays")
    func ttl() {
        var line = Line()
        line.keep("a", 10, ttl: .seconds(60))
        line.use("busy", 10, 1, ttl: .seconds(60))
        line.keep("pinned", 10, ttl: .seconds(60))
        _ = line(.pin("pinned", true))
        line.keep("kept", 10)
        line.now += .seconds(50)
        #expect(line(ask("a", 10, 2, ttl: .seconds(5))) == ["2 gets a"])
        #expect(line(.released("a")) == [])
        line.now += .seconds(59)
        #expect(line(.tick) == [], "the TTL of a request counts only if it loads")
        line.now += .seconds(1)
        #expect(line(.tick) == ["stop a"])
        #expect(line(.released("busy")) == [])
        line.now += .seconds(60)
        #expect(line(.tick) == ["stop busy"])
        #expect(line.residency.instances.filter { $0.phase == .ready }.map(\.id) == ["pinned", "kept"])
    }

    @Test("It says when to wake it, and does not repeat itself")
    func wakes() {
        var line = Line()
        line.use("a", 10, 1, ttl: .seconds(60))
        let first = line.residency.take(.released("a"), now: line.now)
        #expect(first == [.wake(at: line.now + .seconds(60))])
        line.now += .seconds(1)
        #expect(line(ask("a", 10, 2)) == ["2 gets a"])
        #expect(line.residency.take(.released("a"), now: line.now) == [], "a timer that fires early starts again")
        line.now += .seconds(59)
        #expect(line.residency.take(.tick, now: line.now) == [.wake(at: line.now + .seconds(1))])
    }

    @Test("It wakes up when a model may have to go for another, and when patience ends")
    func wakesForOthers() {
        var line = Line { $0.wait = .seconds(30) }
        line.use("a", 60, 1)
        let actions = line.residency.take(ask("b", 60, 2), now: line.now)
        #expect(actions == [.wake(at: line.now + .seconds(10))])
        line.now += .seconds(10)
        #expect(line.residency.take(.tick, now: line.now) == [.wake(at: line.now + .seconds(20))])
        #expect(line.residency.instances[0].phase == .draining(evicted: true))
    }

    @Test("A client that works in steps keeps its model between them, for as long as a model may stay")
    func steps() {
        var line = Line()
        line.use("a", 60, 1)
        #expect(line(ask("b", 60, 2)) == [])
        for step in 1...9 {
            #expect(line(.released("a")) == [])
            line.now += .milliseconds(900)
            #expect(line(.tick) == [])
            #expect(line(ask("a", 60, UInt64(10 + step))) == ["\(10 + step) gets a"])
        }
        line.now += .seconds(2)
        #expect(line(.released("a")) == ["stop a"])
        #expect(line(.exited("a", nil)) == ["launch b"])
        _ = line(.ready("b", bytes: nil))
        _ = line(ask("c", 60, 30))
        #expect(line(.released("b")) == [])
        line.now += .seconds(1)
        #expect(line(.tick) == ["stop b"], "it has paused for too long")
    }

    @Test("Nobody who is busy is drained where a short wait for an idle one is enough")
    func idleFirst() {
        var line = Line()
        line.use("busy", 50, 1)
        line.now += .seconds(20)
        line.keep("idle", 50)
        #expect(line(ask("c", 50, 2)) == [])
        #expect(line.residency.instances.map(\.phase) == [.ready, .ready])
        line.now += .seconds(1)
        #expect(line(.tick) == ["stop idle"])
    }

    @Test("Unloading when idle waits for what runs, unloading now does not; both tell who waits for the load")
    func unloads() {
        var line = Line()
        line.use("a", 10, 1)
        #expect(line(.unload("a", .whenIdle)) == [])
        #expect(line(ask("a", 10, 2)) == ["launch a:2"])
        #expect(line(.unload("a:2", .now)) == ["2 refused: engine_cancelled", "stop a:2"])
        #expect(line(.released("a")) == ["stop a"])
        #expect(line(ask("a", 10, 5)) == [], "its name is free in a moment")
        #expect(line(.exited("a", nil)) == ["launch a"])
        #expect(line(.cancelled(.init(5))) == ["stop a"])
        #expect(line(.exited("a", nil)) == [])
        line.use("a", 10, 3)
        #expect(line(.unload("a", .now)) == ["stop a"])
        _ = line(ask("b", 10, 4))
        #expect(line(.unload("b", .whenIdle)) == ["4 refused: engine_cancelled", "stop b"], "nothing to wait for")
    }

    @Test("A crash touches nothing else; whoever waited for its memory gets it")
    func crash() {
        var line = Line()
        line.use("a", 60, 1)
        line.use("b", 30, 2)
        _ = line(ask("c", 60, 3))
        #expect(line(.exited("a", failed)) == ["launch c"])
        #expect(line(.released("a")) == [])
        #expect(line.residency.instances.map(\.users) == [1, 0])
    }

    @Test("After the second failed load in a row nothing is tried for a while, ever longer up to the bound")
    func backsOff() throws {
        var line = Line { $0.longestBackOff = .seconds(4) }
        for (ticket, expected) in [0, 1, 2, 4, 4, 4].enumerated() {
            let ticket = UInt64(ticket)
            #expect(line(ask("a", 60, ticket)) == ["launch a"])
            #expect(line(.exited("a", failed)) == ["\(ticket) refused: engine_load_failed"])
            guard expected > 0 else { continue }
            let refusal = line.refusal(ask("a", 60, 99))
            let error = try #require(refusal)
            #expect(error.code == .backingOff && error.retryAfter == .seconds(expected))
            #expect(error.message.contains("\(ticket + 1) times in a row"))
            #expect(error.message.contains("in \(expected) s"))
            line.now += .seconds(expected)
        }
        #expect(line(ask("a", 60, 100)) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) == ["100 gets a"])
        line.use("b", 10, 101)
        #expect(line(.released("a", served: true)) + line(.exited("a", failed)) == [])
        #expect(line(ask("a", 60, 102)) == ["launch a"], "it has proved itself")
    }

    @Test("Every line has an end: requests for one load, loads that wait, engines that live, and patience")
    func bounds() throws {
        var line = Line { limits in
            (limits.waiting, limits.line, limits.residents, limits.wait) = (2, 1, 2, .seconds(30))
        }
        _ = line(ask("a", 10, 1))
        _ = line(ask("a", 10, 2))
        #expect(line(ask("a", 10, 3)) == ["3 refused: engine_at_capacity"])
        _ = line(load("b", 10, 4))
        #expect(line(ask("c", 10, 5)) == [], "two engines live, of which a may be unloaded")
        #expect(line(ask("d", 10, 6)) == ["6 refused: engine_at_capacity"])
        line.now += .seconds(30)
        let refusal = line.refusal(.tick)
        let late = try #require(refusal)
        #expect(late.message.contains("c was not loaded within 30 s") && late.message.contains("a (10 B)"))
        _ = line(.ready("a", bytes: nil))
        _ = line(.pin("a", true))
        #expect(line.refusal(ask("c", 10, 7))?.message.contains("2 models are, which is the limit") == true)
    }

    @Test("Shutdown stops everything, refuses everyone and launches nothing any more")
    func shutsDown() {
        var line = Line()
        line.use("a", 60, 1)
        _ = line(ask("b", 30, 2))
        _ = line(ask("c", 90, 3))
        #expect(
            line(.shutdown) == ["3 refused: engine_cancelled", "stop a", "2 refused: engine_cancelled", "stop b"])
        #expect(line(.exited("a", nil)) == [])
        #expect(line(ask("x", 1, 4)) == ["4 refused: engine_cancelled"])
        #expect(line(load("x", 1, 5)) == ["5 refused: engine_cancelled"])
    }
}
