/// A repository at the hub and what is wanted of it.
package struct RepositoryReference: Sendable, Hashable {
    /// Which of a repository's files.
    package enum Choice: Sendable, Hashable {
        /// As ``FilePlan`` chooses by itself.
        case automatic
        /// A quantisation such as `q4_k_m`, letter case aside.
        case quantisation(String)
        /// A path in the repository, or a file's name.
        case file(String)
    }

    package var owner: String
    package var name: String
    /// A branch, tag or commit.
    package var revision: String
    package var choice: Choice

    /// - Throws: `invalidReference` when a part of it could not be a name at the hub.
    package init(
        owner: String, name: String, revision: String = "main", choice: Choice = .automatic
    ) throws(HubError) {
        for part in [owner, name] where !HubName.isOwnerOrRepository(part) {
            throw HubError(
                .invalidReference,
                "\(ModelReference.quoted(part)) cannot be an owner or a repository at Hugging Face: letters, digits, "
                    + "\"-\", \"_\" and \".\", at most \(HubName.longest), as in owner/repository")
        }
        guard HubName.isRevision(revision) else {
            throw HubError(
                .invalidReference, "\(ModelReference.quoted(revision)) cannot be a branch, tag or commit, as main is")
        }
        switch choice {
        case .automatic: break
        case .quantisation(let name):
            guard HubName.isOwnerOrRepository(name) else {
                throw HubError(
                    .invalidReference, "\(ModelReference.quoted(name)) cannot be a quantisation, as q4_k_m is")
            }
        case .file(let path):
            guard HubName.isPath(path), path.lowercased().hasSuffix(".gguf") else {
                throw HubError(
                    .invalidReference,
                    "\(ModelReference.quoted(path)) cannot be a model's file in a repository: its name ends in .gguf")
            }
        }
        self.owner = owner
        self.name = name
        self.revision = revision
        self.choice = choice
    }

    /// `owner/name`.
    package var id: String { "\(owner)/\(name)" }
}

