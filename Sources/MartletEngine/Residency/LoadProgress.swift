/// What somebody who waits for a model is told.
package struct LoadProgress: Sendable, Hashable {
    package enum Phase: Sendable, Hashable {
        /// There is no room for it yet.
        case queued
        case loading
        /// The last one.
        case ready
    }

    package var phase: Phase
    /// The instance that is loaded; while it is queued, the model.
    package var name: String
    /// 0 to 1, where that is known; never falls, and is 1 once it is ready.
    package var fraction: Double?
    /// Since the load began, also for those who joined it later.
    package var elapsed: Duration
    /// For people.
    package var sentence: String

    package init(phase: Phase, name: String, fraction: Double?, elapsed: Duration, sentence: String) {
        self.phase = phase
        self.name = name
        self.fraction = fraction
        self.elapsed = elapsed
        self.sentence = sentence
    }

    /// An engine that has read everything is not ready yet.
    static let almost = 0.99
}

extension Supervisor {
    /// To whoever waits for the instance.
    func tell(_ id: String, _ phase: LoadProgress.Phase, fraction: Double?, _ sentence: String) {
        guard let resident = engines[id] else { return }
        let progress = LoadProgress(
            phase: phase, name: id, fraction: fraction, elapsed: .now - resident.since, sentence: sentence)
        engines[id]?.progress = progress
        guard let instance = residency.instances.first(where: { $0.id == id }),
            case .loading(let waiting) = instance.phase
        else { return }
        for waiter in waiting { waiters[waiter.ticket]?.onProgress(progress) }
    }

    /// How far a load is: as the engine tells what it has read, and as it has the memory that it will take. The lesser of
    /// them counts: what is mapped has not been read, and behind that the cache is filled.
    func noteLoading(
        _ id: String, _ reported: Double?, _ elapsed: Duration, on binary: EngineBinary, _ measure: Measure
    ) {
        guard let resident = engines[id] else { return }
        var parts = reported.map { [$0] } ?? []
        if binary.deviceMemory == nil, let held = resident.process.flatMap(measure) {
            let plan = resident.launch.plan
            // Which fills with its work.
            let later = plan.demand.settings.promptCache?.value ?? 0
            parts.append(Double(held) / Double(max(1, plan.bytes - later)))
        }
        let before = resident.progress?.fraction ?? 0
        let part = parts.min().map { max(before, min($0, LoadProgress.almost)) }
        let share = part.map { "\(Int($0 * 100)) %, " } ?? ""
        tell(id, .loading, fraction: part, "loading \(id): \(share)\(elapsed.components.seconds) s so far")
    }

    /// What somebody has to wait for who just came.
    func tellState(_ ticket: Residency.Ticket) {
        guard let waiter = waiters[ticket] else { return }
        if let place = residency.line.firstIndex(where: { $0.waiters.contains { $0.ticket == ticket } }) {
            let load = residency.waitingLoads[place]
            return waiter.onProgress(
                LoadProgress(phase: .queued, name: load.model, fraction: nil, elapsed: .zero, sentence: load.sentence))
        }
        let joined = residency.instances.first { instance in
            if case .loading(let waiting) = instance.phase { waiting.contains { $0.ticket == ticket } } else { false }
        }
        if let joined, let progress = engines[joined.id]?.progress { waiter.onProgress(progress) }
    }
}
