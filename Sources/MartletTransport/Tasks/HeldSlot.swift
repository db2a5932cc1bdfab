import MartletGateway

/// A slot that was taken, and how it is given back.
enum HeldSlot: Sendable {
    case gate(UpstreamGate)
    case model(String, any ModelHost)

    func release() {
        switch self {
        case .gate(let gate): gate.release()
        case .model(let model, let host): host.release(model)
        }
    }
}
