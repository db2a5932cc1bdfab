import MartletCommands

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The messages that a user types into a talk on a terminal: edited where the terminal can be drawn on, else its lines.
struct TypedLines {
    private var keys = TerminalKeys(limit: LineEditor.limit)
    private var editor = LineEditor()
    /// What has been typed ahead.
    private var typed: ArraySlice<UInt8> = []
    private let isEdited = Surroundings.movesBars && LineTerminal.begin()

    /// What the user sends next; nil at the end of the input. Ctrl-C at an empty line ends the program.
    mutating func next() -> String? {
        guard isEdited else { return Self.line() }
        LineTerminal.setKeyboardSignals(false)
        defer { LineTerminal.setKeyboardSignals(true) }
        editor.begin()
        while true {
            while let byte = typed.popFirst() {
                guard let key = keys.take(byte), let outcome = editor.take(key) else { continue }
                switch outcome {
                case .entered(let text):
                    close()
                    return text
                case .ended:
                    close()
                    return nil
                case .interrupted:
                    let isEmpty = editor.isEmpty
                    close()
                    guard !isEmpty else { Surroundings.leave(ExitCodes.interrupted) }
                    editor.begin()
                case .refused(let bytes):
                    close()
                    Surroundings.complain(
                        "\(Surroundings.program): a message takes at most \(LineEditor.limit) bytes, and this would be "
                            + "\(bytes): what came last is left out. A file is asked about with: "
                            + "\(Surroundings.program) chat \(Surroundings.isLMS ? "-p " : "")\"question\" < FILE")
                    editor.forgetDrawing()
                case .stopped: LineTerminal.stop()
                }
            }
            draw()
            switch LineTerminal.read() {
            case .bytes(let bytes): typed = bytes
            case .resumed: editor.forgetDrawing()
            case .ended:
                close()
                return nil
            }
        }
    }

    private mutating func draw() {
        let (columns, rows) = Surroundings.size
        Surroundings.putAside(editor.drawing(columns: columns, rows: rows))
    }

    private mutating func close() {
        let (columns, rows) = Surroundings.size
        Surroundings.putAside(editor.lastDrawing(columns: columns, rows: rows))
    }

    /// A line as the terminal edits it. A backslash at its end goes on with the next.
    private static func line() -> String? {
        var text = ""
        while true {
            guard let line = Surroundings.answer(to: text.isEmpty ? "> " : "… ") else {
                Surroundings.putAside("\n")
                return text.isEmpty ? nil : text
            }
            guard line.hasSuffix("\\") else { return TerminalText.safe(text + line) }
            text += line.dropLast() + "\n"
        }
    }
}
