internal import AsyncHTTPClient
internal import MartletWire
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// Calls to Hugging Face's HTTP API, or to a mirror that speaks it.
///
/// Redirects are followed here and not by the HTTP client, because each is looked at first, and because the token stays
/// with the endpoint: it is not sent to another scheme, host or port, nor to the endpoint once a request has left it.
/// Whoever makes a client ends it with `shutdown`.
package final class HubClient: Sendable {
    package let endpoint: HubEndpoint
    package let limits: HubLimits
    let willRetry: @Sendable (HubError, Duration) -> Void
    private let proxy: HubProxy
    private let redirects: RedirectGuard
    private let direct: HTTPClient
    private let proxied: HTTPClient?

    /// - Parameter willRetry: is told why something is asked for again, and after which pause.
    package init(
        endpoint: HubEndpoint, limits: HubLimits = HubLimits(), proxy: HubProxy = .none,
        willRetry: @escaping @Sendable (HubError, Duration) -> Void = { _, _ in }
    ) {
        self.willRetry = willRetry
        self.endpoint = endpoint
        self.limits = limits
        self.proxy = proxy
        redirects = RedirectGuard(endpoint: endpoint.origin)
        var configuration = HTTPClient.Configuration.singletonConfiguration
        configuration.redirectConfiguration = .disallow
        configuration.decompression = .disabled
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = .nanoseconds(limits.connect.nanoseconds)
        configuration.timeout.read = .nanoseconds(limits.stall.nanoseconds)
        configuration.connectionPool.retryConnectionEstablishment = false
        if let authorities = endpoint.authorities {
            var trust = TLSConfiguration.makeClientConfiguration()
            trust.trustRoots = .certificates(authorities)
            configuration.tlsConfiguration = trust
        }
        configuration.http1_1ConnectionDebugInitializer = CutReplyHandler.add
        direct = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        guard let server = proxy.server else {
            proxied = nil
            return
        }
        configuration.proxy = .server(
            host: server.host, port: server.port, authorization: server.credentials.map { .basic(credentials: $0) })
        proxied = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Closes its connections; requests under way fail.
    package func shutdown() async {
        try? await direct.shutdown()
        try? await proxied?.shutdown()
    }

    /// A reply whose head has come.
    struct Reply {
        let response: HTTPClientResponse
        /// Who answered, after redirects.
        let origin: WebOrigin?
        /// Whether the token was sent to them.
        let hadToken: Bool

        var status: Int { Int(response.status.code) }
        /// Bytes of its body, where its head tells. One with fewer was cut: that is no error of reading it.
        var length: Int64? { response.headers.first(name: "content-length").flatMap { Int64($0) } }
    }

    /// Sends a GET request and follows redirects.
    /// - Returns: whatever answered; a status that is no success is no error.
    /// - Throws: ``HubError``, `CancellationError`.
    func open(_ address: String, headers: HTTPHeaders = [:]) async throws -> Reply {
        guard !endpoint.isOffline else {
            throw HubError(
                .offline, "HF_HUB_OFFLINE is set, so nothing is asked of \(endpoint.host): unset it to get models")
        }
        guard var url = URL(string: address) else {
            throw HubError(.badReply, "\(endpoint.host) has a file whose address cannot be spelled")
        }
        var mayHaveToken = true
        var count = 0
        while true {
            var request = HTTPClientRequest(url: url.absoluteString)
            request.headers = headers
            request.headers.replaceOrAdd(name: "user-agent", value: "martlet")
            let origin = WebOrigin(url)
            mayHaveToken = mayHaveToken && origin == endpoint.origin
            if mayHaveToken, let token = endpoint.token {
                request.headers.replaceOrAdd(name: "authorization", value: "Bearer \(token.secret)")
            }
            let isProxied = try origin.map { origin throws(HubError) in try proxy.covers(origin) } ?? false
            let response = try await send(request, to: origin?.shown ?? endpoint.host, isProxied: isProxied)
            guard [301, 302, 303, 307, 308].contains(response.status.code) else {
                return Reply(response: response, origin: origin, hadToken: mayHaveToken && endpoint.token != nil)
            }
            _ = try? await response.body.collect(upTo: 64 << 10)
            url = try Redirect.target(
                from: url, location: response.headers.first(name: "location"), count: count, limits: limits)
            if let target = WebOrigin(url) {
                try await redirects.check(target, from: origin, isProxied: try proxy.covers(target))
            }
            count += 1
        }
    }

    /// Sends a GET request to the API, again where that may help, and reads the JSON it answers with.
    /// - Parameters:
    ///   - path: below the endpoint, encoded, with its query.
    ///   - subject: what is asked for, for sentences.
    /// - Returns: the value and the `cursor` of the next page, if there is one.
    /// - Throws: ``HubError``, `CancellationError`.
    func get(_ path: String, subject: String) async throws -> (JSON, next: String?) {
        var retries = Retries(limits)
        while true {
            do {
                return try await getOnce(path, subject: subject)
            } catch let error as HubError {
                guard let pause = retries.pause(after: error, gained: false) else { throw error }
                willRetry(error, pause)
                try await Task.sleep(for: pause)
            }
        }
    }

    private func getOnce(_ path: String, subject: String) async throws -> (JSON, next: String?) {
        let reply = try await open(endpoint.base + path, headers: ["accept": "application/json"])
        guard reply.status == 200 else { throw failure(reply, subject: subject) }
        let body: ByteBuffer
        do {
            body = try await reply.response.body.collect(upTo: limits.reply)
        } catch is NIOTooManyBytesError {
            throw HubError(
                .badReply, "\(endpoint.host) answers with more than \(limits.reply >> 20) MiB about \(subject)")
        } catch {
            throw Self.transportError(error, host: endpoint.host, hasBegun: true)
        }
        if let length = reply.length, body.readableBytes < length { throw Self.cut(endpoint.host) }
        do throws(JSONError) {
            let json = try JSON(parsing: body)
            return (json, next: reply.response.headers["link"].lazy.compactMap(Self.cursor).first)
        } catch {
            throw HubError(
                .badReply,
                "\(endpoint.host) answers, but not as the hub's API does: is HF_ENDPOINT an address of a hub?")
        }
    }

    /// The error that a reply without success is.
    func failure(_ reply: Reply, subject: String) -> HubError {
        HubFailure.error(
            status: reply.status, headers: reply.response.headers, subject: subject,
            host: reply.origin?.shown ?? endpoint.host, pages: endpoint.base,
            token: reply.hadToken ? endpoint.token?.name : nil)
    }

    /// The `cursor` of the page a `Link` header calls the next. The rest of that address is not used: mirrors pass on
    /// those of the hub they mirror.
    static func cursor(_ link: String) -> String? {
        for part in link.split(separator: ",") where part.contains("rel=\"next\"") || part.contains("rel=next") {
            guard let start = part.firstIndex(of: "<"), let end = part[start...].firstIndex(of: ">"),
                let mark = part[start..<end].firstIndex(of: "?")
            else { continue }
            for item in part[part.index(after: mark)..<end].split(separator: "&") where item.hasPrefix("cursor=") {
                return HubName.decoded(item.dropFirst("cursor=".count))
            }
        }
        return nil
    }

    private func send(
        _ request: HTTPClientRequest, to host: String, isProxied: Bool
    ) async throws -> HTTPClientResponse {
        do {
            let wait = limits.connect + limits.stall
            return try await (isProxied ? proxied ?? direct : direct).execute(
                request, timeout: .nanoseconds(wait.nanoseconds))
        } catch {
            throw Self.transportError(error, host: host, hasBegun: false)
        }
    }

    /// What broke a connection, as one of our errors; cancellation stays what it is.
    /// - Parameter hasBegun: whether the head of a reply had come.
    static func transportError(_ error: any Error, host: String, hasBegun: Bool) -> any Error {
        if error is CancellationError || error is HubError { return error }
        if Task.isCancelled { return CancellationError() }
        switch error {
        case let error as HTTPClientError where error == .readTimeout || error == .deadlineExceeded:
            return HubError(.stalled, "\(host) went silent: try again later")
        case let error as HTTPClientError where error == .connectTimeout:
            return HubError(.unreachable, "\(host) does not answer: is this machine on the network?")
        case let error as HTTPClientError where error == .proxyAuthenticationRequired:
            return HubError(
                .invalidSetting, "the proxy on the way to \(host) wants a user and a password: set them in HTTPS_PROXY")
        case let error as HTTPClientError where error == .invalidProxyResponse:
            return HubError(
                .unreachable,
                "the proxy on the way to \(host) makes no connection to it: are HTTPS_PROXY and NO_PROXY right?")
        case let error as HTTPClientError where error == .cancelled:
            return CancellationError()
        case let error where "\(error)".contains("CERTIFICATE_VERIFY_FAILED"):
            return HubError(
                .invalidSetting,
                "the certificate of \(host) is not trusted: SSL_CERT_FILE can name the authorities to trust")
        case let error as NIOConnectionError where error.connectionErrors.isEmpty:
            return HubError(
                .unreachable,
                "there is no address for the name \(host): is this machine on the network, and HF_ENDPOINT right?")
        default:
            return hasBegun
                ? cut(host)
                : HubError(
                    .unreachable, "cannot reach \(host): is this machine on the network, and HF_ENDPOINT right?")
        }
    }

    /// A reply that ended before it was whole.
    static func cut(_ host: String) -> HubError {
        HubError(.unreachable, "the connection to \(host) broke: try again")
    }
}

extension Duration {
    /// Saturated.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : whole + attoseconds / 1_000_000_000
    }
}
