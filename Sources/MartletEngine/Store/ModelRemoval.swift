#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What goes with a model that is removed.
package struct ModelRemoval: Sendable, Hashable {
    package let model: InstalledModel
    /// Ids of further models that go with it: all behind a linked folder go with the link.
    package let others: [String]
    /// Files and links, the one that makes the model appear in lists first.
    package let paths: [String]
    /// That become free; nothing where a link is removed, or another name of the file is left.
    package let bytes: Int64
}

extension ModelStore {
    /// What has to go for a model to be gone: its weights with all parts, what unfinished downloads and imports of them
    /// left, and its projector when no other model in the folder uses it. Of a link only the link goes.
    /// - Throws: `.outsideModels`, `.underWay`.
    package func removal(of model: InstalledModel) throws(EngineError) -> ModelRemoval {
        guard let top = Disk.resolved(root), model.path == "\(top)/\(model.place)" else {
            throw EngineError(
                .outsideModels, "\(Shown.text(model.id)) lies outside the folder of models, and is left alone")
        }
        guard Disk.entry("\(top)/\(model.publisher)")?.isLink == false else {
            throw EngineError(
                .outsideModels,
                "\(Shown.text(model.id)) lies behind the link \(Shown.text(model.publisher)): remove that link, or "
                    + "the model where it lies")
        }
        let folder = "\(top)/\(model.publisher)/\(model.repository)"
        let neighbours = models().filter { $0.id != model.id && $0.path.hasPrefix(folder + "/") }
        if Disk.entry(folder)?.isLink != false {
            return ModelRemoval(model: model, others: neighbours.map(\.id), paths: [folder], bytes: 0)
        }
        for part in model.parts { try Unfinished.checkRest(of: part) }
        var paths = model.parts
        if let projector = model.projector, neighbours.isEmpty { paths.append(projector) }
        let files = paths.map { String($0.dropFirst(folder.count + 1)) }
        paths += Disk.names(in: folder).filter { name in
            files.contains { [".\($0).lock", ".\($0).importing"].contains(name) }
                || Unfinished.file(of: name).map(files.contains) == true
        }.map { "\(folder)/\($0)" }
        let bytes = paths.reduce(Int64(0)) { $0 + Disk.freed(by: $1) }
        return ModelRemoval(model: model, others: [], paths: paths, bytes: bytes)
    }

    /// Removes what was decided on, and the folders that are empty then.
    /// - Throws: `.fileSystem`, after which what could be removed is gone.
    package func remove(_ removal: ModelRemoval) throws(EngineError) {
        for path in removal.paths where unlink(path) != 0 && errno != ENOENT {
            throw Disk.failure("remove", path)
        }
        guard let top = Disk.resolved(root) else { return }
        _ = rmdir("\(top)/\(removal.model.publisher)/\(removal.model.repository)")
        _ = rmdir("\(top)/\(removal.model.publisher)")
    }
}

extension Disk {
    /// Bytes that removing a name makes free.
    fileprivate static func freed(by path: String) -> Int64 {
        var about = stat()
        guard lstat(path, &about) == 0, about.st_mode & S_IFMT == S_IFREG, about.st_nlink == 1 else { return 0 }
        return Int64(about.st_size)
    }
}
