import MartletEngine

/// A rule of ``Residency`` was broken.
struct Broken: Error, CustomStringConvertible {
    var description: String
}

/// What has happened in a ``ResidencyWorld``, to be read when it should not have.
struct ResidencyStory: CustomStringConvertible {
    private var turns: [(event: Residency.Event, actions: [Residency.Action])] = []

    mutating func add(_ event: Residency.Event, _ actions: [Residency.Action]) { turns.append((event, actions)) }

    var description: String {
        turns.flatMap { [Self.words($0.event)] + $0.actions.map { "    → \(Self.words($0))" } }.joined(separator: "\n")
    }

    private static func words(_ event: Residency.Event) -> String {
        switch event {
        case .requested(let demand, let ticket): "\(ticket.number) wants \(demand.model)"
        case .load(let demand, let ticket, let name): "\(ticket.number) loads \(demand.model) as \(name ?? "itself")"
        default: "\(event)"
        }
    }

    private static func words(_ action: Residency.Action) -> String {
        switch action {
        case .launch(let launch): "launch \(launch.instance)"
        case .refuse(let ticket, let error): "refuse \(ticket.number): \(error.message)"
        default: "\(action)"
        }
    }
}

extension ResidencyWorld {
    enum Wish: Equatable {
        case model(String), instance(String), load(String), ensure(String)

        var model: String? {
            switch self {
            case .model(let model), .load(let model), .ensure(let model): model
            case .instance: nil
            }
        }

        var isOrder: Bool {
            switch self {
            case .model, .instance: false
            case .load, .ensure: true
            }
        }
    }
}

/// A ``ResidencyWorld``'s books of the models that fail: how often one after the other, and when the last time.
struct ResidencyFailures {
    let limits: Residency.Limits
    private var all: [String: (count: Int, last: Residency.Instant)] = [:]

    init(limits: Residency.Limits) { self.limits = limits }

    /// - Parameter readySince: nil where the engine that has ended was not.
    mutating func note(_ model: String, readySince: Residency.Instant?, _ now: Residency.Instant) {
        if let readySince, now - readySince >= limits.probation { return forget(model) }
        all[model] = ((all[model]?.count ?? 0) + 1, now)
    }

    mutating func forget(_ model: String) { all[model] = nil }

    /// Whether the back-off keeps it from being loaded.
    func forbid(_ model: String, _ now: Residency.Instant) -> Bool {
        guard let (count, last) = all[model], count > 1 else { return false }
        let pauses = sequence(first: limits.firstBackOff) { $0 * 2 }.prefix(count - 1)
        let pause = pauses.reduce(.zero) { max($0, min($1, limits.longestBackOff)) }
        return now < last + pause
    }
}
