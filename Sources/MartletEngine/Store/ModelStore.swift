/// One model on disk.
package struct InstalledModel: Sendable, Hashable {
    /// The name it is asked for by, such as `qwen3-8b` or `qwen3-8b@q4_k_m`.
    package var id: String
    /// The name that says which variant it is, `qwen3-8b@q4_k_m` in both cases; its id where its file's name does not
    /// tell.
    package var variant: String
    /// The weights file, or the first of its parts that is here.
    package var path: String
    /// Bytes of all parts.
    package var bytes: Int64
    /// The file's name, without folders.
    package var file: String
    /// The weights files that are here, in order; one unless the model is in parts.
    package var parts: [String]
    /// How many parts there should be, as their names say.
    package var expectedParts: Int
    /// What lies beside the weights and lets the model see or hear (`mmproj*.gguf`).
    package var projector: String?

    /// - Parameters:
    ///   - variant: nil: its id.
    ///   - parts: nil when it is in none.
    package init(
        id: String, variant: String? = nil, path: String, bytes: Int64, file: String, parts: [String]? = nil,
        expectedParts: Int = 1, projector: String? = nil
    ) {
        self.id = id
        self.variant = variant ?? id
        self.path = path
        self.bytes = bytes
        self.file = file
        self.parts = parts ?? [path]
        self.expectedParts = expectedParts
        self.projector = projector
    }

    /// Whose folder it is in.
    package var publisher: String { folder(above: 2) }
    /// The name of the folder it is in.
    package var repository: String { folder(above: 1) }
    /// `<publisher>/<repository>/<file>`.
    package var place: String { "\(publisher)/\(repository)/\(file)" }

    private func folder(above levels: Int) -> String {
        let names = path.split(separator: "/")
        return names.count > levels ? String(names[names.count - 1 - levels]) : ""
    }
}

