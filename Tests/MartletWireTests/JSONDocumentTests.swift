import MartletWire
import NIOCore
import Testing

@Suite("A JSON text is checked once")
struct JSONDocumentTests {
    private func document(_ text: String) throws -> JSONDocument { try JSONDocument(checking: text.buffer) }

    private func failure(_ text: [UInt8], depth: Int = WireLimits.jsonDepth) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONDocument(checking: ByteBuffer(bytes: text), depth: depth)
            return nil
        } catch { return error }
    }

    @Test("top-level members are found with key, value and kind")
    func members() throws {
        let text =
            #" { "model" : "m\n1" ,"n":-1.5e3,"list":[1,{"model":2}],"o":{},"t":true,"f":false,"z":null,"\u006d":"" } "#
        let document = try document(text)
        #expect(document.root == .object)
        #expect(
            document.members.map { document.slice($0.key).shown } == [
                "model", "n", "list", "o", "t", "f", "z", #"\u006d"#,
            ])
        #expect(document.members.map(\.kind) == [.string, .number, .array, .object, .bool, .bool, .null, .string])
        #expect(
            document.members.map { document.slice($0.value).shown } == [
                #""m\n1""#, "-1.5e3", #"[1,{"model":2}]"#, "{}", "true", "false", "null", #""""#,
            ])
        #expect(document.members.map(\.keyIsEscaped) == [Bool](repeating: false, count: 7) + [true])
        #expect(document.slice(document.range).shown == text.dropFirst().dropLast())
        let model = try #require(try document.member("model"))
        #expect(document.string(model) == "m\n1")
        #expect(document.string(document.members[1]) == nil)
        #expect(document.int(document.members[1]) == -1500)
        #expect(document.bool(document.members[4]) == true)
        #expect(document.bool(document.members[5]) == false)
        #expect(document.bool(document.members[6]) == nil)
        #expect(try document.member("m") == document.members[7])
        #expect(try document.member("absent") == nil)
    }

    @Test("ranges count from the reader index")
    func readerIndex() throws {
        var buffer = #"junk{"a":"b"}"#.buffer
        buffer.moveReaderIndex(forwardBy: 4)
        let document = try JSONDocument(checking: buffer)
        #expect(document.members[0].key == 2..<3)
        #expect(document.string(document.members[0]) == "b")
    }

    @Test("a name that stands twice is refused when it is asked for, also in another spelling")
    func duplicates() throws {
        let plain = try document(#"{"model":1,"x":0,"model":2}"#)
        #expect(throws: JSONError(.duplicateKey, at: 18, name: "model")) { try plain.member("model") }
        #expect(try plain.member("x") != nil)
        let escaped = try document(#"{"model":1,"mo\u0064el":2,"mod\u0065":3}"#)
        #expect(throws: JSONError(.duplicateKey, at: 12, name: "model")) { try escaped.member("model") }
        #expect(JSONError(.duplicateKey, at: 12, name: "model").sentence == #"the member "model" stands twice"#)
    }

    @Test(
        "texts that are JSON are taken",
        arguments: [
            "0", "-0", "10", "1.5", "1e9", "1E-9", "0.0e+00", "true", "false", "null", #""""#, "[]", "{}", " [ ] ",
            "\r\n\t 1",
            #"["\u0000\b\f\n\r\t\/\\\""]"#, #""\ud83d\ude00""#, #""\uD83D\uDE00""#, "\"\u{7F}\"", "\"é你😀\u{10FFFF}\"",
            "{\"\":{\"\":[]}}", "[1,2 ,3]",
        ])
    func valid(_ text: String) { #expect(failure(text.bytes) == nil) }

    @Test(
        "texts that are not are refused with the reason and the place",
        arguments: [
            ("", .truncated, 0), ("  ", .truncated, 2), ("[", .truncated, 1), ("{\"a\"", .truncated, 4),
            ("\"ab", .truncated, 3),
            ("[1,]", .malformed, 3), ("[,1]", .malformed, 1), ("{,}", .malformed, 1), ("{\"a\":1,}", .malformed, 7),
            ("{\"a\" 1}", .malformed, 5), ("{1:2}", .malformed, 1), ("[1}", .malformed, 2), ("{\"a\":]", .malformed, 5),
            ("[1 2]", .malformed, 3), ("nul", .truncated, 3), ("nulx", .malformed, 3), ("NaN", .malformed, 0),
            ("Infinity", .malformed, 0), ("+1", .malformed, 0), (".5", .malformed, 0), ("\u{FEFF}1", .malformed, 0),
            ("-", .truncated, 1), ("-a", .badNumber, 1), ("01", .badNumber, 0), ("-01", .badNumber, 1),
            ("1.", .truncated, 2),
            ("[1.]", .badNumber, 3), ("[1e]", .badNumber, 3), ("[1e+]", .badNumber, 4), ("1 2", .trailing, 2),
            ("{}}", .trailing, 2), ("1\u{0}", .trailing, 1), ("\"a\nb\"", .controlCharacter, 2),
            ("\"\u{0}\"", .controlCharacter, 1),
            (#""\x""#, .badEscape, 1), (#""\u12g4""#, .badEscape, 1), (#""\u12""#, .badEscape, 1),
            (#""\"#, .truncated, 1),
            (#""\ud83d""#, .loneSurrogate, 1), (#""\ude00""#, .loneSurrogate, 1), (#""\ud83d\n""#, .loneSurrogate, 1),
            (#""\ud83d\u0041""#, .loneSurrogate, 1), (#""\ud83dx""#, .loneSurrogate, 1),
            (#""ab\ud83d\ud83d\ude00""#, .loneSurrogate, 3),
        ] as [(String, JSONError.Code, Int)])
    func invalid(_ text: String, _ code: JSONError.Code, _ offset: Int) {
        #expect(failure(text.bytes) == JSONError(code, at: offset))
    }

    @Test(
        "bytes that are not UTF-8 are refused, wherever in a block they stand",
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x9F, 0x80], [0xE4, 0xBD],
            [0xED, 0xA0, 0x80],
            [0xED, 0xBF, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80],
            [0xFF],
        ] as [[UInt8]])
    func badUTF8(_ bytes: [UInt8]) {
        for padding in 0..<130 {
            let text = [0x22] + [UInt8](repeating: 0x61, count: padding) + bytes + [0x22]
            #expect(failure(text) == JSONError(.badUTF8, at: 1 + padding))
        }
    }

    @Test(
        "what ends a string is seen at every place of a block",
        arguments: [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 200])
    func places(_ padding: Int) {
        let text = String(repeating: "x", count: padding)
        #expect(failure(Array(#""\#(text)""#.utf8)) == nil)
        #expect(failure(Array(#""\#(text)\n\#(text)""#.utf8)) == nil)
        #expect(failure(Array("\"\(text)\u{1F}\(text)\"".utf8)) == JSONError(.controlCharacter, at: padding + 1))
        #expect(failure(Array(#""\#(text)\q\#(text)""#.utf8)) == JSONError(.badEscape, at: padding + 1))
        #expect(failure(Array(#""\#(text)"#.utf8)) == JSONError(.truncated, at: padding + 1))
    }

    @Test("nesting is allowed to the limit and no deeper", arguments: [1, 2, 63, 64, 65, 128, 1024])
    func depth(_ limit: Int) {
        func nested(_ depth: Int) -> [UInt8] {
            let half = (0..<depth).map { $0.isMultiple(of: 3) ? ("[", "]") : (#"{"k":"#, "}") }
            return Array((half.map(\.0).joined() + "1" + half.reversed().map(\.1).joined()).utf8)
        }
        #expect(failure(nested(limit), depth: limit) == nil)
        #expect(failure(nested(limit + 1), depth: limit)?.code == .tooDeep)
        #expect(failure(nested(1025), depth: .max)?.code == .tooDeep)
    }

    @Test("1024 top-level members are taken, one more is not", arguments: [0, 1, 23, 24, 25, 1024, 1025])
    func memberCount(_ count: Int) throws {
        let text = "{" + (0..<count).map { "\"k\($0)\":\($0)" }.joined(separator: ",") + "}"
        guard count <= WireLimits.topLevelMembers else {
            #expect(failure(text.bytes)?.code == .tooManyMembers)
            return
        }
        let document = try document(text)
        #expect(document.members.map { document.int($0) } == Array(0..<count))
        #expect(document.members.map { document.name($0) } == (0..<count).map { "k\($0)" })
    }

    @Test("the sentence names the byte and the reason")
    func sentence() {
        #expect(JSONError(.trailing, at: 17).sentence == "malformed JSON at byte 17: something follows the value")
        #expect(JSONError(.notThisType, at: 3).sentence == "JSON refused at byte 3: another type of value was expected")
    }
}
