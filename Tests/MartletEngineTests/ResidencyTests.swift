import MartletEngine
import MartletTestSupport
import Testing

@Suite("Residency decides event by event")
struct ResidencyTests {
    private typealias Ticket = Residency.Ticket
    private let now = ContinuousClock.now
    private let broken = EngineError(.loadFailed, "broken")

    @Test("The first request launches, the second joins, both are granted when the engine is ready")
    func joins() {
        var residency = Residency()
        #expect(residency.take(.requested("a", Ticket(1)), now: now) == [.launch("a")])
        #expect(residency.take(.requested("a", Ticket(2)), now: now) == [])
        #expect(residency.take(.ready("a"), now: now) == [.grant(Ticket(1), "a"), .grant(Ticket(2), "a")])
        #expect(residency.take(.requested("a", Ticket(3)), now: now) == [.grant(Ticket(3), "a")])
    }

    @Test("A failed load refuses everyone who waited, and the next request tries again at once")
    func failedLoad() {
        var residency = Residency()
        _ = residency.take(.requested("a", Ticket(1)), now: now)
        _ = residency.take(.requested("a", Ticket(2)), now: now)
        #expect(
            residency.take(.exited("a", broken), now: now)
                == [.refuse(Ticket(1), broken), .refuse(Ticket(2), broken)])
        #expect(residency.lastFailure(of: "a") == broken)
        #expect(residency.take(.requested("a", Ticket(3)), now: now) == [.launch("a")])
    }

    @Test("After the second failed load in a row nothing is tried for a while, ever longer up to the bound")
    func backsOff() throws {
        var limits = Residency.Limits()
        limits.firstBackOff = .seconds(1)
        limits.longestBackOff = .seconds(4)
        var residency = Residency(limits: limits)
        var clock = now
        var ticket: UInt64 = 0
        for expected in [0, 1, 2, 4, 4, 4] {
            ticket += 1
            #expect(residency.take(.requested("a", Ticket(ticket)), now: clock) == [.launch("a")])
            _ = residency.take(.exited("a", broken), now: clock)
            guard expected > 0 else { continue }
            let early = residency.take(.requested("a", Ticket(99)), now: clock)
            guard case .refuse(Ticket(99), let error)? = early.first else {
                Issue.record("not refused: \(early)")
                return
            }
            #expect(error.code == .backingOff)
            #expect(error.retryAfter == .seconds(expected))
            #expect(error.message.contains("\(ticket) times in a row"))
            #expect(error.message.contains("in \(expected) s"))
            clock += .seconds(expected)
        }
        #expect(residency.take(.requested("b", Ticket(100)), now: clock) == [.launch("b")])
    }

    @Test("A load that succeeds makes earlier failures good")
    func forgives() {
        var residency = Residency()
        for ticket in 1...2 {
            _ = residency.take(.requested("a", Ticket(UInt64(ticket))), now: now)
            _ = residency.take(.exited("a", broken), now: now)
        }
        let later = now + .seconds(1)
        #expect(residency.take(.requested("a", Ticket(3)), now: later) == [.launch("a")])
        _ = residency.take(.ready("a"), now: later)
        #expect(residency.lastFailure(of: "a") == nil)
        let crash = EngineError(.exited, "crashed")
        #expect(residency.take(.exited("a", crash), now: later) == [])
        #expect(residency.lastFailure(of: "a") == crash)
        #expect(residency.take(.requested("a", Ticket(4)), now: later) == [.launch("a")])
    }

    @Test("A load is stopped when the last request waiting for it is cancelled, not before")
    func cancels() {
        var residency = Residency()
        _ = residency.take(.requested("a", Ticket(1)), now: now)
        _ = residency.take(.requested("a", Ticket(2)), now: now)
        #expect(residency.take(.cancelled(Ticket(1)), now: now) == [])
        #expect(residency.take(.cancelled(Ticket(2)), now: now) == [.stop("a")])
        #expect(residency.take(.ready("a"), now: now) == [])
        #expect(residency.take(.exited("a", nil), now: now) == [])
        #expect(residency.take(.requested("a", Ticket(3)), now: now) == [.launch("a")])
    }

    @Test("A request that comes while an engine stops gets a new one once the old one is gone")
    func waitsForTheOld() {
        var residency = Residency()
        _ = residency.take(.requested("a", Ticket(1)), now: now)
        _ = residency.take(.ready("a"), now: now)
        #expect(residency.take(.unloadRequested("a"), now: now) == [.stop("a")])
        #expect(residency.take(.unloadRequested("a"), now: now) == [])
        #expect(residency.take(.requested("a", Ticket(2)), now: now) == [])
        #expect(residency.take(.requested("a", Ticket(3)), now: now) == [])
        #expect(residency.take(.cancelled(Ticket(3)), now: now) == [])
        #expect(residency.take(.exited("a", nil), now: now) == [.launch("a")])
        #expect(residency.take(.ready("a"), now: now) == [.grant(Ticket(2), "a")])
    }

    @Test("Cancelling a request that was granted or never known changes nothing")
    func lateCancel() {
        var residency = Residency()
        _ = residency.take(.requested("a", Ticket(1)), now: now)
        _ = residency.take(.ready("a"), now: now)
        #expect(residency.take(.cancelled(Ticket(1)), now: now) == [])
        #expect(residency.take(.cancelled(Ticket(77)), now: now) == [])
        #expect(residency.take(.exited("unknown", nil), now: now) == [])
    }

    @Test("Unloading during a load stops it and says so to those who waited")
    func unloadsWhileLoading() {
        var residency = Residency()
        _ = residency.take(.requested("a", Ticket(1)), now: now)
        let actions = residency.take(.unloadRequested("a"), now: now)
        #expect(actions.first == .stop("a"))
        guard actions.count == 2, case .refuse(Ticket(1), let error) = actions[1] else {
            Issue.record("not refused: \(actions)")
            return
        }
        #expect(error.code == .cancelled)
    }

    @Test("Models beyond the bound are refused with the names of those that are loaded")
    func bounded() {
        var limits = Residency.Limits()
        limits.residents = 2
        limits.waiting = 1
        var residency = Residency(limits: limits)
        _ = residency.take(.requested("a", Ticket(1)), now: now)
        _ = residency.take(.requested("b", Ticket(2)), now: now)
        for (request, words) in [("c", "a, b"), ("a", "1 requests already wait for a")] {
            let actions = residency.take(.requested(request, Ticket(3)), now: now)
            guard case .refuse(Ticket(3), let error)? = actions.first else {
                Issue.record("not refused: \(actions)")
                continue
            }
            #expect(error.code == .atCapacity)
            #expect(error.message.contains(words))
        }
        _ = residency.take(.exited("b", broken), now: now)
        #expect(residency.take(.requested("c", Ticket(4)), now: now) == [.launch("c")])
    }

    @Test("Shutdown stops everything, refuses everyone and launches nothing any more")
    func shutsDown() {
        var residency = Residency()
        _ = residency.take(.requested("loading", Ticket(1)), now: now)
        _ = residency.take(.requested("ready", Ticket(2)), now: now)
        _ = residency.take(.ready("ready"), now: now)
        let actions = residency.take(.shutdown, now: now)
        #expect(actions.contains(.stop("loading")))
        #expect(actions.contains(.stop("ready")))
        #expect(actions.count == 3)
        #expect(residency.take(.exited("loading", nil), now: now) == [])
        guard case .refuse(Ticket(3), let error)? = residency.take(.requested("x", Ticket(3)), now: now).first else {
            Issue.record("a request after shutdown was not refused")
            return
        }
        #expect(error.code == .cancelled)
    }

    @Test("Whatever the order of events, each request is answered at most once and engines never overlap")
    func properties() {
        let seed = UInt64.random(in: 0 ... .max)
        print("residency seed \(seed)")
        var random = Seeded(seed)
        for _ in 0..<200 {
            var residency = Residency()
            var running: Set<String> = []
            var answered: Set<Ticket> = []
            var clock = now
            for number in 0..<120 {
                let model = ["a", "b", "c"][Int(random.next() % 3)]
                let event: Residency.Event =
                    switch random.next() % 8 {
                    case 0...3: .requested(model, Ticket(UInt64(number)))
                    case 4: .cancelled(Ticket(random.next() % UInt64(number + 1)))
                    case 5: running.contains(model) ? .ready(model) : .unloadRequested(model)
                    case 6: .exited(model, random.next() % 2 == 0 ? broken : nil)
                    default: .unloadRequested(model)
                    }
                if case .exited(let model, _) = event, running.remove(model) == nil { continue }
                if case .cancelled(let ticket) = event { answered.insert(ticket) }
                clock += .milliseconds(random.next() % 900)
                for action in residency.take(event, now: clock) {
                    switch action {
                    case .launch(let model): #expect(running.insert(model).inserted, "two engines, seed \(seed)")
                    case .stop(let model): #expect(running.contains(model), "nothing to stop, seed \(seed)")
                    case .grant(let ticket, let model):
                        #expect(running.contains(model), "granted without an engine, seed \(seed)")
                        #expect(answered.insert(ticket).inserted, "answered twice, seed \(seed)")
                    case .refuse(let ticket, _):
                        #expect(answered.insert(ticket).inserted, "answered twice, seed \(seed)")
                    }
                }
            }
        }
    }
}
