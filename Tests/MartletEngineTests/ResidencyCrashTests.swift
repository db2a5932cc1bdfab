import MartletEngine
import Testing

@Suite("What was loaded to stay comes back after a crash")
struct ResidencyCrashTests {
    @Test("An instance that was to stay comes back after a crash as it was, for whoever asks for it")
    func comesBack() {
        var line = Line()
        let asked = Residency.Demand("a", size: LoadSize(bytes: 60), ttl: .seconds(90))
        _ = line(.load(asked, .init(1), as: "mine")) + line(.ready("mine", bytes: nil)) + line(.pin("mine", true))
        line.keep("b", 30)
        #expect(line(.exited("mine", failed)) + line(.exited("b", failed)) == [])
        #expect(line.residency.crashed.map(\.id) == ["mine"], "b was there for its requests only")
        #expect(line(.requestedInstance("mine", .init(2))) == ["launch mine"])
        #expect(line(.cancelled(.init(2))) == ["stop mine"])
        #expect(line(.requestedInstance("mine", .init(4))) == [], "its name is free in a moment")
        #expect(line(.requestedInstance("mine", .init(5))) == [])
        #expect(line(.exited("mine", nil)) == ["launch mine"])
        #expect(line(ask("a", 10, 3)) == ["launch a"], "its model is another thing")
        #expect(line(.ready("mine", bytes: nil)) == ["4 gets mine", "5 gets mine"])
        let back = line.residency.instances[0]
        #expect(back.demand == asked && back.isExplicit && back.isPinned && back.isNamed && back.users == 2)
    }

    @Test("One that is called after its model comes back also for whoever asks for the model")
    func comesBackForModel() {
        var line = Line()
        let asked = Residency.Demand("a", size: LoadSize(bytes: 60), ttl: .seconds(90))
        _ = line(load("a", 10, 9)) + line(.ready("a", bytes: nil))
        _ = line(.load(asked, .init(1), as: nil)) + line(.ready("a:2", bytes: nil))
        _ = line(.unload("a", .now)) + line(.exited("a", nil))
        #expect(line(.exited("a:2", failed)) == [])
        #expect(line(ask("a", 10, 2, ttl: .seconds(1))) == ["launch a:2"])
        #expect(line(.requestedInstance("a:2", .init(3))) == [])
        #expect(line(.ready("a:2", bytes: nil)) == ["2 gets a:2", "3 gets a:2"])
        #expect(line.residency.instances[0].demand == asked && line.residency.instances[0].isExplicit)
        #expect(line.residency.crashed.isEmpty)
    }

    @Test("What crashed is loaded no more once it is unloaded, replaced under its name, or its TTL is over")
    func comesBackNoMore() {
        var line = Line()
        func crash(_ ttl: Duration? = nil) {
            let demand = Residency.Demand("a", size: LoadSize(bytes: 60), ttl: ttl)
            _ = line(.load(demand, .init(1), as: "mine")) + line(.ready("mine", bytes: nil))
            #expect(line(.exited("mine", failed)) == [])
            #expect(line.residency.crashed.map(\.demand) == [demand])
        }
        crash()
        #expect(line(.unload("mine", .now)) == [])
        #expect(line(.requestedInstance("mine", .init(2))) == ["2 refused: engine_no_such_model"])
        crash(.seconds(60))
        line.now += .seconds(60)
        _ = line(.tick)
        #expect(line(.requestedInstance("mine", .init(3))) == ["3 refused: engine_no_such_model"])
        crash()
        line.now += .seconds(2)
        #expect(line(load("a", 10, 4, as: "mine")) == ["launch mine"])
        #expect(line.residency.crashed.isEmpty && line.residency.instances[0].bytes == 10)
    }

    @Test("What cannot come back is tried again after the back-off, and waits for room as any other")
    func comesBackLater() {
        var line = Line()
        _ = line(load("a", 60, 1)) + line(.ready("a", bytes: nil))
        _ = line(.exited("a", failed))
        #expect(line(ask("a", 10, 3)) == ["launch a"])
        #expect(line(.exited("a", failed)) == ["3 refused: engine_load_failed"])
        #expect(line(ask("a", 10, 4)) == ["4 refused: engine_backing_off"])
        line.now += .seconds(1)
        line.use("b", 60, 5)
        #expect(line(ask("a", 10, 6)) == [])
        line.now += .seconds(20)
        #expect(line(.released("b")) == ["stop b"])
        #expect(line(.exited("b", nil)) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) == ["6 gets a"])
        #expect(line.residency.instances[0].isExplicit && line.residency.instances[0].bytes == 60)
    }

