import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A hub on loopback: the API's replies for one repository, `owner/model`, and its files, with ranges. A test changes
/// what it answers by `alter`.
final class FakeHub: Sendable {
    /// A request as it came.
    struct Seen: Sendable {
        /// Counted from 0.
        var number: Int
        var uri: String
        var headers: HTTPHeaders

        var isForBytes: Bool { uri.contains("/resolve/") || uri.hasPrefix("/cdn/") }
        /// What `Range: bytes=N-` says.
        var start: Int? {
            headers.first(name: "range").flatMap { $0.hasPrefix("bytes=") ? Int($0.dropFirst(6).dropLast()) : nil }
        }
    }

    struct Answer: Sendable {
        var status = 200
        var headers: HTTPHeaders = [:]
        var body: [UInt8] = []
        /// Bytes of the body after which the connection is closed; nil: all are sent.
        var cut: Int?
        /// Bytes of the body after which nothing comes any more.
        var stall: Int?

        static func text(_ text: String, status: Int = 200, headers: HTTPHeaders = [:]) -> Answer {
            Answer(status: status, headers: headers, body: Array(text.utf8))
        }

        static func redirect(_ location: String) -> Answer {
            Answer(status: 302, headers: ["location": location])
        }
    }

    struct File: Sendable {
        var path: String
        var content: [UInt8]
        /// In git itself, and not among the large files.
        var isSmall = false
        /// Listed instead of the right one.
        var digest: String?

        var sha256: String { SHA256.hash(data: content).map { String(format: "%02x", $0) }.joined() }
        var blob: String {
            Insecure.SHA1.hash(data: Array("blob \(content.count)\0".utf8) + content)
                .map { String(format: "%02x", $0) }.joined()
        }
        var entry: String {
            let oid = "\"oid\":\"\(isSmall ? digest ?? blob : String(repeating: "a", count: 40))\""
            let large = "\"lfs\":{\"oid\":\"\(digest ?? sha256)\",\"size\":\(content.count),\"pointerSize\":134}"
            return "{\"type\":\"file\",\"path\":\"\(path)\",\"size\":\(content.count),\(oid)"
                + (isSmall ? "}" : ",\(large)}")
        }
    }

    typealias Alter = @Sendable (Seen, Answer) -> Answer

    static let commit = String(repeating: "c", count: 40)

    private struct State: Sendable {
        var files: [File]
        var seen: [Seen] = []
        var alter: Alter = { $1 }
        var perPage = 1000
    }

    private let state: Mutex<State>
    private let channel: any Channel

    private init(_ state: State, _ channel: any Channel) {
        self.state = Mutex(state)
        self.channel = channel
    }

    static func start(_ files: [File]) async throws -> FakeHub {
        let answering = Answering()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
                    try channel.pipeline.syncOperations.addHandler(Handler(answering))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let hub = FakeHub(State(files: files), channel)
        answering.hub.withLock { $0 = hub }
        return hub
    }

    func stop() async throws { try await channel.close() }

    var base: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)" }
    var seen: [Seen] { state.withLock(\.seen) }
    var bytesAsked: [Seen] { seen.filter(\.isForBytes) }

    func alter(_ alter: @escaping Alter) { state.withLock { $0.alter = alter } }
    func setFiles(_ files: [File]) { state.withLock { $0.files = files } }
    func setEntriesPerPage(_ count: Int) { state.withLock { $0.perPage = count } }

    fileprivate func answer(_ head: HTTPRequestHead) -> Answer {
        let (request, files, alter, perPage) = state.withLock { state in
            let request = Seen(number: state.seen.count, uri: head.uri, headers: head.headers)
            state.seen.append(request)
            return (request, state.files, state.alter, state.perPage)
        }
        return alter(request, Self.answer(request, files, perPage: perPage, base: base))
    }

    private static func answer(_ request: Seen, _ files: [File], perPage: Int, base: String) -> Answer {
        let uri = request.uri
        if uri.hasPrefix("/api/models?") {
            return .text(
                #"[{"id":"owner/model","downloads":5,"gated":"manual"},{"id":"../x"},{"id":"b/c","gated":false}]"#
            )
        }
        if uri == "/api/models/owner/model/revision/main" {
            return .text("{\"id\":\"owner/model\",\"sha\":\"\(commit)\",\"gated\":false}")
        }
        let tree = "/api/models/owner/model/tree/\(commit)?recursive=true"
        if uri.hasPrefix(tree) {
            let start = Int(uri.dropFirst(tree.count).replacing("&cursor=at%2F", with: "")) ?? 0
            let end = min(start + perPage, files.count)
            let entries = files[start..<end].map(\.entry).joined(separator: ",")
            // As a mirror that passes on the address of the hub it mirrors.
            let next: HTTPHeaders =
                end < files.count
                ? ["link": "<https://hub.invalid/api/x?recursive=true&cursor=at%2F\(end)>; rel=\"next\""] : [:]
            return .text("[\(entries)]", headers: next)
        }
        for prefix in ["/owner/model/resolve/\(commit)/", "/cdn/"] where uri.hasPrefix(prefix) {
            let path = uri.dropFirst(prefix.count).prefix { $0 != "?" }.replacing("%20", with: " ")
            if let file = files.first(where: { $0.path == path }) { return content(of: file, request) }
            return Answer(status: 404, headers: ["x-error-code": "EntryNotFound"])
        }
        return Answer(status: 404, headers: ["x-error-code": "RepoNotFound"])
    }

    private static func content(of file: File, _ request: Seen) -> Answer {
        let etag = "\"\(file.sha256)\""
        let condition = request.headers.first(name: "if-range")
        guard let start = request.start, condition == nil || condition == etag else {
            return Answer(headers: ["etag": etag], body: file.content)
        }
        guard start < file.content.count else { return Answer(status: 416) }
        let range = "bytes \(start)-\(file.content.count - 1)/\(file.content.count)"
        return Answer(
            status: 206, headers: ["etag": etag, "content-range": range], body: Array(file.content[start...]))
    }

    fileprivate final class Answering: Sendable {
        let hub = Mutex<FakeHub?>(nil)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answering: Answering
        init(_ answering: Answering) { self.answering = answering }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head(let request) = unwrapInboundIn(data),
                let answer = answering.hub.withLock({ $0 })?.answer(request)
            else { return }
            var headers = answer.headers
            if !headers.contains(name: "content-length"), !headers.contains(name: "transfer-encoding") {
                headers.add(name: "content-length", value: "\(answer.body.count)")
            }
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            let bytes = answer.body.prefix(answer.cut ?? answer.stall ?? answer.body.count)
            let written = context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))))
            if answer.cut != nil {
                written.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
            } else if answer.stall == nil {
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
