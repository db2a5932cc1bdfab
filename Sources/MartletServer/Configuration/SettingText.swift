/// Durations and sizes as configuration writes them.
enum SettingText {
    /// Nanoseconds of each unit, largest first.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ]

    private static let sizes: [(name: String, bytes: Int)] = [
        ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000),
        ("KB", 1000), ("B", 1),
    ]

    /// A whole number and its unit, `90s`. Nil for anything else, and beyond 292 years.
    static func duration(_ text: String) -> Duration? {
        let (digits, unit) = split(text)
        guard let count = Int64(digits), let scale = units.first(where: { $0.name == unit })?.nanoseconds else {
            return nil
        }
        let (nanoseconds, overflow) = count.multipliedReportingOverflow(by: scale)
        return overflow ? nil : .nanoseconds(nanoseconds)
    }

    /// Bytes of `32MiB`, `10MB` or a bare number of bytes.
    static func size(_ text: String) -> Int? {
        let (digits, unit) = split(text)
        guard let count = Int(digits) else { return nil }
        guard !unit.isEmpty else { return count }
        guard let scale = sizes.first(where: { $0.name == unit })?.bytes else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: scale)
        return overflow ? nil : bytes
    }

    private static func split(_ text: String) -> (digits: Substring, unit: Substring) {
        let end = text.firstIndex { !("0"..."9").contains($0) } ?? text.endIndex
        return (text[..<end], text[end...].drop { $0 == " " })
    }

    /// In the largest unit that leaves a whole number; none is `0s`.
    static func show(_ duration: Duration?) -> String {
        guard let duration, duration != .zero else { return "0s" }
        let (seconds, attoseconds) = duration.components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        for (name, scale) in units.dropFirst() where nanoseconds % scale == 0 { return "\(nanoseconds / scale)\(name)" }
        return "\(nanoseconds)ns"
    }

    static func show(bytes: Int) -> String {
        for (name, scale) in sizes.prefix(3) where bytes != 0 && bytes % scale == 0 { return "\(bytes / scale)\(name)" }
        return "\(bytes)"
    }

    static func show(_ list: [String]) -> String { "[" + list.joined(separator: ", ") + "]" }

    static func show<Value>(_ value: Value?) -> String { value.map { "\($0)" } ?? "null" }
}
