#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A model whose link leads nowhere any more, or a projector's beside another model.
package struct DeadLink: Sendable, Hashable {
    /// `<publisher>/<repository>/<file>`
    package let place: String
    /// Where it leads.
    package let target: String
    /// Itself, the links of further parts, and those of projectors beside them.
    let paths: [String]
    /// What found it when it was there, its id first; empty when that is not known.
    let names: [String]

    /// What to call it.
    package var id: String { names.first ?? place }

    /// - Parameter name: in any letter case.
    package func isCalled(_ name: String) -> Bool {
        place == name || names.contains(name) || names.contains(name.lowercased())
    }

    /// What became of it, and what to do.
    package var sentence: String {
        func text(_ path: String) -> String { Shown.text(path, most: Int(PATH_MAX)) }
        let (place, target, id) = (text(place), text(target), text(id))
        return "\(place) is a link to \(target), which is not there: bring that back, or remove the link with: "
            + "martlet rm \(id)"
    }
}

extension ModelStore {
    /// In the order of their paths.
    package func deadLinks() -> [DeadLink] {
        guard let top = Disk.resolved(root) else { return [] }
        let all = folders(in: top, under: top).flatMap { publisher in
            folders(in: "\(top)/\(publisher)", under: top).flatMap { Self.deadLinks(in: "\(publisher)/\($0)", top) }
        }
        guard !all.isEmpty else { return [] }
        let known = spellingsByPlace()
        return all.map { link in
            DeadLink(place: link.place, target: link.target, paths: link.paths, names: known[link.place] ?? [])
        }
    }

    /// What has to go for it to be gone.
    package func removal(of link: DeadLink) -> ModelRemoval {
        let file = link.place.split(separator: "/").last.map(String.init) ?? link.place
        return ModelRemoval(
            model: InstalledModel(id: link.id, path: link.paths[0], bytes: 0, file: file), others: [],
            paths: link.paths, bytes: 0)
    }

    private static func deadLinks(
        in folder: String, _ top: String
    ) -> [(place: String, target: String, paths: [String])] {
        let dead = Disk.names(in: "\(top)/\(folder)").compactMap { name -> (name: String, target: String)? in
            guard isPlain(name), name.lowercased().hasSuffix(".gguf"), Disk.entry("\(top)/\(folder)/\(name)") == nil
            else { return nil }
            return Disk.target(of: "\(top)/\(folder)/\(name)").map { (name, $0) }
        }
        let projectors = dead.filter { isProjector($0.name) }
        let weights = Dictionary(grouping: dead.filter { !isProjector($0.name) }) { link in
            part(of: String(link.name.dropLast(".gguf".count)))?.stem ?? link.name
        }
        // A projector that leads nowhere is of use to nobody, and goes with any of the weights that do not either.
        let groups = weights.isEmpty ? projectors.map { [$0] } : weights.values.map { $0 + projectors }
        return groups.map { links in
            ("\(folder)/\(links[0].name)", links[0].target, links.map { "\(top)/\(folder)/\($0.name)" })
        }.sorted { $0.place < $1.place }
    }
}

extension Disk {
    /// What a link says; nil for what is none.
    fileprivate static func target(of path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { text in
            guard let start = text.baseAddress else { return nil }
            let count = readlink(path, start, text.count)
            guard count > 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
        }
    }
}
