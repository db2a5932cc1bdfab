import MartletWire
import Synchronization

/// The answer to one request: given once by whoever is first, waited for by one task.
final class PendingReply: Sendable {
    enum Outcome: Sendable {
        case reply(JSON)
        case fault(RPCFault)
        case failed(MCPError)
    }

    private enum State {
        case open
        case awaited(CheckedContinuation<Outcome, Never>)
        case given(Outcome)
    }

    private let state = Mutex(State.open)

    /// Later outcomes are dropped.
    func give(_ outcome: Outcome) {
        let waiter: CheckedContinuation<Outcome, Never>? = state.withLock { state in
            switch state {
            case .open:
                state = .given(outcome)
                return nil
            case .awaited(let waiter):
                state = .given(outcome)
                return waiter
            case .given: return nil
            }
        }
        waiter?.resume(returning: outcome)
    }

    func wait() async -> Outcome {
        await withCheckedContinuation { waiter in
            let outcome: Outcome? = state.withLock { state in
                if case .given(let outcome) = state { return outcome }
                state = .awaited(waiter)
                return nil
            }
            if let outcome { waiter.resume(returning: outcome) }
        }
    }
}
