import MartletDialects
import NIOCore

/// Keeps how the request that is being read begins, for the shape of the answer when its head turns out to be
/// unreadable: the parser tells nothing of such a request, not even its path.
final class RequestLineKeeper: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// A method and the longest path that tells a dialect.
    private static let kept = 64

    private var line = ByteBufferAllocator().buffer(capacity: kept)
    /// Its beginning is kept, and nothing of it has been understood yet.
    private var isPending = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isPending {
            line.clear()
            isPending = true
        }
        if line.readableBytes < Self.kept {
            let read = unwrapInboundIn(data)
            let count = min(Self.kept - line.readableBytes, read.readableBytes)
            if let more = read.getSlice(at: read.readerIndex, length: count) { line.writeImmutableBuffer(more) }
        }
        context.fireChannelRead(data)
    }

    /// The parser has understood a part of a request: the next read that comes between requests begins another.
    func understood() { isPending = false }

    /// The dialect that the path implies.
    var dialect: DialectID {
        let words = String(buffer: line).split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count > 1 else { return .chat }
        return words[1].hasPrefix("/v1/messages") || words[1].hasPrefix("/anthropic") ? .anthropic : .chat
    }
}
