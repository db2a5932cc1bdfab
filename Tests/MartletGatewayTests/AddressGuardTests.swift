import MartletGateway
import MartletWire
import Testing

/// Which addresses are everybody's, and which addresses of images are looked at at all.
@Suite("Where images may be fetched from")
struct AddressGuardTests {
    static func bytes4(_ text: String) -> [UInt8] { text.split(separator: ".").compactMap { UInt8($0) } }

    /// Eight groups, written out.
    static func bytes6(_ text: String) -> [UInt8] {
        text.split(separator: ":").flatMap { group -> [UInt8] in
            let number = UInt16(group, radix: 16) ?? 0
            return [UInt8(number >> 8), UInt8(number & 255)]
        }
    }

    @Test(
        "IPv4 addresses of the open internet, up to the edges of what is not",
        arguments: [
            "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
            "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
        ])
    func open4(address: String) { #expect(AddressGuard.isPublic(Self.bytes4(address))) }

    @Test(
        "IPv4 addresses that are not",
        arguments: [
            "0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
            "127.255.255.255", "169.254.169.254", "169.254.0.0", "172.16.0.0", "172.31.255.255", "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.7",
            "203.0.113.9", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
        ])
    func closed4(address: String) { #expect(!AddressGuard.isPublic(Self.bytes4(address))) }

    @Test(
        "IPv6 addresses of the open internet",
        arguments: [
            "2606:2800:220:1:248:1893:25c8:1946", "2001:4860:4860:0:0:0:0:8888", "2001:200:0:0:0:0:0:1",
            "2a00:1450:0:0:0:0:0:1", "3ffe:0:0:0:0:0:0:1", "3fff:1000:0:0:0:0:0:1",
        ])
    func open6(address: String) { #expect(AddressGuard.isPublic(Self.bytes6(address))) }

    @Test(
        "IPv6 addresses that are not",
        arguments: [
            ("0:0:0:0:0:0:0:0", "unspecified"), ("0:0:0:0:0:0:0:1", "loopback"),
            ("0:0:0:0:0:ffff:7f00:1", "loopback, mapped"), ("0:0:0:0:0:ffff:808:808", "public, mapped"),
            ("0:0:0:0:0:0:7f00:1", "loopback, compatible"), ("64:ff9b:0:0:0:0:a00:1", "private, translated"),
            ("100:0:0:0:0:0:0:1", "discarded"), ("2001:0:0:0:0:0:0:1", "Teredo"), ("2001:1ff:0:0:0:0:0:1", "protocols"),
            ("2001:db8:0:0:0:0:0:1", "documentation"), ("2002:7f00:1:0:0:0:0:1", "loopback, by 6to4"),
            ("3fff:fff:0:0:0:0:0:1", "documentation"), ("fc00:0:0:0:0:0:0:1", "unique-local"),
            ("fdff:0:0:0:0:0:0:1", "unique-local"), ("fe80:0:0:0:0:0:0:1", "link-local"),
            ("fec0:0:0:0:0:0:0:1", "site-local"), ("ff02:0:0:0:0:0:0:1", "multicast"),
        ])
    func closed6(address: String, what: String) { #expect(!AddressGuard.isPublic(Self.bytes6(address)), "\(what)") }

    @Test("what is no address is not public", arguments: [[], [1, 1, 1], [UInt8](repeating: 0x20, count: 15)])
    func noAddress(bytes: [UInt8]) { #expect(!AddressGuard.isPublic(bytes)) }

    @Test(
        "addresses of images",
        arguments: [
            ("http://a.example/b.png?c=d#e", "a.example:80", "/b.png?c=d", false),
            ("HTTPS://a.example", "a.example:443", "/", true),
            ("https://a.example:8443?x", "a.example:8443", "/?x", true),
            ("http://[::1]:8080/x", "[::1]:8080", "/x", false),
        ])
    func addresses(text: String, place: String, target: String, usesTLS: Bool) throws {
        let url = try #require(ImageURL(text))
        #expect(url.origin.shown == place && url.target == target && url.origin.usesTLS == usesTLS)
    }

    @Test(
        "what is none",
        arguments: [
            "ftp://a.example/b", "file:///etc/passwd", "data:image/png;base64,AA==", "//a.example/b", "a.example/b.png",
            "http:///b", "http://user:pw@a.example/b", "http://a.example:0/b", "http://a.example:70000/",
            "http://[a]/b",
            "http://a.example/b c", "http://a.example/\r\nhost: x", "http://a.example\\@b.example/",
            "http://a.exämple/",
            "gopher://a.example", "", "http://" + String(repeating: "a", count: 9000),
        ])
    func noAddress(text: String) { #expect(ImageURL(text) == nil) }

    @Test(
        "where redirects lead",
        arguments: [
            ("/c", "a.example:443", "/c"), ("http://b.example/c", "b.example:80", "/c"),
            ("//b.example/c", "b.example:443", "/c"), ("c.png", "a.example:443", "/d/c.png"),
            ("?s=1:2", "a.example:443", "/d/b?s=1:2"), ("../c?q=../x#f", "a.example:443", "/c?q=../x"),
            ("./c/..", "a.example:443", "/d/"), ("../../../c", "a.example:443", "/c"),
            ("", "a.example:443", "/d/b?w=1"),
        ])
    func redirects(location: String, place: String, target: String) throws {
        let url = try #require(ImageURL("https://a.example/d/b?w=1")?.redirected(to: location))
        #expect(url.origin.shown == place && url.target == target)
    }

    @Test(
        "and where not",
        arguments: ["file:///etc/passwd", "//u@b.example/c", "a b", "data:image/png;base64,AA==", "//"])
    func noRedirects(location: String) throws {
        #expect(try #require(ImageURL("https://a.example/b")).redirected(to: location) == nil)
    }

    @Test("hosts that are allowed by name, with a port or for any")
    func allowed() throws {
        let rules = ImageRules(allowedHosts: ["NAS.local", "127.0.0.1:8080"])
        func allows(_ text: String) throws -> Bool { rules.allows(try #require(ImageURL(text))) }
        #expect(try allows("http://nas.local/a") && allows("https://NAS.local:444/a"))
        #expect(try allows("http://127.0.0.1:8080/a"))
        #expect(try !allows("http://127.0.0.1/a") && !allows("http://x.nas.local/a"))
    }
}
