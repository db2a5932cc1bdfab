import MartletWire
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An MCP server over HTTP on loopback, with one tool, `echo`. A test changes what it answers by `alter`.
final class FakeWebServer: Sendable {
    struct Seen: Sendable {
        var method: HTTPMethod
        var uri: String
        var headers: HTTPHeaders
        var body: JSON?
        var rpc: String? { body?["method"]?.string }
    }

    struct Answer: Sendable {
        var status = 200
        var headers: HTTPHeaders = ["content-type": "application/json"]
        var body = ""
        /// Nothing comes behind the body, not even its end.
        var stalls = false
    }

    typealias Alter = @Sendable (Seen, Answer) -> Answer

    private struct State: Sendable {
        var seen: [Seen] = []
        var alter: Alter = { $1 }
        var sessions = 0
        var forgotten: Set<String> = []
    }

    private let state = Mutex(State())
    private let channel: any Channel

    private init(_ channel: any Channel) { self.channel = channel }

    static func start(_ alter: @escaping Alter = { $1 }) async throws -> FakeWebServer {
        let box = ServerBox()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(Handler(box))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = FakeWebServer(channel)
        server.state.withLock { $0.alter = alter }
        box.value.withLock { $0 = server }
        return server
    }

    func stop() async throws { try await channel.close() }

    var port: Int { channel.localAddress?.port ?? 0 }
    var url: String { "http://127.0.0.1:\(port)/mcp" }
    var seen: [Seen] { state.withLock(\.seen) }
    func alter(_ alter: @escaping Alter) { state.withLock { $0.alter = alter } }
    /// From now on no session is known that has begun before.
    func forget() { state.withLock { state in state.forgotten.formUnion((0...state.sessions).map { "s\($0)" }) } }

    fileprivate func answer(_ seen: Seen) -> Answer {
        let (alter, session, isForgotten) = state.withLock { state in
            state.seen.append(seen)
            if seen.rpc == "initialize" { state.sessions += 1 }
            let named = seen.headers.first(name: "mcp-session-id")
            return (state.alter, "s\(state.sessions)", named.map(state.forgotten.contains) ?? false)
        }
        if isForgotten { return Answer(status: 404) }
        return alter(seen, Self.answer(seen, session))
    }

    private static func answer(_ seen: Seen, _ session: String) -> Answer {
        guard seen.method == .POST else { return Answer() }
        let id = seen.body?["id"] ?? .null
        func reply(_ result: JSON) -> Answer {
            let json: JSON = ["jsonrpc": "2.0", "id": id, "result": result]
            return Answer(body: json.text)
        }
        switch seen.rpc {
        case "initialize":
            var answer = reply(["protocolVersion": "2025-06-18", "capabilities": ["tools": [:]], "serverInfo": [:]])
            answer.headers.add(name: "mcp-session-id", value: session)
            return answer
        case "tools/list":
            return reply(["tools": [["name": "echo", "description": "Says it.", "inputSchema": ["type": "object"]]]])
        case "tools/call":
            return reply(["content": [["type": "text", "text": seen.body?["params"]?["arguments"]?["text"] ?? ""]]])
        default: return Answer(status: 202, headers: [:])
        }
    }

    /// The answer as an event stream, with what stands before it.
    static func events(_ answer: Answer, before: String = "") -> Answer {
        Answer(
            headers: ["content-type": "text/event-stream"],
            body: "\(before)event: message\nid: 1\ndata: \(answer.body)\n\n")
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let server: ServerBox
        private var head: HTTPRequestHead?
        private var body = ByteBuffer()

        init(_ server: ServerBox) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body.clear()
            case .body(var part): body.writeBuffer(&part)
            case .end:
                guard let head, let server = server.value.withLock({ $0 }) else { return context.close(promise: nil) }
                let answer = server.answer(
                    Seen(method: head.method, uri: head.uri, headers: head.headers, body: try? JSON(parsing: body)))
                var headers = answer.headers
                if !answer.stalls { headers.replaceOrAdd(name: "content-length", value: "\(answer.body.utf8.count)") }
                let response = HTTPResponseHead(
                    version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
                context.write(wrapOutboundOut(.head(response)), promise: nil)
                context.writeAndFlush(
                    wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
                if !answer.stalls { context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil) }
            }
        }
    }
}

/// Filled when the server is there, which its channel needs to be first.
private final class ServerBox: Sendable {
    let value = Mutex<FakeWebServer?>(nil)
}
