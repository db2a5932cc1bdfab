internal import NIOSSL

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// Where the hub is, and the token it knows us by.
package struct HubEndpoint: Sendable {
    package static let huggingFace = "https://huggingface.co"

    /// Without a slash at its end; may have a path, as mirrors have.
    package let base: String
    let origin: WebOrigin
    private(set) var token: HubToken?
    /// Nothing is to be asked of it.
    package private(set) var isOffline = false
    /// Whom to trust in place of the system's certificate authorities; nil: those.
    private(set) var authorities: [NIOSSLCertificate]?

    /// As `HF_ENDPOINT` (else Hugging Face itself), `HF_HUB_OFFLINE`, `SSL_CERT_FILE` and `HF_TOKEN` say; where there is no such token,
    /// the one that Hugging Face's own programs saved ([variables](
    /// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables)).
    /// - Throws: `invalidSetting`.
    package init(environment: [String: String]) throws(HubError) {
        let named = environment["HF_TOKEN"].flatMap { $0.trimmed.isEmpty ? nil : $0 }
        try self.init(
            base: environment["HF_ENDPOINT"].flatMap { $0.isEmpty ? nil : $0 } ?? Self.huggingFace, token: named)
        if named == nil { token = SavedToken.find(environment, for: origin) }
        isOffline = Self.isOn(environment["HF_HUB_OFFLINE"])
        guard let file = environment["SSL_CERT_FILE"], !file.isEmpty else { return }
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(file), !certificates.isEmpty else {
            throw HubError(
                .invalidSetting, "SSL_CERT_FILE names \(file), which is no PEM file of certificates that can be read")
        }
        authorities = certificates
    }

    /// As Hugging Face's programs read switches.
    static func isOn(_ value: String?) -> Bool {
        ["1", "on", "yes", "true"].contains(value?.trimmed.lowercased() ?? "")
    }

    /// - Parameters:
    ///   - base: http or https, without query and without a user's name.
    ///   - token: sent to this endpoint and to nobody else; empty is none.
    /// - Throws: `invalidSetting`.
    package init(base: String = huggingFace, token: String? = nil) throws(HubError) {
        var text = base.trimmed
        while text.hasSuffix("/") { text.removeLast() }
        guard let url = URL(string: text), let origin = WebOrigin(url), url.user() == nil, url.query() == nil,
            url.fragment() == nil, !HubName.hasControls(text)
        else {
            throw HubError(
                .invalidSetting,
                "HF_ENDPOINT must be an address such as \(Self.huggingFace), without a query or a user's name")
        }
        self.base = text
        self.origin = origin
        let secret = token?.trimmed ?? ""
        guard !secret.isEmpty else {
            self.token = nil
            return
        }
        guard HubToken.isToken(secret) else {
            throw HubError(.invalidSetting, "HF_TOKEN holds characters that no token has: copy it again")
        }
        guard origin.keepsSecrets else {
            throw HubError(
                .invalidSetting,
                "HF_TOKEN is not sent without encryption: use https in HF_ENDPOINT, or unset HF_TOKEN")
        }
        self.token = HubToken(secret: secret, name: "HF_TOKEN")
    }

    /// The host as in addresses of its pages, with the port if it is not the scheme's own.
    package var host: String { origin.shown }
}

/// A secret that does not show when it is printed.
struct HubToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let secret: String
    /// What people know it by, for sentences.
    let name: String

    static func isToken(_ text: String) -> Bool { text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }

    var description: String { "(hidden)" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Scheme, host and port: what a token belongs to.
package struct WebOrigin: Sendable, Hashable {
    let scheme: String
    let host: String
    let port: Int

    /// nil when the URL is not http or https, or has no host.
    package init?(_ url: URL) {
        guard let scheme = url.scheme?.lowercased(), scheme == "http" || scheme == "https",
            let host = url.host()?.lowercased(), !host.isEmpty
        else { return nil }
        self.scheme = scheme
        self.host = host
        port = url.port ?? (scheme == "https" ? 443 : 80)
    }

    var isLoopback: Bool {
        let host = host.trimmingPrefix("[")
        return host == "localhost" || host.hasPrefix("127.") && host.allSatisfy { $0.isNumber || $0 == "." }
            || host == "::1" || host == "::1]"
    }

    /// Nobody on the way reads what is sent to it.
    var keepsSecrets: Bool { scheme == "https" || isLoopback }

    var shown: String { port == (scheme == "https" ? 443 : 80) ? host : "\(host):\(port)" }
}

/// Where a redirect may lead.
package enum Redirect {
    /// - Parameters:
    ///   - location: the header's value, absolute or relative.
    ///   - count: of redirects followed so far.
    /// - Throws: `badRedirect`.
    package static func target(
        from url: URL, location: String?, count: Int, limits: HubLimits
    ) throws(HubError) -> URL {
        let from = WebOrigin(url)?.shown ?? "the hub"
        guard count < limits.redirects else {
            throw HubError(.badRedirect, "\(from) redirects more than \(limits.redirects) times: try again later")
        }
        guard let location, let target = URL(string: location, relativeTo: url)?.absoluteURL,
            let origin = WebOrigin(target), target.user() == nil
        else {
            throw HubError(.badRedirect, "\(from) redirects to what is no address of a file")
        }
        guard url.scheme?.lowercased() != "https" || origin.scheme == "https" else {
            throw HubError(
                .badRedirect, "\(from) redirects to \(origin.shown) without encryption, which is not followed")
        }
        return target
    }
}
