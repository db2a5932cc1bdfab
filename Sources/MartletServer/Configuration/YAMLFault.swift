import Yams

/// Where and why a text is not YAML, without repeating the text: it may hold a key.
struct YAMLFault {
    var line: Int?
    var text: String

    init(_ error: any Error, in yaml: String) {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            // A text that ends too early is reported one line after its last.
            line = min(mark.line, yaml.split(separator: "\n", omittingEmptySubsequences: false).count)
            text = "this is not YAML: \(problem)"
        case .duplicatedKeysInMapping(let keys, let context):
            let key = keys.first ?? ""
            line = Self.second(key, in: yaml, from: context.mark.line)
            text = "the key \(key) stands here twice"
        default:
            text = "this is not YAML in UTF-8"
        }
    }

    func error(path: String) -> ConfigurationError {
        if let line { return Place(file: path, line: line).error(text) }
        return ConfigurationError("\(path): \(text)")
    }

    /// The line where a key stands for the second time at one indentation; `from` where it cannot be told.
    private static func second(_ key: String, in yaml: String, from: Int) -> Int {
        var seen: Set<Int> = []
        for (index, text) in yaml.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
        where index + 1 >= from {
            let trimmed = text.drop { $0 == " " }
            guard ["", "\"", "'"].contains(where: { trimmed.hasPrefix("\($0)\(key)\($0):") }) else { continue }
            if !seen.insert(text.count - trimmed.count).inserted { return index + 1 }
        }
        return from
    }
}
