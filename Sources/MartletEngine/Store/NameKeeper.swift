import MartletWire
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Keeps the names of the models of a folder beside them, in `.martlet/names.json`, for all programs that look there.
///
/// Written only when a model is there that was not seen before, by one program at a time and all at once.
final class NameKeeper: Sendable {
    /// What keeps names from being kept.
    enum Trouble: Sendable, Hashable {
        /// What was written could not be read, and is set aside.
        case damaged
        /// New names could not be written, for that reason.
        case unwritable(String)
    }

    /// Bytes; ``ModelNames/most`` models with the longest names have less.
    static let mostBytes = 64 << 20
    /// Tries to be the only writer, 10 ms apart.
    private static let tries = 200

    private struct State {
        var read: (entry: Disk.Entry, names: ModelNames)?
        var wasDamaged = false
        var wasUnwritable = false
    }

    private let warn: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// - Parameter warn: is told a sentence, once for each kind of trouble.
    init(warn: @escaping @Sendable (String) -> Void) { self.warn = warn }

    /// The models that `scan` finds under a folder, and their names. Where names cannot be kept they are those that the
    /// models would get.
    func named<Found>(
        under root: String, _ scan: () -> [Found], _ place: (Found) -> ModelNames.Place
    ) -> (found: [Found], names: ModelNames) {
        let (found, names, areKnown) = look(under: root, scan, place)
        guard !areKnown else { return (found, names) }
        let folder = "\(root)/.martlet"
        do throws(EngineError) {
            if !Disk.exists(folder) { try Disk.makeFolder(folder) }
            return try Self.alone("\(folder)/names.lock") { () throws(EngineError) in
                // Somebody else may have written meanwhile, so both are looked at again.
                setAsideIfDamaged(under: root)
                let (found, names, areKnown) = look(under: root, scan, place)
                if !areKnown { try Self.write(Self.text(of: names), to: Self.path(root)) }
                return (found, names)
            }
        } catch {
            tell(.unwritable(error.message), root)
            return (found, names)
        }
    }

    private func look<Found>(
        under root: String, _ scan: () -> [Found], _ place: (Found) -> ModelNames.Place
    ) -> (found: [Found], names: ModelNames, areKnown: Bool) {
        let before = read(under: root)
        let found = scan()
        var names = before ?? ModelNames()
        names.admit(found.map(place))
        return (found, names, names == before)
    }

    private static func path(_ root: String) -> String { "\(root)/.martlet/names.json" }

    // MARK: Reading

    /// What was written; none at first, nil when it is damaged.
    private func read(under root: String) -> ModelNames? {
        let path = Self.path(root)
        guard let entry = Disk.entry(path) else { return ModelNames() }
        if let known = state.withLock({ $0.read }), known.entry == entry { return known.names }
        guard entry.isRegular, entry.bytes <= Self.mostBytes, let bytes = Disk.read(path),
            let names = Self.names(in: bytes)
        else { return nil }
        state.withLock { $0.read = (entry, names) }
        return names
    }

    private static func names(in bytes: [UInt8]) -> ModelNames? {
        guard let text = String(validating: bytes, as: UTF8.self), let json = try? JSON(parsing: text),
            json["version"]?.int == version, let files = json["files"]?.object
        else { return nil }
        var entries: [ModelNames.Entry] = []
        for (path, value) in files {
            guard let names = value.array?.compactMap(\.string), names.count == value.array?.count, !names.isEmpty,
                names.allSatisfy({ !$0.isEmpty && ModelStore.isPlain($0) })
            else { return nil }
            entries.append(ModelNames.Entry(path: path, names: names))
        }
        return ModelNames(entries)
    }

    private static let version = 1

    private static func text(of names: ModelNames) -> String {
        let files = JSONObject(names.entries.map { ($0.path, .array($0.names.map(JSON.string))) })
        let json: JSON = ["version": .int(version), "files": .object(files)]
        return json.text + "\n"
    }

    private func setAsideIfDamaged(under root: String) {
        guard read(under: root) == nil else { return }
        try? Disk.rename(Self.path(root), to: Self.path(root) + ".damaged")
        tell(.damaged, root)
    }

    private func tell(_ trouble: Trouble, _ root: String) {
        let isNew = state.withLock { state in
            switch trouble {
            case .damaged:
                defer { state.wasDamaged = true }
                return !state.wasDamaged
            case .unwritable:
                defer { state.wasUnwritable = true }
                return !state.wasUnwritable
            }
        }
        guard isNew else { return }
        switch trouble {
        case .damaged:
            warn(
                "\(root)/.martlet/names.json, which keeps the names of models, cannot be read: it is set aside as "
                    + "names.json.damaged, and all models get their names anew")
        case .unwritable(let reason):
            warn(
                "the names of models cannot be kept in \(root)/.martlet, so they may change when models come and go: "
                    + reason)
        }
    }

    // MARK: Writing

    /// Does something while no other program, or task, does it (flock(2)).
    /// - Throws: `.fileSystem`, also when it was not its turn for two seconds: who has it needs some milliseconds.
    private static func alone<R>(
        _ path: String, _ work: () throws(EngineError) -> R
    ) throws(EngineError) -> R {
        let lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard lock >= 0 else { throw Disk.failure("write", path) }
        defer { close(lock) }
        for _ in 0..<tries {
            if flock(lock, LOCK_EX | LOCK_NB) == 0 { return try work() }
            usleep(10_000)
        }
        throw EngineError(.fileSystem, "another program keeps names.lock locked")
    }

    /// The file is there as a whole or as it was before, also when the machine stops.
    private static func write(_ text: String, to path: String) throws(EngineError) {
        let new = path + ".new"
        let file = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard file >= 0 else { throw Disk.failure("write", path) }
        let failure = append(text, to: file) ? nil : Disk.failure("write", path)
        close(file)
        if let failure {
            Disk.unlink(new)
            throw failure
        }
        try Disk.rename(new, to: path)
    }
}

/// Writes all of it until it is on the disk; false: `errno` says why not.
private func append(_ text: String, to file: Int32) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
        var rest = UnsafeRawBufferPointer(bytes)
        while !rest.isEmpty {
            let count = write(file, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return fsync(file) == 0
    }
}
