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
