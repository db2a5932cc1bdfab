import Synchronization
import UnixSignals

/// Ctrl-C in a command that goes on: it cancels what is under way, and where nothing is, it ends the program.
final class Interrupts: Sendable {
    private let work = Mutex<Task<Void, any Error>?>(nil)

    /// Listens until it is cancelled. The only one who does, so that one Ctrl-C is never taken twice.
    func watch() async {
        for await _ in await UnixSignalsSequence(trapping: .sigint) {
            if let work = work.withLock(\.self) {
                work.cancel()
            } else {
                Surroundings.putAside("\n")
                Surroundings.leave(ExitCodes.interrupted)
            }
        }
    }

    /// - Returns: false when it was cancelled.
    func cancelling(_ work: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        // A task of its own, because it is to be cancelled while whoever asked for it goes on.
        let task = Task { try await work() }
        self.work.withLock { $0 = task }
        defer { self.work.withLock { $0 = nil } }
        do {
            try await task.value
            return true
        } catch {
            guard task.isCancelled else { throw error }
            return false
        }
    }
}
