import AsyncHTTPClient
import MartletWire
import NIOCore
import NIOHTTP1
import NIOPosix

/// Calls to a running Martlet, or to anything that speaks the same API.
public struct MartletClient: Sendable {
    /// Base URL without a slash at its end, such as `http://localhost:3000`.
    public let base: String
    private let key: String?

    /// One for the process, so that connections are used again. A server that cannot be
    /// reached is said to be so at once.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration.singletonConfiguration
        configuration.timeout.connect = .seconds(5)
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// - Parameters:
    ///   - base: with or without `/v1` at its end.
    ///   - key: sent as a bearer token; nil sends none.
    public init(base: String = "http://localhost:3000", key: String? = nil) {
        var base = base.contains("://") ? base : "http://" + base
        while base.hasSuffix("/") { base.removeLast() }
        if base.hasSuffix("/v1") { base.removeLast(3) }
        self.base = base
        self.key = key
    }

    /// Ids of the models the server lists.
    /// - Throws: ``MartletError``.
    public func models() async throws -> [String] {
        let list = try await get("/v1/models")
        return list["data"]?.array?.compactMap { $0["id"]?.string } ?? []
    }

    /// The server's health report as JSON text.
    /// - Throws: ``MartletError``.
    public func health() async throws -> String { try await get("/health").text }

    /// Waits until the server says that it lives, which needs no key.
    /// - Throws: ``MartletError`` when it has not within a second.
    public func checkAlive() async throws {
        let response = try await send(makeRequest("/health/live"), within: .seconds(1))
        guard (200..<300).contains(Int(response.status.code)) else { throw try await failure(response) }
        _ = try await collect(response)
    }

    /// Waits for any answer at all, also one that says no.
    /// - Throws: ``MartletError`` when there is none within 5 s.
    public func checkReachable() async throws {
        let response = try await send(makeRequest("/health/live"), within: .seconds(5))
        _ = try await collect(response)
    }

    /// Asks a model, and gives its answer piece by piece. Leaving the loop ends the request at the server.
    /// - Throws: ``MartletError``; so does the stream.
    public func stream(_ question: ChatQuestion) async throws -> ChatStream {
        let response = try await send(
            makeRequest("/v1/chat/completions", question.body(streams: true)), within: .hours(24))
        guard (200..<300).contains(Int(response.status.code)) else { throw try await failure(response) }
        return ChatStream(body: response.body)
    }

    // MARK: Requests

    /// - Parameter body: nil asks with GET.
    func makeRequest(_ path: String, _ body: JSON? = nil) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: base + path)
        if let key { request.headers.add(name: "authorization", value: "Bearer \(key)") }
        if let body {
            request.method = .POST
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(body.buffer)
        }
        return request
    }

    private func get(_ path: String) async throws -> JSON { try await ask(path) }

    func json(_ response: HTTPClientResponse) async throws -> JSON {
        let body = try await collect(response)
        do throws(JSONError) {
            return try JSON(parsing: body)
        } catch {
            throw MartletError(.server, "\(base) answers, but not as Martlet does: \(error.sentence)")
        }
    }

    func send(_ request: HTTPClientRequest, within time: TimeAmount) async throws -> HTTPClientResponse {
        do {
            return try await MartletClient.http.execute(request, timeout: time)
        } catch is CancellationError {
            throw CancellationError()
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
            let waited = error == .connectTimeout ? 5 : time.nanoseconds / 1_000_000_000
            throw MartletError(
                .connection, "\(base) did not answer within \(waited) s: is it Martlet that listens there?")
        } catch let error as NIOConnectionError where error.connectionErrors.isEmpty {
            throw MartletError(.connection, "there is no address for the name in \(base): is it spelled right?")
        } catch {
            throw MartletError(
                .connection, "cannot reach \(base): is the server running? Start it with: martlet serve")
        }
    }

    private func collect(_ response: HTTPClientResponse) async throws -> ByteBuffer {
        do {
            return try await response.body.collect(upTo: 64 << 20)
        } catch {
            throw MartletError(.connection, "\(base) closed the connection before its answer was complete")
        }
    }

    func failure(_ response: HTTPClientResponse) async throws -> MartletError {
        let body = try await collect(response)
        let error = (try? JSON(parsing: body))?["error"]
        let message =
            error?["message"]?.string ?? error?.string
            ?? "\(base) answers with HTTP \(response.status.code), and not as Martlet does: does another program listen there?"
        if error?["code"]?.string == "context_length_exceeded" { return MartletError(.contextOverflow, message) }
        switch response.status.code {
        case 401, 403: return MartletError(.authentication, message)
        case 404, 405: return MartletError(isModel(error) ? .modelMissing : .routeMissing, message)
        case 429: return MartletError(.rateLimit, message)
        case 504: return MartletError(.timeout, message)
        case 400..<500: return MartletError(.invalidRequest, message)
        default: return MartletError(.server, message)
        }
    }
}

