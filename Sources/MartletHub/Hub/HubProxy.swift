/// The HTTP proxy that stands between this machine and the hub, where one does. It is asked for tunnels only, so that
/// it sees neither what is asked nor the token.
package struct HubProxy: Sendable {
    package struct Server: Sendable, Hashable {
        package var host: String
        package var port: Int
        /// `user:password` in base64; nil: none. A secret.
        package var credentials: String?

        package init(host: String, port: Int, credentials: String? = nil) {
            self.host = host
            self.port = port
            self.credentials = credentials
        }
    }

    /// No proxy at all.
    package static let none = HubProxy(server: nil) { _, _ in false }

    package let server: Server?
    /// Whether a host that is spoken to with TLS is reached through it.
    /// - Throws: `invalidSetting` where that is a proxy which cannot be used.
    package let covers: @Sendable (_ host: String, _ port: Int) throws(HubError) -> Bool

    package init(
        server: Server?, covers: @escaping @Sendable (_ host: String, _ port: Int) throws(HubError) -> Bool
    ) {
        self.server = server
        self.covers = covers
    }

    /// Never what is spoken to without TLS, which a proxy could read.
    func covers(_ origin: WebOrigin) throws(HubError) -> Bool {
        guard origin.scheme == "https" else { return false }
        return try covers(origin.host, origin.port)
    }
}
