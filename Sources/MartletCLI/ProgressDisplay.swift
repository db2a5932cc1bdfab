import MartletCommands
import MartletHub
import MartletWire
import Synchronization

/// How far something is, on stderr: a bar that moves on a terminal, else a line at every tenth.
final class ProgressDisplay: Sendable {
    private struct State: Sendable {
        var tenths = Tenths()
        var last: DownloadProgress?
        var isOpen = false
    }

    private let name: String
    private let isBar: Bool
    private let state = Mutex(State())

    init(_ name: String, isBar: Bool = Surroundings.movesBars) {
        self.name = TerminalText.safe(name)
        self.isBar = isBar
    }

    /// What was told last.
    var last: DownloadProgress? { state.withLock(\.last) }

    func show(_ progress: DownloadProgress) {
        state.withLock { state in
            state.last = progress
            if isBar {
                state.isOpen = true
                Surroundings.putAside("\r" + Self.bar(name, progress, columns: Surroundings.columns) + "\u{1B}[K")
                return
            }
            guard state.tenths.isNew(Self.share(progress)) else { return }
            Surroundings.complain("\(name): \(Self.numbers(progress))")
        }
    }

    /// Ends the bar's line.
    func close() {
        state.withLock { state in
            guard state.isOpen else { return }
            state.isOpen = false
            Surroundings.putAside("\n")
        }
    }

    /// `name  [#####     ]  50%  2.3 of 4.7 GB  35.2 MB/s  1:07 left`, as much of it as fits.
    private static func bar(_ name: String, _ progress: DownloadProgress, columns: Int) -> String {
        ProgressLine.bar(name, share(progress), numbers(progress), columns: columns)
    }

    private static func share(_ progress: DownloadProgress) -> Double {
        progress.total > 0 ? Double(progress.bytes) / Double(progress.total) : 1
    }

    static func numbers(_ progress: DownloadProgress) -> String {
        let percent = progress.total > 0 ? progress.bytes * 100 / progress.total : 100
        var text = "\(percent)%  \(ByteCount.shown(progress.bytes)) of \(ByteCount.shown(progress.total))"
        guard progress.bytes < progress.total, let rate = progress.bytesPerSecond else { return text }
        text += "  \(ByteCount.shown(rate))/s"
        if let left = progress.remaining?.components.seconds, left > 0 {
            let minutes = left / 60
            func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
            let whole = minutes < 60 ? "\(minutes)" : "\(minutes / 60):\(two(minutes % 60))"
            text += "  \(whole):\(two(left % 60)) left"
        }
        return text
    }
}
