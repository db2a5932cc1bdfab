import FoundationEssentials
package import Logging
package import MartletDialects
package import MartletGateway
import MartletLedger
package import MartletWire
package import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Keeps responses in the database under home, which is opened by the first request that needs it. While it cannot be
/// used, such requests are refused, and each tries again.
package actor ResponseLedger: ResponseKeeper {
    /// How often what is too old is looked for.
    private static let expiry: Duration = .seconds(600)

    private let home: String
    private let retention: Duration
    private let logger: Logger
    /// Responses that are being made in the background, by id.
    var jobs: [String: BackgroundJob] = [:]
    private var store: ResponseStore?
    /// Held as long as the store is used.
    private var claim: ServerClaim?
    private var lastExpiry: ContinuousClock.Instant?
    var ids = IDSource(seed: UInt64.random(in: .min ... .max))

    /// - Parameter home: the folder of `martlet.db`; made if it is not there.
    package init(home: String, retention: Duration, logger: Logger) {
        self.home = home
        self.retention = retention
        self.logger = logger
    }

    package func recall(_ plan: Plan) async -> Decision {
        do throws(GatewayError) {
            _ = try opened()
            // Of a WebSocket that still holds what is continued from.
            if plan.recalled != nil { return Decider.weighed(plan) }
            let id = plan.responses?.previousID
            let references = try ResponsesRequest.references(plan.document)
            guard id != nil || !references.isEmpty else { return Decider.weighed(plan) }
            let (document, items) = try await continued(plan.document, from: id, of: plan.owner)
            return Decider.weighed(try plan.continued(document, items))
        } catch {
            return .refuse(error)
        }
    }

    package func keep(_ object: ByteBuffer, of plan: Plan) async throws(GatewayError) {
        guard let json = try? JSON(parsing: object), let id = json["id"]?.string else {
            throw GatewayError(code: .internalError, message: "the reply that was to be stored cannot be read")
        }
        let store = try opened()
        let job = jobs[id]
        if let job, !job.settle(object) { throw .cancelled(id) }
        var response = if let job { job.queued } else { try stored(id, object, of: plan) }
        response.end(in: object, json)
        do throws(LedgerError) {
            try await store.put(
                response, of: plan.owner, previous: plan.responses?.previousID, isStreamed: plan.streams)
            job?.settled(isStored: true)
        } catch {
            job?.settled(isStored: false)
            throw Self.unavailable(error)
        }
        expireIfDue(store)
    }

    /// A response with what it was asked.
    func stored(_ id: String, _ object: ByteBuffer, of plan: Plan) throws(GatewayError) -> StoredResponse {
        var own = plan.recalled?.own ?? []
        if plan.recalled == nil { own = try ResponsesRequest.inputItems(plan.document) }
        return StoredResponse(
            id: id, object: [UInt8](buffer: object), context: plan.recalled?.before.map { [UInt8](buffer: $0) } ?? [],
            input: own.map { [UInt8](buffer: ResponsesRequest.identified($0, ids: &ids)) })
    }

    /// The events of a response that was made in the background and has ended; none of one whose stream was not kept,
    /// nil of one that came whole.
    func events(_ id: String, of owner: KeyTable.Digest) async throws(GatewayError) -> ByteBuffer? {
        let store = try opened()
        do throws(LedgerError) {
            return try await store.events(of: id, owner: owner).map { ByteBuffer(bytes: $0) }
        } catch {
            throw Self.unavailable(error)
        }
    }

    /// Nil when there is none of this owner's.
    func get(_ id: String, of owner: KeyTable.Digest) async throws(GatewayError) -> StoredResponse? {
        let store = try opened()
        do throws(LedgerError) {
            guard let stored = try await store.get(id, of: owner) else { return nil }
            guard case .object? = try? JSON(parsing: ByteBuffer(bytes: stored.object)) else {
                throw LedgerError.corrupt
            }
            return stored
        } catch {
            throw Self.unavailable(error)
        }
    }

    /// One that is being made is ended first.
    package func delete(_ id: String, of owner: KeyTable.Digest) async throws(GatewayError) -> Bool {
        let store = try opened()
        if let job = job(id, of: owner) {
            _ = job.cancel()
            jobs[id] = nil
        } else if let stored = try await get(id, of: owner) {
            try Self.refuse(id, stored, madeElsewhere: "delete it there")
        }
        do throws(LedgerError) {
            return try await store.delete(id, of: owner)
        } catch {
            throw Self.unavailable(error)
        }
    }

    /// A request with the conversation before its own input, and items in place of references to them.
    /// - Parameter id: the response it continues from; nil: none.
    /// - Throws: `previousResponseNotFound`, `storeUnavailable`.
    package func continued(
        _ document: JSONDocument, from id: String?, of owner: KeyTable.Digest
    ) async throws(GatewayError) -> (JSONDocument, RecalledItems) {
        var before: [ByteBuffer] = []
        if let id {
            guard let stored = try await settled(id, of: owner) else { throw .previousResponseNotFound(id) }
            before = stored.chain.map { ByteBuffer(bytes: $0) }
        }
        var own = try ResponsesRequest.inputItems(document)
        var known: [String: ByteBuffer] = [:]
        let references = try ResponsesRequest.references(document)
        if !references.isEmpty {
            known = try await items(references, of: owner)
            own = own.map { item in ResponsesRequest.reference(item).flatMap { known[$0] } ?? item }
        }
        if id != nil { try ResponsesRequest.checkOutputs(own, after: before) }
        let expanded = try ResponsesRequest.expanded(document, with: before, resolving: known)
        return (try Decider.check(expanded), RecalledItems(before: before, own: own))
    }

    /// Items this owner's responses hold, by their ids.
    private func items(
        _ ids: [String], of owner: KeyTable.Digest
    ) async throws(GatewayError) -> [String: ByteBuffer] {
        let store = try opened()
        do throws(LedgerError) {
            return try await store.items(ids, of: owner).mapValues { ByteBuffer(bytes: $0) }
        } catch {
            throw Self.unavailable(error)
        }
    }

    /// A response that can be continued from; nil when there is none of this owner's.
    private func settled(_ id: String, of owner: KeyTable.Digest) async throws(GatewayError) -> StoredResponse? {
        guard let job = job(id, of: owner) else {
            guard let stored = try await get(id, of: owner) else { return nil }
            try Self.refuse(id, stored, madeElsewhere: "wait for its end")
            return stored
        }
        guard let object = job.ending else {
            throw GatewayError(
                code: .invalidRequest, message: "the response \(id.prefix(128)) is still being made; wait for its end",
                param: "previous_response_id")
        }
        return job.finished(object)
    }

    func opened() throws(GatewayError) -> ResponseStore {
        if let store { return store }
        do throws(LedgerError) {
            let ledger = try Ledger(path: try prepared())
            let claim = try ServerClaim(in: home)
            let store = ResponseStore(ledger, retention: retention, server: claim.number) {
                Int64(MachineName.secondsSince1970)
            }
            try store.settle(unless: claim.isAtWork, Self.lost)
            (self.store, self.claim) = (store, claim)
            return store
        } catch {
            logger.warning("responses cannot be stored", metadata: ["reason": "\(error.message)"])
            throw Self.unavailable(error)
        }
    }

    /// The database's path; a new one is its owner's alone to read, for it holds conversations.
    private func prepared() throws(LedgerError) -> String {
        let path = home + "/martlet.db"
        do {
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        } catch {
            throw LedgerError(.unavailable, "the folder for the database martlet.db cannot be made")
        }
        // One that cannot be opened so is reported by who opens it next, in its own words.
        close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600))
        var wasOpen = false
        for suffix in ["", "-wal", "-shm"] {
            var facts = stat()
            guard stat(path + suffix, &facts) == 0, facts.st_mode & 0o077 != 0 else { continue }
            wasOpen = chmod(path + suffix, 0o600) == 0 || wasOpen
        }
        if wasOpen { logger.warning("others could read the database martlet.db; now its owner alone can") }
        return path
    }

    private func expireIfDue(_ store: ResponseStore) {
        let now = ContinuousClock.now
        if let lastExpiry, now - lastExpiry < Self.expiry { return }
        lastExpiry = now
        let logger = logger
        Task {
            do throws(LedgerError) {
                while try await store.expire() == 500 {}
            } catch {
                logger.warning("old responses cannot be deleted", metadata: ["reason": "\(error.message)"])
            }
        }
    }

    func warn(_ sentence: String, _ error: any Error) {
        logger.warning("\(sentence)", metadata: ["reason": "\((error as? GatewayError)?.message ?? "\(error)")"])
    }

    static func unavailable(_ error: LedgerError) -> GatewayError {
        GatewayError(code: .storeUnavailable, message: error.message)
    }
}
