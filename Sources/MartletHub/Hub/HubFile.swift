/// What a file's content must add up to.
package enum FileDigest: Sendable, Hashable {
    /// Of files the hub keeps by their content, as it does with all that are large. Lower-case hex.
    case sha256(String)
    /// Of files that lie in git itself: SHA-1 of `blob <size>`, a zero byte and the content. Lower-case hex.
    case gitBlob(String)

    /// Lower-case hex.
    package var hex: String {
        switch self {
        case .sha256(let hex), .gitBlob(let hex): hex
        }
    }

    /// nil when the text is no SHA-256.
    package init?(sha256 text: String) {
        guard Self.isHex(text, digits: 64) else { return nil }
        self = .sha256(text.lowercased())
    }

    /// nil when the text is no SHA-1.
    package init?(gitBlob text: String) {
        guard Self.isHex(text, digits: 40) else { return nil }
        self = .gitBlob(text.lowercased())
    }

    static func isHex(_ text: String, digits: Int) -> Bool {
        text.utf8.count == digits
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                    UInt8(ascii: "A")...UInt8(ascii: "F"):
                    true
                default: false
                }
            }
    }
}

/// A file in a repository.
package struct HubFile: Sendable, Hashable {
    /// Below the repository's root; stays there (``HubName/isPath(_:)``).
    package var path: String
    package var bytes: Int64
    package var digest: FileDigest
    /// The files that make it one behind the other, where it lies at the hub in such (`x.gguf.part1of2`); else none.
    package private(set) var pieces: [HubFile] = []

    package init(path: String, bytes: Int64, digest: FileDigest) {
        self.path = path
        self.bytes = bytes
        self.digest = digest
    }

    /// The file that pieces make, in order; nil when they are none, or their sizes make no sense.
    init?(path: String, joining pieces: [HubFile]) {
        var bytes: Int64 = 0
        for piece in pieces {
            let (sum, overflow) = bytes.addingReportingOverflow(piece.bytes)
            guard piece.bytes > 0, !overflow else { return nil }
            bytes = sum
        }
        guard bytes > 0 else { return nil }
        self.init(path: path, bytes: bytes, digest: Digester.name(of: pieces))
        self.pieces = pieces
    }

    func isMade(of path: String) -> Bool { pieces.contains { $0.path == path } }

    /// What is asked for at the hub to get it.
    var sources: [HubFile] { pieces.isEmpty ? [self] : pieces }

    /// Which source its next byte is of, when there are so many, and with how many bytes that begins.
    func source(after bytes: Int64) -> (file: HubFile, begin: Int64) {
        var begin: Int64 = 0
        for source in sources.dropLast() {
            guard bytes >= begin + source.bytes else { return (source, begin) }
            begin += source.bytes
        }
        return (sources.last ?? self, begin)
    }

    /// Without folders.
    package var name: String { path.split(separator: "/").last.map(String.init) ?? path }
}

/// A repository with its files as of one commit.
package struct HubModel: Sendable, Hashable {
    /// `owner/name` as the hub spells it now: a repository may have been renamed.
    package var id: String
    package var owner: String
    package var name: String
    /// The commit that the revision stood for: all files are got from it.
    package var commit: String
    /// Whether the owner wants conditions accepted.
    package var isGated: Bool
    package var files: [HubFile]

    package init(owner: String, name: String, commit: String, isGated: Bool = false, files: [HubFile]) {
        id = "\(owner)/\(name)"
        self.owner = owner
        self.name = name
        self.commit = commit
        self.isGated = isGated
        self.files = files
    }
}

/// One repository that a search found.
package struct HubMatch: Sendable, Hashable {
    /// `owner/name`.
    package var id: String
    /// In the last month.
    package var downloads: Int
    package var likes: Int
    package var isGated: Bool
}
