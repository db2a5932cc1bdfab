import MartletEngine
import Testing

@Suite("What engines are seen to take counts")
struct ResidencyMeasureTests {
    @Test("Memory that an engine takes beyond its estimate is counted, less than that is not")
    func measured() {
        var line = Line()
        _ = line(ask("a", 50, 1))
        _ = line(.ready("a", bytes: 20))
        #expect(line.residency.instances.first?.bytes == 50)
        #expect(line(ask("b", 40, 2)) == ["launch b"])
        _ = line(.ready("b", bytes: 60))
        #expect(line.residency.instances.last?.bytes == 60)
        #expect(line(ask("c", 1, 3)) == [])
        line.now += .seconds(20)
        #expect(line(.released("a")) == ["stop a"])
    }

    @Test("What took more than was estimated is loaded with that the next time, as long as it is loaded the same way")
    func calibrated() throws {
        var line = Line()
        _ = line(ask("a", 50, 1)) + line(.ready("a", bytes: 80)) + line(.released("a")) + line(.unload("a", .now))
        _ = line(.exited("a", nil))
        line.use("b", 30, 2)
        #expect(line(ask("a", 50, 3)) == [], "it needs 80")
        #expect(line(.cancelled(.init(3))) + line(ask("a", 45, 4)) == ["launch a"])
        #expect(line(.cancelled(.init(4))) + line(.exited("a", nil)) == ["stop a"])
        _ = line(.pin("b", true))
        let refusal = line.refusal(ask("a", 50, 5))
        #expect(
            try #require(refusal).message.hasPrefix(
                "a does not fit: it needs 80 B (as its engine was seen to take), and 70 B of the 100 B"))
        _ = line(.unload("b", .now)) + line(.exited("b", nil))
        #expect(line(ask("a", 50, 6)) == ["launch a"])
        #expect(line.residency.instances[0].bytes == 80)
        #expect(line(.ready("a", bytes: 70)) == ["6 gets a"])
        #expect(line.residency.instances[0].bytes == 80, "it grows with its work")
    }

    @Test("An engine that takes more than was estimated makes room: who is idle goes, the least recently used first")
    func relieves() {
        var line = Line()
        line.keep("a", 30)
        line.now += .milliseconds(100)
        line.keep("b", 30)
        line.use("c", 30, 1)
        line.now += .milliseconds(100)
        #expect(line(load("d", 10, 2)) + line(.ready("d", bytes: 35)) == ["launch d", "2 gets d"])
        let actions = line.residency.take(.tick, now: line.now)
        #expect(actions == [.wake(at: line.now + .milliseconds(800))], "a has paused for 0.2 s")
        line.now += .milliseconds(800)
        #expect(line(.tick) == ["stop a"])
        #expect(line(.exited("a", nil)) == [], "95 fit")
        var alone = Line()
        _ = alone(ask("a", 50, 1)) + alone(.ready("a", bytes: 120)) + alone(.released("a"))
        alone.now += .seconds(20)
        #expect(alone(.tick) == [], "nobody would gain by its end")
    }
}