/// What a user asks to get.
///
/// | form | meaning |
/// |---|---|
/// | `owner/repo`, `owner/repo:quant`, `owner/repo@quant` | a repository |
/// | `owner/repo/file.gguf`, `owner/repo/folder/file.gguf` | a file of it |
/// | `hf.co/…`, `huggingface.co/…`, `https://huggingface.co/…` | the same |
/// | `…/blob/REV/file.gguf`, `…/resolve/REV/file.gguf`, `…/tree/REV` of those | another branch, tag or commit |
/// | `…?show_file_info=file.gguf` of those | the file that the page shows |
/// | `words`, `words@quant` | a search |
package enum ModelReference: Sendable, Hashable {
    case repository(RepositoryReference)
    /// Words to look for, and the quantisation that was asked for with them.
    case keywords(String, quantisation: String?)

    /// Bytes.
    package static let longest = 2048

    /// - Parameter mirror: the host of `HF_ENDPOINT`, with its port if it has one, whose URLs are taken as the hub's.
    /// - Throws: `invalidReference`.
    package init(_ text: String, mirror: String? = nil) throws(HubError) {
        let text = text.trimmed
        guard !text.isEmpty else {
            throw HubError(.invalidReference, "say which model to get, as in owner/repository or qwen3 8b")
        }
        guard text.utf8.count <= Self.longest, !HubName.hasControls(text), !text.contains("\\") else {
            throw HubError(
                .invalidReference,
                "a model's name has no backslashes or control characters, and at most \(Self.longest) bytes")
        }
        let hosts = ["huggingface.co", "www.huggingface.co", "hf.co"] + (mirror.map { [$0.lowercased()] } ?? [])
        if let scheme = text.firstRange(of: "://") {
            guard ["http", "https"].contains(text[..<scheme.lowerBound].lowercased()) else {
                throw HubError(.invalidReference, "\(Self.quoted(text)) is no https address of Hugging Face")
            }
            let rest = text[scheme.upperBound...]
            let host = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            guard hosts.contains(host.lowercased()) else {
                throw HubError(
                    .invalidReference,
                    "models are got from Hugging Face, not from \(Self.quoted(String(host))): use an address that "
                        + "begins with https://huggingface.co/, or set HF_ENDPOINT to a mirror")
            }
            self = .repository(try Self.page(rest.dropFirst(host.count)))
        } else if let slash = text.firstIndex(of: "/"), hosts.contains(text[..<slash].lowercased()) {
            self = .repository(try Self.page(text[slash...]))
        } else if text.contains("/") {
            self = .repository(
                try Self.path(text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)))
        } else {
            let (words, quantisation) = Self.split(text, at: "@")
            guard words.contains(where: { $0.isLetter || $0.isNumber }) else {
                throw HubError(.invalidReference, "\(Self.quoted(text)) names no model")
            }
            self = .keywords(words, quantisation: quantisation)
        }
    }

    /// For a sentence: bounded, without what a terminal would obey.
    static func quoted(_ text: String) -> String {
        let shown = HubName.hasControls(text) ? "(a name with control characters)" : String(text.prefix(120))
        return "\"\(shown)\""
    }

    /// What follows the host in a page's URL.
    private static func page(_ path: Substring) throws(HubError) -> RepositoryReference {
        var parts: [String] = []
        for part in path.prefix(while: { $0 != "?" && $0 != "#" }).split(separator: "/") {
            guard let part = HubName.decoded(part) else {
                throw HubError(.invalidReference, "\(quoted(String(part))) in the address is not percent-encoded UTF-8")
            }
            parts.append(part)
        }
        if let kind = parts.first, ["datasets", "spaces", "collections", "papers"].contains(kind) {
            throw HubError(.invalidReference, "the address leads to \(kind), not to a model")
        }
        let shown = try shownFile(path)
        guard parts.count >= 4, ["blob", "resolve", "raw", "tree"].contains(parts[2]) else {
            guard let shown, parts.count == 2 else { return try self.path(parts) }
            return try RepositoryReference(owner: parts[0], name: parts[1], choice: shown)
        }
        let file = parts[4...].joined(separator: "/")
        if parts[2] == "tree" {
            if let shown {
                return try RepositoryReference(owner: parts[0], name: parts[1], revision: parts[3], choice: shown)
            }
            guard file.isEmpty else {
                throw HubError(
                    .invalidReference,
                    "the address leads to a folder: name a file of it, or a quantisation as in "
                        + "\(parts[0])/\(parts[1]):q4_k_m"
                )
            }
            return try RepositoryReference(owner: parts[0], name: parts[1], revision: parts[3])
        }
        return try RepositoryReference(owner: parts[0], name: parts[1], revision: parts[3], choice: .file(file))
    }

    /// What a page of a repository has opened: the hub's site puts it into the address.
    private static func shownFile(_ address: Substring) throws(HubError) -> RepositoryReference.Choice? {
        let query = address.drop { $0 != "?" }.dropFirst().prefix { $0 != "#" }
        let member = "show_file_info="
        guard let found = query.split(separator: "&").first(where: { $0.hasPrefix(member) }) else { return nil }
        guard let file = HubName.decoded(found.dropFirst(member.count)), !file.isEmpty else {
            throw HubError(.invalidReference, "\(quoted(String(found))) in the address names no file")
        }
        return .file(file)
    }

    private static func path(_ parts: [String]) throws(HubError) -> RepositoryReference {
        guard parts.count >= 2 else {
            throw HubError(.invalidReference, "the address leads to no model: its path is owner/repository")
        }
        guard parts.count == 2 else {
            return try RepositoryReference(
                owner: parts[0], name: parts[1], choice: .file(parts[2...].joined(separator: "/")))
        }
        for mark in [":", "@"] as [Character] {
            let (name, quantisation) = split(parts[1], at: mark)
            guard let quantisation else { continue }
            return try RepositoryReference(owner: parts[0], name: name, choice: .quantisation(quantisation))
        }
        return try RepositoryReference(owner: parts[0], name: parts[1])
    }

    private static func split(_ text: String, at mark: Character) -> (String, String?) {
        guard let at = text.lastIndex(of: mark) else { return (text, nil) }
        return (String(text[..<at]), String(text[text.index(after: at)...]))
    }

}
