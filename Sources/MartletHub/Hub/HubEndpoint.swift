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
    let token: HubToken?

    /// As `HF_ENDPOINT` (else Hugging Face itself) and `HF_TOKEN` say.
    /// - Throws: `invalidSetting`.
    package init(environment: [String: String]) throws(HubError) {
        try self.init(
            base: environment["HF_ENDPOINT"].flatMap { $0.isEmpty ? nil : $0 } ?? Self.huggingFace,
            token: environment["HF_TOKEN"])
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
        guard secret.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw HubError(.invalidSetting, "HF_TOKEN holds characters that no token has: copy it again")
        }
        guard origin.scheme == "https" || origin.isLoopback else {
            throw HubError(
                .invalidSetting,
                "HF_TOKEN is not sent without encryption: use https in HF_ENDPOINT, or unset HF_TOKEN")
        }
        self.token = HubToken(secret: secret)
    }

    /// The host as in addresses of its pages, with the port if it is not the scheme's own.
    package var host: String { origin.shown }
}

/// A secret that does not show when it is printed.
struct HubToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let secret: String
    var description: String { "(hidden)" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Scheme, host and port: what a token belongs to.
struct WebOrigin: Sendable, Hashable {
    let scheme: String
    let host: String
    let port: Int

    /// nil when the URL is not http or https, or has no host.
    init?(_ url: URL) {
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
