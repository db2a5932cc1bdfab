import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Edits leave every other byte as it was")
struct JSONEditTests {
    private func edited(_ text: String, _ change: (inout JSONEdit, JSONDocument) throws -> Void) throws -> String {
        let document = try JSONDocument(checking: text.buffer)
        var edit = JSONEdit()
        try change(&edit, document)
        let pieces = edit.pieces(of: document.bytes)
        let joined = pieces.map(\.shown).joined()
        #expect(edit.applied(to: document.bytes).shown == joined)
        #expect(document.bytes.shown == text)
        return joined
    }

    @Test("a value is replaced in place")
    func replace() throws {
        let result = try edited(#" { "model" : "a" , "x": [1, 2] } "#) { edit, document in
            try edit.set("model", #""b\n""#.buffer, in: document)
        }
        #expect(result == #" { "model" : "b\n" , "x": [1, 2] } "#)
    }

    @Test(
        "a missing member is appended, also to an empty object", arguments: [("{}", ""), (#"{ "a":1 }"#, #" "a":1,"#)])
    func append(_ text: String, _ before: String) throws {
        let result = try edited(text) { edit, document in
            try edit.set("n\"w", "[1]".buffer, in: document)
            try edit.set("two", "2".buffer, in: document)
            try edit.set("n\"w", "[2]".buffer, in: document)
        }
        let behind = text.count > 2 ? " " : ""
        #expect(result == #"{\#(before)"n\"w":[2],"two":2\#(behind)}"#)
    }

    @Test(
        "members go with one comma, whichever they are",
        arguments: [
            ([0], #"{ "b":2 , "c":3 }"#), ([1], #"{ "a":1 , "c":3 }"#), ([2], #"{ "a":1 , "b":2 }"#),
            ([0, 1], #"{ "c":3 }"#),
            ([1, 2], #"{ "a":1 }"#), ([2, 0], #"{ "b":2 }"#), ([0, 1, 2], "{  }"), ([], #"{ "a":1 , "b":2 , "c":3 }"#),
            ([7, -1], #"{ "a":1 , "b":2 , "c":3 }"#),
        ])
    func remove(_ indices: [Int], _ expected: String) throws {
        let result = try edited(#"{ "a":1 , "b":2 , "c":3 }"#) { edit, document in
            for index in indices { edit.remove(index, of: document) }
        }
        #expect(result == expected)
    }

    @Test("removing, replacing and appending go together in any order")
    func together() throws {
        let text = #"{"a":1,"b":2,"c":3}"#
        let result = try edited(text) { edit, document in
            edit.append("d", "4".buffer, to: document)
            edit.remove(2, of: document)
            try edit.set("a", "10".buffer, in: document)
            edit.remove(1, of: document)
        }
        #expect(result == #"{"a":10,"d":4}"#)
        let all = try edited(text) { edit, document in
            for index in 0..<3 { edit.remove(index, of: document) }
            edit.append("d", "4".buffer, to: document)
        }
        #expect(all == #"{"d":4}"#)
        let back = try edited(text) { edit, document in
            edit.remove(1, of: document)
            try edit.set("b", "20".buffer, in: document)
        }
        #expect(back == #"{"a":1,"b":20,"c":3}"#)
    }

    @Test("what overlaps is dropped, what lies in a removed member too")
    func overlaps() throws {
        let result = try edited(#"{"a":123,"b":[9]}"#) { edit, document in
            edit.replace(5..<8, with: "4".buffer)
            edit.replace(6..<7, with: "no".buffer)
            edit.replace(5..<8, with: "5".buffer)
            edit.replace(14..<15, with: "no".buffer)
            edit.remove(1, of: document)
            edit.replace(900..<901, with: "no".buffer)
        }
        #expect(result == #"{"a":5}"#)
    }

    @Test("edits made backwards are the same as edits made forwards")
    func order() throws {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let result = try edited("[0,1,2,3]") { edit, _ in
                for place in order { edit.replace(1 + 2 * place..<2 + 2 * place, with: "\(place * 11)".buffer) }
            }
            #expect(result == "[0,11,22,33]")
        }
    }

    @Test("insertions at one place keep their order")
    func insertions() throws {
        let result = try edited("[1]") { edit, _ in
            edit.replace(1..<1, with: "2,".buffer)
            edit.replace(1..<1, with: "3,".buffer)
            edit.replace(2..<2, with: ",4".buffer)
        }
        #expect(result == "[2,3,1,4]")
    }

    @Test("nothing to do gives the text itself, and an array takes no member")
    func nothing() throws {
        #expect(JSONEdit().isEmpty)
        #expect(try edited("[1]") { edit, document in edit.append("a", "1".buffer, to: document) } == "[1]")
        #expect(throws: JSONError.self) {
            try edited(#"{"a":1,"a":2}"#) { edit, document in try edit.set("a", "3".buffer, in: document) }
        }
    }

    @Test("the pieces share the original's bytes")
    func pieces() throws {
        let document = try JSONDocument(checking: #"{"model":"a","rest":1}"#.buffer)
        var edit = JSONEdit()
        try edit.set("model", #""b""#.buffer, in: document)
        #expect(edit.pieces(of: document.bytes).map(\.shown) == [#"{"model":"#, #""b""#, #","rest":1}"#])
    }

    @Test(
        "whatever is edited, the result is what the same change makes of the value",
        arguments: [51, .random(in: 0 ... .max)] as [UInt64])
    func sameAsValue(_ seed: UInt64) throws {
        var random = Seeded(seed)
        var edits = 0
        for _ in 0..<2000 {
            let text = ByteBuffer(bytes: random.json(depth: 2))
            guard var value = try? JSON(parsing: text), value.kind == .object else { continue }
            let document = try JSONDocument(checking: text)
            var edit = JSONEdit()
            var names = value.object?.keys ?? []
            names.shuffle(using: &random)
            for (place, name) in names.enumerated() {
                guard let index = try document.index(of: name) else { continue }
                switch place % 3 {
                case 0:
                    edit.remove(index, of: document)
                    value[name] = nil
                case 1:
                    try edit.set(name, "[true]".buffer, in: document)
                    value[name] = [true]
                default: break
                }
            }
            if random.below(2) == 0 {
                try edit.set("appended", "{}".buffer, in: document)
                value["appended"] = [:]
            }
            edits += edit.isEmpty ? 0 : 1
            #expect(try JSON(parsing: edit.applied(to: text)) == value, "seed \(seed): \(text.shown)")
        }
        #expect(edits > 100, "seed \(seed)")
    }
}
