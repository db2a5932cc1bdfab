/// Where a connection goes: an address, and TLS or not.
package struct Origin: Hashable, Sendable {
    package enum Address: Hashable, Sendable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package var address: Address
    /// TLS with the host's name as server name; never on Unix sockets.
    package var usesTLS: Bool
    /// Of a model of this machine: the name of what is loaded there.
    package var instance: String?

    package init(address: Address, usesTLS: Bool = false, instance: String? = nil) {
        self.address = address
        self.usesTLS = usesTLS
        self.instance = instance
    }

    /// The `Host` field: the authority of the URL, without a default port.
    package var authority: String {
        switch address {
        case .unix: return "localhost"
        case .tcp(let host, let port):
            let name = host.contains(":") ? "[\(host)]" : host
            return port == (usesTLS ? 443 : 80) ? name : "\(name):\(port)"
        }
    }

    /// For people and logs: `localhost:1234`, or the name of a socket's owner where there is no address to show.
    package var shown: String {
        switch address {
        case .unix: return "the local engine"
        case .tcp(let host, let port): return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// Whether it can only be this machine: loopback, or a Unix socket.
    package var isLocal: Bool {
        switch address {
        case .unix: true
        case .tcp(let host, _): Origin.isLoopback(host)
        }
    }

    /// Whether only this machine reaches a host's address.
    package static func isLoopback(_ host: String) -> Bool {
        let host = host.lowercased()
        if host == "localhost" || host == "::1" || host.hasSuffix(".localhost") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}

/// An upstream's base URL, taken with or without `/v1`, `/api/v1` or `/api/v0` at its end.
package struct BaseURL: Hashable, Sendable {
    package var origin: Origin
    /// Prefix of every path, `""` or `/something`, never ending in `/`.
    package var prefix: String

    /// Reads `http://host:port/prefix`. Nil when it is not such a URL, or carries user info, a query or a fragment.
    package init?(_ text: String) {
        let usesTLS: Bool
        var rest: Substring
        switch text.prefix(while: { $0 != ":" }).lowercased() {
        case "http": usesTLS = false
        case "https": usesTLS = true
        default: return nil
        }
        rest = text.dropFirst(usesTLS ? 5 : 4)
        guard rest.hasPrefix("://") else { return nil }
        rest = rest.dropFirst(3)
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !"@?#\\\"<>".utf8.contains($0) }) else { return nil }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<slash]
        rest = rest[slash...]
        guard let (host, port) = BaseURL.hostAndPort(authority, defaultPort: usesTLS ? 443 : 80) else { return nil }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        for tail in ["/api/v1", "/api/v0", "/v1"] where rest.hasSuffix(tail) {
            rest = rest.dropLast(tail.count)
            break
        }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        origin = Origin(address: .tcp(host: host, port: port), usesTLS: usesTLS)
        prefix = String(rest)
    }

    package init(origin: Origin, prefix: String = "") {
        self.origin = origin
        self.prefix = prefix
    }

    /// Splits `host:port`, `[v6]:port` or `host`; nil when either part is not one.
    package static func hostAndPort(_ authority: Substring, defaultPort: Int) -> (String, Int)? {
        var host = authority
        var port = defaultPort
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<close]
            let rest = authority[authority.index(after: close)...]
            if !rest.isEmpty {
                guard rest.hasPrefix(":"), let number = portNumber(rest.dropFirst()) else { return nil }
                port = number
            }
            // Only an IPv6 address stands in brackets (RFC 3986, 3.2.2).
            guard host.contains(":") else { return nil }
        } else if let colon = authority.lastIndex(of: ":") {
            guard let number = portNumber(authority[authority.index(after: colon)...]) else { return nil }
            host = authority[..<colon]
            port = number
            if host.contains(":") { return nil }
        }
        guard !host.isEmpty, (1...65535).contains(port) else { return nil }
        return (String(host), port)
    }

    private static func portNumber(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }
}
