/// What a load would take, told without doing it. What is loaded already is not looked at.
package struct LoadEstimate: Sendable, Hashable {
    /// The model's id.
    package var model: String
    /// Tokens of each request's window.
    package var context: Int
    /// Nobody asked for that context: it is what fits.
    package var isFitted: Bool
    package var bytes: Int64
    /// Of these, in the memory of devices.
    package var gpuBytes: Int64
    /// What all engines together may take; nil: it is not known.
    package var budget: Int64?

    /// - Parameters:
    ///   - settings: of a command.
    ///   - binary: the engine that would load it.
    /// - Throws: why it could not be loaded.
    package static func make(
        _ model: InstalledModel, _ settings: LoadSettings, in store: ModelStore, _ engine: EngineSettings,
        for binary: EngineBinary
    ) async throws(EngineError) -> LoadEstimate {
        let budget = engine.memory.budget(of: binary.deviceMemory ?? EngineMemory.total())
        let request = try await LoadRequest.make(
            model, settings, .command, isExplicit: true, in: store, engine, for: binary, budget: budget
        ).get()
        let size = request.demand.size
        // Where it does not fit, what it takes at least says so.
        let fit = size.fitted(
            to: max(budget, size.least), beside: Array(request.demand.others.values))
        let load = request.demand.settings
        let layers = try store.facts(of: model).layers.count
        let share =
            binary.deviceMemory == nil
            ? 0 : load.gpuLayers.map { min(1, Double($0.value) / Double(max(layers, 1))) } ?? 1
        return LoadEstimate(
            model: model.id, context: load.contextTokens ?? fit.context ?? LoadSize.leastContext,
            isFitted: load.contextTokens == nil, bytes: fit.bytes, gpuBytes: Int64(Double(fit.bytes) * share),
            budget: budget == .max ? nil : budget)
    }
}
