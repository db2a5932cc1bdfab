import MartletTransport
import Synchronization

/// Where the calls to engines are put once the listener stands; probes before that find nothing ready.
final class CallBox: Sendable {
    private let box = Mutex<UpstreamCalls?>(nil)

    var value: UpstreamCalls? { box.withLock { $0 } }

    func fill(_ calls: UpstreamCalls?) { box.withLock { $0 = calls } }
}
