import MartletGateway

/// A slot that was taken, and how it is given back.
enum HeldSlot: Sendable {
    case gate(UpstreamGate)
    case model(String, Origin, any ModelHost)

    func release() {
        switch self {
        case .gate(let gate): gate.release()
        case .model(let model, let origin, let host): host.release(model, at: origin)
        }
    }
}
