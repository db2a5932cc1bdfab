/// The last lines of a process's output, however much it prints.
package struct OutputTail: Sendable {
    /// Lines kept.
    package static let lines = 40
    /// Bytes kept of one line; the rest of it is dropped.
    package static let lineBytes = 500

    private var kept: [String] = []
    private var partial: [UInt8] = []

    package init() {}

    /// Takes one read and returns the lines it completed, without their line breaks and control characters.
    @discardableResult
    package mutating func take(_ bytes: some Sequence<UInt8>) -> [String] {
        var completed: [String] = []
        for byte in bytes {
            if byte == 0x0A || byte == 0x0D {
                if let line = flush() { completed.append(line) }
            } else if partial.count < Self.lineBytes {
                partial.append(byte)
            }
        }
        return completed
    }

    /// Ends the last line, which may have no line break.
    package mutating func finish() -> [String] {
        flush().map { [$0] } ?? []
    }

    /// The lines kept, oldest first.
    package var all: [String] { kept }

    private mutating func flush() -> String? {
        defer { partial.removeAll(keepingCapacity: true) }
        let line = Self.printable(partial)
        guard !line.isEmpty else { return nil }
        kept.append(line)
        if kept.count > Self.lines { kept.removeFirst(kept.count - Self.lines) }
        return line
    }

    /// Text without terminal control: escape sequences of the form `ESC [ … letter` and control characters are dropped.
    private static func printable(_ bytes: [UInt8]) -> String {
        var text = String.UnicodeScalarView()
        var escape = false
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if escape {
                if scalar.properties.isAlphabetic { escape = false }
            } else if scalar == "\u{1B}" {
                escape = true
            } else if scalar == "\t" {
                text.append(" ")
            } else if scalar.value >= 0x20, !(0x7F...0x9F).contains(scalar.value) {
                text.append(scalar)
            }
        }
        return String(text)
    }
}
