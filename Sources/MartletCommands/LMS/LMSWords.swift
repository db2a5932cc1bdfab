/// The command lines of `lms`, as far as they are our own commands under other names.
package enum LMSWords {
    /// Whether a program that was called by this name stands for `lms`: a link of that name is enough.
    /// - Parameter program: the first word of the command line.
    package static func isMeant(by program: String) -> Bool {
        program.split(separator: "/").last.map { $0 == "lms" } ?? false
    }

    // MARK: Commands that are not here

    /// The sentence for a command that LM Studio has and this program has not; nil: it is another one.
    /// - Parameter words: of the command line, without the program.
    package static func refusal(_ words: [String]) -> String? {
        guard let command = words.first(where: { !$0.hasPrefix("-") }) else { return nil }
        let reasons = [
            "login": "there is no account to log in to; tokens of Hugging Face are taken from HF_TOKEN",
            "logout": "there is no account to log out of", "whoami": "there is no account",
            "push": "nothing is published from here", "clone": "nothing is published from here; models come by lms get",
            "dev": "plugins of LM Studio do not run here; MCP servers do",
            "create": "plugins of LM Studio do not run here",
            "link":
                "machines are not linked; put another one's server before this one with martlet serve --upstream URL",
            "runtime": "engines are installed and listed by martlet engine",
            "bootstrap": "this program puts itself nowhere; a link named lms to it is enough",
            "flags": "there are no feature flags",
        ]
        return reasons[command].map { "lms \(command) is LM Studio's own, and Martlet does not have it: \($0)" }
    }

    // MARK: Sentences

    /// Our own sentence for whoever calls the program `lms`: commands that it names are those of `lms`.
    package static func own(_ sentence: String) -> String {
        let commands = [
            ("martlet get OWNER/REPOSITORY", "lms get owner/name"), ("martlet ls --served", "lms ls"),
            ("martlet ls", "lms ls"), ("martlet get", "lms get"), ("martlet search", "lms get"),
            ("martlet load", "lms load"), ("martlet unload", "lms unload"), ("martlet ps", "lms ps"),
        ]
        return commands.reduce(sentence) { $0.replacing($1.0, with: $1.1) }
    }

    // MARK: get

    /// The command line of `martlet get`.
    /// - Parameter name: keywords, `owner/name`, `name@quant` or an address.
    package static func get(
        _ name: [String], yes: Bool, mlx: Bool, selects: Bool = false, limit: Int? = nil
    ) throws(LMSRefusal) -> [String] {
        guard !mlx else {
            throw LMSRefusal(
                "--mlx asks for a model in a format that only Apple's own engine runs: leave it out to get GGUF")
        }
        guard !name.isEmpty else {
            throw LMSRefusal("name a model, as in: lms get owner/name, or words to look for")
        }
        return (yes ? ["--yes"] : []) + (selects ? ["--select"] : []) + (limit.map { ["--limit", "\($0)"] } ?? []) + [
            "--"
        ] + name.map(reference)
    }

    /// `name@quant` as we write it: `name:quant`. An `@` in an address is part of it.
    package static func reference(_ name: String) -> String {
        guard !name.contains("://"), let at = name.lastIndex(of: "@"), at != name.startIndex else { return name }
        let quantisation = name[name.index(after: at)...]
        return quantisation.isEmpty ? name : "\(name[..<at]):\(quantisation.uppercased())"
    }
}

/// Why a command of `lms` does nothing: one sentence.
package struct LMSRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}
