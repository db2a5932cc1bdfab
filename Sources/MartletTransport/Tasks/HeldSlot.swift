import MartletGateway

/// A slot that was taken, and how it is given back.
enum HeldSlot: Sendable {
    case gate(UpstreamGate)
    case model(String, Origin, any ModelHost)

    /// The name of what is loaded, of a model of this machine.
    var instance: String? { origin?.instance }

    /// The engine that is used, of a model of this machine.
    var origin: Origin? {
        if case .model(_, let origin, _) = self { return origin }
        return nil
    }

    /// - Parameter served: the upstream answered well, and to the end.
    func release(served: Bool) {
        switch self {
        case .gate(let gate): gate.release()
        case .model(let model, let origin, let host): host.release(model, at: origin, served: served)
        }
    }
}
