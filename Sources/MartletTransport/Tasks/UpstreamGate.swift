import Atomics
package import MartletDialects
package import MartletGateway
package import NIOCore

/// Slots at one upstream, shared by all loops: a free one is taken in one atomic step; else its
/// waiters queue, fair and bounded.
package final class UpstreamGate: Sendable {
    private let free: ManagedAtomic<Int>
    private let waiting = ManagedAtomic<Int>(0)
    private let queue: SlotQueue

    /// - Parameters:
    ///   - slots: requests in flight at once.
    ///   - queueLength: how many may wait for one.
    package init(slots: Int, queueLength: Int, wait: TimeAmount) {
        free = ManagedAtomic(slots)
        queue = SlotQueue(length: queueLength, wait: wait)
    }

    package var freeSlots: Int { free.load(ordering: .relaxed) }

    /// How many stand in the queue.
    package func queued() async -> Int { await queue.count }

    /// Takes a slot if one is free and nobody waits.
    package func tryTake() -> Bool {
        waiting.load(ordering: .relaxed) == 0 && takeFree()
    }

    private func takeFree() -> Bool {
        var seen = free.load(ordering: .sequentiallyConsistent)
        while seen > 0 {
            let (done, now) = free.weakCompareExchange(
                expected: seen, desired: seen - 1, ordering: .acquiringAndReleasing)
            if done { return true }
            seen = now
        }
        return false
    }

    package func release() {
        // Sequentially consistent, as in `wait`: of one who releases and one who begins to
        // wait, at least one sees the other.
        free.wrappingIncrement(ordering: .sequentiallyConsistent)
        guard waiting.load(ordering: .sequentiallyConsistent) > 0 else { return }
        // Outlives the exchange that releases: somebody else waits for it.
        Task { await self.hand() }
    }

    /// Waits for a slot, in order of arrival.
    /// - Throws: `queueFull` with position and limit; `CancellationError` becomes `queueFull` nobody reads.
    package func wait(for upstream: Upstream) async throws(GatewayError) {
        waiting.wrappingIncrement(ordering: .sequentiallyConsistent)
        defer { waiting.wrappingDecrement(ordering: .acquiringAndReleasing) }
        try await queue.wait(for: upstream) { await self.hand() }
    }

    private func hand() async { await queue.hand { self.takeFree() } }
}

/// Who waits for a slot, first come first served.
private actor SlotQueue {
    private struct Waiter {
        var ticket: UInt64
        var continuation: CheckedContinuation<Bool, Never>
    }

    private let length: Int
    private let wait: TimeAmount
    private var waiters: [Waiter] = []
    private var nextTicket: UInt64 = 0

    var count: Int { waiters.count }

    init(length: Int, wait: TimeAmount) {
        self.length = length
        self.wait = wait
    }

    func wait(for upstream: Upstream, hand: @escaping @Sendable () async -> Void) async throws(GatewayError) {
        guard waiters.count < length else {
            let waiting = length == 1 ? "1 request waits" : "\(length) requests wait"
            throw GatewayError(
                code: .queueFull,
                message: "\(upstream.shown) is busy and \(waiting) already; queue.length raises the limit",
                retryAfter: .seconds(5))
        }
        let ticket = nextTicket
        nextTicket += 1
        // Ends with the waiter: it only turns an overlong wait into an error.
        let alarm = Task { [wait] in
            try? await Task.sleep(for: .nanoseconds(wait.nanoseconds))
            self.give(ticket, granted: false)
        }
        defer { alarm.cancel() }
        let granted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                waiters.append(Waiter(ticket: ticket, continuation: continuation))
                // A slot may have come free between the first look and this one.
                Task { await hand() }
            }
        } onCancel: {
            // Comes to this actor after the waiter has been added, also when the task was cancelled before.
            Task { await self.give(ticket, granted: false) }
        }
        guard granted else {
            throw GatewayError(
                code: .queueFull,
                message: "\(upstream.shown) was busy for \(wait.shown); queue.wait raises the limit",
                retryAfter: .seconds(30))
        }
    }

    func hand(_ take: @Sendable () -> Bool) {
        while !waiters.isEmpty, take() {
            waiters.removeFirst().continuation.resume(returning: true)
        }
    }

    private func give(_ ticket: UInt64, granted: Bool) {
        guard let at = waiters.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiters.remove(at: at).continuation.resume(returning: granted)
    }
}