    @Test("An engine that dies soon after each load is loaded ever later, until it has served somebody well")
    func diesAtWork() throws {
        var line = Line()
        func crash(_ ticket: UInt64) {
            #expect(line(ask("a", 60, ticket)) + line(.ready("a", bytes: nil)) == ["launch a", "\(ticket) gets a"])
            line.now += .seconds(59)
            #expect(line(.exited("a", failed)) == [])
        }
        for (ticket, expected) in [0, 1, 2, 4].enumerated() {
            crash(UInt64(ticket))
            guard expected > 0 else { continue }
            let refusal = line.refusal(ask("a", 60, 99))
            let error = try #require(refusal)
            #expect(error.code == .backingOff && error.retryAfter == .seconds(expected))
            #expect(error.message.contains("\(ticket + 1) times in a row"))
            line.now += .seconds(expected)
        }
        #expect(line(ask("a", 60, 10)) + line(.ready("a", bytes: nil)) == ["launch a", "10 gets a"])
        #expect(line(.released("a")) + line(ask("a", 60, 11)) == ["11 gets a"])
        #expect(line(.exited("a", failed)) + line(ask("a", 60, 12)) == ["12 refused: engine_backing_off"])
        line.now += .seconds(8)
        #expect(line(ask("a", 60, 13)) + line(.ready("a", bytes: nil)) == ["launch a", "13 gets a"])
        #expect(line(.released("a", served: true)) + line(.exited("a", failed)) == [])
        crash(14)
        #expect(line(ask("a", 60, 15)) == ["15 refused: engine_backing_off"], "only a reply proves that it works")
    }

    @Test("One that dies after a minute has not failed; one that stays comes back after the back-off")
    func diesLater() {
        var line = Line()
        _ = line(load("a", 60, 1)) + line(.ready("a", bytes: nil)) + line(.exited("a", failed))
        #expect(line(ask("a", 60, 2)) + line(.ready("a", bytes: nil)) == ["launch a", "2 gets a"])
        #expect(line(.exited("a", failed)) + line(ask("a", 60, 3)) == ["3 refused: engine_backing_off"])
        #expect(line.residency.crashed.map(\.id) == ["a"])
        line.now += .seconds(1)
        #expect(line(ask("a", 10, 4)) + line(.ready("a", bytes: nil)) == ["launch a", "4 gets a"])
        #expect(line.residency.instances[0].isExplicit && line.residency.instances[0].bytes == 60)
        line.now += .seconds(60)
        #expect(line(.exited("a", failed)) + line(ask("a", 60, 5)) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) + line(.exited("a", failed)) == ["5 gets a"])
        #expect(line(ask("a", 60, 6)) == ["launch a"], "what was before that minute counts no more")
    }

    @Test("Who waits for memory to load it once more is told at once that it is not tried now")
    func diesInLine() {
        var line = Line()
        line.use("a", 60, 1)
        _ = line(.exited("a", failed))
        line.use("a", 60, 2)
        #expect(line(load("a", 60, 3)) == [])
        #expect(line(.exited("a", failed)) == ["3 refused: engine_backing_off"])
    }

    @Test("Whoever wants any instance of a model need not wait until the one that crashed is back")
    func comesBackForOne() {
        var line = Line()
        _ = line(load("a", 5, 7)) + line(.ready("a", bytes: nil))
        _ = line(load("a", 20, 1)) + line(.ready("a:2", bytes: nil)) + line(.exited("a:2", failed))
        _ = line(.unload("a", .now)) + line(.exited("a", nil))
        line.use("b", 90, 2)
        #expect(line(.requestedInstance("a:2", .init(3))) + line(ask("a", 20, 4)) == [])
        #expect(line(load("a", 5, 5)) == [], "first come, first served")
        line.now += .seconds(20)
        _ = line(.tick)
        #expect(line(.released("b")) == ["stop b"])
        #expect(line(.exited("b", nil)) == ["launch a:2", "launch a"])
        #expect(line(ask("a", 20, 6)) == [])
        #expect(line(.ready("a:2", bytes: nil)) == ["3 gets a:2", "4 gets a:2", "6 gets a:2"])
    }
}
