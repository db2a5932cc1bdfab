/// What is typed into a talk, while it is typed: characters, pastes, a cursor, and the lines that were sent before.
///
/// A paste of many lines or characters is one thing in it, shown in few words.
package struct LineEditor: Sendable, Hashable {
    /// What a key brings about beside a change of what is shown.
    package enum Outcome: Sendable, Hashable {
        case entered(String)
        /// Something was left out, for the message would be longer than a message may be; bytes of all.
        case refused(Int)
        /// Ctrl-C, at an empty line or not; Ctrl-D at an empty one; Ctrl-Z.
        case interrupted, ended, stopped
    }

    enum Piece: Sendable, Hashable {
        /// A newline, too.
        case typed(Character)
        case pasted(String)

        var text: String {
            switch self {
            case .typed(let character): String(character)
            case .pasted(let text): text
            }
        }

        var isBlank: Bool {
            if case .typed(let character) = self { return character.isWhitespace }
            return false
        }
    }

    /// Bytes of a message: 1 MiB, more than a window of 128,000 tokens holds.
    package static let limit = 1 << 20
    /// A paste of more lines or characters than these is shown in few words.
    private static let shownLines = 8
    private static let shownCharacters = 600
    /// Lines that are remembered.
    private static let remembered = 100

    private(set) var pieces: [Piece] = []
    /// The cursor stands before the piece of this number.
    private(set) var cursor = 0
    private var bytes = 0
    private var sent: [[Piece]] = []
    /// Which of them is shown; nil: none.
    private var recalled: Int?
    /// What was typed before one of them was shown.
    private var draft: [Piece] = []
    /// The row of the cursor in what was drawn last, from its first; nil: nothing is drawn.
    private var drawnRow: Int?
    /// What was drawn last.
    private var drawn = ""

    package init() {}

    package var isEmpty: Bool { pieces.isEmpty }

    /// - Returns: nil: what is to be shown may have changed, and that is all.
    package mutating func take(_ key: TerminalKey) -> Outcome? {
        switch key {
        case .text(let text): return insert(typed: text)
        case .newline: return insert(typed: "\n")
        case .paste(let text): return insert(pasted: text)
        case .pasteTooLong(let count): return .refused(bytes + count)
        case .enter:
            if cursor > 0, case .typed("\\") = pieces[cursor - 1], cursor == pieces.count {
                erase(cursor - 1..<cursor)
                return insert(typed: "\n")
            }
            return .entered(pieces.map(\.text).joined())
        case .backspace: erase(max(cursor - 1, 0)..<cursor)
        case .delete: erase(cursor..<min(cursor + 1, pieces.count))
        case .eraseBefore: erase(0..<cursor)
        case .eraseBehind: erase(cursor..<pieces.count)
        case .eraseWord:
            var start = cursor
            while start > 0, pieces[start - 1].isBlank { start -= 1 }
            while start > 0, !pieces[start - 1].isBlank { start -= 1 }
            erase(start..<cursor)
        case .left: cursor = max(cursor - 1, 0)
        case .right: cursor = min(cursor + 1, pieces.count)
        case .home: cursor = 0
        case .end: cursor = pieces.count
        case .up: recall((recalled ?? sent.count) - 1)
        case .down: recall((recalled ?? sent.count) + 1)
        case .interrupt: return .interrupted
        case .stop: return .stopped
        case .endOfInput:
            guard !pieces.isEmpty else { return .ended }
            erase(cursor..<min(cursor + 1, pieces.count))
        }
        return nil
    }

    /// Begins a new line. What was typed is remembered, if there was something.
    package mutating func begin() {
        if pieces.contains(where: { !$0.isBlank }), pieces != sent.last { sent.append(pieces) }
        sent.removeFirst(max(sent.count - Self.remembered, 0))
        replace([])
        recalled = nil
        drawnRow = nil
    }

    // MARK: Changes

    private mutating func insert(typed text: String) -> Outcome? {
        // A scalar may go with the one before it: an accent, a part of an emoji.
        if cursor > 0, case .typed(let before) = pieces[cursor - 1], before != "\n", text != "\n" {
            let joined = String(before) + text
            if joined.count == 1, let whole = joined.first {
                guard bytes + text.utf8.count <= Self.limit else { return .refused(bytes + text.utf8.count) }
                bytes += text.utf8.count
                pieces[cursor - 1] = .typed(whole)
                return nil
            }
        }
        return insert(text.map(Piece.typed))
    }

    private mutating func insert(pasted text: String) -> Outcome? {
        let isShort = text.utf8.count <= 4 * Self.shownCharacters && text.count <= Self.shownCharacters
        guard isShort, Self.lines(of: text) <= Self.shownLines else { return insert([.pasted(text)]) }
        return insert(text.map(Piece.typed))
    }

    private mutating func insert(_ new: [Piece]) -> Outcome? {
        let more = Self.bytes(of: new)
        guard bytes + more <= Self.limit else { return .refused(bytes + more) }
        bytes += more
        pieces.insert(contentsOf: new, at: cursor)
        cursor += new.count
        return nil
    }

    private mutating func erase(_ range: Range<Int>) {
        bytes -= Self.bytes(of: pieces[range])
        pieces.removeSubrange(range)
        cursor = range.lowerBound
    }

    private mutating func recall(_ index: Int) {
        guard index >= 0, index <= sent.count, index != recalled ?? sent.count else { return }
        if recalled == nil { draft = pieces }
        recalled = index == sent.count ? nil : index
        replace(index == sent.count ? draft : sent[index])
    }

    private mutating func replace(_ new: [Piece]) {
        pieces = new
        cursor = new.count
        bytes = Self.bytes(of: new)
    }

    private static func bytes(of pieces: some Sequence<Piece>) -> Int { pieces.reduce(0) { $0 + $1.text.utf8.count } }

    /// A newline at the end begins no line.
    private static func lines(of text: String) -> Int {
        let count = text.utf8.count(where: { $0 == 0x0A })
        return text.utf8.last == 0x0A || text.isEmpty ? count : count + 1
    }

    // MARK: Drawing

    /// What puts the line in the place of its last drawing, with the cursor where it is; empty when nothing has changed.
    /// - Parameters:
    ///   - columns: of the terminal.
    ///   - rows: of the terminal; of a longer line those around the cursor are shown.
    package mutating func drawing(columns: Int, rows: Int) -> String {
        let drawing = LineDrawing(self, columns: max(columns, 4))
        let first = max(0, drawing.cursor.row - max(rows, 2) + 1)
        let last = min(drawing.rows.count, first + max(rows, 2))
        var text = drawing.rows[first..<last].joined(separator: "\r\n")
        if cursor < pieces.count {
            let (up, right) = (last - 1 - drawing.cursor.row, drawing.cursor.column)
            text += (up > 0 ? "\u{1B}[\(up)A" : "") + "\r" + (right > 0 ? "\u{1B}[\(right)C" : "")
        }
        defer { (drawn, drawnRow) = (text, drawing.cursor.row - first) }
        guard let drawnRow else { return text }
        guard text != drawn else { return "" }
        return (drawnRow > 0 ? "\u{1B}[\(drawnRow)A" : "") + "\r\u{1B}[J" + text
    }

    /// The same with the cursor behind all of it, and a new line below.
    package mutating func lastDrawing(columns: Int, rows: Int) -> String {
        cursor = pieces.count
        return drawing(columns: columns, rows: rows) + "\r\n"
    }

    /// Something else stands where the line was drawn.
    package mutating func forgetDrawing() { drawnRow = nil }

    /// What stands for a paste.
    static func label(of text: String) -> String {
        let lines = lines(of: text)
        return lines > 1 ? "[pasted: \(lines) lines]" : "[pasted: \(text.count) characters]"
    }
}

