package import MartletDialects
package import MartletGateway
import MartletLedger
import MartletWire
package import NIOCore

/// Responses that are made while nobody waits for them. They are held in memory while they are made, and stored when
/// they are queued and when they have ended: what a restart cuts short is found again, and has failed.
extension ResponseLedger {
    package func queue(_ plan: Plan) async throws(GatewayError) -> (QueuedResponse, ControlReply) {
        let store = try opened()
        let label = plan.label(ids.response())
        guard let label else {
            throw GatewayError(code: .internalError, message: "what is not stored cannot be queued")
        }
        let request = try Dialects.readRequest(plan.document, from: plan.dialect, seal: plan.seal)
        let created = MachineName.secondsSince1970
        let object = ResponsesDraft.queued(
            label, model: plan.candidates.first.map(plan.shownModel) ?? "", created: created, echo: request.echo)
        try makeRoom()
        let job = BackgroundJob(
            try stored(label.id, object, of: plan), of: plan.owner, previous: plan.responses?.previousID,
            onEnd: { job in Task { await self.ended(job) } })
        jobs[job.id] = job
        do throws(LedgerError) {
            try await store.put(
                job.queued, of: job.owner, previous: job.previous, isUnfinished: true, isStreamed: true)
        } catch {
            jobs[job.id] = nil
            throw Self.unavailable(error)
        }
        // An answer in a form may have to be asked for once more, which nobody may have read the first half of.
        let isChecked = request.settings.format != nil && plan.candidates.contains { !$0.speaks(.responses) }
        let queued = QueuedResponse(
            id: job.id, created: created, reply: job, isWhole: isChecked && !plan.streams)
        var reply = ControlReply(status: 200, body: object, headers: Self.dropped(plan.inBackground(queued)))
        if plan.streams { reply.following = Following(source: job, place: 0) }
        return (queued, reply)
    }

    /// What the first place it goes to is not told, as a header line.
    private static func dropped(_ plan: Plan) -> [String] {
        guard let first = plan.candidates.first, let made = try? plan.request(for: first), !made.dropped.isEmpty else {
            return []
        }
        return ["x-translation-dropped: \(made.dropped.joined(separator: ", "))"]
    }

    private func makeRoom() throws(GatewayError) {
        // One that has ended and could not be stored is held for whoever asks, as long as there is room.
        if jobs.count >= 2 * Limits.background, let ended = jobs.values.first(where: \.isEnded) { jobs[ended.id] = nil }
        guard jobs.values.count(where: { !$0.isEnded }) >= Limits.background else { return }
        throw GatewayError(
            code: .queueFull,
            message: "\(Limits.background) responses are being made in the background, and there may be no more; "
                + "wait for one to end, or cancel one",
            retryAfter: .seconds(10))
    }

    /// The job that makes a response; nil where none does, and to any other owner.
    func job(_ id: String, of owner: KeyTable.Digest) -> BackgroundJob? {
        guard let job = jobs[id], job.owner == owner else { return nil }
        return job
    }

    /// Ends a response that is being made. What has ended already stays as it is.
    /// - Returns: the Response; nil when there is none of this owner's.
    /// - Throws: `invalidRequest` when it was not made in the background, or is made by another server.
    package func cancel(_ id: String, of owner: KeyTable.Digest) async throws(GatewayError) -> ByteBuffer? {
        if let job = job(id, of: owner) {
            if job.cancel() { await finish(job) }
            return job.object
        }
        guard let stored = try await get(id, of: owner) else { return nil }
        let object = ByteBuffer(bytes: stored.object)
        let response = try? JSON(parsing: object)
        guard response?["background"]?.bool == true else {
            throw GatewayError(
                code: .invalidRequest, message: "only a response that is made in the background can be cancelled")
        }
        try Self.refuse(id, stored, madeElsewhere: "cancel it there")
        return object
    }

    /// - Parameter advice: what can be done about it.
    /// - Throws: `invalidRequest` for a response that is still being made, and not here.
    static func refuse(
        _ id: String, _ stored: StoredResponse, madeElsewhere advice: String
    ) throws(GatewayError) {
        let status = (try? JSON(parsing: ByteBuffer(bytes: stored.object)))?["status"]?.string
        guard let status, ["queued", "in_progress"].contains(status) else { return }
        throw GatewayError(
            code: .invalidRequest,
            message: "the response \(id.prefix(128)) is made by another server that uses the same home; \(advice)",
            status: 409)
    }

    /// Its exchange is over.
    private func ended(_ job: BackgroundJob) async {
        guard jobs[job.id] === job else { return }
        // Neither kept nor failed: the server is shutting down. The next start says so.
        guard job.ending != nil else { return jobs[job.id] = nil }
        await finish(job)
    }

    /// Stores the ending of a job with its events. Where that fails, it is held for as long as there is room.
    private func finish(_ job: BackgroundJob) async {
        guard let object = job.ending else { return }
        do {
            let store = try opened()
            if !job.isStored {
                try await store.put(job.finished(object), of: job.owner, previous: job.previous, isStreamed: true)
            }
            // Without them, the object tells them anew.
            if let events = job.events { try await store.put(events: events, of: job.id, owner: job.owner) }
            jobs[job.id] = nil
        } catch {
            warn("a response made in the background cannot be stored", error)
        }
    }

    /// What a start says of responses that were being made when the server before it ended.
    static func lost(_ object: [UInt8]) -> [UInt8] {
        let error = GatewayError(
            code: .internalError, message: "the server was restarted while this response was being made; ask again")
        return [UInt8](buffer: ResponsesDraft.ended(ByteBuffer(bytes: object), .failed, error))
    }
}
