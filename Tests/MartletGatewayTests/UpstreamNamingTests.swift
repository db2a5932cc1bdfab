import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Which upstream an error is about")
struct UpstreamNamingTests {
    /// The refusal that the client gets when a whole reply amounts to this error.
    private func said(_ error: GatewayError) -> String? {
        var driver = ExchangeDriver(streams: false)
        driver.go(to: .sent)
        driver.receive(.head(Fault.head(200)))
        driver.receive(.passed(.failed(error)))
        return driver.refusals.last?.message
    }

    @Test(
        "A sentence about the upstream names it and says what to do",
        arguments: [
            (
                ErrorCode.upstreamBadReply, "the upstream sent a reply that could not be read",
                "the upstream at 127.0.0.1:9 sent a reply that could not be read; check that upstreams.a.url leads to a model "
                    + "server's API"
            ),
            (
                .upstreamCredentials, "the upstream refused the gateway's own credentials (HTTP 401)",
                "the upstream at 127.0.0.1:9 refused the gateway's own credentials (HTTP 401); upstreams.a.api_key is what it "
                    + "is sent"
            ),
            (
                .eventTooLong, "the upstream sent an event over the size limit",
                "the upstream at 127.0.0.1:9 sent an event over the size limit"
            ),
            (.upstreamFailed, "the upstream at far:1 failed", "the upstream at far:1 failed"),
            (.upstreamFailed, "out of memory", "out of memory"),
        ])
    func names(code: ErrorCode, message: String, expected: String) {
        let shown = Make.upstream("a").shown
        #expect(
            said(GatewayError(code: code, message: message))
                == expected.replacing("the upstream at 127.0.0.1:9", with: shown))
    }
}
