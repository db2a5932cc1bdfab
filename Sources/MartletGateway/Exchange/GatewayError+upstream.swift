import MartletDialects

extension GatewayError {
    /// Dialects know of "the upstream" only: the same sentence with the upstream's own name, and with what to do.
    func naming(_ upstream: Upstream) -> GatewayError {
        // Another Martlet behind this one has named its own.
        guard !message.hasPrefix("the upstream at "), !message.hasPrefix(upstream.shown),
            let start = ["the upstream ", "upstream "].first(where: message.hasPrefix)
        else { return self }
        var named = self
        named.message = "\(upstream.shown) \(message.dropFirst(start.count))\(advice(on: upstream))"
        return named
    }

    /// Says of an upstream that was asked on trust, and could not be, that nothing else is known to serve the model.
    func doubting(_ candidate: Candidate) -> GatewayError {
        guard code == .upstreamUnreachable, let ids = candidate.listedElsewhere, !ids.isEmpty else { return self }
        let closest = ModelName.closest(to: candidate.model, namedAmong: ids)
        var doubting = self
        doubting.message =
            "no upstream that answers lists model \"\(candidate.model)\"\(closest). "
            + "One that may have it cannot be asked: \(message)"
        return doubting
    }

    private func advice(on upstream: Upstream) -> String {
        guard upstream.location != .hosted else { return "" }
        let key = upstream.deadlines.isInferenceForm ? "inference" : "upstreams.\(upstream.name)"
        return switch code {
        case .upstreamCredentials: "; \(key).api_key is what it is sent"
        case .upstreamBadReply:
            "; check that \(key).\(upstream.deadlines.isInferenceForm ? "base_url" : "url") leads to a model server's API"
        case .upstreamClosedEarly: "; its own log may say why"
        default: ""
        }
    }
}
