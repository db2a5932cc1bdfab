/// One model that is brought into the folder of models from elsewhere on this machine: what it is, and where it goes.
/// Looked at only; ``ImportRun`` does it.
package struct ModelImport: Sendable, Hashable {
    /// How its files come.
    package enum Way: String, Sendable, Hashable {
        case move, copy
        /// A symbolic link.
        case link
        case hardLink = "hard link"
    }

    /// As it lies now; its id is no name to ask for it by.
    package let model: InstalledModel
    package let facts: ModelFacts
    package let publisher: String
    package let repository: String

    /// - Parameters:
    ///   - target: `publisher/repository`; nil takes what the path tells, else `imported/` and the file's name.
    ///   - isLaidOut: it lies in a folder of models, `<publisher>/<repository>/`, whose names it keeps.
    /// - Throws: `.notImportable` for what is no model or a place that cannot be; `.unreadableModel`,
    ///   `.incompleteModel`.
    package init(
        _ model: InstalledModel, to target: String? = nil, isLaidOut: Bool = false
    ) throws(EngineError) {
        self.model = model
        facts = try ModelStore(foreign: "").facts(of: model)
        switch facts.kind {
        case .llm, .embedding, .reranker: break
        case .projector:
            throw EngineError(
                .notImportable,
                "\(Shown.text(model.file)) is a projector: import the folder in which it lies beside its weights")
        case .other(let clause):
            throw EngineError(.notImportable, "\(Shown.text(model.file)) is no model to be loaded: \(clause)")
        }
        (publisher, repository) = try target.map(Self.names) ?? Self.guess(model, isLaidOut: isLaidOut)
    }

    /// Weights, all parts, and the projector.
    package var files: [String] { model.parts + (model.projector.map { [$0] } ?? []) }
    package var place: String { "\(publisher)/\(repository)" }

    private static func names(_ target: String) throws(EngineError) -> (String, String) {
        let parts = target.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy(isName) else {
            throw EngineError(
                .notImportable,
                "\(Shown.text(target)) is no place for a model: say publisher/name, in letters, digits, \"-\", \"_\" "
                    + "and \".\"")
        }
        return (parts[0], parts[1])
    }

    private static func isName(_ name: String) -> Bool {
        (1...96).contains(name.utf8.count) && !name.hasPrefix(".")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// From where it lies: `models/<publisher>/<repository>/` as LM Studio and we lay them out, or the hub's cache,
    /// `models--<publisher>--<repository>/snapshots/<commit>/`.
    static func guess(_ model: InstalledModel, isLaidOut: Bool) -> (String, String) {
        if isLaidOut, isName(model.publisher), isName(model.repository) { return (model.publisher, model.repository) }
        let path = Disk.absolute(model.path)
        let folders = path.split(separator: "/").dropLast().map(String.init)
        if let cache = folders.last(where: { $0.hasPrefix("models--") }) {
            let names = cache.dropFirst("models--".count)
            if let mark = names.firstRange(of: "--") {
                let pair = (String(names[..<mark.lowerBound]), String(names[mark.upperBound...]))
                if isName(pair.0), isName(pair.1) { return pair }
            }
        }
        if folders.count >= 3, folders[folders.count - 3] == "models", isName(folders[folders.count - 2]),
            isName(folders[folders.count - 1])
        {
            return (folders[folders.count - 2], folders[folders.count - 1])
        }
        var stem = String(model.file.dropLast(".gguf".count))
        if let part = ModelStore.part(of: stem) { stem = part.stem }
        if let type = ModelStore.quantisation(of: stem), stem.count > type.count + 1 {
            stem = String(stem.dropLast(type.count + 1))
        }
        let name = String(stem.map { $0.isASCII && isName("a\($0)") ? $0 : "-" }.drop { $0 == "." || $0 == "-" })
        return ("imported", isName(name) ? name : "model")
    }
}
