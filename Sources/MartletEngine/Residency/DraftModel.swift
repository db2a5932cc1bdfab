/// The model that writes drafts for another one.
struct DraftModel: Sendable {
    var model: InstalledModel
    var facts: ModelFacts

    /// The one that the settings name. Where a file names one that cannot write drafts for this model, it is taken out of
    /// the settings: no request is to fail for what its client cannot know. In a request or command it is refused.
    ///
    /// - Parameter unusable: told why that of a file cannot be used; not where one for all models is not meant for this.
    /// - Throws: `noSuchModel`, `badSetting`, or what is wrong with its file.
    static func find(
        _ load: inout EffectiveLoad, for model: InstalledModel, _ facts: ModelFacts, in store: ModelStore,
        unusable: (EngineError) -> Void
    ) throws(EngineError) -> DraftModel? {
        guard let setting = load.draftModel else { return nil }
        do throws(EngineError) {
            guard facts.kind == .llm else {
                throw EngineError(
                    .badSetting, "draft_model: \(model.id) writes no text, so that nothing can be drafted for it.")
            }
            let draft = try LoadRequest.installed(setting.value, in: store)
            guard draft.id != model.id else {
                throw EngineError(.badSetting, "draft_model: \(model.id) cannot write drafts for itself.")
            }
            let found = DraftModel(model: draft, facts: try store.facts(of: draft))
            guard found.facts.kind == .llm else {
                throw EngineError(.badSetting, "draft_model: \(draft.id) writes no text, so that it writes no drafts.")
            }
            load.draftModel?.value = draft.id
            return found
        } catch {
            guard setting.origin == .configuration || setting.origin == .modelSettings else { throw error }
            load.draftModel = nil
            let isMeant = facts.kind == .llm && store.find(setting.value)?.id != model.id
            if isMeant || setting.origin == .modelSettings { unusable(error) }
            return nil
        }
    }
}
