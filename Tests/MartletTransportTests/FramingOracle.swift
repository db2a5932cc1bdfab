import MartletGateway
import MartletTransport
import NIOCore
import NIOEmbedded
import NIOHTTP1

/// What a reader of HTTP/1.1 replies makes of a connection's bytes, up to the end of the first reply.
struct FramedReply: Equatable {
    var status: Int?
    /// `name: value`, names in lower case, in their order.
    var headers: [String] = []
    var body: [UInt8] = []
    var hasEnded = false
    /// Nil while nothing was wrong.
    var error: String?
    /// The connection may carry another request.
    var isReusable = false

    /// Ours.
    /// - Parameter closes: whether the connection ends after the last piece.
    static func read(_ pieces: [[UInt8]], closes: Bool) -> FramedReply {
        var framing = ResponseFraming()
        var reply = FramedReply()
        for piece in pieces where !piece.isEmpty {
            do throws(FramingError) {
                let parsed = try framing.take(ByteBuffer(bytes: piece))
                if let head = parsed.head {
                    reply.status = head.status
                    reply.headers = String(buffer: head.lines).split(separator: "\r\n").map { line in
                        let colon = line.firstIndex(of: ":") ?? line.endIndex
                        return line[..<colon].lowercased() + ": " + trim(line[colon...].dropFirst())
                    }
                }
                if let body = parsed.body { reply.body += Array(body.readableBytesView) }
                if parsed.isEnd {
                    reply.hasEnded = true
                    reply.isReusable = framing.isReusable
                    return reply
                }
            } catch {
                reply.error = error.reason
                return reply
            }
        }
        guard closes else { return reply }
        if framing.endsWithConnection { reply.hasEnded = true } else { reply.error = "cut off" }
        return reply
    }

    /// llhttp's, as swift-nio configures it.
    static func oracle(_ pieces: [[UInt8]], closes: Bool) -> FramedReply {
        let watch = OracleWatch()
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        do {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(HTTPRequestEncoder())
            try pipeline.addHandler(
                ByteToMessageHandler(
                    HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .drop)))
            try pipeline.addHandler(watch)
            try channel.connect(to: SocketAddress(unixDomainSocketPath: "/oracle")).wait()
            let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/", headers: ["content-length": "0"])
            try channel.writeOutbound(HTTPClientRequestPart.head(head))
            try channel.writeOutbound(HTTPClientRequestPart.end(nil))
        } catch {
            preconditionFailure("the oracle does not start: \(error)")
        }
        for piece in pieces where !piece.isEmpty {
            channel.pipeline.fireChannelRead(ByteBuffer(bytes: piece))
            channel.pipeline.fireChannelReadComplete()
            if watch.reply.hasEnded || watch.reply.error != nil { return watch.reply }
        }
        guard closes else { return watch.reply }
        channel.pipeline.fireChannelInactive()
        channel.embeddedEventLoop.run()
        if !watch.reply.hasEnded, watch.reply.error == nil { watch.reply.error = "cut off" }
        return watch.reply
    }

    static func trim(_ text: Substring) -> String {
        var rest = text
        while let first = rest.first, first == " " || first == "\t" { rest = rest.dropFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest = rest.dropLast() }
        return String(rest)
    }
}

private final class OracleWatch: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    var reply = FramedReply()
    private var keepsAlive = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !reply.hasEnded, reply.error == nil else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            reply.status = Int(head.status.code)
            reply.headers = head.headers.map { "\($0.name.lowercased()): \(FramedReply.trim($0.value[...]))" }
            keepsAlive = head.isKeepAlive
        case .body(let bytes): reply.body += Array(bytes.readableBytesView)
        case .end:
            reply.hasEnded = true
            reply.isReusable = keepsAlive
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !reply.hasEnded, reply.error == nil { reply.error = "\(error)" }
    }
}
