import Foundation
import MartletDialects
import MartletGateway
import Testing

/// The table of docs/DIALECTS.md of what kinds of upstreams can do, in the words of a configuration. With
/// `MARTLET_REWRITE_DOCS=1` it is written anew; review the difference.
@Suite("Table of kinds")
struct KindTableTests {
    static let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/DIALECTS.md")
    static let begin = "<!-- made by KindTableTests -->\n\n"
    static let end = "\n\n<!-- end -->"

    @Test("what a kind of upstream can do is as the page says")
    func kinds() throws {
        let kinds = UpstreamProfile.all.filter { $0 != .mock }
        var lines = ["| flag | " + kinds.map(\.kind).joined(separator: " | ") + " |"]
        lines.append("|---|" + kinds.map { _ in "---|" }.joined())
        for flag in CapabilityFlag.all {
            let words = kinds.map { Self.words(of: flag, in: $0.capabilities) ?? "?" }
            #expect(!words.contains("?"), "\(flag.name)")
            lines.append("| `\(flag.name)` | " + words.joined(separator: " | ") + " |")
        }
        let page = try String(contentsOf: Self.page, encoding: .utf8)
        let start = try #require(page.firstRange(of: Self.begin), "docs/DIALECTS.md has no mark for it").upperBound
        let stop = try #require(page[start...].firstRange(of: Self.end)).lowerBound
        let table = lines.joined(separator: "\n")
        if ProcessInfo.processInfo.environment["MARTLET_REWRITE_DOCS"] == "1" {
            try page.replacingCharacters(in: start..<stop, with: table)
                .write(to: Self.page, atomically: true, encoding: .utf8)
        } else {
            #expect(page[start..<stop] == table, "MARTLET_REWRITE_DOCS=1 writes it anew")
        }
    }

    /// What a configuration would write to change nothing.
    static func words(of flag: CapabilityFlag, in capabilities: Capabilities) -> String? {
        func keeps(_ words: [String]) -> Bool {
            var changed = capabilities
            return flag.set(&changed, words) && changed == capabilities
        }
        let choices = choices(of: flag)
        guard flag.isList else { return choices.first { keeps([$0]) } }
        // Fewest words first: some stand for nothing, or for what is always there.
        let lists = (1..<(1 << choices.count)).map { mask in
            choices.indices.filter { mask >> $0 & 1 == 1 }.map { choices[$0] }
        }
        return lists.sorted { $0.count < $1.count }.first(where: keeps)?.joined(separator: ", ")
    }

    /// The words it says it takes, and of a number those there are.
    private static func choices(of flag: CapabilityFlag) -> [String] {
        var text = flag.takes
        for start in ["one of ", "a list of "] where text.hasPrefix(start) { text.removeFirst(start.count) }
        let words = text.replacing(", or ", with: ", ").split(separator: ", ").map(String.init)
        let forms = ["reasoning_content", "reasoning", "unlimited", "9", "[a-zA-Z0-9]{9}", "[a-zA-Z0-9_-]{1,64}"]
        let rules = [256, 128].map { "[a-zA-Z0-9_-]{1,\($0)}" }
        return flag.isList ? words : words + forms + rules + (0...1024).map(String.init)
    }
}
