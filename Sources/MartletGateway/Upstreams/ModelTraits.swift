package import MartletDialects

/// What is known of one model at one upstream, beside its name. Immutable and shared: a class so that a candidate
/// carries it at the cost of one count.
package final class ModelTraits: Sendable {
    package let window: ContextWindow
    /// Nil: nobody says what it is for.
    package let work: ModelWork?
    /// Words for reasoning that it takes; none where it does not reason, nil where that is not known.
    package let reasoning: [String]?
    /// Where they differ from the upstream's.
    package let capabilities: Capabilities?

    package init(
        window: ContextWindow, work: ModelWork? = nil, reasoning: [String]? = nil, capabilities: Capabilities? = nil
    ) {
        self.reasoning = reasoning
        self.window = window
        self.work = work
        self.capabilities = capabilities
    }

    /// Of all models that are listed, where there is anything to know; by upstream and model.
    static func all(
        _ upstreams: [Upstream], _ served: [String: ServedModels], _ flags: [ModelFlags]
    ) -> [String: [String: ModelTraits]] {
        var all: [String: [String: ModelTraits]] = [:]
        for upstream in upstreams {
            guard let models = served[upstream.name],
                !flags.isEmpty || !models.windows.isEmpty || !models.work.isEmpty || !models.reasoning.isEmpty
            else { continue }
            let others = models.loaded + models.instances.keys + models.variants.keys
            for model in models.ids.map({ Set($0 + others) }) ?? Set(models.windows.keys) {
                all[upstream.name, default: [:]][model] = of(
                    model, at: upstream, models.sureWindow(of: model), models.work[model], models.reasoning[model],
                    flags)
            }
        }
        return all
    }

    /// - Parameter flags: the most specific last.
    static func of(
        _ model: String, at upstream: Upstream, _ window: ContextWindow?, _ work: ModelWork?, _ reasoning: [String]?,
        _ flags: [ModelFlags]
    ) -> ModelTraits? {
        let settings = flags.filter { $0.matches(model, at: upstream.name) }.flatMap(\.settings)
        guard window != nil || work != nil || reasoning != nil || !settings.isEmpty else { return nil }
        let own = upstream.profile.capabilities
        let capabilities = (work.map(own.limited(to:)) ?? own).with(settings)
        return ModelTraits(
            window: window ?? ContextWindow(), work: work, reasoning: reasoning,
            capabilities: capabilities == own ? nil : capabilities)
    }
}
