import MartletGateway
package import MartletHub

extension HubProxy {
    /// As for upstreams: `HTTPS_PROXY` and its like, and the exceptions of `NO_PROXY`.
    package init(environment: [String: String]) { self.init(ProxyRules(environment: environment)) }

    init(_ rules: ProxyRules) {
        let server = rules.proxy.map { proxy in
            let line = proxy.credentialLine?.revealed
            return Server(
                host: proxy.host, port: proxy.port,
                credentials: line?.split(whereSeparator: \.isWhitespace).last.map(String.init))
        }
        self.init(server: server) { host, port throws(HubError) in
            switch rules.use(for: Origin(address: .tcp(host: host, port: port), usesTLS: true)) {
            case .none: return false
            case .tunnel: return true
            case .impossible(let problem): throw HubError(.invalidSetting, problem.sentence)
            }
        }
    }
}
