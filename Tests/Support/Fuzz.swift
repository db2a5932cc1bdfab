import Foundation
import Synchronization

/// What is fuzzed; each takes bytes that were made by mutating good ones.
package enum FuzzTarget: String, Sendable, CaseIterable {
    case scanner, json, framer
    case chatRequests, completionsRequests, anthropicRequests, responsesRequests, relayedRequests
    case chatStreams, anthropicStreams, responsesStreams, completionsStreams, lmstudioStreams, lmstudioRequests, calls
    case wholeReplies, errors
    case answers, patterns, vectors, storedResponses, images
    case framing, addresses, prompts, sockets
    case gguf
}

/// How long is fuzzed and from what seed, as the environment says (`Scripts/fuzz` sets it):
///
/// - `MARTLET_FUZZ_SECONDS`: for all targets together; without it each takes a fixed number of cases.
/// - `MARTLET_FUZZ_SEED`: else always the same one, so that a build fails for what it changed.
/// - `MARTLET_FUZZ_FOLDER`: where cases are kept, each before it is tried; else only those that failed, among temporary files.
/// - `MARTLET_FUZZ_REPLAY`: a case's file; its target tries that and nothing else.
package struct Fuzz: Sendable {
    /// A case takes less than a millisecond or two; a debug build on a busy machine, a hundred times that.
    private static let slowest = Duration.seconds(10)
    /// Bytes of the whole process.
    private static let mostMemory = 1 << 30

    private let target: FuzzTarget
    private let seconds: Double?
    private let seed: UInt64
    private let folder: URL?
    private let replay: URL?

    package init(_ target: FuzzTarget) {
        self.target = target
        let variables = ProcessInfo.processInfo.environment
        seconds = variables["MARTLET_FUZZ_SECONDS"].flatMap(Double.init).map { $0 / Double(FuzzTarget.allCases.count) }
        seed = variables["MARTLET_FUZZ_SEED"].flatMap(UInt64.init) ?? 2026
        folder = variables["MARTLET_FUZZ_FOLDER"].map { URL(filePath: $0) }
        replay = variables["MARTLET_FUZZ_REPLAY"].map { URL(filePath: $0) }
    }

    /// Tries case after case.
    ///
    /// - Parameters:
    ///   - corpus: good inputs.
    ///   - count: of cases, where no time is set.
    ///   - check: says what is wrong. What it chooses at random it takes from the generator, which follows from the bytes.
    /// - Returns: the first fault, with the file that shows it again; nil when there was none.
    package func run(
        _ corpus: [[UInt8]], count: Int, _ check: ([UInt8], inout Seeded) -> String?
    ) -> String? {
        if let replay {
            guard replay.lastPathComponent.hasPrefix("\(target.rawValue)-"), let bytes = try? Data(contentsOf: replay)
            else { return nil }
            return attempt([UInt8](bytes), check)
        }
        print("fuzz \(target.rawValue): seed \(seed)")
        let watchdog = FuzzWatchdog("fuzz \(target.rawValue), seed \(seed)")
        defer { watchdog.stop() }
        let mutator = Mutator(corpus)
        var random = Seeded(seed ^ Self.hash(Array(target.rawValue.utf8)))
        let end = seconds.map { ContinuousClock.now + .seconds($0) }
        var done = 0
        while end.map({ ContinuousClock.now < $0 }) ?? (done < count) {
            let bytes = mutator.next(&random)
            done += 1
            keep(bytes, as: "\(target.rawValue)-last")
            watchdog.begin()
            guard var fault = attempt(bytes, check) else { continue }
            let small = shrunk(bytes, check)
            fault = attempt(small, check) ?? fault
            let file = (folder ?? FileManager.default.temporaryDirectory)
                .appending(path: "\(target.rawValue)-\(seed)-\(done)")
            try? Data(small).write(to: file)
            return "seed \(seed), case \(done): \(fault)\nagain: Scripts/fuzz --replay \(file.path)"
        }
        if seconds != nil { print("fuzz \(target.rawValue): \(done) cases") }
        return Self.memory > Self.mostMemory ? "the process has grown to \(Self.memory >> 20) MiB" : nil
    }

    private func attempt(_ bytes: [UInt8], _ check: ([UInt8], inout Seeded) -> String?) -> String? {
        var random = Seeded(Self.hash(bytes))
        var fault: String?
        let took = ContinuousClock().measure { fault = check(bytes, &random) }
        return fault ?? (took > Self.slowest ? "took \(took)" : nil)
    }

    /// The bytes without whatever can go while the fault stays.
    private func shrunk(_ bytes: [UInt8], _ check: ([UInt8], inout Seeded) -> String?) -> [UInt8] {
        let end = ContinuousClock.now + .seconds(20)
        var bytes = bytes
        var size = max(1, bytes.count / 2)
        while size > 0 {
            var at = 0
            while at < bytes.count {
                guard ContinuousClock.now < end else { return bytes }
                var fewer = bytes
                fewer.removeSubrange(at..<min(at + size, bytes.count))
                if attempt(fewer, check) == nil { at += size } else { bytes = fewer }
            }
            size /= 2
        }
        return bytes
    }

    private func keep(_ bytes: [UInt8], as name: String) {
        guard let folder else { return }
        try? Data(bytes).write(to: folder.appending(path: name))
    }

    /// FNV-1a.
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }

    /// Bytes, at most so far.
    private static var memory: Int {
        var usage = rusage()
        #if os(macOS)
            getrusage(RUSAGE_SELF, &usage)
            return usage.ru_maxrss
        #else
            getrusage(RUSAGE_SELF.rawValue, &usage)
            return usage.ru_maxrss << 10
        #endif
    }
}

/// Ends the process when a case does not: nobody else can.
private final class FuzzWatchdog: Sendable {
    private static let patience = Duration.seconds(60)

    /// When the case began; nil: it is over.
    private let since = Mutex<ContinuousClock.Instant?>(.now)

    init(_ name: String) {
        Thread.detachNewThread { [self] in
            while let began = since.withLock({ $0 }) {
                if ContinuousClock.now - began > Self.patience {
                    FileHandle.standardError.write(Data("\(name): a case hangs\n".utf8))
                    abort()
                }
                Thread.sleep(forTimeInterval: 0.5)
            }
        }
    }

    func begin() { since.withLock { $0 = .now } }

    func stop() { since.withLock { $0 = nil } }
}
