import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import Synchronization
import Testing

@Suite("Slots at an upstream", .timeLimit(.minutes(1)))
struct UpstreamGateTests {
    static let upstream = GatewayUnderTest.upstream(1)

    static func gate(slots: Int, queue: Int = 64, wait: TimeAmount = .seconds(30)) -> UpstreamGate {
        UpstreamGate(slots: slots, queueLength: queue, wait: wait)
    }

    /// Waits in a task of its own, and notes when it is served.
    static func enqueue(_ gate: UpstreamGate, _ name: Int, _ served: Served) -> Task<Void, Never> {
        Task {
            do throws(GatewayError) {
                try await gate.wait(for: upstream)
                served.granted.withLock { $0.append(name) }
            } catch {
                served.refused.withLock { $0[name] = error }
            }
        }
    }

    final class Served: Sendable {
        let granted = Mutex<[Int]>([])
        let refused = Mutex<[Int: GatewayError]>([:])
        var order: [Int] { granted.withLock { $0 } }
        func error(_ name: Int) -> GatewayError? { refused.withLock { $0[name] } }
    }

    @Test("No more slots are given than there are, and each comes back once")
    func slots() {
        let gate = Self.gate(slots: 2)
        #expect(gate.tryTake() && gate.tryTake())
        #expect(!gate.tryTake())
        gate.release()
        #expect(gate.tryTake())
        #expect(!gate.tryTake())
    }

    @Test("Who waits is served in order of arrival, and before anybody new")
    func fair() async throws {
        let gate = Self.gate(slots: 1)
        let served = Served()
        #expect(gate.tryTake())
        for name in 0..<5 {
            _ = Self.enqueue(gate, name, served)
            try await until("\(name) waits") { await gate.queued() == name + 1 }
        }
        for name in 0..<5 {
            #expect(!gate.tryTake())
            gate.release()
            try await until("\(name) is served") { served.order.count == name + 1 }
        }
        #expect(served.order == [0, 1, 2, 3, 4])
        gate.release()
        try await until("the slot is free for anybody") { gate.tryTake() }
    }

    @Test("A full queue refuses at once, with the limit and a time to come back")
    func full() async throws {
        let gate = Self.gate(slots: 0, queue: 2)
        let served = Served()
        _ = Self.enqueue(gate, 0, served)
        _ = Self.enqueue(gate, 1, served)
        try await until("two wait") { await gate.queued() == 2 }
        _ = Self.enqueue(gate, 2, served)
        try await until("the third is refused") { served.error(2) != nil }
        #expect(served.error(2)?.code == .queueFull)
        #expect(served.error(2)?.message.contains("2 requests wait already; queue.length raises the limit") == true)
        #expect(served.error(2)?.retryAfter == .seconds(5))
        gate.release()
        gate.release()
        try await until("the two are served") { served.order.count == 2 }
    }

    @Test("A queue of one says so in the singular")
    func one() async throws {
        let gate = Self.gate(slots: 0, queue: 1)
        let served = Served()
        _ = Self.enqueue(gate, 0, served)
        try await until("one waits") { await gate.queued() == 1 }
        _ = Self.enqueue(gate, 1, served)
        try await until("the second is refused") { served.error(1) != nil }
        #expect(served.error(1)?.message.contains("1 request waits already;") == true)
        gate.release()
        try await until("the first is served") { served.order.count == 1 }
    }

    @Test("A wait that is too long ends in an error, and no slot is lost by it")
    func wait() async throws {
        let gate = Self.gate(slots: 0, wait: .milliseconds(50))
        let served = Served()
        _ = Self.enqueue(gate, 0, served)
        try await until("it is refused") { served.error(0) != nil }
        #expect(served.error(0)?.message.contains("busy for 50 ms; queue.wait raises the limit") == true)
        gate.release()
        #expect(gate.tryTake())
    }

    @Test("Who is cancelled leaves the queue, and the slot goes to the next")
    func cancelled() async throws {
        let gate = Self.gate(slots: 0)
        let served = Served()
        let first = Self.enqueue(gate, 0, served)
        try await until("the first waits") { await gate.queued() == 1 }
        _ = Self.enqueue(gate, 1, served)
        try await until("the second waits") { await gate.queued() == 2 }
        first.cancel()
        try await until("the first has left") { served.error(0) != nil }
        gate.release()
        try await until("the second is served") { served.order == [1] }
        let already = Task {
            await withTaskCancellationHandler {
                await Self.enqueue(gate, 2, served).value
            } onCancel: {
            }
        }
        already.cancel()
        try await until("the third waits") { await gate.queued() == 1 }
        gate.release()
        await already.value
        #expect(served.order == [1, 2])
    }

    final class Busy: Sendable {
        private let numbers = Mutex([0, 0])
        var now: Int { numbers.withLock { $0[0] } }
        var most: Int { numbers.withLock { $0[1] } }

        func count(_ change: Int) {
            numbers.withLock { numbers in
                numbers[0] += change
                numbers[1] = max(numbers[0], numbers[1])
            }
        }
    }

    @Test("Under load no slot is lost and none is given twice")
    func load() async throws {
        let gate = Self.gate(slots: 3, queue: 1000)
        let busy = Busy()
        await withTaskGroup(of: Void.self) { group in
            for name in 0..<400 {
                group.addTask {
                    if !gate.tryTake() {
                        let task = Task {
                            do throws(GatewayError) {
                                try await gate.wait(for: Self.upstream)
                                return true
                            } catch {
                                return false
                            }
                        }
                        if name % 5 == 0 { task.cancel() }
                        guard await task.value else { return }
                    }
                    busy.count(+1)
                    await Task.yield()
                    busy.count(-1)
                    gate.release()
                }
            }
        }
        #expect(busy.now == 0)
        #expect((1...3).contains(busy.most))
        try await until("all slots are back") { gate.freeSlots == 3 }
    }
}
