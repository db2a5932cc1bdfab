package import MartletDialects
package import MartletGateway
import MartletWire
package import NIOCore
import NIOPosix

extension UpstreamCalls {
    /// The bytes of an image that a client has named by its address.
    ///
    /// The host is looked up once per hop, and the address that was checked is the one that is connected to: a
    /// name that means another address the next moment gains nothing. Connections go there directly, also where a
    /// proxy is set, and are not kept.
    ///
    /// - Parameters:
    ///   - limit: bytes.
    ///   - deadline: for all of it, redirects included.
    /// - Throws: `invalidRequest` with the address and why its image cannot be had.
    package func image(
        at url: ImageURL, rules: ImageRules, limit: Int, deadline: NIODeadline
    ) async throws(GatewayError) -> ByteBuffer {
        let bound = self.context
        let promise = bound.eventLoop.makePromise(of: ByteBuffer.self)
        bound.eventLoop.execute {
            ImageCall(rules, limit: limit, promise: promise, context: bound.value).start(url, deadline: deadline)
        }
        do {
            return try await promise.futureResult.get()
        } catch {
            let reason = (error as? ImageProblem)?.reason ?? "it was given up"
            throw GatewayError(
                code: .invalidRequest,
                message: "the image at \(url.origin.shown)\(url.target.prefix(200)) cannot be fetched: \(reason)")
        }
    }
}

private struct ImageProblem: Error { var reason: String }

/// One image under way, on its loop.
private final class ImageCall: UpstreamUser {
    private let rules: ImageRules
    private let limit: Int
    private let promise: EventLoopPromise<ByteBuffer>
    private let context: LoopContext
    private var url: ImageURL?
    private var hops = 0
    private var handler: UpstreamHandler?
    private var head: UpstreamHead?
    private var body = ByteBuffer()
    private var isDone = false
    private var alarm: Scheduled<Void>?

    init(_ rules: ImageRules, limit: Int, promise: EventLoopPromise<ByteBuffer>, context: LoopContext) {
        self.rules = rules
        self.limit = limit
        self.promise = promise
        self.context = context
    }

    func start(_ url: ImageURL, deadline: NIODeadline) {
        alarm = context.loop.assumeIsolated().scheduleTask(deadline: deadline) { self.fail("it takes too long") }
        lookUp(url)
    }

    private func lookUp(_ url: ImageURL) {
        guard case .tcp(let host, let port) = url.origin.address else { return fail("it has no host") }
        self.url = url
        let found = NIOThreadPool.singleton.runIfActive(eventLoop: context.loop) {
            try SocketAddress.makeAddressResolvingHost(host, port: port)
        }
        found.assumeIsolated().whenComplete { result in
            guard !self.isDone else { return }
            guard case .success(let address) = result else { return self.fail("its host is not known") }
            guard self.rules.allows(url) || AddressGuard.isPublic(address.hostBytes) else {
                return self.fail("its host is not on the open internet; images.allowed_hosts can name it")
            }
            self.connect(to: address, url)
        }
    }

    private func connect(to address: SocketAddress, _ url: ImageURL) {
        context.pool.connect(to: address, as: url.origin) { handler in
            guard let handler else { return self.fail("there is no connection to its host") }
            guard !self.isDone else { return handler.close() }
            self.handler = handler
            self.head = nil
            self.body.clear()
            handler.begin(for: self)
            handler.send([
                ByteBuffer(
                    string: "GET \(url.target) HTTP/1.1\r\nhost: \(url.origin.authority)\r\nuser-agent: martlet\r\n"
                        + "accept: image/*\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n")
            ])
        }
    }

    func upstream(_ event: Exchange.Event) {
        guard !isDone else { return }
        switch event {
        case .head(let head): self.head = head
        case .bytes(var bytes):
            body.writeBuffer(&bytes)
            if body.readableBytes > limit { fail("it is larger than \(limit >> 20) MiB") }
        case .end(let cleanly, _):
            guard cleanly, let head else { return fail("it did not come whole") }
            ended(head)
        case .upstreamFailed(let error, _): fail(error.detail ?? "it did not come whole")
        default: break
        }
    }

    func upstream(read: ResponseFraming.Parsed, reusable: Bool) {
        if let head = read.head { upstream(.head(head)) }
        if let body = read.body { upstream(.bytes(body)) }
        if read.isEnd { upstream(.end(cleanly: true, reusable: reusable)) }
    }

    private func ended(_ head: UpstreamHead) {
        handler?.close()
        handler = nil
        if 300..<400 ~= head.status, let location = head.location {
            hops += 1
            guard hops <= Limits.imageHops else { return fail("it is redirected more than \(Limits.imageHops) times") }
            guard let next = url?.redirected(to: location) else { return fail("it is redirected to no web address") }
            return lookUp(next)
        }
        guard head.status == 200 else { return fail("its host answers with HTTP \(head.status)") }
        finish()
        promise.succeed(body)
    }

    private func fail(_ reason: String) {
        guard !isDone else { return }
        finish()
        promise.fail(ImageProblem(reason: reason))
    }

    private func finish() {
        isDone = true
        alarm?.cancel()
        handler?.close()
        handler = nil
    }
}
