import MartletWire
import NIOCore
import Testing

@Suite("Still-escaped text")
struct EscapedTextTests {
    @Test(
        "escaping and unescaping are inverse",
        arguments: [
            "", "plain", "a\"b\\c/d", "\u{0}\u{8}\t\n\u{C}\r\u{1F}\u{7F}", "é你😀",
            String(repeating: "0123456789\n", count: 40),
        ])
    func inverse(_ text: String) throws {
        let escaped = EscapedText(escaping: text)
        #expect(escaped.unescaped() == text)
        #expect(EscapedText(checking: escaped.bytes) != nil)
        var out = ByteBuffer()
        out.writeEscaped(escaped)
        var other = ByteBuffer()
        other.writeJSONString(text)
        #expect(out == other)
        #expect(try JSON(parsing: out) == .string(text))
    }

    @Test("what must be escaped is, wherever in a block it stands, and nothing else")
    func everyByte() throws {
        for code in UInt8(0)..<0x80 {
            let character = String(UnicodeScalar(code))
            let mustBe = code < 0x20 || code == 0x22 || code == 0x5C
            for place in [0, 1, 15, 16, 31, 40] {
                let text = String(repeating: "x", count: place) + character + String(repeating: "y", count: 40 - place)
                let escaped = EscapedText(escaping: text)
                #expect((escaped.bytes.readableBytes == 41) == !mustBe)
                #expect(escaped.unescaped() == text)
                #expect(EscapedText(checking: escaped.bytes) != nil)
            }
        }
    }

    @Test(
        "every escape is read",
        arguments: [
            (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{C}\n\r\t"), (#"\u0041\u00e9\u20AC\uffff"#, "Aé€\u{FFFF}"),
            (#"\ud83d\ude00x"#, "😀x"),
            (#"\ud83d"#, "\u{FFFD}"), (#"\ude00\ud83d!"#, "\u{FFFD}\u{FFFD}!"), (#"\ud83d\ud83d\ude00"#, "\u{FFFD}😀"),
            (#"a\qb\"#, #"a\qb\"#), (#"\u12"#, #"\u12"#),
        ])
    func unescape(_ escaped: String, _ plain: String) {
        #expect(EscapedText(escaped.buffer).unescaped() == plain)
    }

    @Test(
        "content is told from what cannot stand between quotes",
        arguments: [
            ("", true), ("abc", true), (#"a\nb\ud83d\ude00é"#, true), (#"a"b"#, false), ("a\"", false), (#"a\"#, false),
            (#"a\\"#, true),
            (#"\u12"#, false), (#"\ud83d"#, false), (#"\ud83d\"#, false), ("a\nb", false), (#"\q"#, false),
        ])
    func content(_ text: String, _ isContent: Bool) {
        #expect((EscapedText(checking: text.buffer) != nil) == isContent)
    }

    @Test("content that ends inside a character is refused")
    func cutCharacter() {
        #expect(EscapedText(checking: ByteBuffer(bytes: [0x61, 0xF0, 0x9F, 0x98])) == nil)
        #expect(EscapedText(checking: ByteBuffer(bytes: [0x61, 0xF0, 0x9F, 0x98, 0x80])) != nil)
    }

    @Test("texts are joined without touching what they came from")
    func joined() {
        let first = EscapedText(#"a\n"#.buffer)
        var sum = EscapedText() + first
        sum.append(EscapedText("b".buffer))
        sum.append(EscapedText())
        #expect(sum.bytes.shown == #"a\nb"#)
        #expect(first.bytes.shown == #"a\n"#)
        #expect(EscapedText().isEmpty && !sum.isEmpty)
    }

    @Test(
        "an open surrogate pair at the end is seen",
        arguments: [
            (#"a\ud83d"#, true), (#"\uDBFF"#, true), (#"\ud83d\ude00"#, false), (#"\\ud83d"#, false),
            (#"\\\ud83d"#, true), ("ud83d", false),
            (#"\ud83dx"#, false), (#"\ud7ff"#, false), (#"\ud8"#, false), ("", false),
        ])
    func highSurrogate(_ text: String, _ isOpen: Bool) {
        #expect(EscapedText(text.buffer).endsInHighSurrogate == isOpen)
    }
}
