package import Logging
package import MartletDialects
package import MartletEngine
package import MartletGateway
package import MartletTransport
import MartletWire
import NIOCore
import NIOPosix

/// Knows which models are served where, and keeps the snapshot's route table up to date with it.
package actor Catalog {
    /// How long a list is taken as fresh when a client asks for it.
    static let freshness = Duration.seconds(5)
    /// How long a client's question waits for upstreams; what is known by then is the answer (product.md 4).
    static let patience = TimeAmount.milliseconds(900)

    private let upstreams: [Upstream]
    private let store: ModelStore?
    private let options: Configuration.EngineOptions
    /// What is loaded on this machine, or about to be.
    private let residents: @Sendable () async -> [ResidentModel]
    private var loaded: [ResidentModel] = []
    private let listener: Listener
    private let logger: Logger
    private var snapshot: Snapshot
    private var health: [String: UpstreamHealth] = [:]
    /// The models of this machine, as they were when the lists were read last.
    package private(set) var local: [LocalModel] = []
    private var readAt: ContinuousClock.Instant?
    private var reading: Task<Void, Never>?
    private let clock = ContinuousClock()

    package init(
        upstreams: [Upstream], store: ModelStore?, options: Configuration.EngineOptions = .init(),
        residents: @escaping @Sendable () async -> [ResidentModel] = { [] }, listener: Listener, snapshot: Snapshot,
        logger: Logger
    ) {
        self.options = options
        self.residents = residents
        self.upstreams = upstreams
        self.store = store
        self.listener = listener
        self.snapshot = snapshot
        self.logger = logger
    }

    package var routes: RouteTable { snapshot.routes }

    /// What was last seen of each upstream, in configuration order; of the local engine only when it has a model.
    package func upstreamHealth() -> [(upstream: Upstream, health: UpstreamHealth)] {
        upstreams.filter { $0.location != .hosted || !local.isEmpty }
            .map { ($0, health[$0.name] ?? UpstreamHealth()) }
    }

    /// Reads all lists anew unless they are fresh; those of this machine's folder of models always, because commands
    /// change it. Callers that come together share one reading.
    package func refresh(ifOlderThan age: Duration = freshness) async {
        if let reading { return await reading.value }
        if let readAt, clock.now - readAt < age {
            await readLocal()
            keep([:])
            return
        }
        // Shared by whoever asks meanwhile; ends within `patience`.
        let task = Task { await self.read() }
        reading = task
        await task.value
        reading = nil
    }

    private func read(changingOnly: Bool = false) async {
        let before = snapshot.routes.served
        var read: [String: Result<ServedModels, GatewayError>] = [:]
        await withTaskGroup(of: (String, Result<ServedModels, GatewayError>).self) { group in
            for upstream in upstreams where upstream.profile.listing.changes || !changingOnly {
                guard case .url = upstream.location, let calls = listener.calls else { continue }
                let lists = ModelLists(upstream, over: calls, patience: Catalog.patience)
                let known = before[upstream.name]?.windows ?? [:]
                group.addTask { (upstream.name, await lists.read(known: known)) }
            }
            await readLocal()
            for await (name, result) in group { read[name] = result }
        }
        keep(read)
        readAt = clock.now
    }

    /// On a thread that may block: a header that was not read before takes some milliseconds.
    private func readLocal() async {
        guard let store else { return }
        local = (try? await NIOThreadPool.singleton.runIfActive { LocalModel.all(in: store) }) ?? local
        loaded = await residents()
    }

    /// What has been read, laid over what is known by now.
    private func keep(_ read: [String: Result<ServedModels, GatewayError>]) {
        var served = snapshot.routes.served
        for (name, result) in read {
            switch result {
            case .success(let models):
                served[name] = models
                health[name] = UpstreamHealth(isReachable: true, models: models.ids?.count)
            case .failure(let error):
                // The last known list stays: a model that is loading or busy is still served.
                if served[name] == nil { served[name] = ServedModels() }
                health[name] = UpstreamHealth(
                    isReachable: false, models: served[name]?.ids?.count, problem: error.message)
                logger.debug("model list not read", metadata: ["upstream": "\(name)", "error": "\(error.message)"])
            }
        }
        if let store {
            for upstream in upstreams where upstream.location == .hosted {
                let (ids, unusable) = LocalModel.divided(local)
                // The folder may have changed since `local` was read.
                let spellings = store.spellings().filter { ids.contains($0.value) || unusable[$0.value] != nil }
                let windows = windows(served[upstream.name]?.windows ?? [:], spellings)
                // Who asks for one that crashed brings it back; one whose file has gone serves nobody any more.
                let ready = loaded.filter {
                    ($0.state == .ready || $0.state == .crashed || $0.isReturn) && ids.contains($0.model.id)
                }
                served[upstream.name] = ServedModels(
                    ids: ids, loaded: ready.map(\.instance), windows: windows, work: of(\.work),
                    reasoning: of(\.reasoning), spellings: spellings,
                    instances: Dictionary(
                        ready.map { ($0.instance, $0.model.id) }, uniquingKeysWith: { first, _ in first }),
                    aside: Set(ready.filter(\.isAside).map(\.instance)),
                    cards: cards, runtime: served[upstream.name]?.runtime, unusable: unusable)
                health[upstream.name] = UpstreamHealth(isReachable: true, models: ids.count)
            }
        }
        use(served)
    }

    /// Of the models of this machine, and of their instances.
    private var cards: [String: ModelCard] {
        var cards: [String: ModelCard] = [:]
        for model in local {
            guard let facts = model.usable else { continue }
            let card = ModelCard(
                architecture: facts.architecture, quantisation: facts.quantisation?.name, format: "gguf")
            cards[model.model.id] = card
            for resident in loaded where resident.model.id == model.model.id { cards[resident.instance] = card }
        }
        return cards
    }

    /// Of the models of this machine, and of their instances: as an engine has told it, as long as that lives; else as
    /// they would be loaded.
    private func windows(
        _ known: [String: ContextWindow], _ spellings: [String: String]
    ) -> [String: ContextWindow] {
        var windows: [String: ContextWindow] = [:]
        for model in local {
            let id = model.model.id
            let trained = model.usable?.trainedContext
            let wanted = options.context(of: id, spellings)
            let told = ContextWindow(loaded: wanted.map { min($0, trained ?? $0) }, maximum: trained)
            let own = loaded.filter { $0.model.id == id && $0.state != .stopping }
            for resident in own {
                var window = known[resident.instance]?.filled(from: told) ?? told
                if let given = resident.context { window.loaded = min(window.loaded ?? given, given) }
                windows[resident.instance] = window
            }
            let first = own.first { $0.instance == id } ?? own.first { !$0.isNamed }
            windows[id] = first.flatMap { windows[$0.instance] } ?? told
        }
        return windows.filter { $0.value.isKnown }
    }

    /// What is known of the models of this machine, and so of their instances.
    private func of<Fact>(_ fact: (LocalModel) -> Fact?) -> [String: Fact] {
        var facts: [String: Fact] = [:]
        for model in local {
            facts[model.model.id] = fact(model)
            for resident in loaded where resident.model.id == model.model.id { facts[resident.instance] = fact(model) }
        }
        return facts
    }

    /// Which models of this machine are loaded has changed.
    package func noteLoaded() async {
        loaded = await residents()
        // The folder may have changed since it was read.
        let ids = Set(local.map(\.model.id))
        if !loaded.allSatisfy({ ids.contains($0.model.id) }) { await readLocal() }
        keep([:])
    }

    private func use(_ served: [String: ServedModels]) {
        guard served != snapshot.routes.served else { return }
        snapshot = snapshot.with(routes: snapshot.routes.with(served: served))
        listener.use(snapshot)
    }

    /// The engine that runs models has been found.
    package func note(_ runtime: ModelRuntime, of name: String) {
        var served = snapshot.routes.served
        served[name, default: ServedModels()].runtime = runtime
        use(served)
    }

    /// An engine of this machine has been asked what it serves, once it was ready.
    package func note(_ models: ServedModels, servedBy name: String) {
        var served = snapshot.routes.served
        served[name, default: ServedModels()].windows.merge(models.windows) { _, new in new }
        use(served)
    }

    /// Reads the lists of upstreams whose models are loaded and unloaded, again and again until it is cancelled: what a
    /// model holds is of use only as long as it is true.
    package func keepFresh(every interval: Duration = .seconds(60)) async {
        while (try? await Task.sleep(for: interval)) != nil {
            if let readAt, clock.now - readAt < interval / 2 { continue }
            await read(changingOnly: true)
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
