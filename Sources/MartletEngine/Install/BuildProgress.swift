import Synchronization

/// Thins Ninja's output to one line per five percent.
final class BuildProgress: Sendable {
    private static let stride = 5
    private let shown = Mutex(-BuildProgress.stride)

    /// The line to show for this one: `[31/206] Building …` → `15 % (31 of 206)`; nil for most.
    func note(_ line: String) -> String? {
        guard line.hasPrefix("["), let end = line.firstIndex(of: "]") else { return nil }
        let counts = line[line.index(after: line.startIndex)..<end].split(separator: "/").compactMap { Int($0) }
        guard counts.count == 2, counts[1] > 0, counts[0] >= 0, counts[0] <= counts[1] else { return nil }
        let percent = counts[0] * 100 / counts[1]
        return shown.withLock { shown in
            guard percent >= shown + Self.stride else { return nil }
            shown = percent
            return "\(percent) % (\(counts[0]) of \(counts[1]))"
        }
    }
}
