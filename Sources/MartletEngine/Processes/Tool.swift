import MartletProcess
import Synchronization

/// Runs a program that ends by itself and says what it printed.
enum Tool {
    /// Lines kept of one run; further ones are dropped.
    private static let lineLimit = 4000

    struct Run: Sendable {
        var end: ChildProcess.End
        var lines: [String]
        /// It did not end in time and was taken down.
        var timedOut: Bool

        var succeeded: Bool { end == .code(0) && !timedOut }

        /// Whether any line contains one of the words, whatever their case.
        func says(_ words: String...) -> Bool {
            lines.contains { line in
                let line = line.lowercased()
                return words.contains { line.contains($0) }
            }
        }

        /// The last lines, for an error.
        var tail: [String] { lines.suffix(OutputTail.lines) }
    }

    /// - Throws: `launchFailed` when it cannot be started, `cancelled` when the caller was. Any exit code is a result;
    ///   a program that does not exist is exit code 127.
    static func run(
        _ executable: String, _ arguments: [String], within limit: Duration, environment: [String: String]? = nil,
        onLine: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(EngineError) -> Run {
        let lines = LineBox()
        let outcome = try await ChildProcess.run(
            ChildProcess.Command(executable, arguments, environment: environment),
            onLine: { line in
                lines.add(line, limit: lineLimit)
                onLine(line)
            },
            while: { _ in (try? await Task.sleep(for: limit)) != nil })
        if Task.isCancelled { throw EngineError(.cancelled, "cancelled.") }
        return Run(end: outcome.end, lines: lines.all, timedOut: outcome.value == true)
    }

    /// The program a name leads to: itself when it is a path, else the first match in the absolute folders of `path`.
    static func locate(_ name: String, path: String) -> String? {
        if name.hasPrefix("/") { return Disk.isProgram(name) ? name : nil }
        if name.contains("/") { return Disk.isProgram(name) ? Disk.resolved(name) : nil }
        for folder in path.split(separator: ":") where folder.hasPrefix("/") {
            let candidate = "\(folder)/\(name)"
            if Disk.isProgram(candidate) { return candidate }
        }
        return nil
    }
}

private final class LineBox: Sendable {
    private let lines = Mutex<[String]>([])

    func add(_ line: String, limit: Int) {
        lines.withLock { if $0.count < limit { $0.append(line) } }
    }
    var all: [String] { lines.withLock { $0 } }
}
