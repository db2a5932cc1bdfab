extension ModelStore {
    /// What the headers of a model's files say of it; read now, or before if the files are still the same.
    ///
    /// - Throws: `.incompleteModel` when parts are missing or a file is cut short, `.unreadableModel` when a header
    ///   cannot be used; the message says which, and what to do. A projector that cannot be read, or is none, is as good
    ///   as none.
    package func facts(of model: InstalledModel) throws(EngineError) -> ModelFacts {
        let files = model.parts + (model.projector.map { [$0] } ?? [])
        return try cache.reading(files.map(Self.stamp)) { Result { () throws(EngineError) in try Self.read(model) } }
            .get()
    }

    private static func read(_ model: InstalledModel) throws(EngineError) -> ModelFacts {
        if model.parts.count < model.expectedParts {
            throw EngineError(
                .incompleteModel,
                "\(Shown.text(model.id)) has \(model.parts.count) of its \(model.expectedParts) parts"
                    + EngineError.again)
        }
        var headers: [GGUFHeader] = []
        for part in model.parts { headers.append(try GGUFHeader.read(part)) }
        let projector = model.projector.flatMap(Self.projector)
        do throws(EngineError) {
            return try ModelFacts(headers, projector: projector)
        } catch {
            throw EngineError(error.code, "\(Shown.text(model.file)): \(error.message)")
        }
    }

    /// Nil: it cannot be read, or is another thing by that name.
    private static func projector(_ path: String) -> GGUFHeader? {
        guard let header = try? GGUFHeader.read(path), ModelFacts.isProjector(header) else { return nil }
        return header
    }

    private static func stamp(_ path: String) -> FactsCache.Stamp {
        let entry = Disk.entry(path)
        return FactsCache.Stamp(path: path, bytes: entry?.bytes ?? -1, changed: entry?.changed ?? 0)
    }
}
