import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Base URLs and paths")
struct PlacesTests {
    @Test(
        "A base URL is taken with and without the API's path",
        arguments: [
            ("http://localhost:1234", "localhost:1234", ""), ("http://localhost:1234/", "localhost:1234", ""),
            ("http://localhost:1234/v1", "localhost:1234", ""), ("http://localhost:1234/v1/", "localhost:1234", ""),
            ("http://localhost:1234//v1//", "localhost:1234", ""),
            ("http://localhost:1234/api/v1", "localhost:1234", ""),
            ("http://localhost:1234/api/v0/", "localhost:1234", ""), ("http://h/openai/v1", "h:80", "/openai"),
            ("https://h/x/api/v1", "h:443", "/x"), ("https://h:8443", "h:8443", ""), ("http://h/v1/v1", "h:80", "/v1"),
            ("http://h/v10", "h:80", "/v10"), ("http://h/xv1", "h:80", "/xv1"),
            ("http://[::1]:8080/v1", "[::1]:8080", ""),
            ("http://[::1]", "[::1]:80", ""), ("HTTP://H", "H:80", ""),
            ("http://127.0.0.1:65535", "127.0.0.1:65535", ""),
        ])
    func base(text: String, shown: String, prefix: String) throws {
        let url = try #require(BaseURL(text))
        #expect(url.origin.shown == shown)
        #expect(url.prefix == prefix)
        #expect(url.origin.usesTLS == text.lowercased().hasPrefix("https"))
    }

    @Test(
        "What is no such URL is refused",
        arguments: [
            "", "localhost:1234", "ftp://h", "http://", "http:///v1", "http://u:p@h", "http://u@h/v1", "http://h?x=1",
            "http://h/v1#f",
            "http://h:0", "http://h:65536", "http://h:", "http://h:x", "http://h:+80", "http://[::1", "http://::1",
            "http://h x",
            "http://h\r\nx: y", "http://h\\x", "http://h\u{e9}", "//h", "http:/h", "http://h:80:80", "http://h\"",
            "http://<h>",
        ])
    func noBase(text: String) {
        #expect(BaseURL(text) == nil)
    }

    @Test("The authority leaves a default port out, and brackets IPv6")
    func authority() {
        func authority(_ host: String, _ port: Int, tls: Bool = false) -> String {
            Origin(address: .tcp(host: host, port: port), usesTLS: tls).authority
        }
        #expect(authority("h", 80) == "h")
        #expect(authority("h", 443, tls: true) == "h")
        #expect(authority("h", 443) == "h:443")
        #expect(authority("h", 80, tls: true) == "h:80")
        #expect(authority("::1", 8080) == "[::1]:8080")
        #expect(Origin(address: .unix(path: "/x.sock")).authority == "localhost")
        #expect(!Origin(address: .unix(path: "/x.sock")).shown.contains("/"), "no path of this machine is shown")
    }

    @Test(
        "Paths lead to endpoints exactly as they are written",
        arguments: [
            ("/v1/chat/completions", Endpoint.completion(.chat)), ("/chat/completions", .completion(.chat)),
            ("/v1/models", .models),
            ("/models", .models), ("/v1/models/a", .model("a")), ("/v1/models/qwen/q", .model("qwen/q")),
            ("/v1/models/qwen%2Fq", .model("qwen/q")), ("/v1/models/%C3%A9", .model("é")), ("/health", .health),
            ("/health/live", .live), ("/health/ready", .ready), ("/", .hello), ("/api/hello", .hello),
            ("/V1/models", .unknown), ("/v1//models", .unknown), ("/v1/models/", .unknown), ("/v1/./models", .unknown),
            ("/x/../v1/models", .unknown), ("//v1/models", .unknown), ("/v1/chat/completions/", .unknown),
            ("", .unknown),
            ("/v1/chat%2Fcompletions", .unknown), ("/v1/models/%", .unknown), ("/v1/models/%4", .unknown),
            ("/v1/models/%zz", .unknown), ("/v1/models/%00", .unknown), ("/v1/models/%ff", .unknown),
            ("/v1/models/%C0%AF", .unknown),
            ("/health/", .unknown), ("/v1", .unknown), ("*", .unknown),
        ])
    func paths(path: String, endpoint: Endpoint) {
        #expect(Endpoints.match(path[...]).endpoint == endpoint)
    }

    @Test(
        "The dialect of an answer follows the path, else the header",
        arguments: [
            ("/v1/messages", false, DialectID.anthropic), ("/v1/messages/count_tokens", false, .anthropic),
            ("/x", true, .anthropic),
            ("/anthropic/v1/messages", false, .anthropic), ("/v1/chat/completions", false, .chat), ("/x", false, .chat),
        ])
    func dialect(path: String, header: Bool, dialect: DialectID) {
        #expect(
            Endpoints.dialect(
                of: Endpoints.match(path[...]).endpoint, path: path[...], hasAnthropicVersion: header) == dialect)
    }

    @Test(
        "Times for people",
        arguments: [
            (TimeAmount.milliseconds(250), "250 ms"), (.seconds(10), "10 s"), (.milliseconds(1500), "1500 ms"),
            (.seconds(90), "90 s"),
            (.minutes(1), "60 s"), (.minutes(30), "30 min"), (.seconds(150), "150 s"),
        ])
    func shown(time: TimeAmount, text: String) {
        #expect(time.shown == text)
    }

    @Test("A secret never shows itself")
    func secret() {
        let upstream = Upstream(name: "a", profile: .openAI, location: .url(Make.place), apiKey: Secret("sk-1"))
        #expect(upstream.credentialLine?.revealed == "authorization: Bearer sk-1\r\n")
        var dumped = ""
        dump(upstream, to: &dumped)
        #expect(
            !"\(upstream.credentialLine as Any) \(String(reflecting: upstream.credentialLine)) \(dumped)".contains(
                "sk-1"))
    }

    @Test("The key is taken out of what an upstream says, unless it is a placeholder")
    func quotedKey() {
        func said(_ text: String, key: String?) -> String {
            let upstream = Upstream(
                name: "a", profile: .openAI, location: .url(Make.place), apiKey: key.map(Secret.init))
            return String(buffer: upstream.withoutKey(ByteBuffer(string: text)))
        }
        let key = "sk-0123456789"
        #expect(said("bad key \(key)", key: key) == "bad key •••")
        #expect(said("\(key)\(key), \(key)!", key: key) == "••••••, •••!")
        #expect(said("bad key \(key.dropLast())", key: key) == "bad key sk-012345678")
        #expect(said("lm-studio is busy", key: "lm-studio") == "lm-studio is busy")
        #expect(said("bad key \(key)", key: nil) == "bad key \(key)")
    }
}
