import MartletCommands
import Testing

@Suite("a line that is typed into a talk")
struct LineEditorTests {
    /// A terminal of 20 columns and 5 rows.
    struct Typing {
        var keys = TerminalKeys(limit: LineEditor.limit)
        var editor = LineEditor()

        /// What came of each key that did more than change the line.
        mutating func type(_ text: String) -> [LineEditor.Outcome] { type(Array(text.utf8)) }

        mutating func type(_ bytes: [UInt8]) -> [LineEditor.Outcome] {
            bytes.compactMap { keys.take($0).flatMap { editor.take($0) } }
        }

        mutating func paste(_ text: String) -> [LineEditor.Outcome] { type("\u{1B}[200~\(text)\u{1B}[201~") }

        mutating func drawn() -> String { editor.drawing(columns: 20, rows: 5) }
    }

    @Test(
        "keys edit it",
        arguments: [
            ("hello", "hello"), ("helo\u{1B}[Dl", "hello"), ("hellö\u{7F}o", "hello"), ("one two \u{17}", "one "),
            ("one two\u{15}three", "three"), ("one\u{01}\u{0B}two", "two"), ("ne\u{1B}[Ho\u{1B}[Ft", "onet"),
            ("ne\u{1B}OHo\u{1B}OFt", "onet"), ("ne\u{1B}[1~o\u{1B}[4~t", "onet"), ("axb\u{02}\u{02}\u{1B}[3~", "ab"),
            ("axb\u{02}\u{02}\u{04}", "ab"), ("\u{7F}\u{1B}[D\u{1B}[Ca", "a"), ("a\u{1B}[1;5Cb\u{1B}[Zc", "abc"),
            ("a\\\rb", "a\nb"), ("a\u{1B}\rb", "a\nb"), ("日本\u{7F}語", "日語"), ("e\u{301}\u{7F}a", "a"),
            ("👨‍👩‍👧\u{7F}b", "b"), ("tab\tbed", "tab\tbed"), ("a\u{202E}b", "ab"),
        ])
    func editing(_ typed: String, _ text: String) {
        var typing = Typing()
        #expect(typing.type(typed + "\r") == [.entered(text)])
    }

    @Test("what is no UTF-8 is passed over, and so are sequences that mean nothing")
    func malformed() {
        var typing = Typing()
        let bytes: [UInt8] = [0xFF, 0x61, 0xC3, 0x62, 0x80, 0x1B, 0x5B] + [UInt8](repeating: 0x31, count: 99) + [0x0D]
        #expect(typing.type(bytes) == [.entered("ab")])
    }

    @Test("Ctrl-C, Ctrl-Z and Ctrl-D at an empty line are told")
    func ends() {
        var typing = Typing()
        #expect(typing.type("\u{03}\u{1A}\u{04}") == [.interrupted, .stopped, .ended])
        #expect(typing.type("a\u{04}\u{02}\u{03}") == [.interrupted])
        #expect(!typing.editor.isEmpty)
    }

    @Test("a paste of many lines is one message, shown in few words")
    func paste() {
        var typing = Typing()
        let text = (1...10).map { "line \($0) \u{1B}[31m" }.joined(separator: "\r\n")
        #expect(typing.type("Explain: ").isEmpty)
        #expect(typing.paste(text).isEmpty)
        #expect(typing.editor.drawing(columns: 60, rows: 24) == "> Explain: [pasted: 10 lines]")
        let whole = (1...10).map { "line \($0) [31m" }.joined(separator: "\n")
        #expect(typing.type("\r") == [.entered("Explain: " + whole)])
        typing.editor.begin()
        #expect(typing.paste(String(repeating: "é", count: 9000)).isEmpty)
        #expect(typing.editor.drawing(columns: 60, rows: 24) == "> [pasted: 9000 characters]")
        #expect(typing.type("\u{7F}\r") == [.entered("")], "it goes as one thing")
    }

    @Test("a short paste is shown as it is, and typed on")
    func shortPaste() {
        var typing = Typing()
        #expect(typing.paste("def f(x):\r\treturn x\r").isEmpty)
        #expect(typing.drawn() == "> def f(x):\r\n…     return x\r\n… ")
        #expect(typing.type("#\r") == [.entered("def f(x):\n\treturn x\n#")])
    }

