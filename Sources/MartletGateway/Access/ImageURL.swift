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

    /// Where a redirect leads, relative to here (https://www.rfc-editor.org/rfc/rfc3986#section-5.2);
    /// nil when that is no such address.
    package func redirected(to location: String) -> ImageURL? {
        let location = String(location.prefix { $0 != "#" })
        let scheme = origin.usesTLS ? "https" : "http"
        let first = location.prefix { !"/?:".contains($0) }
        if location[first.endIndex...].hasPrefix(":") { return ImageURL(location) }
        if location.hasPrefix("//") { return ImageURL("\(scheme):\(location)") }
        let path = target.prefix { $0 != "?" }
        var next = location
        if location.isEmpty {
            next = target
        } else if location.hasPrefix("?") {
            next = path + location
        } else if !location.hasPrefix("/") {
            next = path[...(path.lastIndex(of: "/") ?? path.startIndex)] + location
        }
        return ImageURL("\(scheme)://\(origin.authority)\(Self.withoutDots(next))")
    }

    /// A path without `.` and `..`, its query as it is.
    private static func withoutDots(_ target: String) -> String {
        let path = target.prefix { $0 != "?" }
        var kept: [Substring] = []
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (place, segment) in segments.enumerated() {
            let isDots = segment == "." || segment == ".."
            if segment == ".." { _ = kept.popLast() }
            if !isDots { kept.append(segment) }
            if isDots, place == segments.count - 1 { kept.append("") }
        }
        return "/" + kept.joined(separator: "/") + target[path.endIndex...]
    }
}
