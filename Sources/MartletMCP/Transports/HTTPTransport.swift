import AsyncHTTPClient
import MartletWire
package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A server that is reached over HTTP, as the protocol's "Streamable HTTP" has it: a POST for each message, answered by
/// JSON or by an event stream.
///
/// No stream of the server's own is opened (GET), and none that broke is resumed: a call whose stream breaks has failed.
/// The older transport (HTTP+SSE) is not spoken.
package final class HTTPTransport: MCPTransport {
    private let name: String
    private let url: ServerURL
    private let headers: [ServerHeader]
    private let limits: MCPLimits
    private let door: AddressDoor
    private let authorities: String?
    private let state: Mutex<State>

    private struct State {
        var http: HTTPClient?
        var url: ServerURL
        var deliver: @Sendable (TransportEvent) -> Void = { _ in }
        var session: String?
        var version: String?
    }

    /// - Parameter authorities: a PEM file of the certificate authorities to trust in place of the system's.
    package init(
        name: String, url: ServerURL, headers: [ServerHeader], door: AddressDoor, authorities: String? = nil,
        limits: MCPLimits
    ) {
        self.name = name
        self.url = url
        self.headers = headers
        self.door = door
        self.authorities = authorities
        self.limits = limits
        state = Mutex(State(url: url))
    }

    package var tellsOfChanges: Bool { false }
    package var lastWords: [String] { [] }
    package var strangeWords: String? { nil }

    package func agreed(on version: String) { state.withLock { $0.version = version } }

    package func open(_ deliver: @escaping @Sendable (TransportEvent) -> Void) async throws(MCPError) {
        var configuration = HTTPClient.Configuration.singletonConfiguration
        configuration.redirectConfiguration = .disallow
        configuration.decompression = .disabled
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = .nanoseconds(limits.connect.nanoseconds)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = limits.calls * 2
        configuration.connectionPool.retryConnectionEstablishment = false
        if let authorities {
            guard let certificates = try? NIOSSLCertificate.fromPEMFile(authorities), !certificates.isEmpty else {
                throw MCPError(
                    .unreachable,
                    "SSL_CERT_FILE names \(authorities), which is no PEM file of certificates that can be read")
            }
            var trust = TLSConfiguration.makeClientConfiguration()
            trust.trustRoots = .certificates(certificates)
            configuration.tlsConfiguration = trust
        }
        configuration.dnsOverride = try await door.addresses(of: url, name: name)
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        state.withLock { state in
            state.http = http
            state.deliver = deliver
        }
    }

    package func close() async {
        let (http, session) = state.withLock { state in
            defer { state.http = nil }
            return (state.http, state.session)
        }
        guard let http else { return }
        if session != nil {
            // A courtesy: a server may say that sessions cannot be ended.
            _ = try? await http.execute(request(.DELETE), timeout: .nanoseconds(limits.grace.nanoseconds))
        }
        try? await http.shutdown()
    }

    package func send(_ message: ByteBuffer, awaiting id: Int?) async throws(MCPError) {
        do {
            try await post(message, awaiting: id)
        } catch {
            throw failure(error)
        }
    }

    private func post(_ message: ByteBuffer, awaiting id: Int?) async throws {
        for _ in 0...limits.redirects {
            guard let http = state.withLock(\.http) else { throw CancellationError() }
            let hadSession = state.withLock { $0.session != nil }
            var request = request(.POST)
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(message)
            // Whoever waits for the answer has a clock; this one is for what nobody waits for.
            let reply = try await http.execute(request, timeout: .nanoseconds(limits.call.nanoseconds))
            if [307, 308].contains(reply.status.code) {
                try follow(reply.headers.first(name: "location"))
                continue
            }
            try check(reply, hadSession: hadSession)
            if let session = reply.headers.first(name: "mcp-session-id") { try note(session) }
            // What is no request has no answer; whatever is sent in its place is passed over.
            guard let id else { return }
            return try await read(reply, until: id)
        }
        throw MCPError(.badReply, "the MCP server \(name) redirects more than \(limits.redirects) times")
    }

    private func request(_ method: HTTPMethod) -> HTTPClientRequest {
        let (url, session, version) = state.withLock { ($0.url, $0.session, $0.version) }
        var request = HTTPClientRequest(url: url.text)
        request.method = method
        for header in headers { request.headers.add(name: header.name, value: header.value) }
        request.headers.add(name: "accept", value: "application/json, text/event-stream")
        request.headers.add(name: "accept-encoding", value: "identity")
        if !request.headers.contains(name: "user-agent") { request.headers.add(name: "user-agent", value: "martlet") }
        if let session { request.headers.add(name: "mcp-session-id", value: session) }
        if let version { request.headers.add(name: "mcp-protocol-version", value: version) }
        return request
    }

    /// Only within the server's origin: elsewhere the headers would reach somebody else, and another address was checked.
    private func follow(_ location: String?) throws(MCPError) {
        guard let location, let target = url.redirected(to: location) else {
            throw MCPError(.badReply, "the MCP server \(name) redirects to what is no address")
        }
        guard target.origin == url.origin else {
            throw MCPError(
                .badReply,
                "the MCP server \(name) redirects to another place, \(target.origin), which is not followed: name that "
                    + "address itself")
        }
        state.withLock { $0.url = target }
    }

    private func note(_ session: String) throws(MCPError) {
        guard session.utf8.count <= 1024, session.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw MCPError(.badReply, "the MCP server \(name) names its session in a way that is not MCP's")
        }
        state.withLock { $0.session = session }
    }

    private func check(_ reply: HTTPClientResponse, hadSession: Bool) throws(MCPError) {
        let status = reply.status.code
        switch status {
        case 200..<300: return
        case 404 where hadSession:
            throw MCPError(.sessionGone, "the MCP server \(name) has forgotten the session")
        case 401, 403:
            throw MCPError(
                .unauthorized,
                "the MCP server \(name) wants other credentials (HTTP \(status)): set its headers, such as "
                    + "Authorization; signing in by OAuth is not built")
        case 404, 405, 406, 415:
            throw MCPError(
                .badReply,
                "there is no MCP server at \(url.identity) (HTTP \(status)): is its path right? The older transport, "
                    + "HTTP+SSE, is not spoken")
        default:
            throw MCPError(.refused, "the MCP server \(name) answers with HTTP \(status)")
        }
    }

    // MARK: Replies

    private func read(_ reply: HTTPClientResponse, until id: Int) async throws {
        let type = reply.headers.first(name: "content-type")?.prefix { $0 != ";" }.lowercased()
        switch type?.filter({ $0 != " " }) {
        case "text/event-stream": try await readEvents(reply, until: id)
        case "application/json":
            let body: ByteBuffer
            do {
                body = try await reply.body.collect(upTo: limits.message)
            } catch is NIOTooManyBytesError {
                throw tooLarge
            }
            guard try deliver(body, until: id) else {
                throw MCPError(.badReply, "the MCP server \(name) answers, but not to what it was asked")
            }
        default:
            throw MCPError(
                .badReply,
                "the MCP server \(name) answers with \(Printable.text(type ?? "no type of content", limit: 60)), which is "
                    + "neither JSON nor an event stream: is \(url.identity) the address of an MCP server?")
        }
    }

    private func readEvents(_ reply: HTTPClientResponse, until id: Int) async throws {
        var framer = SSEFramer(limit: limits.message)
        for try await bytes in reply.body {
            guard framer.take(bytes) else { throw tooLarge }
            while let frame = framer.next() {
                if try deliver(frame, until: id) { return }
            }
        }
        if let frame = framer.finish(), try deliver(frame, until: id) { return }
        throw MCPError(.ended, "the MCP server \(name) has ended its reply before it had answered")
    }

    private func deliver(_ frame: SSEFrame, until id: Int) throws(MCPError) -> Bool {
        // An event without data is a sign of life.
        guard let data = frame.event?.data, data.readableBytes > 0 else { return false }
        return try deliver(data, until: id)
    }

    /// - Returns: whether the answer was among the messages.
    private func deliver(_ text: ByteBuffer, until id: Int) throws(MCPError) -> Bool {
        guard let messages = RPCMessage.all(in: text) else {
            let words = Printable.text(
                String(buffer: text.getSlice(at: text.readerIndex, length: min(text.readableBytes, 400)) ?? text),
                limit: 80)
            throw MCPError(.badReply, "the MCP server \(name) answers with what is no message of MCP: \"\(words)\"")
        }
        let deliver = state.withLock(\.deliver)
        for message in messages { deliver(.message(message)) }
        return messages.contains { $0.answers == id }
    }

    private var tooLarge: MCPError {
        MCPError(.tooLarge, "the MCP server \(name) sends a message of more than \(limits.message >> 20) MiB")
    }

    private func failure(_ error: any Error) -> MCPError {
        switch error {
        case let error as MCPError: return error
        case is CancellationError: return MCPError(.cancelled, "the request to the MCP server \(name) was cancelled")
        case let error as HTTPClientError where error == .cancelled:
            return MCPError(.cancelled, "the request to the MCP server \(name) was cancelled")
        case let error as HTTPClientError where error == .connectTimeout:
            return MCPError(.unreachable, "the MCP server \(name) does not answer at \(url.origin)")
        case let error as HTTPClientError where error == .deadlineExceeded:
            return MCPError(.timedOut, "the MCP server \(name) has not answered within \(limits.call)")
        case let error as NIOConnectionError where error.connectionErrors.isEmpty:
            return MCPError(.unreachable, "there is no address for the name \(url.host) of the MCP server \(name)")
        case let error where error is NIOConnectionError || (error as? IOError)?.errnoCode == ECONNREFUSED:
            return MCPError(.unreachable, "cannot connect to the MCP server \(name) at \(url.origin): is it running?")
        case let error where "\(error)".contains("CERTIFICATE_VERIFY_FAILED"):
            return MCPError(
                .unreachable,
                "the certificate of \(url.origin), the MCP server \(name), is not trusted: SSL_CERT_FILE can name the authorities to trust"
            )
        default:
            return MCPError(.unreachable, "the connection to the MCP server \(name) at \(url.origin) broke")
        }
    }
}
