package import Logging
import MartletWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Logs to stderr, a line each: text for people, JSON for machines. Messages are constants,
/// everything variable is metadata.
package struct LineLogHandler: LogHandler {
    package enum Format: String, Sendable, CaseIterable { case text, json }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    private let label: String
    private let format: Format
    /// Is told each line, too.
    private let feed: LogFeed?

    package init(label: String, level: Logger.Level, format: Format, feed: LogFeed? = nil) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.feed = feed
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let fields = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        feed?.append(event.level) { LineLogHandler.text(event.message.description, fields) }
        var line = ""
        switch format {
        case .text:
            line = "\(event.level.rawValue.uppercased()) \(LineLogHandler.text(event.message.description, fields))"
        case .json:
            line = "{\"time\":\"\(LineLogHandler.timestamp())\",\"level\":\"\(event.level.rawValue)\","
            line += "\"label\":\(LineLogHandler.json(label)),"
            line += "\"message\":\(LineLogHandler.json(event.message.description))"
            for (key, value) in fields { line += ",\(LineLogHandler.json(key)):\(LineLogHandler.json(value))" }
            line += "}"
        }
        LineLogHandler.write(line + "\n")
    }

    /// `message key=value key="two words"`, on one line.
    static func text(_ message: String, _ fields: [(String, String)]) -> String {
        fields.reduce(into: printable(message)) { $0 += " \($1.0)=\(quoted($1.1))" }
    }

    /// One system call per line, so that lines of different threads never mix.
    package static func write(_ line: String) {
        var line = line
        line.withUTF8 { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = writeToStderr(UnsafeRawBufferPointer(bytes), from: sent)
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    /// Control characters, which could steer a terminal, become `?`.
    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }))
    }

    private static func quoted(_ text: String) -> String {
        let plain = printable(text)
        return plain.contains(" ") || plain.contains("\"") || plain.isEmpty
            ? "\"\(plain.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "'"))\"" : plain
    }

    private static func json(_ text: String) -> String { JSON.string(text).text }

    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var seconds = now.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func pad(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        return
            "\(pad(parts.tm_year + 1900, 4))-\(pad(parts.tm_mon + 1, 2))-\(pad(parts.tm_mday, 2))T\(pad(parts.tm_hour, 2)):"
            + "\(pad(parts.tm_min, 2)):\(pad(parts.tm_sec, 2)).\(pad(now.tv_nsec / 1_000_000, 3))Z"
    }
}

private func writeToStderr(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
    return write(2, rest.baseAddress, rest.count)
}
