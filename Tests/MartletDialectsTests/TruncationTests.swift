import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Dropping the oldest turns")
struct TruncationTests {
    /// One letter an item: `s` system, `u` user, `a` assistant, `r` reasoning, digits a call, its result the same digit
    /// behind a `=`.
    static func items(_ letters: String) -> [Item] {
        var items: [Item] = []
        var isResult = false
        for letter in letters {
            let text = [Part(.text(EscapedText(escaping: String(letter))))]
            switch letter {
            case "s": items.append(.instruction(Instruction(voice: .system, scope: .positional, parts: text)))
            case "u": items.append(.message(.user, text))
            case "a": items.append(.message(.assistant, text))
            case "r": items.append(.reasoning(Reasoning(text: EscapedText(escaping: "r"))))
            case "=": isResult = true
            default:
                if isResult {
                    items.append(.toolResult(ToolResult(callID: String(letter), parts: [])))
                } else {
                    let call = ToolCall(id: String(letter), name: "f", arguments: .text(EscapedText()))
                    items.append(.toolCall(call))
                }
                isResult = false
            }
        }
        return items
    }

    static let cases: [(String, Int, String)] = [
        ("suaua", 5, "suaua"), ("suaua", 4, "sua"), ("suaua", 3, "sua"), ("suaua", 1, "sua"), ("u", 0, "u"),
        ("", 0, ""),
        ("suauaua", 5, "suaua"), ("suasua", 4, "ssua"), ("uuaua", 4, "ua"), ("u1=1aua", 3, "ua"),
        ("ur12=2=1ua", 3, "ua"),
        // A result behind the next thing the user says keeps its call.
        ("u1u=1ua", 3, "ua"), ("u1u=1a", 3, "u1u=1a"), ("aua", 2, "ua"), ("1=1ua", 2, "ua"),
    ]

    @Test("2.4.1: whole turns go, instructions stay, and no result loses its call", arguments: cases)
    func table(items: String, limit: Int, rest: String) {
        #expect(Truncation.fit(Self.items(items), limit: limit) { _ in 1 } == Self.items(rest))
    }

    @Test("any conversation keeps its last turn and its pairs", arguments: UInt64(0)..<100)
    func random(seed: UInt64) {
        var random = Seeded(seed)
        var letters = ""
        var waiting: [Character] = []
        for step in 0..<Int.random(in: 1...20, using: &random) {
            switch Int.random(in: 0..<5, using: &random) {
            case 0: letters += "u"
            case 1: letters += "a"
            case 2:
                let call = Character(UnicodeScalar(UInt8(0x41 + step)))
                letters.append(call)
                waiting.append(call)
            case 3: if !waiting.isEmpty { letters += "=" + String(waiting.removeFirst()) }
            default: letters += "s"
            }
        }
        let items = Self.items(letters)
        let limit = Int.random(in: 0...20, using: &random)
        let rest = Truncation.fit(items, limit: limit) { _ in 1 }
        var calls: Set<String> = []
        for item in rest {
            if case .toolCall(let call) = item { calls.insert(call.id) }
            if case .toolResult(let result) = item {
                #expect(calls.contains(result.callID), "seed \(seed): \(letters)")
            }
        }
        func instructions(_ items: [Item]) -> Int { items.count { if case .instruction = $0 { true } else { false } } }
        #expect(instructions(rest) == instructions(items), "seed \(seed)")
        #expect(rest.count <= limit || rest.last == items.last, "seed \(seed)")
        if items.count <= limit { #expect(rest == items) }
    }

    static func truncated(_ truncation: String, window: Int?, scale: Double?) throws -> TranslatedRequest {
        let old = (0..<9).flatMap {
            ["{'role':'user','content':'old \($0) \(filler)'}", "{'role':'assistant','content':'\(filler)'}"]
        }
        let body = json(
            "{'model':'m','truncation':'\(truncation)','instructions':'Be brief.','max_output_tokens':50,'input':["
                + (old + ["{'role':'user','content':'last'}"]).joined(separator: ",") + "]}")
        let target = WriteTarget(
            model: "m", capabilities: Capabilities(), streams: false, contextWindow: window, promptScale: scale)
        return try Dialects.translateRequest(
            JSONDocument(checking: ByteBuffer(string: body)), from: .responses, to: .chat, for: target)
    }

    static let filler = String(repeating: "word ", count: 32)

    @Test("truncation: auto leaves the oldest turns out as far as counted tokens want it, and names that")
    func auto() throws {
        func said(_ made: TranslatedRequest) throws -> [String] {
            try JSON(parsing: made.body)["messages"]?.array?.compactMap { $0["content"]?.string } ?? []
        }
        let whole = try Self.truncated("auto", window: 1000, scale: nil)
        #expect(try said(whole).count == 20 && whole.dropped == [])
        let half = try said(Self.truncated("auto", window: 1000, scale: 1))
        let less = try said(Self.truncated("auto", window: 1000, scale: 2))
        for texts in [half, less] {
            #expect(texts.first == "Be brief." && texts.last == "last")
            #expect(texts[1].hasPrefix("old "), "the first turn is whole")
        }
        #expect(2 < less.count && less.count < half.count && half.count < 20)
        #expect(try Self.truncated("auto", window: 1000, scale: 1).dropped == ["input.oldest_turns"])
        #expect(try Self.truncated("auto", window: nil, scale: nil).dropped == ["truncation"])
        #expect(try said(Self.truncated("disabled", window: 1000, scale: 2)).count == 20)
        #expect(try said(Self.truncated("auto", window: 10, scale: 1)) == ["Be brief.", "last"])
    }
}
