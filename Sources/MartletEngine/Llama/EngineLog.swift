/// An engine's log, made fit to be shown to whoever asked for a reply: no folder of this machine, no word of a request.
package enum EngineLog {
    /// Lines of the log without the folders in them, and without what is meant for us.
    /// - Parameters:
    ///   - served: the engine has had requests. Lines in which llama.cpp may quote one are left out.
    static func shown(_ lines: [String], of plan: LaunchPlan, served: Bool) -> [String] {
        lines.filter { !$0.hasPrefix(LoadReport.mark) && (!served || !mayQuote($0)) }.map { line in
            // Known in full, so they may hold spaces.
            let line = line.replacing(plan.model.path, with: plan.model.file)
                .replacing(plan.socketPath, with: "its socket")
            return withoutFolders(line)
        }
    }

    /// A line for whoever reads along while the engine works, bare, and how grave it is; nil for one that is not shown.
    ///
    /// Of an engine that has had requests only lines that bear llama.cpp's stamp, as what follows one may be a request's
    /// text, and those that tell how long an answer took, which are numbers.
    package static func told(
        _ line: String, of plan: LaunchPlan, served: Bool
    ) -> (level: Character, text: String)? {
        let mark = level(of: line)
        if isTiming(bare(line)) { return (mark ?? "I", bare(line)) }
        guard !served || mark != nil, let shown = shown([line], of: plan, served: served).first else { return nil }
        let text = bare(shown)
        return text.allSatisfy(\.isWhitespace) ? nil : (mark ?? "I", text)
    }

    /// `prompt eval time = 55.32 ms / 11 tokens ( 5.03 ms per token, 198.83 tokens per second)`, or the same behind
    /// `slot print_timing: id 3 | task 0 |`: a few words, and numbers.
    private static func isTiming(_ line: String) -> Bool {
        line.contains(" time = ") && line.utf8.count < 200
            && line.split { !$0.isLetter }.allSatisfy { timingWords.contains(String($0)) }
    }

    private static let timingWords: Set<String> = [
        "slot", "print", "timing", "id", "task", "prompt", "eval", "total", "time", "ms", "token", "tokens", "per",
        "second", "runs",
    ]

    /// The line that most likely says why the engine ended, bare. While loading that is the first complaint, of which
    /// the later ones are consequences; of an engine that had worked, the last. Nil when none of them does: who is
    /// killed by a signal complains of nothing.
    static func reason(in lines: [String], served: Bool, end: ChildProcess.End) -> String? {
        var candidates = lines.filter { level(of: $0) == "E" }
        if candidates.isEmpty {
            candidates = lines.filter { line in
                let line = line.lowercased()
                return ["error", "failed", "out of memory", "not found"].contains { line.contains($0) }
            }
        }
        if candidates.isEmpty, case .code = end { candidates = lines.suffix(1) }
        return (served ? candidates.last : candidates.first).map(bare)
    }

    /// The line without llama.cpp's time stamp and level.
    package static func bare(_ line: String) -> String {
        level(of: line) == nil ? line : String(line.drop { $0 != " " }.dropFirst(3))
    }

    /// The level of a line as llama.cpp writes them, `0.00.003.346 E gguf_init: …`; nil for any other line.
    private static func level(of line: String) -> Character? {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count == 3, words[1].count == 1, words[0].allSatisfy({ $0.isNumber || $0 == "." }) else {
            return nil
        }
        return words[1].first
    }

    /// Words beside which llama.cpp prints text of a request or a reply: complaints about a template, a
    /// message, a grammar or JSON, and whatever holds JSON itself. Broad on purpose: a line too few
    /// costs less than a prompt in a log.
    private static let quoting = [
        "{", "parse", "template", "message", "prompt", "content", "grammar", "json", "exception", "token", "input",
    ]

    private static func mayQuote(_ line: String) -> Bool {
        let line = line.lowercased()
        return quoting.contains { line.contains($0) }
    }

    /// The line with each absolute path replaced by its last component: `open '/home/me/x.gguf'` → `open 'x.gguf'`.
    ///
    /// A path ends at a space, a quote or punctuation that seldom stands in names; one that begins behind a quote ends
    /// at the same quote, spaces and all.
    package static func withoutFolders(_ line: String) -> String {
        guard line.contains("/") else { return line }
        var shown = ""
        var rest = line[...]
        var before: Character?
        while let next = rest.first {
            if rest.hasPrefix("//") {
                let address = rest.prefix { !$0.isWhitespace && !"'\"`".contains($0) }
                shown += address
                rest = rest[address.endIndex...]
                before = address.last
                continue
            }
            let isHome = next == "~" && rest.dropFirst().first == "/"
            guard next == "/" || isHome, mayPrecede(before) else {
                shown.append(next)
                before = next
                rest = rest.dropFirst()
                continue
            }
            let quote = before.flatMap { "'\"`".contains($0) ? $0 : nil }
            let end = quote.flatMap { quote in rest.firstIndex(of: quote) } ?? rest.firstIndex(where: endsPath)
            let path = rest[..<(end ?? rest.endIndex)]
            shown += path.split(separator: "/").last.map(String.init) ?? "/"
            rest = rest[path.endIndex...]
            before = path.last
        }
        return shown
    }

    /// Whether a path may begin behind this character. Behind a letter a slash divides words, behind another slash it
    /// belongs to a URL.
    private static func mayPrecede(_ character: Character?) -> Bool {
        guard let character else { return true }
        return !(character.isLetter || character.isNumber || "/._-~".contains(character))
    }

    private static func endsPath(_ character: Character) -> Bool {
        character.isWhitespace || "'\"`,;:()[]<>|".contains(character)
    }
}
