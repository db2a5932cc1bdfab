/// A line that is typed into a chat.
package enum ChatLine: Sendable, Hashable {
    case question(String)
    case help, new, exit, nothing
    /// Nil: which one it is.
    case model(String?)
    /// Nil: which one it is.
    case system(String?)
    /// A command that there is not.
    case unknown(String)

    /// What `/help` says.
    package static let commands = [
        "/model NAME   talk to another model", "/system TEXT  give it another system text, and begin anew",
        "/new          forget what was said", "/exit         leave, as Ctrl-D does",
        "Ctrl-C cancels an answer. A backslash at a line's end goes on with the next line. What is pasted is one message.",
    ]

    package init(_ line: String) {
        let text = Self.trimmed(line[...])
        guard text.hasPrefix("/") else {
            self = text.isEmpty ? .nothing : .question(line)
            return
        }
        let name = text.prefix { !$0.isWhitespace }
        let rest = Self.trimmed(text.dropFirst(name.count))
        let word = rest.isEmpty ? nil : String(rest)
        switch name {
        case "/help", "/?": self = .help
        case "/new", "/clear": self = .new
        case "/exit", "/quit", "/bye": self = .exit
        case "/model": self = .model(word)
        case "/system": self = .system(word)
        // A path is more likely to be asked about than a command that has a second slash.
        case _ where name.dropFirst().contains("/"): self = .question(line)
        // So are lines that were pasted.
        case _ where text.contains(where: \.isNewline): self = .question(line)
        default: self = .unknown(String(name))
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
