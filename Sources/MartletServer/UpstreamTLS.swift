import NIOCore
import NIOSSL

/// TLS to upstreams: who vouches for them.
enum UpstreamTLS {
    /// Nil when nothing uses TLS: reading the system's authorities takes milliseconds and megabytes.
    /// - Throws: `AppError` when the file of authorities cannot be used.
    static func context(_ configuration: Configuration) throws(AppError) -> NIOSSLContext? {
        let hasUpstream = configuration.upstreams.contains { $0.url.lowercased().hasPrefix("https:") }
        guard hasUpstream || configuration.images.rules != nil else { return nil }
        var settings = TLSConfiguration.makeClientConfiguration()
        // An upstream that is writing does not answer the end of the session: it is to see the connection go at once.
        settings.shutdownTimeout = .milliseconds(100)
        if let path = configuration.network.authorities { settings.trustRoots = .file(path) }
        do {
            return try NIOSSLContext(configuration: settings)
        } catch {
            guard let path = configuration.network.authorities else {
                throw AppError("TLS cannot be used here: the system's certificate authorities cannot be read")
            }
            throw AppError("SSL_CERT_FILE names \(path), which is no PEM file of certificates that can be read")
        }
    }
}
