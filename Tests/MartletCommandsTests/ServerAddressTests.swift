import MartletCommands
import Testing

@Suite("where commands find a server")
struct ServerAddressTests {
    @Test(
        "an address is a base URL, with our port where neither scheme nor port is said",
        arguments: [
            ("box", "http://box:3000"), ("box:80", "http://box:80"), ("http://box", "http://box"),
            ("https://models.example/", "https://models.example"), ("http://box:8080/v1", "http://box:8080"),
            ("http://box/api/v1/", "http://box"), ("http://box/api/v0", "http://box"), ("box/v1", "http://box:3000"),
            ("https://box/models/v1", "https://box/models"), ("[::1]", "http://[::1]:3000"),
            ("[::1]:99", "http://[::1]:99"), ("HTTP://box", "http://box"),
        ])
    func addresses(_ text: String, _ url: String) { #expect(ServerAddress.url(text) == url) }

    @Test(
        "what is no address is none",
        arguments: ["", "http://", "ftp://box", "box:many", "box:0", "box:70000", ":3000", "a b", "unix:/run/x"])
    func none(_ text: String) { #expect(ServerAddress.url(text) == nil) }
}
