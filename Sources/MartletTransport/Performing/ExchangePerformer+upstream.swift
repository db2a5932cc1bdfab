import MartletDialects
import MartletGateway

extension ExchangePerformer: UpstreamUser {
    func upstream(_ event: Exchange.Event) {
        // The news that an engine has died comes a moment after the end of its connections, and says why.
        if case .upstreamFailed(let error, let stale) = event, error.code == .upstreamClosedEarly,
            case .model(let model, let origin, let host) = slot
        {
            return later {
                await host.lastWords(of: model, at: origin)
            } then: { words in
                words.map { .upstreamFailed($0, stale: false) } ?? .upstreamFailed(error, stale: stale)
            }
        }
        receive(event)
    }
}