    @Test("bytes that look like the end of a paste are of it; Ctrl-C leaves one whose end is lost")
    func pasteEnd() {
        var typing = Typing()
        #expect(typing.paste("a\u{1B}[20\u{1B}[2\u{1B}b").isEmpty)
        #expect(typing.type("\r") == [.entered("a[20[2b")])
        #expect(typing.type("\u{1B}[200~lost\r") == [])
        #expect(typing.type("\u{03}") == [.interrupted])
    }

    @Test("a message has a bound, which a paste, typing and a second paste keep")
    func bound() {
        var typing = Typing()
        let whole = String(repeating: "a", count: LineEditor.limit)
        #expect(typing.paste(whole + "b") == [.refused(LineEditor.limit + 1)])
        #expect(typing.editor.isEmpty)
        #expect(typing.paste(whole).isEmpty)
        #expect(typing.type("b") == [.refused(LineEditor.limit + 1)])
        #expect(typing.paste("two") == [.refused(LineEditor.limit + 3)])
        #expect(typing.type("\r") == [.entered(whole)])
    }

    @Test("up and down bring back what was sent, and what was being typed")
    func history() {
        var typing = Typing()
        for line in ["one", "two", "two", " "] {
            #expect(typing.type(line + "\r") == [.entered(line)])
            typing.editor.begin()
        }
        let (up, down) = ("\u{1B}[A", "\u{1B}OB")
        #expect(typing.type("dra\(up)\r") == [.entered("two")])
        #expect(typing.type("\(up)\(up)\r") == [.entered("one")])
        #expect(typing.type("\(down)\(down)\(down)ft\r") == [.entered("draft")])
    }

    @Test("it is drawn in the place of what was drawn before, in rows that it breaks itself")
    func drawing() {
        var typing = Typing()
        #expect(typing.drawn() == "> ")
        _ = typing.type("hello")
        #expect(typing.drawn() == "\r\u{1B}[J> hello")
        #expect(typing.drawn() == "", "nothing has changed")
        _ = typing.type(String(repeating: "x", count: 13))
        #expect(typing.drawn() == "\r\u{1B}[J> helloxxxxxxxxxxxxx\r\n", "a full row begins the next")
        _ = typing.type("日\u{02}\u{02}\u{02}")
        #expect(typing.drawn() == "\u{1B}[1A\r\u{1B}[J> helloxxxxxxxxxxxxx\r\n日\u{1B}[1A\r\u{1B}[18C")
        #expect(typing.editor.lastDrawing(columns: 20, rows: 5) == "\r\u{1B}[J> helloxxxxxxxxxxxxx\r\n日\r\n")
    }

    @Test("a wide character that does not fit begins the next row")
    func wide() {
        var typing = Typing()
        _ = typing.type("x" + String(repeating: "日", count: 9))
        #expect(typing.drawn() == "> x日日日日日日日日\r\n日")
    }

    @Test("of a line that is higher than the terminal the rows around the cursor are shown")
    func high() {
        var typing = Typing()
        _ = typing.type((1...7).map(String.init).joined(separator: "\\\r"))
        #expect(typing.drawn() == "… 3\r\n… 4\r\n… 5\r\n… 6\r\n… 7")
        _ = typing.type("\u{01}")
        #expect(typing.drawn() == "\u{1B}[4A\r\u{1B}[J> 1\r\n… 2\r\n… 3\r\n… 4\r\n… 5\u{1B}[4A\r\u{1B}[2C")
        typing.editor.forgetDrawing()
        #expect(typing.drawn().hasPrefix("> 1\r\n"))
    }

    @Test(
        "characters take the columns that terminals give them",
        arguments: [
            ("a", 1), ("é", 1), ("e\u{301}", 1), ("日", 2), ("한", 2), ("ｱ", 1), ("Ａ", 2), ("👍", 2), ("👍🏽", 2), ("🇩🇪", 2),
            ("❤\u{FE0F}", 2), ("❤", 1), ("\u{200B}", 0), ("→", 1),
        ] as [(Character, Int)])
    func columns(_ character: Character, _ columns: Int) { #expect(character.columns == columns) }
}
