internal import GRDB

/// Why the ledger cannot do what it was asked. The sentences are for users and name no path.
package struct LedgerError: Error, Hashable, Sendable {
    package enum Code: Sendable, Hashable {
        /// The disk, or the quota, is full.
        case full
        /// The file is no database, or a broken one.
        case corrupt
        /// It cannot be opened, read or written for another reason.
        case unavailable
        /// A newer Martlet wrote it.
        case tooNew
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The file, or what was read from it, is not what was written.
    package static let corrupt = LedgerError(
        .corrupt,
        "the database martlet.db is damaged; move it away and restart: a new one is made, what it held is lost")

    init(_ error: any Error) {
        guard let error = error as? DatabaseError else {
            self.init(.unavailable, "the database cannot be used: \(type(of: error))")
            return
        }
        switch error.resultCode {
        case .SQLITE_FULL: self.init(.full, "the disk that holds the database is full")
        case .SQLITE_IOERR:
            self.init(
                .full,
                "the database martlet.db cannot be written or read; look whether its disk is full or files may not grow"
            )
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            self.init(.unavailable, "the database martlet.db cannot be opened for writing; look at its permissions")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.unavailable, "the database martlet.db is in use by another program")
        case .SQLITE_TOOBIG: self.init(.unavailable, "the reply is too large for the database")
        // A table that is there, or is not: somebody else made it.
        case .SQLITE_ERROR:
            self.init(
                .corrupt,
                "the database martlet.db is not one that Martlet made; move it away and restart: a new one is made")
        default: self.init(.unavailable, "the database cannot be used (\(error.resultCode.rawValue))")
        }
    }
}