/// The models under a folder laid out as `<publisher>/<repo>/<file>.gguf`.
///
/// Read anew at every call: whatever lies there now is installed. A link in place of a weights file is followed
/// wherever it leads, because its owner put it there; a link in place of a folder only as long as it stays inside the
/// root. Names with control characters, hidden ones and files of more than one further level are passed over, as are
/// projectors (`mmproj` in the name) and every part but the first that is here of a model in parts.
///
/// A model keeps the names that it had when it was first seen (``ModelNames``), whatever comes and goes beside it.
package struct ModelStore: Sendable {
    package let root: String
    /// Shared by all copies.
    let cache = FactsCache()
    /// Nil: nothing is written there.
    private let keeper: NameKeeper?

    /// - Parameter warn: is told a sentence when names cannot be kept.
    package init(root: String, warn: @escaping @Sendable (String) -> Void = { _ in }) {
        self.root = root
        keeper = NameKeeper(warn: warn)
    }

    /// Another program's folder, which is only read.
    package init(foreign root: String) {
        self.root = root
        keeper = nil
    }

    /// One entry per model, in the order of their paths.
    package func models() -> [InstalledModel] { named().map(\.model) }

    /// The model of that id, in any of its spellings: `key`, `key@quant`, either with `publisher/` before it, and what it
    /// was got by: `publisher/repo`, with `@quant` or `:quant` behind it; either without `publisher/` where that leaves no
    /// choice. Letter case does not matter.
    package func find(_ id: String) -> InstalledModel? {
        let named = named()
        let wanted = id.lowercased()
        return (named.first { $0.names.contains(id) } ?? named.first { $0.names.contains(wanted) })?.model
    }

    /// All that `find` takes for each model but its id itself, in lower case.
    package func spellings() -> [String: String] {
        Dictionary(
            named().flatMap { entry in entry.names.map { ($0.lowercased(), entry.model.id) } },
            uniquingKeysWith: { first, _ in first })
    }

    /// Weights that lie above the folders where models are looked for, by their paths under the root.
    package func misplaced() -> [String] {
        guard let top = Disk.resolved(root) else { return [] }
        func weights(in folder: String) -> [String] {
            Disk.names(in: folder).filter {
                Self.isPlain($0) && $0.lowercased().hasSuffix(".gguf")
                    && Disk.entry("\(folder)/\($0)")?.isRegular == true
            }
        }
        return weights(in: top)
            + folders(in: top, under: top).flatMap { folder in weights(in: "\(top)/\(folder)").map { "\(folder)/\($0)" }
            }
    }

    /// The weights right in a folder of no particular layout. Their ids are no names to ask for them by.
    package static func loose(in folder: String) -> [InstalledModel] {
        weights(in: folder).map { $0.model(id: $0.stem) }
    }

    /// Weights that were found, without their names.
    private struct Weights {
        /// The folder in which they are.
        var folder: String
        var stem: String
        /// The names of the files that are here, the one that stands for all first.
        var files: [String]
        var bytes: Int64
        /// How many there should be; nil: it is no model in parts.
        var parts: Int?
        var projector: String?

        func model(id: String, variant: String? = nil) -> InstalledModel {
            InstalledModel(
                id: id, variant: variant, path: "\(folder)/\(files[0])", bytes: bytes, file: files[0],
                parts: files.map { "\(folder)/\($0)" }, expectedParts: max(1, parts ?? 1),
                projector: projector.map { "\(folder)/\($0)" })
        }

        func place(under top: String) -> ModelNames.Place {
            let names = folder.dropFirst(top.count + 1).split(separator: "/", maxSplits: 1).map(String.init)
            return ModelNames.Place(
                publisher: names[0], repository: names[1], stem: stem,
                ending: parts.map { "-00001-of-\(String(repeating: "0", count: 5 - "\($0)".count))\($0).gguf" }
                    ?? String(files[0].dropFirst(stem.count)))
        }
    }

    /// What finds each model, or found it when it was there, by ``ModelNames/Place/path``.
    func spellingsByPlace() -> [String: [String]] {
        Disk.resolved(root).map { look(under: $0).names.spellings } ?? [:]
    }

    private func look(under top: String) -> (found: [Weights], names: ModelNames) {
        if let keeper { return keeper.named(under: top, { all(under: top) }, { $0.place(under: top) }) }
        let found = all(under: top)
        var names = ModelNames()
        names.admit(found.map { $0.place(under: top) })
        return (found, names)
    }

    private func named() -> [(model: InstalledModel, names: [String])] {
        guard let top = Disk.resolved(root) else { return [] }
        let (found, names) = look(under: top)
        let known = names.spellings
        return found.compactMap { weights in
            guard let names = known[weights.place(under: top).path], let id = names.first else { return nil }
            // What a file's name does not tell is no variant's name.
            let isTold = Self.quantisation(of: weights.stem) != nil
            return (weights.model(id: id, variant: isTold ? names.first { $0.contains("@") } : nil), names)
        }
    }

    /// In the order of their paths.
    private func all(under top: String) -> [Weights] {
        folders(in: top, under: top).flatMap { publisher in
            folders(in: "\(top)/\(publisher)", under: top).flatMap { Self.weights(in: "\(top)/\(publisher)/\($0)") }
        }
    }

    private static func weights(in folder: String) -> [Weights] {
        let names = Disk.names(in: folder).filter { isPlain($0) && $0.lowercased().hasSuffix(".gguf") }
        let projector = preferred(projectors(in: folder))
        return names.filter { !isProjector($0) }.compactMap { name -> Weights? in
            let stem = String(name.dropLast(".gguf".count))
            let part = Self.part(of: stem)
            let files = (part.map { part in names.filter { isPart($0, of: part) } } ?? [name]).compactMap { name in
                Disk.entry("\(folder)/\(name)").flatMap { $0.isRegular ? (name: name, bytes: $0.bytes) : nil }
            }
            // The first part that is here stands for all.
            guard files.first?.name == name else { return nil }
            return Weights(
                folder: folder, stem: part?.stem ?? stem, files: files.map(\.name),
                bytes: files.reduce(0) { $0 + $1.bytes }, parts: part?.count, projector: projector)
        }
    }

    func folders(in folder: String, under top: String) -> [String] {
        Disk.names(in: folder).filter { name in
            guard Self.isPlain(name), let entry = Disk.entry("\(folder)/\(name)"), entry.isFolder else { return false }
            guard entry.isLink else { return true }
            return Disk.resolved("\(folder)/\(name)")?.hasPrefix(top + "/") == true
        }
    }

    static func isPlain(_ name: String) -> Bool {
        !name.hasPrefix(".") && !name.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
    }

    /// `name-00001-of-00003` → `name`, 1, 3: how llama.cpp's gguf-split names parts.
    static func part(of stem: String) -> (stem: String, number: Int, count: Int)? {
        let pieces = stem.split(separator: "-", omittingEmptySubsequences: false)
        guard pieces.count > 3, pieces[pieces.count - 2] == "of",
            let count = Int(pieces[pieces.count - 1]), let number = Int(pieces[pieces.count - 3]),
            pieces[pieces.count - 1].count == 5, pieces[pieces.count - 3].count == 5
        else { return nil }
        return (pieces.dropLast(3).joined(separator: "-"), number, count)
    }

    private static func isPart(_ name: String, of first: (stem: String, number: Int, count: Int)) -> Bool {
        guard let part = part(of: String(name.dropLast(".gguf".count))) else { return false }
        return part.stem == first.stem && part.count == first.count && part.number >= 1 && part.number <= part.count
    }

    static func isProjector(_ name: String) -> Bool { name.lowercased().contains("mmproj") }

    /// The names of the projectors right in a folder.
    static func projectors(in folder: String) -> [String] {
        Disk.names(in: folder).filter {
            isPlain($0) && $0.lowercased().hasSuffix(".gguf") && isProjector($0)
                && Disk.entry("\(folder)/\($0)")?.isRegular == true
        }
    }

    /// Of several projectors the one in the precision that they are made for, else the first by name.
    static func preferred(_ projectors: [String]) -> String? {
        let quantised = projectors.map { (name: $0, type: quantisation(of: String($0.dropLast(".gguf".count)))) }
        for type in ["f16", "bf16", "q8_0", "f32"] {
            if let found = quantised.first(where: { $0.type == type }) { return found.name }
        }
        return projectors.first
    }

    /// The quantisation a file's name ends in, lower-case: `Qwen3-8B-Q4_K_M` → `q4_k_m`.
    static func quantisation(of stem: String) -> String? {
        guard let last = stem.lowercased().split(whereSeparator: { $0 == "-" || $0 == "." }).last else { return nil }
        for prefix in ["iq", "tq", "q", "bf", "f", "mxfp", "nvfp"] where last.hasPrefix(prefix) {
            if last.dropFirst(prefix.count).first?.isWholeNumber == true { return String(last) }
        }
        return nil
    }
}
