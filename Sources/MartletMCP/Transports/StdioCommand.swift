/// A program to run as a server. Arguments reach it as they are; nothing is read as shell text.
package struct StdioCommand: Sendable, Hashable {
    /// A path, or a name to be looked up in `PATH`.
    package var program: String
    package var arguments: [String]
    /// All it gets.
    package var environment: [String: String]
    /// The folder it runs in.
    package var folder: String
    /// Struck out of whatever it writes before that is told, such as keys: the longest first.
    private var secrets: [String]

    /// - Parameter secrets: values that nobody is to read; those of less than four characters are none.
    package init(
        program: String, arguments: [String] = [], environment: [String: String], folder: String,
        secrets: [String] = []
    ) {
        self.secrets = secrets.filter { $0.count >= 4 }.sorted { $0.count > $1.count }
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.folder = folder
    }

    /// What it has written, as it may be told.
    func withoutSecrets(_ text: String) -> String {
        secrets.reduce(text) { $0.replacing($1, with: "***") }
    }

    /// What of our own variables a server gets: what programs need to run at all. Keys and addresses of ours stay here.
    private static let inherited = [
        "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
    ]

    /// The environment of a server, of ours and what `mcp.json` gives it.
    package static func environment(_ ours: [String: String], adding theirs: [String: String]) -> [String: String] {
        ours.filter { inherited.contains($0.key) }.merging(theirs) { $1 }
    }
}
