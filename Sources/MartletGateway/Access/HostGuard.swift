/// Who may be named in `Host` and `Origin`: the guard against DNS rebinding and cross-site
/// requests (product.md 2, Hosts).
package struct HostGuard: Sendable {
    private let hosts: Set<String>
    private let origins: Set<String>
    private let allowsAnyHost: Bool
    /// Listens beyond this machine: its addresses are names too. An address cannot be rebound, only a name can.
    private let allowsAddresses: Bool

    /// - Parameters:
    ///   - bound: the address the server listens on.
    ///   - machine: this machine's name.
    ///   - allowedHosts: further names, from `server.allowed_hosts`; `*` allows all.
    ///   - allowedOrigins: origins that browsers may call from, from `server.allowed_origins`.
    package init(bound: String, machine: String?, allowedHosts: [String] = [], allowedOrigins: [String] = []) {
        var names: Set<String> = ["localhost", "127.0.0.1", "::1", "host.docker.internal", bound.lowercased()]
        if let machine, !machine.isEmpty { names.insert(machine.lowercased()) }
        for host in allowedHosts { names.insert(host.lowercased()) }
        hosts = names
        allowsAnyHost = allowedHosts.contains("*")
        allowsAddresses = !["localhost", "127.0.0.1", "::1"].contains(bound.lowercased())
        origins = Set(allowedOrigins.map { $0.lowercased() })
    }

    /// Whether the `Host` field (with or without a port) names us. Absent or repeated: refused by the caller as empty.
    package func allows(host field: String) -> Bool {
        if allowsAnyHost { return true }
        guard let (name, _) = BaseURL.hostAndPort(field[...], defaultPort: 80) else { return false }
        if hosts.contains(name) { return true }
        let lower = name.lowercased()
        if hosts.contains(lower) { return true }
        if allowsAddresses, HostGuard.isAddress(lower) { return true }
        if lower.hasPrefix("127.") { return lower.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E } }
        return lower.utf8.count > 10 && lower.hasSuffix(".localhost") && lower.utf8.allSatisfy(HostGuard.isNameByte)
    }

    /// Four decimal numbers, or hexadecimal groups between colons.
    private static func isAddress(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 4 {
            return parts.allSatisfy { part in
                (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                    && Int(part).map { $0 <= 255 } == true
            }
        }
        return host.utf8.contains(UInt8(ascii: ":"))
            && host.utf8.allSatisfy { (0x30...0x3A).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Whether a browser page of this origin may call us. Our own pages come from an allowed host over http.
    package func allows(origin: String, host: String) -> Bool {
        let lower = origin.lowercased()
        if origins.contains(lower) || origins.contains("*") { return true }
        guard let scheme = ["http://", "https://"].first(where: lower.hasPrefix) else { return false }
        let (page, host) = (lower.dropFirst(scheme.count), host.lowercased())
        return page == host || HostGuard.localPort(page).map { $0 == HostGuard.localPort(host[...]) } == true
    }

    /// The port in `localhost:3000` and `127.0.0.1:3000`, two names of one server.
    private static func localPort(_ authority: Substring) -> Substring? {
        guard let name = ["localhost:", "127.0.0.1:"].first(where: authority.hasPrefix) else { return nil }
        return authority.dropFirst(name.count)
    }

    /// Whether a browser may send us a request without an `Origin`: links, images and forms of
    /// foreign pages come without one.
    /// - Parameter site: `Sec-Fetch-Site`, which pages cannot write; nil: no browser, or an old one.
    package func allows(site: String?) -> Bool { site?.lowercased() != "cross-site" || origins.contains("*") }

    /// Whether replies to this origin carry CORS headers: only for origins that were allowed by name.
    package func grantsCrossOrigin(_ origin: String) -> Bool {
        origins.contains(origin.lowercased()) || origins.contains("*")
    }
}
