import MartletHub
import MartletServer
import Testing

@Suite("The proxy before the hub")
struct HubProxyTests {
    @Test("it is that of upstreams, with its credentials and exceptions")
    func rules() throws {
        let proxy = HubProxy(environment: [
            "HTTPS_PROXY": "http://me:secret@proxy.corp:3128", "NO_PROXY": ".corp, 10.0.0.0/8",
        ])
        #expect(proxy.server == HubProxy.Server(host: "proxy.corp", port: 3128, credentials: "bWU6c2VjcmV0"))
        #expect(try proxy.covers("huggingface.co", 443))
        #expect(try !proxy.covers("hub.corp", 443) && !proxy.covers("10.1.2.3", 443) && !proxy.covers("127.0.0.1", 443))
        #expect(HubProxy(environment: ["ALL_PROXY": "proxy"]).server == HubProxy.Server(host: "proxy", port: 80))
    }

    @Test("without one nothing is covered, and what cannot be used is said when it would be needed")
    func none() throws {
        let none = HubProxy(environment: ["HTTP_PROXY": "http://proxy:80"])
        #expect(try none.server == nil && !none.covers("huggingface.co", 443))
        let broken = HubProxy(environment: ["HTTPS_PROXY": "socks5://proxy:1080", "NO_PROXY": "mirror.corp"])
        #expect(try !broken.covers("mirror.corp", 443))
        let error = #expect(throws: HubError.self) { try broken.covers("huggingface.co", 443) }
        #expect(error?.code == .invalidSetting && error?.message.hasPrefix("HTTPS_PROXY names a proxy") == true)
    }
}
