import MartletWire
import NIOCore
import NIOHTTP1

/// One connection to a mock: a small HTTP/1 server for `GET /v1/models` and `POST /v1/chat/completions`.
final class MockHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bytes of a request: more than the gateway lets through, so that its own bound is the one that counts.
    private static let bodyLimit = 1 << 31
    /// Events that are written at once where no pace is asked for.
    private static let batch = 64

    private let settings: MockSettings
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    /// A reply that waits for its time.
    private var pending: Scheduled<Void>?
    private var isGone = false

    init(_ settings: MockSettings) { self.settings = settings }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ByteBuffer()
        case .body(var part):
            guard body.readableBytes + part.readableBytes <= MockHandler.bodyLimit else {
                return context.close(promise: nil)
            }
            body.writeBuffer(&part)
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isGone = true
        pending?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        switch (head.method, head.uri.prefix { $0 != "?" }) {
        case (.GET, "/v1/models"): write(models, 200, context)
        case (.POST, "/v1/chat/completions"): complete(context)
        default: write(MockHandler.error("the mock has no such route", status: 404, param: nil), 404, context)
        }
    }

    private var models: JSON {
        let entries = settings.models.map { id -> JSON in
            ["id": .string(id), "object": "model", "created": 1_767_225_600, "owned_by": "mock"]
        }
        return ["object": "list", "data": .array(entries)]
    }

    private func complete(_ context: ChannelHandlerContext) {
        let request: MockRequest
        do throws(MockRequest.Problem) {
            request = try MockRequest(body, settings: settings)
        } catch {
            let reply = MockHandler.error(error.message, status: error.status, param: error.param)
            return write(reply, error.status, context)
        }
        let answer = MockAnswer(to: request, settings: settings)
        guard request.streams else {
            let time = settings.first + settings.pace * answer.pieces.count
            return after(time, context) { $0.write(answer.reply, 200, $1) }
        }
        var head = HTTPResponseHead(version: .http1_1, status: .ok)
        head.headers.add(name: "content-type", value: "text/event-stream")
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        for event in answer.opening { put(event, context) }
        context.flush()
        after(settings.first, context) { $0.say(answer, from: 0, wantsUsage: request.wantsUsage, $1) }
    }

    /// Writes a batch of events, and the next one when it has left and its time has come.
    private func say(_ answer: MockAnswer, from start: Int, wantsUsage: Bool, _ context: ChannelHandlerContext) {
        let isPaced = settings.pace > .zero
        let end = min(start + (isPaced ? 1 : MockHandler.batch), answer.pieces.count)
        for piece in answer.pieces[start..<end] { put(answer.event(piece), context) }
        guard end < answer.pieces.count else {
            for event in answer.closing(wantsUsage: wantsUsage) { put(event, context) }
            return context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let pace = settings.pace
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer())))).whenSuccess {
            let (handler, context) = bound.value
            handler.after(pace, context) { $0.say(answer, from: end, wantsUsage: wantsUsage, $1) }
        }
    }

    private func after(
        _ time: Duration, _ context: ChannelHandlerContext,
        _ work: @escaping (MockHandler, ChannelHandlerContext) -> Void
    ) {
        guard !isGone else { return }
        guard time > .zero else { return work(self, context) }
        let bound = NIOLoopBound((self, context, work), eventLoop: context.eventLoop)
        pending = context.eventLoop.scheduleTask(in: time.timeAmount) {
            let (handler, context, work) = bound.value
            if !handler.isGone { work(handler, context) }
        }
    }

    private func put(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
    }

    private func write(_ json: JSON, _ status: Int, _ context: ChannelHandlerContext) {
        let bytes = json.buffer
        var head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: status))
        head.headers.add(name: "content-type", value: "application/json")
        head.headers.add(name: "content-length", value: String(bytes.readableBytes))
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        put(bytes, context)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private static func error(_ message: String, status: Int, param: String?) -> JSON {
        [
            "error": [
                "message": .string(message), "type": "invalid_request_error",
                "param": param.map(JSON.string) ?? .null, "code": status == 404 ? "model_not_found" : .null,
            ]
        ]
    }
}
