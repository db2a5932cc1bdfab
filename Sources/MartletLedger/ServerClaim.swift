#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A number that one running server has among those that use a database. The system takes it back when the server's
/// process ends, however that ends: whose number nobody holds has ended.
package final class ServerClaim: Sendable {
    /// Servers that can use one database at a time.
    package static let most = 64

    /// 1…64.
    package let number: Int
    private let folder: String
    private let file: Int32

    /// Takes the lowest number that is free.
    /// - Parameter folder: of the database; each number is a lock on a file there.
    /// - Throws: `unavailable`.
    package init(in folder: String) throws(LedgerError) {
        for number in 1...Self.most {
            let file = open(Self.path(folder, number), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0 else {
                throw LedgerError(
                    .unavailable, "the folder of the database martlet.db cannot be written; look at its permissions")
            }
            if flock(file, LOCK_EX | LOCK_NB) == 0 {
                self.number = number
                self.folder = folder
                self.file = file
                return
            }
            close(file)
        }
        throw LedgerError(.unavailable, "\(Self.most) servers use the database martlet.db already")
    }

    deinit { close(file) }

    /// Whether the server of this number still runs, this one or another.
    package func isAtWork(_ number: Int) -> Bool {
        guard number != self.number else { return true }
        let file = open(Self.path(folder, number), O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return flock(file, LOCK_EX | LOCK_NB) != 0
    }

    private static func path(_ folder: String, _ number: Int) -> String { "\(folder)/martlet.db.server-\(number)" }
}
