import MartletWire
import NIOCore

/// Writes the whole body of a reply that is read as a stream, for a client that wants none.
struct FoldWriter: StreamWriter {
    private var fold = ReplyFold()
    private var target: ReplyTarget
    private let context: ReplyContext

    init(_ target: ReplyTarget, _ context: ReplyContext) {
        self.target = target
        self.context = context
    }

    private(set) var fault: GatewayError?
    /// Where what is kept is not what the client gets.
    private(set) var finalObject: ByteBuffer?

    mutating func write(_ event: ReplyEvent, into out: inout ByteBuffer) {
        if case .opened = event {
            target.stopwatch?.noteToken()
            target.legacy?.noteToken()
        }
        fold.take(event)
    }

    mutating func finish(into out: inout ByteBuffer) {
        if target.dialect == .anthropic, let fault = fold.reply.brokenCall(context) {
            self.fault = fault
            return
        }
        if target.dialect == .lmstudio {
            let (body, kept) = LMStudioReplyWriter.write(fold.reply, to: target, context: context)
            finalObject = kept
            out.writeImmutableBuffer(body)
        } else {
            let whole = WholeReply(
                pieces: [Dialects.write(fold.reply, to: target, context)], summary: fold.reply.summary)
            for piece in (target.legacy?.completed(whole) ?? whole).pieces { out.writeImmutableBuffer(piece) }
        }
    }

    mutating func keepAlive(into out: inout ByteBuffer) {}

    mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {}
}
