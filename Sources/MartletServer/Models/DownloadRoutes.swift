import Logging
import MartletDialects
import MartletEngine
import MartletGateway
import MartletHub
import MartletWire
import NIOCore
import NIOPosix

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Downloads that clients of the server ask for (docs/LMSTUDIO.md, its own API). The service runs them; its end pauses them.
struct Downloads: Sendable {
    let jobs = DownloadJobs()
    let hub: SharedHub
    /// The folder of models.
    let root: String
    let logger: Logger

    init(hub: Result<HubEndpoint, HubError>, proxy: HubProxy, root: String, logger: Logger) {
        self.hub = SharedHub(hub, proxy)
        self.root = root
        self.logger = logger
    }

    /// Until it is cancelled.
    func run() async {
        await jobs.run()
        await hub.shutdown()
    }

    // MARK: Routes

    /// - Parameter finished: is called when a model has come.
    func start(
        _ body: ByteBuffer, finished: @escaping @Sendable () async -> Void
    ) async throws(NativeError) -> ControlReply {
        let body = try NativeBody(body, known: ["model", "quantization"])
        let (reference, wish) = (try body.required("model"), try body.string("quantization"))
        do {
            let client = try await hub.client()
            guard case .repository(var repository) = try ModelReference(reference, mirror: client.endpoint.host) else {
                throw NativeError.invalid(
                    "model must name a repository, as in owner/repository or https://huggingface.co/owner/repository; "
                        + "look for its name with: martlet search \(reference.prefix(80))", param: "model")
            }
            if let wish {
                guard case .automatic = repository.choice else {
                    throw NativeError.invalid(
                        "quantization and model name the file twice: leave one of them out", param: "quantization")
                }
                repository = try RepositoryReference(
                    owner: repository.owner, name: repository.name, revision: repository.revision,
                    choice: .quantisation(wish))
            }
            let plan = try FilePlan(try await client.model(repository), choice: repository.choice)
            let download = ModelDownload(plan, from: client, to: root, logger: logger)
            guard !download.isPresent else {
                return Self.ok(DownloadJob.presentReply(key: try await key(of: plan)))
            }
            let logger = self.logger
            let name = "\(plan.id)@\(plan.quantisation ?? plan.weights[0].name)"
            let job = try jobs.start(name, total: plan.bytes) { report in
                logger.info("model download begins", metadata: ["model": "\(name)", "bytes": "\(plan.bytes)"])
                let key: String?
                do {
                    _ = try await download.run(report: report)
                    await finished()
                    key = try await self.key(of: plan)
                } catch let error as HubError {
                    logger.warning(
                        "model download failed", metadata: ["model": "\(name)", "error": "\(error.message)"])
                    throw error
                }
                logger.info("model download is done", metadata: ["model": "\(name)"])
                return key
            }
            return Self.ok(job.startReply)
        } catch let error as HubError {
            throw NativeError(error)
        } catch let error as NativeError {
            throw error
        } catch {
            throw NativeError(status: 503, type: "internal_error", message: "the server is stopping")
        }
    }

    /// What the model that has come is listed by; nil: it has gone again.
    /// - Throws: `HubError` (`.unusable`) when it cannot be loaded.
    private func key(of plan: FilePlan) async throws -> String? {
        let store = ModelStore(root: root)
        let local = try await NIOThreadPool.singleton.runIfActive {
            store.models().first { $0.place == plan.place }.map { LocalModel($0, in: store) }
        }
        guard let problem = local?.publishedProblem else { return local?.model.id }
        throw HubError(.unusable, plan.unusable(because: problem))
    }

    /// Whether it is a download of this machine.
    func owns(_ job: String) -> Bool { jobs.job(job) != nil }

    /// - Parameter id: of a job; nil: all, which is ours.
    func status(_ id: String?) throws(NativeError) -> ControlReply {
        guard let id else { return Self.ok(["jobs": .array(jobs.all.map { $0.statusReply(at: .now) })]) }
        guard let job = jobs.job(id) else { throw Self.unknown(id) }
        return Self.ok(job.statusReply(at: .now))
    }

    /// Ends a job that is under way. What it got is kept, and gone on with when the model is asked for again.
    func cancel(_ id: String) async throws(NativeError) -> ControlReply {
        guard let job = await jobs.cancel(id) else { throw Self.unknown(id) }
        return Self.ok(job.statusReply(at: .now))
    }

    private static func unknown(_ id: String) -> NativeError {
        NativeError(
            status: 404, type: "job_not_found",
            message: "there is no download \(id.prefix(64)): see GET /api/v1/models/download/status for all",
            param: "job_id")
    }

    private static func ok(_ json: JSON) -> ControlReply { ControlReply(status: 200, body: json.buffer) }
}

/// The one client of the hub that a server has, made when it is first needed.
actor SharedHub {
    private let endpoint: Result<HubEndpoint, HubError>
    private let proxy: HubProxy
    private var made: HubClient?
    private var hasEnded = false

    init(_ endpoint: Result<HubEndpoint, HubError>, _ proxy: HubProxy) {
        self.endpoint = endpoint
        self.proxy = proxy
    }

    /// - Throws: `HubError` (`.invalidSetting`); `CancellationError` once the server stops.
    func client() throws -> HubClient {
        guard !hasEnded else { throw CancellationError() }
        if let made { return made }
        let client = HubClient(endpoint: try endpoint.get(), proxy: proxy)
        made = client
        return client
    }

    func shutdown() async {
        hasEnded = true
        await made?.shutdown()
        made = nil
    }
}
