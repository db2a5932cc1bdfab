/// How much thinking a request asks for, its several spellings made one.
enum ThinkingWish: Hashable {
    case unset, off
    /// Up to the model. No request to force thinking on.
    case adaptive
    /// Not on: how much effort to spend if the model thinks at all.
    case effort(Effort, isOn: Bool)
    /// Tokens.
    case budget(Int)

    init(_ settings: Settings, default effort: Effort?) {
        switch (settings.thinking, settings.effort) {
        case (.off, _): self = .off
        case (.budget, let effort?): self = .effort(effort, isOn: true)
        case (.budget(let budget), nil): self = .budget(budget)
        case (.adaptive, let effort?): self = .effort(effort, isOn: false)
        case (nil, let effort?): self = .effort(effort, isOn: settings.effortTurnsOn)
        case (.adaptive, nil): self = .adaptive
        case (nil, nil): self = effort.map { .effort($0, isOn: true) } ?? .unset
        }
    }
}

extension ThinkingWish {
    /// What it comes to where efforts are asked for; nil for none.
    func effort(in known: Set<Effort>) -> Effort? {
        switch self {
        case .effort(let effort, _): effort.nearest(in: known)
        case .budget(let budget): Effort(budget: budget).nearest(in: known)
        case .unset, .off, .adaptive: nil
        }
    }
}

extension Effort {
    /// The nearest lower one that exists; where there is none, the lowest. Nil when there are none at all.
    func nearest(in known: Set<Effort>) -> Effort? {
        known.filter { $0 <= self }.max() ?? known.min()
    }
}
