import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Random JSON texts")
struct JSONFuzzTests {
    private func fastAccepts(_ text: [UInt8]) -> Bool { (try? JSONDocument(checking: ByteBuffer(bytes: text))) != nil }

    /// The verdict of a walk that enters everything.
    private func walkAccepts(_ text: [UInt8]) -> Bool {
        func enter(_ walk: inout JSONWalk) throws(JSONError) {
            switch try walk.kind() {
            case .object:
                try walk.enterObject()
                while try walk.nextKey() != nil { try enter(&walk) }
            case .array:
                try walk.enterArray()
                while try walk.nextElement() { try enter(&walk) }
            case .string: _ = try walk.string()
            case .number: _ = try walk.int()
            case .bool: _ = try walk.bool()
            case .null: _ = try walk.takeNull()
            }
        }
        let verdict: Void? = try? ByteBuffer(bytes: text).walkJSON { (walk) throws(JSONError) in
            try enter(&walk)
            try walk.end()
        }
        return verdict != nil
    }

    @Test(
        "checker, walk and a plain reading of the standard agree",
        arguments: [11, 12, 13, .random(in: 0 ... .max)] as [UInt64])
    func agree(_ seed: UInt64) {
        var random = Seeded(seed)
        var accepted = 0
        for round in 0..<3000 {
            var text = random.json(depth: 4)
            if !round.isMultiple(of: 3) { random.mutate(&text) }
            let expected = SlowJSON.accepts(text)
            accepted += expected ? 1 : 0
            #expect(fastAccepts(text) == expected, "seed \(seed): \(String(decoding: text, as: UTF8.self))")
            #expect(walkAccepts(text) == expected, "seed \(seed): \(String(decoding: text, as: UTF8.self))")
        }
        #expect(accepted > 500 && accepted < 2800, "seed \(seed): the texts must be of both kinds")
    }

    @Test(
        "a value written and read again is the same, and so are its bytes",
        arguments: [21, .random(in: 0 ... .max)] as [UInt64])
    func roundTrip(_ seed: UInt64) throws {
        var random = Seeded(seed)
        var read = 0
        for _ in 0..<2000 {
            let text = random.json(depth: 4)
            // Nil when it is spoilt, or a name stands twice.
            guard let value = try? JSON(parsing: ByteBuffer(bytes: text)) else { continue }
            read += 1
            let written = value.text
            let again = try JSON(parsing: written)
            #expect(again == value, "seed \(seed)")
            #expect(again.text == written, "seed \(seed)")
        }
        #expect(read > 500, "seed \(seed)")
    }

    @Test("members are where a walk finds them", arguments: [31, .random(in: 0 ... .max)] as [UInt64])
    func members(_ seed: UInt64) throws {
        var random = Seeded(seed)
        for _ in 0..<2000 {
            let text = ByteBuffer(bytes: random.json(depth: 3))
            guard let document = try? JSONDocument(checking: text), document.root == .object else { continue }
            let walked = try text.walkJSON { (walk) throws(JSONError) -> [JSONMember] in
                var members = [JSONMember]()
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    let kind = try walk.kind()
                    members.append(
                        JSONMember(key: key.range, value: try walk.skip(), kind: kind, keyIsEscaped: key.isEscaped))
                }
                return members
            }
            #expect(document.members == walked, "seed \(seed)")
        }
    }

    @Test("however broken a text is, the error points into it", arguments: [41, .random(in: 0 ... .max)] as [UInt64])
    func garbage(_ seed: UInt64) {
        var random = Seeded(seed)
        let pieces = [
            "\"", "\\", "{", "}", "[", "]", ",", ":", "\\u", "\\ud83d", "1e", "tru", "\u{1}", "你", "xxxxxxxxxxxxxxxx",
        ]
        for _ in 0..<3000 {
            var text = (0..<random.below(40)).flatMap { _ in random.pick(pieces).bytes }
            random.mutate(&text)
            do throws(JSONError) {
                _ = try JSONDocument(checking: ByteBuffer(bytes: text))
            } catch {
                #expect(error.offset >= 0 && error.offset <= text.count, "seed \(seed)")
            }
        }
    }
}
