import Synchronization

/// What was read of models' files, until a file changes. Keeps ``most`` models; the one not asked for the longest goes
/// first.
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
        var used: UInt64
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var uses: UInt64 = 0
    }

    static let most = 256

    private let state = Mutex(State())

    /// What was read of the model whose files are these, or what `read` reads now. Nobody else waits meanwhile; two
    /// that ask for one at once may both read it.
    func reading(_ stamps: [Stamp], _ read: () -> Reading) -> Reading {
        let name = stamps.first?.path ?? ""
        let known = state.withLock { state -> Reading? in
            state.uses += 1
            guard var entry = state.entries[name], entry.stamps == stamps else { return nil }
            entry.used = state.uses
            state.entries[name] = entry
            return entry.reading
        }
        if let known { return known }
        let reading = read()
        state.withLock { state in
            if state.entries.count >= Self.most, state.entries[name] == nil,
                let oldest = state.entries.min(by: { $0.value.used < $1.value.used })?.key
            {
                state.entries[oldest] = nil
            }
            state.entries[name] = Entry(stamps: stamps, reading: reading, used: state.uses)
        }
        return reading
    }
}
