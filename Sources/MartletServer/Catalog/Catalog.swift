package import Logging
import MartletDialects
package import MartletEngine
package import MartletGateway
package import MartletTransport
import MartletWire
import NIOCore

/// Knows which models are served where, and keeps the snapshot's route table up to date with it.
package actor Catalog {
    /// How long a list is taken as fresh when a client asks for it.
    static let freshness = Duration.seconds(5)
    /// How long a client's question waits for upstreams; what is known by then is the answer (product.md 4).
    static let patience = TimeAmount.milliseconds(900)

    private let upstreams: [Upstream]
    private let store: ModelStore?
    private let listener: Listener
    private let logger: Logger
    private var snapshot: Snapshot
    private var health: [String: UpstreamHealth] = [:]
    private var readAt: ContinuousClock.Instant?
    private var reading: Task<Void, Never>?
    private let clock = ContinuousClock()

    package init(upstreams: [Upstream], store: ModelStore?, listener: Listener, snapshot: Snapshot, logger: Logger) {
        self.upstreams = upstreams
        self.store = store
        self.listener = listener
        self.snapshot = snapshot
        self.logger = logger
    }

    package var routes: RouteTable { snapshot.routes }

    /// What was last seen of each upstream, in configuration order.
    package func upstreamHealth() -> [(upstream: Upstream, health: UpstreamHealth)] {
        upstreams.map { ($0, health[$0.name] ?? UpstreamHealth()) }
    }

    /// Reads all lists anew unless they are fresh. Callers that come together share one reading.
    package func refresh(ifOlderThan age: Duration = freshness) async {
        if let reading { return await reading.value }
        if let readAt, clock.now - readAt < age { return }
        // Shared by whoever asks meanwhile; ends within `patience`.
        let task = Task { await self.read() }
        reading = task
        await task.value
        reading = nil
    }

    private func read() async {
        var served = snapshot.routes.served
        let calls = listener.calls
        await withTaskGroup(of: (String, Result<[String], GatewayError>).self) { group in
            for upstream in upstreams {
                guard case .url = upstream.location, let calls else { continue }
                group.addTask { (upstream.name, await Catalog.list(upstream, over: calls)) }
            }
            for await (name, result) in group {
                switch result {
                case .success(let ids):
                    served[name] = ServedModels(ids: ids)
                    health[name] = UpstreamHealth(isReachable: true, models: ids.count)
                case .failure(let error):
                    // The last known list stays: a model that is loading or busy is still served.
                    if served[name] == nil { served[name] = ServedModels() }
                    health[name] = UpstreamHealth(
                        isReachable: false, models: served[name]?.ids?.count, problem: error.message)
                    logger.debug("model list not read", metadata: ["upstream": "\(name)", "error": "\(error.message)"])
                }
            }
        }
        if let store {
            for upstream in upstreams where upstream.location == .hosted {
                let ids = store.models().map(\.id)
                served[upstream.name] = ServedModels(ids: ids)
                health[upstream.name] = UpstreamHealth(isReachable: true, models: ids.count)
            }
        }
        readAt = clock.now
        if served != snapshot.routes.served {
            snapshot = snapshot.with(routes: snapshot.routes.with(served: served))
            listener.use(snapshot)
        }
    }

    /// An upstream's model ids, from an OpenAI-shaped list.
    static func list(_ upstream: Upstream, over calls: UpstreamCalls) async -> Result<[String], GatewayError> {
        do throws(GatewayError) {
            let reply = try await calls.get(upstream.profile.modelsPath, at: upstream, timeout: patience)
            guard reply.head.isSuccess else {
                let said = upstream.withoutKey(reply.body)
                var error = ChatErrors.read(status: reply.head.status, body: said)
                let path = upstream.profile.modelsPath
                error.message = "\(upstream.shown) answers \(path) with HTTP \(reply.head.status): \(error.message)"
                return .failure(error)
            }
            guard let json = try? JSON(parsing: reply.body), let entries = json["data"]?.array else {
                return .failure(
                    GatewayError(
                        code: .upstreamBadReply, message: "\(upstream.shown) answers without a model list"))
            }
            return .success(entries.compactMap { $0["id"]?.string })
        } catch {
            return .failure(error)
        }
    }
}

/// What was last seen of an upstream.
package struct UpstreamHealth: Sendable, Hashable {
    /// Nil: never asked.
    package var isReachable: Bool?
    package var models: Int?
    package var problem: String?
}
