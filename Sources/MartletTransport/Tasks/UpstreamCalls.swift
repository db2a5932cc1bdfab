package import MartletDialects
package import MartletGateway
package import NIOCore

/// A whole reply of an upstream, as the slow paths want it.
package struct UpstreamReply: Sendable {
    package var head: UpstreamHead
    package var body: ByteBuffer
}

/// The `async` face of one loop's pool, for model lists, probes and readiness. Not for completions.
package struct UpstreamCalls: Sendable {
    let context: NIOLoopBound<LoopContext>

    init(_ context: NIOLoopBound<LoopContext>) { self.context = context }

    /// One `GET`, its whole reply.
    /// - Parameters:
    ///   - origin: where; the upstream's own when nil.
    ///   - timeout: from the call to the reply's last byte.
    /// - Throws: `upstreamUnreachable`, `upstreamTimeout`, `upstreamClosedEarly`, `upstreamBadReply`. A status that
    ///   is no success is not an error.
    package func get(
        _ path: String, at upstream: Upstream, origin: Origin? = nil, timeout: TimeAmount
    ) async throws(GatewayError) -> UpstreamReply {
        try await call(path, body: nil, at: upstream, origin: origin, timeout: timeout)
    }

    /// One `POST` of JSON, its whole reply. Throws as `get` does.
    package func post(
        _ path: String, _ body: ByteBuffer, at upstream: Upstream, origin: Origin? = nil, timeout: TimeAmount
    ) async throws(GatewayError) -> UpstreamReply {
        try await call(path, body: body, at: upstream, origin: origin, timeout: timeout)
    }

    private func call(
        _ path: String, body: ByteBuffer?, at upstream: Upstream, origin: Origin?, timeout: TimeAmount
    ) async throws(GatewayError) -> UpstreamReply {
        guard let place = origin ?? upstream.origin else {
            throw GatewayError(code: .internalError, message: "\(upstream.name) has no address of its own")
        }
        let bound = self.context
        let promise = bound.eventLoop.makePromise(of: UpstreamReply.self)
        bound.eventLoop.execute {
            let call = Call(path: path, body: body, upstream: upstream, origin: place, promise: promise)
            call.start(bound.value, timeout: timeout)
        }
        do {
            return try await promise.futureResult.get()
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(code: .internalError, message: "the call failed", detail: String(describing: error))
        }
    }
}

extension Upstream {
    /// Nil for models of this machine.
    package var origin: Origin? {
        if case .url(let base) = location { base.origin } else { nil }
    }
}

/// One call under way, on its loop.
private final class Call: UpstreamUser {
    private let path: String
    /// Nil: a `GET`.
    private let sent: ByteBuffer?
    private let upstream: Upstream
    private let origin: Origin
    private let promise: EventLoopPromise<UpstreamReply>
    private var handler: UpstreamHandler?
    private var head: UpstreamHead?
    private var body = ByteBuffer()
    private var isDone = false
    private var alarm: Scheduled<Void>?

    init(
        path: String, body: ByteBuffer?, upstream: Upstream, origin: Origin, promise: EventLoopPromise<UpstreamReply>
    ) {
        self.path = path
        sent = body
        self.upstream = upstream
        self.origin = origin
        self.promise = promise
    }

    func start(_ context: LoopContext, timeout: TimeAmount) {
        let bound = NIOLoopBound(self, eventLoop: context.loop)
        alarm = context.loop.scheduleTask(in: timeout) {
            bound.value.fail(
                GatewayError(
                    code: .upstreamTimeout,
                    message: "\(bound.value.upstream.shown) did not answer \(bound.value.path) within \(timeout.shown)")
            )
        }
        context.pool.connect(to: origin, upstream: upstream) { [self] result in
            switch result {
            case .failure(let error): fail(error)
            case .success(let handler):
                guard !isDone else { return handler.keep() }
                self.handler = handler
                handler.begin(for: self)
                handler.send([request()])
            }
        }
    }

    private func request() -> ByteBuffer {
        var head = ByteBuffer()
        head.writeString(
            "\(sent == nil ? "GET" : "POST") \(upstream.prefix)\(path) HTTP/1.1\r\nhost: \(origin.authority)\r\n")
        head.writeString("user-agent: martlet\r\naccept: application/json\r\n")
        if let credential = upstream.credentialLine { head.writeString(credential.revealed) }
        guard let sent else {
            head.writeString("\r\n")
            return head
        }
        if upstream.profile.dialects.first == .anthropic { head.writeString("anthropic-version: 2023-06-01\r\n") }
        head.writeString("content-type: application/json\r\ncontent-length: \(sent.readableBytes)\r\n\r\n")
        head.writeImmutableBuffer(sent)
        return head
    }

    func upstream(_ event: Exchange.Event) {
        switch event {
        case .head(let head): self.head = head
        case .bytes(var bytes):
            body.writeBuffer(&bytes)
            if body.readableBytes > Limits.wholeReply {
                fail(GatewayError(code: .upstreamBadReply, message: "\(upstream.shown)'s reply is too long"))
            }
        case .end(let cleanly, let reusable):
            guard cleanly, let head else {
                return fail(GatewayError(code: .upstreamClosedEarly, message: "\(upstream.shown) closed early"))
            }
            finish(reusable: reusable)
            promise.succeed(UpstreamReply(head: head, body: body))
        case .upstreamFailed(let error, _): fail(error)
        default: break
        }
    }

    func upstream(read: ResponseFraming.Parsed, reusable: Bool) {
        if let head = read.head { upstream(.head(head)) }
        if let body = read.body { upstream(.bytes(body)) }
        if read.isEnd { upstream(.end(cleanly: true, reusable: reusable)) }
    }

    private func fail(_ error: GatewayError) {
        guard !isDone else { return }
        finish(reusable: false)
        promise.fail(error)
    }

    private func finish(reusable: Bool) {
        isDone = true
        alarm?.cancel()
        if reusable { handler?.keep() } else { handler?.close() }
        handler = nil
    }
}
