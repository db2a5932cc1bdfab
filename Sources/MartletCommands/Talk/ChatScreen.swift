/// How an answer looks while it comes: bars while a model is loaded and a prompt is read, then the text.
///
/// Text goes to stdout, all else to stderr, so that an answer can be piped on.
package struct ChatScreen: Sendable, Hashable {
    package enum Output: Sendable, Hashable {
        case text(String)
        case aside(String)
    }

    private enum Open: Sendable, Hashable { case nothing, bar, reasoning, text }

    /// What the model is called on the bars.
    private let name: String
    /// Stderr is a terminal: bars move. Else loading is told in lines, and reading where it takes its time.
    private let movesBars: Bool
    private let dims: Bool
    private let showsReasoning: Bool
    private var open = Open.nothing
    private var tenths = Tenths()
    private var tenthsRead = Tenths()
    /// Why it was said last that the model waits.
    private var told: String?

    package init(name: String, movesBars: Bool, dims: Bool, showsReasoning: Bool) {
        self.name = TerminalText.safe(name)
        self.movesBars = movesBars
        self.dims = dims
        self.showsReasoning = showsReasoning
    }

    /// - Parameter columns: of the terminal.
    package mutating func show(_ step: ChatStep, columns: Int) -> [Output] {
        switch step {
        case .waiting(let reason):
            let text = TerminalText.safe(reason)
            guard movesBars else {
                defer { told = text }
                return told == text ? [] : [.aside("\(text)\n")]
            }
            return line(String(text.prefix(max(columns - 1, 0))))
        case .loading(let share):
            guard !movesBars else { return bar("loading \(name)", share, columns) }
            return tenths.isNew(share) ? [.aside("loading \(name): \(ProgressLine.percent(share))\n")] : []
        case .loaded(let seconds):
            return close() + [.aside("\(name) is loaded, in \(Shown.seconds(seconds))\n")]
        case .reading(let share):
            guard !movesBars else { return bar("reading the prompt", share, columns) }
            if share <= 0 { tenthsRead = Tenths() }
            guard share > 0, share < 1, tenthsRead.isNew(share) else { return [] }
            return close() + [.aside("reading the prompt: \(ProgressLine.percent(share))\n")]
        case .reasoning(let text):
            guard showsReasoning else { return [] }
            let begins = open != .reasoning
            let before = begins ? close() : []
            open = .reasoning
            let shown = TerminalText.safe(text)
            if dims { return before + [.aside("\u{1B}[2m\(shown)\u{1B}[0m")] }
            return before + [.aside((begins ? "thinking: " : "") + shown)]
        case .text(let text):
            let before = open == .text ? [] : close()
            open = .text
            return before + [.text(TerminalText.safe(text))]
        case .tool(let tool): return close() + [.aside("uses \(TerminalText.safe(tool))\n")]
        case .failed, .ended: return close()
        }
    }

    /// Ends what is open, before something else is written.
    package mutating func close() -> [Output] {
        defer { open = .nothing }
        switch open {
        case .nothing: return []
        // The bar goes: what it showed is over.
        case .bar: return [.aside("\r\u{1B}[K")]
        case .reasoning: return [.aside(dims ? "\n\n" : "\n")]
        case .text: return [.text("\n")]
        }
    }

    private mutating func bar(_ what: String, _ share: Double, _ columns: Int) -> [Output] {
        line(ProgressLine.bar(what, share, ProgressLine.percent(share), columns: columns))
    }

    /// Stands in the place of the one before it.
    private mutating func line(_ text: String) -> [Output] {
        let before = open == .bar ? [] : close()
        open = .bar
        return before + [.aside("\r\(text)\u{1B}[K")]
    }
}
