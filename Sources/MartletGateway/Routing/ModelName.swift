/// Model names in a request: what they may look like, and which known ones are near.
package enum ModelName {
    /// The name without Claude Code's `[1m]`-style suffix, which is not part of an id (specs 1.1.2).
    package static func withoutContextSuffix(_ name: String) -> String {
        guard name.hasSuffix("]"), let open = name.lastIndex(of: "["), open != name.startIndex else { return name }
        return String(name[..<open])
    }

    /// Whether a name can stand in a header, a log line or a path: no control characters, bounded length.
    package static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= Limits.modelName && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
    }

    /// Up to `count` of `ids`, nearest first; those with nothing in common are left out.
    package static func closest(to name: String, among ids: [String], count: Int = 5) -> [String] {
        let wanted = name.lowercased()
        let scored = ids.map { id -> (String, Int) in
            let known = id.lowercased()
            if known.contains(wanted) || wanted.contains(known) { return (id, 0) }
            return (id, distance(Array(wanted.utf8.prefix(64)), Array(known.utf8.prefix(64))))
        }
        let bound = max(3, wanted.utf8.count * 2 / 3)
        return scored.filter { $0.1 <= bound }.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.prefix(count).map(\.0)
    }

    /// `; closest: a, b`, or nothing where nothing is near.
    static func closest(to name: String, namedAmong ids: [String]) -> String {
        let near = closest(to: name, among: ids)
        return near.isEmpty ? "" : "; closest: \(near.joined(separator: ", "))"
    }

    /// Levenshtein's, on bytes.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (x == y ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = next
            }
        }
        return row[b.count]
    }
}

/// An alias pattern: `*` stands for any run of characters. The more literal characters, the more specific.
package struct Glob: Sendable, Hashable {
    package let pattern: String
    package var isExact: Bool { !pattern.utf8.contains(UInt8(ascii: "*")) }
    package var specificity: Int { pattern.utf8.count { $0 != UInt8(ascii: "*") } }

    package init(_ pattern: String) { self.pattern = pattern }

    package func matches(_ name: String) -> Bool {
        let pattern = Array(pattern.utf8), name = Array(name.utf8)
        var p = 0, n = 0
        var star: Int?
        var mark = 0
        while n < name.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = p
                mark = n
                p += 1
            } else if p < pattern.count, pattern[p] == name[n] {
                p += 1
                n += 1
            } else if let at = star {
                p = at + 1
                mark += 1
                n = mark
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
