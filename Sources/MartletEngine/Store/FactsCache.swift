import Synchronization

/// What was read of models' files, until a file changes. Keeps ``most`` models. When one more comes any of them goes:
/// lists ask for all in order, so that whichever was not asked for the longest would be the very next to be asked for.
final class FactsCache: Sendable {
    typealias Reading = Result<ModelFacts, EngineError>

    /// How one file was when it was read.
    struct Stamp: Sendable, Hashable {
        var path: String
        var bytes: Int64
        /// Nanoseconds of its last change.
        var changed: Int64
    }

    private struct Entry {
        var stamps: [Stamp]
        var reading: Reading
    }

    /// Of some kilobytes each.
    static let most = 4096

    private let entries = Mutex<[String: Entry]>([:])

    /// What was read of the model whose files are these, or what `read` reads now. Nobody else waits meanwhile; two
    /// that ask for one at once may both read it.
    func reading(_ stamps: [Stamp], _ read: () -> Reading) -> Reading {
        let name = stamps.first?.path ?? ""
        let known = entries.withLock { entries in
            entries[name].flatMap { $0.stamps == stamps ? $0.reading : nil }
        }
        if let known { return known }
        let reading = read()
        entries.withLock { entries in
            if entries.count >= Self.most, entries[name] == nil, let other = entries.keys.randomElement() {
                entries[other] = nil
            }
            entries[name] = Entry(stamps: stamps, reading: reading)
        }
        return reading
    }
}