/// The rows of a line that is typed.
private struct LineDrawing {
    private(set) var rows = [""]
    private(set) var cursor = (row: 0, column: 0)
    /// Columns of the last row that are taken.
    private var width = 0
    private let columns: Int

    init(_ line: LineEditor, columns: Int) {
        self.columns = columns
        add("> ")
        for (index, piece) in line.pieces.enumerated() {
            let shown =
                switch piece {
                case .typed("\t"): "    "
                case .typed(let character): String(character)
                case .pasted(let text): LineEditor.label(of: text)
                }
            if let first = shown.first { makeRoom(for: first) }
            if index == line.cursor { cursor = (rows.count - 1, width) }
            if shown == "\n" {
                begin()
                add("… ")
            } else {
                add(shown)
            }
        }
        // A terminal that has filled a row may or may not have begun the next one.
        if width >= columns { begin() }
        if line.cursor == line.pieces.count { cursor = (rows.count - 1, width) }
    }

    private mutating func add(_ text: String) {
        for character in text {
            makeRoom(for: character)
            rows[rows.count - 1].append(character)
            width += character.columns
        }
    }

    private mutating func makeRoom(for character: Character) {
        if character != "\n", width + character.columns > columns { begin() }
    }

    private mutating func begin() {
        rows.append("")
        width = 0
    }
}
