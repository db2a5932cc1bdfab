import MartletGateway
import Testing

@Suite("Which upstreams go through a proxy")
struct ProxyRulesTests {
    static func use(_ url: String, _ environment: [String: String]) throws -> ProxyUse {
        ProxyRules(environment: environment).use(for: try #require(BaseURL(url)).origin)
    }

    static func proxy(_ value: String, name: String = "HTTPS_PROXY") throws -> Proxy {
        try #require(try use("https://api.example", [name: value]).proxy)
    }

    @Test(
        "A proxy's address is read with and without scheme, port and path",
        arguments: [
            ("http://proxy.corp:3128", "proxy.corp:3128"), ("proxy.corp:3128", "proxy.corp:3128"),
            ("HTTP://proxy.corp:3128/", "proxy.corp:3128"), ("proxy.corp", "proxy.corp:80"),
            ("http://10.0.0.1:8080/x?y#z", "10.0.0.1:8080"), ("http://[fd00::1]:3128", "[fd00::1]:3128"),
            ("http://me:secret@proxy.corp:3128", "proxy.corp:3128"), ("me:p@ss@proxy.corp:3128", "proxy.corp:3128"),
        ])
    func address(value: String, shown: String) throws {
        #expect(try Self.proxy(value).shown == shown)
    }

    @Test(
        "User and password become a Basic credential, percent escapes resolved",
        arguments: [
            // `printf %s user:password | base64`
            ("http://user:password@p:1", "dXNlcjpwYXNzd29yZA=="), ("http://u:p@p:1", "dTpw"),
            ("http://user@p:1", "dXNlcjo="), ("http://a%40b:c%3Ad%2F@p:1", "YUBiOmM6ZC8="),
            ("http://u:p%C3%A9@p:1", "dTpww6k="), ("http://u:p\r\nx:y@p:1", "dTpwDQp4Onk="),
        ])
    func credential(value: String, base64: String) throws {
        #expect(try Self.proxy(value).credentialLine?.revealed == "proxy-authorization: Basic \(base64)\r\n")
    }

    @Test("A credential is never printed")
    func secret() throws {
        let proxy = try Self.proxy("http://user:password@p:1")
        #expect(!"\(proxy) \(String(reflecting: proxy))".contains("dXNl"))
    }

    @Test(
        "What is no proxy that could be used is refused in a sentence without its value",
        arguments: [
            ("socks5://user:secret@p:1", "names a proxy of the kind socks5"),
            ("https://secret:443", "names a proxy of the kind https"),
            ("se cret://p:1", "names a proxy of the kind ?"), ("http://", "is no proxy's address"),
            ("http://secret:0", "is no proxy's address"), ("http://secret:port", "is no proxy's address"),
            ("http://u:%zzsecret@p:1", "is no proxy's address"), ("secret host:1", "is no proxy's address"),
        ])
    func refused(value: String, words: String) throws {
        guard case .impossible(let problem) = try Self.use("https://api.example", ["ALL_PROXY": value]) else {
            Issue.record("\(value) was taken")
            return
        }
        #expect(problem.sentence.hasPrefix("ALL_PROXY \(words)"))
        #expect(!problem.sentence.contains("secret"))
    }

    @Test("The names are looked at in curl's order; an empty one counts as not set")
    func order() throws {
        var environment = ["ALL_PROXY": "p:1"]
        #expect(try Self.use("https://h", environment).proxy?.setting == "ALL_PROXY")
        environment["all_proxy"] = "p:2"
        #expect(try Self.use("https://h", environment).proxy?.setting == "all_proxy")
        environment["HTTPS_PROXY"] = "p:3"
        #expect(try Self.use("https://h", environment).proxy?.setting == "HTTPS_PROXY")
        environment["https_proxy"] = "p:4"
        #expect(try Self.use("https://h", environment).proxy?.shown == "p:4")
        environment["https_proxy"] = ""
        #expect(try Self.use("https://h", environment).proxy?.shown == "p:3")
        #expect(try Self.use("https://h", ["http_proxy": "p:1", "HTTP_PROXY": "p:1"]) == .none)
    }

    @Test(
        "Without TLS and on loopback there is no proxy",
        arguments: [
            "http://api.example", "https://localhost", "https://LOCALHOST:8443", "https://127.0.0.1:1",
            "https://127.8.8.8", "https://[::1]:1", "https://x.localhost",
        ])
    func local(url: String) throws {
        #expect(try Self.use(url, ["HTTPS_PROXY": "p:1", "ALL_PROXY": "p:1"]) == .none)
        #expect(try Self.use(url, ["HTTPS_PROXY": "socks5://p:1"]) == .none)
    }

    @Test("A Unix socket has no proxy")
    func socket() {
        let rules = ProxyRules(environment: ["HTTPS_PROXY": "p:1"])
        #expect(rules.use(for: Origin(address: .unix(path: "/x.sock"), usesTLS: true)) == .none)
    }

    @Test(
        "NO_PROXY excepts hosts, names below them, addresses and networks",
        arguments: [
            ("*", "https://h"), ("h", "https://h"), ("H", "https://h"), ("h", "https://H"), ("a, h", "https://h"),
            ("a h", "https://h"), ("corp.example", "https://api.corp.example"),
            (".corp.example", "https://api.corp.example"), (".corp.example", "https://corp.example"),
            ("*.corp.example", "https://a.b.corp.example"), ("corp.example.", "https://api.corp.example"),
            ("h:8443", "https://h:8443"), ("h:443", "https://h"), (".h:443", "https://x.h"),
            ("10.1.2.3", "https://10.1.2.3"), ("10.1.2.3:443", "https://10.1.2.3"), ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3/32", "https://10.1.2.3"), ("0.0.0.0/0", "https://10.1.2.3"), ("fd00::1", "https://[fd00::1]"),
            ("[fd00::1]:443", "https://[fd00::1]"),
        ])
    func excepted(list: String, url: String) throws {
        #expect(try Self.use(url, ["HTTPS_PROXY": "p:1", "NO_PROXY": list]) == .none)
        #expect(try Self.use(url, ["HTTPS_PROXY": "p:1", "no_proxy": list, "NO_PROXY": "other"]) == .none)
    }

    @Test(
        "What NO_PROXY does not name goes through the proxy",
        arguments: [
            ("corp.example", "https://xcorp.example"), ("corp.example", "https://corp.example.org"),
            ("h:8443", "https://h"), ("1.2.3", "https://0.1.2.3"), ("2.3.4", "https://1.2.3.4"),
            ("10.1.2.3/32", "https://10.1.2.4"), ("10.0.0.0/8", "https://11.0.0.1"),
            ("10.0.0.0/8", "https://ten.example"), ("10.0.0.0/33", "https://10.0.0.1"),
            ("10.0.0.0/x", "https://10.0.0.1"), (".", "https://h"), (",", "https://h"),
            ("h:x", "https://h"), ("fd00::1", "https://[fd00::2]"),
        ])
    func notExcepted(list: String, url: String) throws {
        #expect(try Self.use(url, ["HTTPS_PROXY": "p:1", "NO_PROXY": list]).proxy != nil)
    }
}
