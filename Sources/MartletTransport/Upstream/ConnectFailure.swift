import MartletDialects
import MartletGateway
import NIOCore
import NIOPosix
import NIOSSL

/// Sentences for connections that did not come about.
enum ConnectFailure {
    static func error(_ error: any Error, upstream: Upstream) -> GatewayError {
        if let failure = error as? TunnelFailure { return refused(failure, upstream: upstream, detail: nil) }
        if let problem = error as? ProxyProblem {
            return GatewayError(
                code: .upstreamUnreachable, message: "cannot connect to \(upstream.shown): \(problem.sentence)")
        }
        let reason: String
        if let connection = error as? NIOConnectionError {
            reason = connection.connectionErrors.first.map { Self.reason($0.error) } ?? "its name was not found"
        } else {
            reason = Self.reason(error)
        }
        if let proxy = upstream.proxyUse.proxy, error is NIOConnectionError || error is ChannelError {
            let failure = TunnelFailure(proxy: proxy, origin: upstream.origin, reason: .unreachable(reason))
            return refused(failure, upstream: upstream, detail: String(describing: error))
        }
        return GatewayError(
            code: .upstreamUnreachable,
            message: "cannot connect to \(upstream.shown): \(reason). \(upstream.profile.hint)",
            detail: String(describing: error))
    }

    private static func refused(_ failure: TunnelFailure, upstream: Upstream, detail: String?) -> GatewayError {
        GatewayError(
            code: .upstreamUnreachable, message: "cannot connect to \(upstream.shown): \(failure.sentence)",
            detail: detail)
    }

    private static func reason(_ error: any Error) -> String {
        if let io = error as? IOError {
            switch io.errnoCode {
            case ECONNREFUSED: return "connection refused"
            case ENOENT: return "its socket is gone"
            case EHOSTUNREACH, ENETUNREACH: return "no route to it"
            case ETIMEDOUT: return "it does not answer"
            case EMFILE, ENFILE: return "too many open files"
            default: return "error \(io.errnoCode)"
            }
        }
        if let channel = error as? ChannelError, case .connectTimeout(let after) = channel {
            return "no connection within \(after.shown)"
        }
        if error is NIOSSLError || error is BoringSSLError {
            return "its TLS certificate or handshake failed (SSL_CERT_FILE can name the authorities to trust)"
        }
        if error is SocketAddressError { return "its name was not found" }
        return "the connection failed"
    }
}