/// Whether it is a model that is not there, and not the route.
private func isModel(_ error: JSON?) -> Bool {
    let names = [error?["code"]?.string, error?["type"]?.string].compactMap(\.self)
    return names.contains { $0 == "model_not_found" || $0 == "not_found_error" }
}

/// What a model is asked.
public struct ChatQuestion: Sendable, Hashable {
    /// Nil: the server's default model.
    public var model: String?
    public var system: String?
    public var user: String
    /// Tokens. Nil: left to the server.
    public var maxTokens: Int?
    public var temperature: Double?

    public init(_ user: String, model: String? = nil) {
        self.user = user
        self.model = model
    }

    func body(streams: Bool) -> JSON {
        var messages: [JSON] = []
        if let system { messages.append(["role": "system", "content": .string(system)]) }
        messages.append(["role": "user", "content": .string(user)])
        var object: JSONObject = [:]
        if let model { object["model"] = .string(model) }
        object["messages"] = .array(messages)
        if let maxTokens { object["max_tokens"] = .int(maxTokens) }
        if let temperature { object["temperature"] = .double(temperature) }
        object["stream"] = .bool(streams)
        return .object(object)
    }
}

/// A piece of an answer.
public enum ChatPiece: Sendable, Hashable {
    case text(String)
    case reasoning(String)
    /// `stop`, `length`, `tool_calls` or `content_filter`.
    case finished(String)
}

/// An answer as it comes. Pulled by its consumer: nothing is buffered beyond what one read brought.
public struct ChatStream: AsyncSequence, Sendable {
    public typealias Element = ChatPiece
    let body: HTTPClientResponse.Body

    public func makeAsyncIterator() -> Iterator { Iterator(body: body.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        private var body: HTTPClientResponse.Body.AsyncIterator
        private var framer = SSEFramer()
        private var pieces: [ChatPiece] = []
        private var isDone = false

        init(body: HTTPClientResponse.Body.AsyncIterator) { self.body = body }

        /// - Throws: ``MartletError`` when the server says that the answer failed, or its stream ends early.
        public mutating func next() async throws -> ChatPiece? {
            while pieces.isEmpty {
                if isDone { return nil }
                while let frame = framer.next() {
                    if let event = frame.event { try take(event) }
                }
                if pieces.isEmpty, !isDone { try await read() }
            }
            return pieces.removeFirst()
        }

        private mutating func read() async throws {
            let chunk: ByteBuffer?
            do {
                chunk = try await body.next(isolation: #isolation)
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                throw MartletError(.connection, "the connection broke in the middle of the answer")
            }
            guard let chunk else {
                throw MartletError(.connection, "the server ended the answer early")
            }
            guard framer.take(chunk) else { throw MartletError(.server, "the server sent an event that is too long") }
        }

        private mutating func take(_ event: SSEEvent) throws {
            if event.isDone {
                isDone = true
                return
            }
            guard let json = try? JSON(parsing: event.data) else { return }
            if let error = json["error"] {
                throw MartletError(.server, error["message"]?.string ?? error.string ?? "the answer failed")
            }
            guard let choice = json["choices"]?[0] else { return }
            let delta = choice["delta"]
            if let text = delta?["reasoning_content"]?.string, !text.isEmpty { pieces.append(.reasoning(text)) }
            if let text = delta?["content"]?.string, !text.isEmpty { pieces.append(.text(text)) }
            if let reason = choice["finish_reason"]?.string { pieces.append(.finished(reason)) }
        }
    }
}

@available(*, unavailable)
extension ChatStream.Iterator: Sendable {}
