import MartletDialects
import MartletGateway
package import NIOCore
import NIOPosix
package import NIOSSL

/// Connections to upstreams, of one event loop: kept alive, the last used first, bounded. How many are in use is
/// bounded by admission, so nobody ever waits here.
package final class UpstreamPool {
    private let loop: any EventLoop
    private let tls: NIOSSLContext?
    private var idle: [Origin: [UpstreamHandler]] = [:]
    private var limits: [Origin: ConnectionLimits] = [:]
    private var open: [ObjectIdentifier: UpstreamHandler] = [:]

    /// How long connections over the limit of idle ones are kept.
    static let surplusGrace = TimeAmount.seconds(1)

    package init(loop: any EventLoop, tls: NIOSSLContext?) {
        self.loop = loop
        self.tls = tls
    }

    package var isEmpty: Bool { open.isEmpty }
    package var openCount: Int { open.count }

    /// A kept connection at once, or a new one later; `then` runs on the loop, possibly before this returns.
    func connect(
        to origin: Origin, upstream: Upstream, then: @escaping (Result<UpstreamHandler, GatewayError>) -> Void
    ) {
        limits[origin] = upstream.connections
        while let kept = idle[origin]?.popLast() {
            if kept.isActive { return then(.success(kept)) }
        }
        let proxyUse = origin.usesTLS ? upstream.proxyUse : .none
        if case .impossible(let problem) = proxyUse {
            return then(.failure(ConnectFailure.error(problem, upstream: upstream)))
        }
        let proxy = proxyUse.proxy
        let shown = upstream.shown
        // The exchange's own deadline comes first and says which setting raises it; this one ends the attempt itself.
        let limit = (upstream.deadlines.connect ?? .hours(1)) + .seconds(1)
        let bound = NIOLoopBound((pool: self, then: then), eventLoop: loop)
        let bootstrap = bootstrap(to: origin, through: proxy, shown: shown, limit: limit)
        let address = proxy.map { Origin.Address.tcp(host: $0.host, port: $0.port) } ?? origin.address
        let future =
            switch address {
            case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        future.assumeIsolated().whenComplete { result in
            let (pool, then) = bound.value
            switch result {
            case .success(let channel):
                guard let handler = try? channel.pipeline.syncOperations.handler(type: UpstreamHandler.self) else {
                    channel.close(promise: nil)
                    return then(.failure(GatewayError(code: .internalError, message: "the connection was lost")))
                }
                pool.open[ObjectIdentifier(handler)] = handler
                let alarm = pool.loop.assumeIsolated().scheduleTask(in: limit) {
                    handler.giveUp(ChannelError.connectTimeout(limit))
                }
                handler.whenReady { problem in
                    alarm.cancel()
                    if let problem {
                        then(.failure(ConnectFailure.error(problem, upstream: upstream)))
                    } else {
                        then(.success(handler))
                    }
                }
            case .failure(let error):
                then(.failure(ConnectFailure.error(error, upstream: upstream)))
            }
        }
    }

    /// A connection to an address that has been looked up already, never kept; nil when there is none.
    /// - Parameter origin: whose name TLS insists on.
    func connect(to address: SocketAddress, as origin: Origin, then: @escaping (UpstreamHandler?) -> Void) {
        let limit = TimeAmount.seconds(10)
        let bound = NIOLoopBound((pool: self, then: then), eventLoop: loop)
        let bootstrap = bootstrap(to: origin, through: nil, shown: origin.shown, limit: limit)
        bootstrap.connect(to: address).assumeIsolated().whenComplete { result in
            let (pool, then) = bound.value
            guard case .success(let channel) = result,
                let handler = try? channel.pipeline.syncOperations.handler(type: UpstreamHandler.self)
            else { return then(nil) }
            pool.open[ObjectIdentifier(handler)] = handler
            let alarm = pool.loop.assumeIsolated().scheduleTask(in: limit) {
                handler.giveUp(ChannelError.connectTimeout(limit))
            }
            handler.whenReady { problem in
                alarm.cancel()
                then(problem == nil ? handler : nil)
            }
        }
    }

    private func bootstrap(
        to origin: Origin, through proxy: Proxy?, shown: String, limit: TimeAmount
    ) -> ClientBootstrap {
        let tls = self.tls
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ClientBootstrap(group: loop)
            .connectTimeout(limit)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let proxy {
                        let handler = TunnelHandler(to: origin, through: proxy)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    if origin.usesTLS, let tls, case .tcp(let host, _) = origin.address {
                        let name = host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) } ? nil : host
                        let handler = try NIOSSLClientHandler(context: tls, serverHostname: name)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    let handler = UpstreamHandler(origin: origin, shown: shown, pool: bound.value)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
    }

    func keep(_ handler: UpstreamHandler) {
        handler.idleSince = .now()
        idle[handler.origin, default: []].append(handler)
    }

    func forget(_ handler: UpstreamHandler) {
        open[ObjectIdentifier(handler)] = nil
        if let at = idle[handler.origin]?.firstIndex(where: { $0 === handler }) {
            idle[handler.origin]?.remove(at: at)
        }
    }

    /// One kept connection has turned out to be closed: those kept to the same place are as old or older.
    func dropIdle(to origin: Origin) {
        for handler in idle.removeValue(forKey: origin) ?? [] { handler.close() }
    }

    /// Closes what has been idle for longer than its limit, and what is over the number that may be idle.
    /// The latter only after `surplusGrace`, so that a load which needs them does not open and close
    /// connections for every request.
    func expire(at now: NIODeadline) {
        for (origin, handlers) in idle {
            let limit = limits[origin] ?? ConnectionLimits()
            // The first have been idle for longest: the last used is taken first.
            let surplus = max(0, handlers.count - limit.maxIdle)
            for (index, handler) in handlers.enumerated() {
                let bound = index < surplus ? min(limit.keepAlive, UpstreamPool.surplusGrace) : limit.keepAlive
                if now - handler.idleSince >= bound { handler.close() }
            }
            if idle[origin]?.isEmpty == true { idle[origin] = nil }
        }
    }

    func closeAll() {
        for handler in Array(open.values) { handler.close() }
    }
}
