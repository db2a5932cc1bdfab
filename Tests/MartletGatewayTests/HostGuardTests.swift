import MartletGateway
import Testing

@Suite("Host and Origin")
struct HostGuardTests {
    let local = HostGuard(bound: "127.0.0.1", machine: "Box")

    @Test(
        "Names of this machine are taken, with and without a port, in any case",
        arguments: [
            "localhost", "localhost:3000", "LOCALHOST:3000", "127.0.0.1", "127.0.0.1:80", "127.0.0.2:3000", "[::1]",
            "[::1]:3000",
            "host.docker.internal:3000", "Host.Docker.Internal", "box", "BOX:3000", "app.localhost:3000",
            "localhost:65535",
        ])
    func ours(host: String) {
        #expect(local.allows(host: host))
    }

    @Test(
        "Any other name is refused, also those that only look like ours",
        arguments: [
            "", "evil.com", "evil.com:3000", "localhost.evil.com", "127.0.0.1.evil.com", "127.0.0.1.nip.io",
            "evil.com/localhost",
            "localhost@evil.com", "evil.com#.localhost", "evil.com?.localhost", "evil.com\\.localhost",
            "evil.com:80@.localhost",
            "xlocalhost", "localhost:0", "localhost:65536", "localhost:-1", "localhost:+80", "localhost:80:80",
            "localhost:x",
            "[::1", "::1", "[::2]", "[::ffff:10.0.0.1]", "[localhost]", "192.168.1.5", "10.0.0.1:3000", "0.0.0.0", "0",
            "2130706433",
            "127.evil", "127.0.0.1 ", " localhost", "localhost\t", "loc\u{430}lhost", "127.\u{661}", ".localhost",
            ":3000",
            "boxer", "box.local", "*",
        ])
    func others(host: String) {
        #expect(!local.allows(host: host))
    }

    @Test("The bound address and configured names are taken; a star takes all")
    func configured() {
        let guardian = HostGuard(bound: "192.168.1.5", machine: nil, allowedHosts: ["LLM.example.com"])
        #expect(guardian.allows(host: "192.168.1.5:3000"))
        #expect(guardian.allows(host: "llm.example.com"))
        #expect(!guardian.allows(host: "example.com"))
        #expect(!guardian.allows(host: "x.llm.example.com"))
        #expect(HostGuard(bound: "fd00::5", machine: nil).allows(host: "[FD00::5]:3000"))
        #expect(HostGuard(bound: "127.0.0.1", machine: nil, allowedHosts: ["*"]).allows(host: "evil.com"))
        #expect(!HostGuard(bound: "127.0.0.1", machine: "").allows(host: ""))
    }

    @Test(
        "A page may call us from our own origin only",
        arguments: [
            ("http://localhost:3000", "localhost:3000", true), ("https://localhost:3000", "localhost:3000", true),
            ("http://LOCALHOST:3000", "localhost:3000", true), ("http://localhost:8080", "localhost:3000", false),
            ("http://localhost", "localhost:3000", false), ("http://evil.com", "localhost:3000", false),
            ("http://127.0.0.1:3000", "localhost:3000", true), ("http://localhost:3000", "127.0.0.1:3000", true),
            ("http://127.0.0.1:3001", "localhost:3000", false), ("http://127.0.0.1", "localhost", false),
            ("http://[::1]:3000", "localhost:3000", false), ("http://localhost:3000", "evil.com:3000", false),
            ("null", "localhost:3000", false),
            ("", "localhost:3000", false),
            ("http://localhost:3000.evil.com", "localhost:3000", false), ("file://", "localhost:3000", false),
            ("chrome-extension://abc", "localhost:3000", false),
        ])
    func origins(origin: String, host: String, expected: Bool) {
        #expect(local.allows(origin: origin, host: host) == expected)
        #expect(!local.grantsCrossOrigin(origin), "our own pages need no CORS headers")
    }

    @Test("What a foreign page loads without an Origin is refused, and nothing else")
    func sites() {
        for site in [nil, "same-origin", "same-site", "none"] { #expect(local.allows(site: site)) }
        #expect(!local.allows(site: "cross-site") && !local.allows(site: "Cross-Site"))
        #expect(
            !HostGuard(bound: "127.0.0.1", machine: nil, allowedOrigins: ["https://a.example"]).allows(
                site: "cross-site"))
        #expect(HostGuard(bound: "127.0.0.1", machine: nil, allowedOrigins: ["*"]).allows(site: "cross-site"))
    }

    @Test("Allowed origins are taken in any case, whole or not at all")
    func allowedOrigins() {
        let guardian = HostGuard(bound: "127.0.0.1", machine: nil, allowedOrigins: ["https://App.example.com"])
        #expect(guardian.allows(origin: "https://app.example.com", host: "localhost"))
        #expect(guardian.grantsCrossOrigin("HTTPS://app.example.com"))
        #expect(!guardian.allows(origin: "http://app.example.com", host: "localhost"))
        #expect(!guardian.grantsCrossOrigin("https://app.example.com.evil.com"))
        let open = HostGuard(bound: "127.0.0.1", machine: nil, allowedOrigins: ["*"])
        #expect(open.allows(origin: "null", host: "localhost") && open.grantsCrossOrigin("http://x"))
    }

    @Test(
        "A server that listens beyond this machine answers to addresses, which cannot be rebound, and to no further name",
        arguments: [
            ("192.168.1.5:3000", true), ("10.0.0.7", true), ("[fe80::1]:3000", true), ("evil.com", false),
            ("1.2.3", false), ("1.2.3.4.evil.com", false), ("1.2.3.400", false), ("1.2.3.x", false),
            ("0x7f.0.0.1", false),
        ])
    func addresses(host: String, isOurs: Bool) {
        #expect(HostGuard(bound: "0.0.0.0", machine: nil).allows(host: host) == isOurs)
        #expect(!HostGuard(bound: "127.0.0.1", machine: nil).allows(host: host))
    }
}
