extension Residency {
    /// Engines of a model that did not load, or ended by themselves soon after, one after the other.
    struct Failures: Sendable {
        var count = 0
        /// Nothing is loaded before.
        var until: Instant?
        var last: EngineError
    }

    /// What the end of an engine that had been ready says of its model.
    mutating func judge(_ instance: Instance, _ error: EngineError?, _ now: Instant) {
        let model = instance.demand.model
        if instance.readySince + limits.probation <= now {
            failures[model] = nil
        } else if let error {
            note(error, of: model, now)
        }
    }

    mutating func note(_ error: EngineError, of model: String, _ now: Instant) {
        var record = failures[model] ?? Failures(last: error)
        record.last = error
        record.count += 1
        if record.count > 1 {
            // Doubling stops long before the shift could overflow.
            let doubled = limits.firstBackOff * (1 << min(record.count - 2, 20))
            record.until = now + min(doubled, limits.longestBackOff)
        }
        failures[model] = record
    }

    func backOff(_ model: String, _ now: Instant) -> EngineError? {
        guard let record = failures[model], let until = record.until, until > now else { return nil }
        let left = until - now
        let seconds = max(1, Int64((left / Duration.seconds(1)).rounded(.up)))
        return EngineError(
            .backingOff,
            "\(model) has failed \(record.count) times in a row and is tried again in \(seconds) s. "
                + "The last time: \(record.last.message)",
            logTail: record.last.logTail, retryAfter: left)
    }

    /// Failures that cost a load each time they are tried again.
    static let costly: Set<EngineError.Code> = [.loadFailed, .loadTimedOut, .launchFailed]
}
