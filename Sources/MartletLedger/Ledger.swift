internal import GRDB

/// What Martlet keeps on disk between restarts: one SQLite database in WAL mode. A write that has returned survives the
/// end of the process; one that has not leaves nothing half.
package struct Ledger: Sendable {
    /// How long a writer waits for another process that holds the database.
    static let busySeconds = 5.0

    /// Bytes of the write-ahead log that stay on the disk between writes.
    static let logBytes = 8 << 20

    let pool: DatabasePool

    /// Opens the database at `path`, or makes it.
    /// - Throws: `corrupt`, `tooNew`, `full`, `unavailable`. The file stays as it was.
    /// - Parameter pages: how many pages of 4 KiB the file may have; nil: as many as the disk has room for.
    package init(path: String, pages: Int? = nil) throws(LedgerError) {
        var configuration = Configuration()
        configuration.label = "ledger"
        configuration.busyMode = .timeout(Self.busySeconds)
        configuration.maximumReaderCount = 2
        configuration.prepareDatabase { database in
            // A commit is on the disk when it returns, also through a loss of power.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.execute(sql: "PRAGMA secure_delete = ON")
            // The write-ahead log is cut back to this after a burst of writes.
            try database.execute(sql: "PRAGMA journal_size_limit = \(Self.logBytes)")
            if let pages { try database.execute(sql: "PRAGMA max_page_count = \(pages)") }
        }
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            let migrator = Self.migrator
            if try pool.read(migrator.hasBeenSuperseded) {
                throw LedgerError(.tooNew, "the database martlet.db was written by a newer Martlet")
            }
            try migrator.migrate(pool)
            let problem = try pool.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }
            guard problem == "ok" else { throw DatabaseError(resultCode: .SQLITE_CORRUPT) }
        } catch let error as LedgerError {
            throw error
        } catch {
            throw LedgerError(error)
        }
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("responses") { database in
            try database.execute(
                sql: """
                    CREATE TABLE response (
                        id TEXT PRIMARY KEY NOT NULL,
                        owner BLOB NOT NULL,
                        expires INTEGER NOT NULL,
                        object BLOB NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX response_expires ON response (expires);
                    CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
                    CREATE TABLE link (
                        response TEXT NOT NULL REFERENCES response (id) ON DELETE CASCADE,
                        place INTEGER NOT NULL,
                        item INTEGER NOT NULL REFERENCES item (id),
                        part INTEGER NOT NULL,
                        PRIMARY KEY (response, place)
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX link_item ON link (item);
                    """)
        }
        migrator.registerMigration("background") { database in
            try database.execute(
                sql: """
                    ALTER TABLE response ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;
                    CREATE INDEX response_unfinished ON response (unfinished) WHERE unfinished = 1;
                    CREATE TABLE events (
                        response TEXT PRIMARY KEY NOT NULL REFERENCES response (id) ON DELETE CASCADE,
                        body BLOB NOT NULL
                    ) STRICT, WITHOUT ROWID;
                    ALTER TABLE item ADD COLUMN name TEXT;
                    CREATE INDEX item_name ON item (name) WHERE name IS NOT NULL;
                    """)
        }
        // Unfinished: the number of the server that makes it.
        migrator.registerMigration("servers") { database in
            try database.execute(
                sql: """
                    DROP INDEX response_unfinished;
                    CREATE INDEX response_unfinished ON response (unfinished) WHERE unfinished > 0;
                    """)
        }
        return migrator
    }

    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(LedgerError) -> Value {
        do {
            return try await pool.write(body)
        } catch {
            throw LedgerError(error)
        }
    }

    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(LedgerError) -> Value {
        do {
            return try await pool.read(body)
        } catch {
            throw LedgerError(error)
        }
    }
}
