import MartletGateway
import NIOCore

/// Asks an HTTP proxy for a tunnel before anything else goes over the connection, then takes itself out of the way.
///
/// Stands before TLS, which learns of the connection only when the tunnel is there. How long that may take is bounded
/// by the pool, as for any connection.
final class TunnelHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let origin: Origin
    private let proxy: Proxy
    private var head = ByteBuffer()
    private var isDone = false

    /// Bytes of the proxy's answer. Some put cookies and a page's worth of headers into a 407.
    static let headLimit = 16 << 10

    init(to origin: Origin, through proxy: Proxy) {
        self.origin = origin
        self.proxy = proxy
    }

    func channelActive(context: ChannelHandlerContext) {
        let place = origin.shown
        var request = context.channel.allocator.buffer(capacity: 256)
        request.writeString("CONNECT \(place) HTTP/1.1\r\nhost: \(place)\r\nuser-agent: martlet\r\n")
        if let credential = proxy.credentialLine { request.writeString(credential.revealed) }
        request.writeString("\r\n")
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return context.fireChannelRead(data) }
        var read = unwrapInboundIn(data)
        head.writeBuffer(&read)
        // What speaks another protocol says so with its first bytes, and may never send a blank line.
        guard head.readableBytesView.starts(with: TunnelHandler.version.prefix(head.readableBytes)) else {
            return fail(.notHTTP, context)
        }
        guard let length = TunnelHandler.headLength(head.readableBytesView) else {
            return head.readableBytes > TunnelHandler.headLimit ? fail(.notHTTP, context) : ()
        }
        guard let status = TunnelHandler.status(head.readableBytesView) else { return fail(.notHTTP, context) }
        guard (200..<300).contains(status) else { return fail(.refused(status), context) }
        isDone = true
        head.moveReaderIndex(forwardBy: length)
        context.fireChannelActive()
        if head.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(head)) }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDone { fail(.closed, context) }
        context.fireChannelInactive()
    }

    /// A reset is an end too.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isDone { context.fireErrorCaught(error) } else { fail(.closed, context) }
    }

    private func fail(_ reason: TunnelFailure.Reason, _ context: ChannelHandlerContext) {
        isDone = true
        context.fireErrorCaught(TunnelFailure(proxy: proxy, origin: origin, reason: reason))
    }

    private static let version = Array("HTTP/1.".utf8)

    /// Bytes up to and with the blank line; nil while it has not come.
    private static func headLength(_ bytes: ByteBufferView) -> Int? {
        var lineIsEmpty = false
        for (offset, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") {
                if lineIsEmpty { return offset + 1 }
                lineIsEmpty = true
            } else if byte != UInt8(ascii: "\r") {
                lineIsEmpty = false
            }
        }
        return nil
    }

    /// `HTTP/1.1 200 OK` → 200.
    private static func status(_ bytes: ByteBufferView) -> Int? {
        let line = bytes.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
        guard words.count > 1, words[1].count == 3 else { return nil }
        return Int(String(decoding: words[1], as: UTF8.self))
    }
}

/// Why there is no tunnel.
struct TunnelFailure: Error {
    enum Reason: Equatable {
        /// Why the proxy itself could not be connected to.
        case unreachable(String)
        case refused(Int)
        case closed
        case notHTTP
    }

    var proxy: Proxy
    var origin: Origin?
    var reason: Reason

    /// What happened, at which proxy, and what to do; stands after `cannot connect to …: `.
    var sentence: String {
        let name = "the proxy \(proxy.shown) (\(proxy.setting))"
        let place = origin?.shown ?? "the upstream"
        let host = if case .tcp(let host, _)? = origin?.address { host } else { "the host" }
        let around = "Correct \(proxy.setting), or list \(host) in NO_PROXY"
        switch reason {
        case .unreachable(let why): return "\(name) cannot be reached: \(why). \(around)"
        case .refused(407):
            return proxy.credentialLine == nil
                ? "\(name) wants a user and a password (407). Set \(proxy.setting) to http://USER:PASSWORD@\(proxy.shown)"
                : "\(name) does not take the user and password in \(proxy.setting) (407). Correct them there"
        case .refused(let status) where (500..<600).contains(status):
            return "\(name) cannot reach \(place) (\(status)). Check the name and the port, or list \(host) in NO_PROXY"
        case .refused(let status):
            return "\(name) refuses to connect to \(place) (\(status)). Ask who runs it, or list \(host) in NO_PROXY"
        case .closed: return "\(name) closed the connection without an answer to CONNECT. \(around)"
        case .notHTTP: return "\(name) does not answer as an HTTP proxy does. \(around)"
        }
    }
}
