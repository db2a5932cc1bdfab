/// Makes bad inputs of good ones: by bits and bytes, by lines, and by what JSON is made of.
package struct Mutator: Sendable {
    private let corpus: [[UInt8]]
    /// Strings in quotes and numbers of the corpus: one in another's place is well-formed, and wrong.
    private let words: [[UInt8]]

    package init(_ corpus: [[UInt8]]) {
        self.corpus = corpus
        var words: Set<[UInt8]> = []
        for text in corpus {
            for range in Self.strings(text) where range.count <= 42 && words.count < 2000 {
                words.insert(Array(text[range]))
            }
        }
        self.words = words.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// One of the corpus, changed in one to six places.
    package func next(_ random: inout Seeded) -> [UInt8] {
        var bytes = random.pick(corpus)
        for _ in 0...min(random.below(6), random.below(6)) { mutate(&bytes, &random) }
        return bytes
    }

    /// Values that are hard to hold.
    private static let values: [[UInt8]] = [
        "null", "true", "false", "0", "-0", "-1", "1.5", "1e999", "-1e-999", "9223372036854775807",
        "9223372036854775808", "123456789012345678901234567890", "\"\"", "[]", "{}", "[[]]", "[null]", "\"x\"",
        "\"\\ud83d\"", "\"\\u0000\"", "\"<think>\"", "\"</think>\"", "{\"type\":\"x\"}", "[{\"type\":\"text\"}]",
        "\"gw1.\"",
    ].map { Array($0.utf8) }

    private static let pieces: [[UInt8]] = [
        [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE4, 0xBD], [0], [0x22], [0x5C], [0x0A],
        [0x0D, 0x0A], [0x0A, 0x0A], [0x2C], [0x3A], [0x7B], [0x7D], [0x5B], [0x5D], [0xEF, 0xBB, 0xBF],
        Array("data: [DONE]\n\n".utf8), Array("event: ".utf8), Array("data: {}\n\n".utf8), Array("\\ud83d".utf8),
        Array(": x\n\n".utf8),
    ]

    private func mutate(_ bytes: inout [UInt8], _ random: inout Seeded) {
        guard !bytes.isEmpty else { return bytes = random.pick(corpus) }
        let at = random.below(bytes.count)
        switch random.below(16) {
        case 0: bytes[at] ^= 1 << UInt8(random.below(8))
        case 1: bytes[at] = UInt8(random.below(256))
        case 2: bytes.insert(contentsOf: random.pick(Self.pieces), at: at)
        case 3: bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.below(random.pick([2, 20, 400]))))
        case 4: if random.below(3) == 0 { bytes.removeSubrange(at...) }
        case 5: changeLines(&bytes, &random)
        case 6: splice(&bytes, &random)
        case 7: nest(&bytes, at, &random)
        case 8, 9: replaceString(&bytes, &random)
        default: changeMember(&bytes, &random)
        }
    }

    /// Takes a line out, says it twice, or swaps two; of an event stream, whole events as well.
    private func changeLines(_ bytes: inout [UInt8], _ random: inout Seeded) {
        var parts = random.below(2) == 0 ? Self.events(bytes) : Self.lines(bytes)
        let (one, other) = (random.below(parts.count), random.below(parts.count))
        switch random.below(3) {
        case 0: parts.remove(at: one)
        case 1: parts.insert(parts[one], at: other)
        default: parts.swapAt(one, other)
        }
        bytes = Array(parts.joined())
    }

    /// Goes on as another one of the corpus does.
    private func splice(_ bytes: inout [UInt8], _ random: inout Seeded) {
        let mine = Self.lines(bytes)
        let other = Self.lines(random.pick(corpus))
        bytes = Array(
            (mine.prefix(random.below(mine.count + 1)) + other.suffix(random.below(other.count + 1))).joined())
    }

    private func nest(_ bytes: inout [UInt8], _ at: Int, _ random: inout Seeded) {
        let depth = random.pick([3, 60, 130, 1100])
        let (open, close) = random.pick([("[", "]"), ("{\"a\":", "}"), ("[{\"items\":", "}]")])
        let range = Self.members(bytes).randomElement(using: &random)?.value ?? at..<at
        bytes.replaceSubrange(
            range,
            with: Array((String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)).utf8))
    }

    private func replaceString(_ bytes: inout [UInt8], _ random: inout Seeded) {
        guard let range = Self.strings(bytes).randomElement(using: &random), !words.isEmpty else { return }
        bytes.replaceSubrange(range, with: random.pick(words))
    }

    private func changeMember(_ bytes: inout [UInt8], _ random: inout Seeded) {
        let members = Self.members(bytes)
        guard let member = members.randomElement(using: &random) else { return }
        switch random.below(6) {
        case 0:
            var end = member.value.upperBound
            if end < bytes.count, bytes[end] == 0x2C { end += 1 }
            bytes.removeSubrange(member.key.lowerBound..<end)
        case 1:
            bytes.insert(
                contentsOf: bytes[member.key.lowerBound..<member.value.upperBound] + [0x2C], at: member.key.lowerBound)
        case 2, 3:
            let other = random.pick(members).value
            bytes.replaceSubrange(member.value, with: Array(bytes[other]))
        default: bytes.replaceSubrange(member.value, with: random.pick(Self.values))
        }
    }

    // MARK: - Where things stand

    private static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] { cut(bytes, behind: [0x0A]) }

    private static func events(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] { cut(bytes, behind: [0x0A, 0x0A]) }

    private static func cut(_ bytes: [UInt8], behind end: [UInt8]) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = 0
        for at in bytes.indices where at + end.count <= bytes.count && bytes[at] == 0x0A {
            guard at >= start, bytes[at..<at + end.count].elementsEqual(end) else { continue }
            parts.append(bytes[start..<at + end.count])
            start = at + end.count
        }
        return start < bytes.count || parts.isEmpty ? parts + [bytes[start...]] : parts
    }

    /// What stands in quotes, quotes included.
    private static func strings(_ bytes: [UInt8]) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var at = 0
        while at < bytes.count {
            guard bytes[at] == 0x22 else {
                at += 1
                continue
            }
            let end = stringEnd(bytes, at)
            found.append(at..<end)
            at = end
        }
        return found
    }

    private static func stringEnd(_ bytes: [UInt8], _ start: Int) -> Int {
        var at = start + 1
        while at < bytes.count, bytes[at] != 0x22, bytes[at] != 0x0A { at += bytes[at] == 0x5C ? 2 : 1 }
        return min(at + 1, bytes.count)
    }

    /// Strings with a colon and a value behind them, wherever.
    private static func members(_ bytes: [UInt8]) -> [(key: Range<Int>, value: Range<Int>)] {
        strings(bytes).compactMap { key in
            var at = key.upperBound
            guard at < bytes.count, bytes[at] == 0x3A else { return nil }
            at += 1
            let start = at
            var depth = 0
            while at < bytes.count {
                switch bytes[at] {
                case 0x22:
                    at = stringEnd(bytes, at)
                    continue
                case 0x7B, 0x5B: depth += 1
                case 0x7D, 0x5D: depth -= 1
                case 0x2C where depth == 0: return (key, start..<at)
                case 0x0A: return start < at ? (key, start..<at) : nil
                default: break
                }
                if depth < 0 { return (key, start..<at) }
                at += 1
            }
            return start < at ? (key, start..<at) : nil
        }
    }
}
