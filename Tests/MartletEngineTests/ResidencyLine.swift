import MartletEngine

/// A residency with a clock that stands still unless it is told to go on.
struct Line {
    var residency: Residency
    var now = ContinuousClock.now

    init(budget: Int64 = 100, change: (inout Residency.Limits) -> Void = { _ in }) {
        var limits = Residency.Limits()
        limits.budget = budget
        change(&limits)
        residency = Residency(limits: limits)
    }

    /// What an event leads to, in words; times to wake up at left out.
    mutating func callAsFunction(_ event: Residency.Event) -> [String] {
        residency.take(event, now: now).compactMap { action in
            switch action {
            case .launch(let launch): "launch \(launch.instance)"
            case .stop(let id): "stop \(id)"
            case .grant(let ticket, let id): "\(ticket.number) gets \(id)"
            case .refuse(let ticket, let error): "\(ticket.number) refused: \(error.code)"
            case .wake: nil
            }
        }
    }

    mutating func refusal(_ event: Residency.Event) -> EngineError? {
        for case .refuse(_, let error) in residency.take(event, now: now) { return error }
        return nil
    }

    /// Loads a model for one request, which stays.
    mutating func use(_ model: String, _ bytes: Int64, _ ticket: UInt64, ttl: Duration? = nil) {
        _ = self(ask(model, bytes, ticket, ttl: ttl))
        _ = self(.ready(model, bytes: nil))
    }

    /// Loads a model nobody uses.
    mutating func keep(_ model: String, _ bytes: Int64, _ ticket: UInt64 = 99, ttl: Duration? = nil) {
        use(model, bytes, ticket, ttl: ttl)
        _ = self(.released(model))
    }
}

func ask(_ model: String, _ bytes: Int64, _ ticket: UInt64, ttl: Duration? = nil) -> Residency.Event {
    .requested(.init(model, size: LoadSize(bytes: bytes), ttl: ttl), .init(ticket))
}

func load(_ model: String, _ bytes: Int64, _ ticket: UInt64, as name: String? = nil) -> Residency.Event {
    .load(.init(model, size: LoadSize(bytes: bytes)), .init(ticket), as: name)
}

let failed = EngineError(.loadFailed, "broken")
