/// Which models have which names. Who was there first keeps its own: no name goes to another model while the one that
/// has it is there, nor to one that was there already when it is gone.
package struct ModelNames: Sendable, Hashable {
    /// Where a model lies, which is what its names are made of.
    package struct Place: Sendable, Hashable {
        package var publisher: String
        package var repository: String
        /// The file's name without its end; of a model in parts without the part's number.
        package var stem: String
        /// What stands behind it, such as `.gguf` or `-00001-of-00003.gguf`.
        package var ending: String

        package init(publisher: String, repository: String, stem: String, ending: String = ".gguf") {
            self.publisher = publisher
            self.repository = repository
            self.stem = stem
            self.ending = ending
        }

        var folder: String { "\(publisher)/\(repository)" }
        package var path: String { "\(folder)/\(stem)\(ending)" }

        /// What its names begin with, shortest first: `qwen3-8b`, `qwen/qwen3-8b`, `qwen/qwen3-8b-gguf`.
        fileprivate var beginnings: [String] {
            let name = repository.lowercased()
            let key = name.hasSuffix("-gguf") ? String(name.dropLast("-gguf".count)) : name
            return [key, "\(publisher.lowercased())/\(key)", folder.lowercased()]
        }
    }

    /// A model that is there, or was.
    package struct Entry: Sendable, Hashable {
        /// ``Place/path``.
        package var path: String
        /// Its id, then what else finds it. No two entries have the same.
        package var names: [String]

        package init(path: String, names: [String]) {
            self.path = path
            self.names = names
        }

        /// Those of its names that have the whole of its folder's name, which ends in `-gguf`, without the publisher.
        fileprivate var bare: [String] {
            let parts = path.lowercased().split(separator: "/")
            guard parts.count == 3, parts[1].hasSuffix("-gguf") else { return [] }
            let folder = "\(parts[0])/\(parts[1])"
            return names.filter { $0 == folder || $0.hasPrefix(folder + "@") || $0.hasPrefix(folder + ":") }
                .map { String($0.dropFirst(parts[0].count + 1)) }
        }
    }

    /// Models that are remembered, at least those that are there.
    package static let most = 10_000

    /// In the order in which they were first seen.
    package private(set) var entries: [Entry]

    /// - Parameter entries: where two have the same name, the first of them keeps it.
    package init(_ entries: [Entry] = []) {
        var taken: Set<String> = []
        self.entries = entries.filter { entry in
            guard taken.isDisjoint(with: entry.names) else { return false }
            taken.formUnion(entry.names)
            return true
        }
    }

    /// Of each its id, then what else finds it, by ``Place/path``.
    package var names: [String: [String]] {
        Dictionary(entries.map { ($0.path, $0.names) }, uniquingKeysWith: { first, _ in first })
    }

    /// What finds each, by ``Place/path``: its ``names``, and what it was got by without the publisher (`qwen3-8b-gguf`)
    /// where nothing else is, or was, of that name.
    package var spellings: [String: [String]] {
        let taken = Set(entries.flatMap(\.names))
        var paths: [String: Set<String>] = [:]
        for entry in entries { for name in entry.bare { paths[name, default: []].insert(entry.path) } }
        return Dictionary(
            entries.map { entry in
                (entry.path, entry.names + entry.bare.filter { !taken.contains($0) && paths[$0]?.count == 1 })
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Gives names to those that have none, one after the other.
    /// - Parameter places: of all models that are there.
    package mutating func admit(_ places: [Place]) {
        let known = self.names
        guard places.contains(where: { known[$0.path] == nil }) else { return }
        var taken: Set<String> = []
        // Who uses a beginning; others go on to the next.
        var folders: [String: String] = [:]
        func take(_ names: [String], _ place: Place) {
            taken.formUnion(names)
            for beginning in place.beginnings
            where names.contains(where: { $0 == beginning || $0.hasPrefix(beginning + "@") }) {
                if folders[beginning] == nil { folders[beginning] = place.folder }
            }
        }
        for place in places { if let names = known[place.path] { take(names, place) } }
        for place in places where known[place.path] == nil {
            let names = Self.names(for: place, taken, folders)
            take(names, place)
            entries.append(Entry(path: place.path, names: names))
        }
        forget(but: Set(places.map(\.path)), taken)
    }

    /// Of those that are gone: what others are called now, and the ones seen first if there are too many.
    private mutating func forget(but there: Set<String>, _ taken: Set<String>) {
        var surplus = entries.count - Self.most
        entries = entries.compactMap { entry in
            guard !there.contains(entry.path) else { return entry }
            let names = entry.names.filter { !taken.contains($0) }
            guard surplus <= 0, names.first == entry.names.first else {
                surplus -= 1
                return nil
            }
            return Entry(path: entry.path, names: names)
        }
    }

    /// The first of a repository gets the plain name, the others the variant behind it.
    private static func names(for place: Place, _ taken: Set<String>, _ folders: [String: String]) -> [String] {
        let all = place.beginnings
        let own = all.firstIndex { folders[$0] == place.folder } ?? all.firstIndex { folders[$0] == nil }
        let beginnings = all[(own ?? all.count - 1)...]
        guard let beginning = beginnings.first,
            let variant = variants(of: place).first(where: { !taken.contains("\(beginning)@\($0)") })
        else { return [taken.contains(place.path.lowercased()) ? place.path : place.path.lowercased()] }
        let isPlain = !taken.contains(beginning)
        var names = [isPlain ? beginning : "\(beginning)@\(variant)"]
        // What the hub calls it, also as `get` takes it.
        let further =
            beginnings.map { "\($0)@\(variant)" } + ["\(place.folder.lowercased()):\(variant)"]
            + (isPlain ? Array(beginnings) : [])
        for name in further where !taken.contains(name) && !names.contains(name) { names.append(name) }
        return names
    }

    private static func variants(of place: Place) -> [String] {
        [ModelStore.quantisation(of: place.stem), place.stem.lowercased()].compactMap(\.self)
    }
}
