/// The models that lie at a path from which some shall be imported, and whose the projectors beside them are.
/// Looked at only.
package struct ImportSource: Sendable, Hashable {
    /// A projector that may be of several models, and so is of none.
    package struct Stray: Sendable, Hashable {
        package let path: String
        /// It may be of each of these.
        package let models: [InstalledModel]
    }

    /// Each with the projector that is its own.
    package private(set) var models: [InstalledModel]
    /// They lie in a folder of models, `<publisher>/<repository>/`, whose names they keep.
    package let areLaidOut: Bool
    package private(set) var strays: [Stray] = []
    /// All models of the folder, by the projectors that are theirs.
    private var users: [String: Set<String>] = [:]

    /// - Parameter models: with the projectors of their folders.
    package init(laidOut models: [InstalledModel]) {
        self.models = models
        areLaidOut = true
        for model in models { if let projector = model.projector { users[projector, default: []].insert(model.path) } }
    }

    /// What lies at a path: a file, with its other parts; a folder with weights; or one of such folders, laid out as
    /// `<publisher>/<repository>/`.
    /// - Throws: `.notImportable`.
    package init(at path: String) throws(EngineError) {
        let shown = Shown.text(path.split(separator: "/").last.map(String.init) ?? path)
        guard let entry = Disk.entry(path) else {
            throw EngineError(.notImportable, "there is no \(shown), or its link leads nowhere")
        }
        guard !entry.isFolder else {
            if ModelStore.loose(in: path).isEmpty {
                self.init(laidOut: ModelStore(foreign: path).models())
            } else {
                self.init(loose: path)
            }
            guard !models.isEmpty else {
                throw EngineError(.notImportable, "the folder \(shown) holds no weights (.gguf files)")
            }
            return
        }
        let pieces = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = pieces.count > 1 ? pieces.dropLast().joined(separator: "/") : "."
        let file = String(pieces.last ?? "")
        self.init(loose: folder.isEmpty ? "/" : folder)
        guard let model = models.first(where: { $0.parts.contains { $0.hasSuffix("/\(file)") } }) else {
            throw EngineError(
                .notImportable,
                file.lowercased().contains("mmproj")
                    ? "\(shown) is a projector: import the folder in which it lies beside its weights"
                    : "\(shown) is no GGUF file by its name: models end in .gguf")
        }
        models = [model]
        strays = strays.filter { $0.models.contains { $0.path == model.path } }
    }

    /// Whether a model's projector has to stay for others, when these and itself have been moved.
    package func isShared(_ model: InstalledModel, beside moved: Set<String>) -> Bool {
        guard let projector = model.projector, let users = users[projector] else { return false }
        return !users.subtracting(moved).subtracting([model.path]).isEmpty
    }

    // MARK: Whose a projector is

    private init(loose folder: String) {
        models = ModelStore.loose(in: folder)
        areLaidOut = false
        let families = Dictionary(grouping: models, by: Self.family)
        var own: [String: [String]] = [:]
        for name in ModelStore.projectors(in: folder) {
            let candidates = Self.candidates(name, among: models)
            let names = Set(candidates.map(Self.family))
            if names.count == 1, let family = names.first {
                own[family, default: []].append(name)
            } else if names.count > 1 {
                strays.append(Stray(path: "\(folder)/\(name)", models: candidates))
            }
        }
        for place in models.indices {
            let family = Self.family(of: models[place])
            let projector = own[family].flatMap(ModelStore.preferred).map { "\(folder)/\($0)" }
            models[place].projector = projector
            if let projector { users[projector] = Set((families[family] ?? []).map(\.path)) }
        }
    }

    /// What models share that are one in several quantisations, or that one repository holds.
    private static func family(of model: InstalledModel) -> String {
        let (publisher, repository) = ModelImport.guess(model, isLaidOut: false)
        let name = "\(publisher)/\(repository)".lowercased()
        return name.hasSuffix("-ud") ? String(name.dropLast("-ud".count)) : name
    }

    /// The models that a projector's name begins as, if it says: `mmproj-beta-f16.gguf` is of `beta`, also where there is
    /// a `beta-large`. All of them otherwise.
    private static func candidates(_ projector: String, among models: [InstalledModel]) -> [InstalledModel] {
        let wanted = words(projector).filter { !$0.contains("mmproj") }
        guard !wanted.isEmpty, wanted != ["model"] else { return models }
        let named = models.map { (model: $0, words: words($0.file)) }
        let begun = named.filter { wanted.starts(with: $0.words) }
        if let most = begun.map(\.words.count).max() { return begun.filter { $0.words.count == most }.map(\.model) }
        let longer = named.filter { $0.words.starts(with: wanted) }
        return longer.isEmpty ? models : longer.map(\.model)
    }

    /// Of a file's name, lower-case, without its part's number and its quantisation.
    private static func words(_ file: String) -> [String] {
        var stem = String(file.lowercased().dropLast(".gguf".count))
        if let part = ModelStore.part(of: stem) { stem = part.stem }
        if let type = ModelStore.quantisation(of: stem) { stem = String(stem.dropLast(type.count)) }
        let words = stem.split { !$0.isLetter && !$0.isNumber }.map(String.init)
        return words.last == "ud" ? words.dropLast() : words
    }
}
