/// Which images the gateway may fetch for its clients.
package struct ImageRules: Sendable, Equatable {
    /// Hosts, or `host:port`, whose address need not be public: a picture server of one's own.
    package var allowedHosts: [String]

    package init(allowedHosts: [String] = []) { self.allowedHosts = allowedHosts.map { $0.lowercased() } }

    package func allows(_ url: ImageURL) -> Bool {
        guard case .tcp(let host, let port) = url.origin.address else { return false }
        return allowedHosts.contains(host.lowercased()) || allowedHosts.contains("\(host.lowercased()):\(port)")
    }
}

/// An address of an image that may be fetched, as far as it can be told before its host is looked up.
package struct ImageURL: Hashable, Sendable {
    package var origin: Origin
    /// Path and query: fit for a request line.
    package var target: String

    /// Nil unless it is an http or https URL of printable ASCII without user info.
    package init?(_ text: String) {
        let parts = text.prefix { $0 != "#" }
        guard text.utf8.count <= Limits.imageAddress, parts.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !parts.contains("\\")
        else { return nil }
        let scheme = parts.prefix { $0 != ":" }.lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        var rest = parts.dropFirst(scheme.utf8.count)
        guard rest.hasPrefix("://") else { return nil }
        rest = rest.dropFirst(3)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.contains("@"),
            let (host, port) = BaseURL.hostAndPort(authority, defaultPort: scheme == "https" ? 443 : 80)
        else { return nil }
        origin = Origin(address: .tcp(host: host, port: port), usesTLS: scheme == "https")
        target = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
    }

    /// Where a redirect leads; nil when that is no such address.
    package func redirected(to location: String) -> ImageURL? {
        guard location.hasPrefix("/"), !location.hasPrefix("//") else { return ImageURL(location) }
        return ImageURL("\(origin.usesTLS ? "https" : "http")://\(origin.authority)\(location)")
    }
}
