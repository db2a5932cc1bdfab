#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The address of a server that is reached over HTTP.
package struct ServerURL: Sendable, Hashable {
    /// Without fragment, its host in lower case: what is looked up is what is connected to.
    package var text: String { identity + query }
    /// In lower case; of an IPv6 address without its brackets.
    package let host: String
    package let port: Int
    package let isEncrypted: Bool
    private let path: String
    private let query: String

    /// Nil unless it is an http or https URL of printable ASCII with a host and without user info.
    package init?(_ text: String) {
        guard text.utf8.count <= 2048, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !text.contains("\\"),
            let url = URL(string: String(text.prefix { $0 != "#" })), url.user() == nil, url.password() == nil,
            let scheme = url.scheme?.lowercased(), scheme == "http" || scheme == "https",
            var host = url.host()?.lowercased(), !host.isEmpty, !host.contains("%")
        else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        isEncrypted = scheme == "https"
        port = url.port ?? (isEncrypted ? 443 : 80)
        guard (1...65535).contains(port) else { return nil }
        self.host = host
        path = url.path()
        query = url.query().map { "?" + $0 } ?? ""
    }

    /// Scheme, host, port and path: what pins hang on. A query may hold a key.
    package var identity: String { origin + (path.isEmpty ? "/" : path) }

    /// Scheme, host and port.
    package var origin: String {
        "\(isEncrypted ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }

    /// Where a `Location` header leads; nil when that is no address.
    func redirected(to location: String) -> ServerURL? {
        guard let base = URL(string: text), let target = URL(string: location, relativeTo: base) else { return nil }
        return ServerURL(target.absoluteURL.absoluteString)
    }
}
