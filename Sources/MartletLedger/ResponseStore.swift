internal import FoundationEssentials
internal import GRDB

/// A response as it is kept: the object as it was sent, and the items of the conversation up to it.
package struct StoredResponse: Sendable, Hashable {
    package var id: String
    /// JSON text of the Response object.
    package var object: [UInt8]
    /// JSON texts of the items that came before this request: the whole chain of `previous_response_id`.
    package var context: [[UInt8]]
    /// Of the request's own input.
    package var input: [[UInt8]]
    /// Of the reply.
    package var output: [[UInt8]]

    package init(
        id: String, object: [UInt8], context: [[UInt8]] = [], input: [[UInt8]] = [], output: [[UInt8]] = []
    ) {
        self.id = id
        self.object = object
        self.context = context
        self.input = input
        self.output = output
    }

    /// What a request that continues from here begins with.
    package var chain: [[UInt8]] { context + input + output }
}

/// Stored responses. Each belongs to the key that made it; to any other it does not exist.
///
/// The items of a conversation are stored once, however many of its responses hold them, and go with the last that
/// does: a response may be deleted without harm to those that continue it.
package struct ResponseStore: Sendable {
    /// Whose a response is: the digest of a key; empty where no key is asked for.
    package typealias Owner = [UInt8]

    private enum Part: Int { case context, input, output }

    private let ledger: Ledger
    /// Seconds since 1970.
    private let now: @Sendable () -> Int64
    /// Seconds; nil keeps for ever.
    private let retention: Int64?
    /// The number of the server that uses it.
    private let server: Int

    package init(
        _ ledger: Ledger, retention: Duration?, server: Int = 1, now: @escaping @Sendable () -> Int64
    ) {
        self.ledger = ledger
        self.server = server
        self.retention = retention?.components.seconds
        self.now = now
    }

    /// Keeps a response, in place of an earlier one of its id and owner.
    /// - Parameters:
    ///   - previous: the response it continues: items that are its own are not stored once more.
    ///   - isUnfinished: it is still being made by this server, and fails with it.
    ///   - isStreamed: it is told in events while it is made. Until they are kept they are none.
    package func put(
        _ response: StoredResponse, of owner: Owner, previous: String? = nil, isUnfinished: Bool = false,
        isStreamed: Bool = false
    ) async throws(LedgerError) {
        let expires = retention.map { now() + $0 } ?? .max
        try await ledger.write { database in
            try Self.remove(response.id, of: owner, in: database)
            try database.execute(
                sql: "INSERT INTO response (id, owner, expires, object, unfinished) VALUES (?, ?, ?, ?, ?)",
                arguments: [response.id, Data(owner), expires, Data(response.object), isUnfinished ? server : 0])
            if isStreamed {
                try database.execute(
                    sql: "INSERT INTO events (response, body) VALUES (?, X'')", arguments: [response.id])
            }
            var known: ArraySlice<Int64> = []
            if let previous {
                known = try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT item FROM link JOIN response ON response.id = link.response
                        WHERE response = ? AND owner = ? ORDER BY place
                        """, arguments: [previous, Data(owner)])[...]
            }
            var place = 0
            for (part, items) in [
                (Part.context, response.context), (.input, response.input), (.output, response.output),
            ] {
                for item in items {
                    let shared = part == .context ? known.popFirst() : nil
                    let id = try Self.item(item, shared: shared, in: database)
                    try database.execute(
                        sql: "INSERT INTO link (response, place, item, part) VALUES (?, ?, ?, ?)",
                        arguments: [response.id, place, id, part.rawValue])
                    place += 1
                }
            }
        }
    }

    /// The item's row: the shared one if it holds the same text, else a new one.
    private static func item(_ body: [UInt8], shared: Int64?, in database: Database) throws -> Int64 {
        if let shared,
            try Bool.fetchOne(database, sql: "SELECT body = ? FROM item WHERE id = ?", arguments: [Data(body), shared])
                == true
        {
            return shared
        }
        try database.execute(
            sql: """
                INSERT INTO item (body, name)
                VALUES (?1, CASE WHEN json_valid(CAST(?1 AS TEXT)) THEN json_extract(CAST(?1 AS TEXT), '$.id') END)
                """, arguments: [Data(body)])
        return database.lastInsertedRowID
    }

    /// Nil when there is none, when it is another's, and when its time is over.
    package func get(_ id: String, of owner: Owner) async throws(LedgerError) -> StoredResponse? {
        let now = now()
        return try await ledger.read { database in
            let object = try Data.fetchOne(
                database, sql: "SELECT object FROM response WHERE id = ? AND owner = ? AND expires > ?",
                arguments: [id, Data(owner), now])
            guard let object else { return nil }
            var response = StoredResponse(id: id, object: [UInt8](object))
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT part, body FROM link JOIN item ON item.id = link.item WHERE response = ? ORDER BY place",
                arguments: [id])
            while let row = try rows.next() {
                let body: Data = row["body"]
                switch Part(rawValue: row["part"]) {
                case .context: response.context.append([UInt8](body))
                case .input: response.input.append([UInt8](body))
                case .output: response.output.append([UInt8](body))
                case nil: break
                }
            }
            return response
        }
    }

    /// Items of this owner's responses, by the `id` they have as JSON, the newest of each; those there
    /// are none of are not among them.
    package func items(_ names: [String], of owner: Owner) async throws(LedgerError) -> [String: [UInt8]] {
        let now = now()
        return try await ledger.read { database in
            var found: [String: [UInt8]] = [:]
            for name in names where found[name] == nil {
                let body = try Data.fetchOne(
                    database,
                    sql: """
                        SELECT item.body FROM item JOIN link ON link.item = item.id
                        JOIN response ON response.id = link.response
                        WHERE item.name = ? AND owner = ? AND expires > ?
                        ORDER BY item.id DESC LIMIT 1
                        """, arguments: [name, Data(owner), now])
                found[name] = body.map { [UInt8]($0) }
            }
            return found
        }
    }

    /// Keeps the events of a response beside it; of one that is not there, or another's, nothing.
    package func put(events: [UInt8], of id: String, owner: Owner) async throws(LedgerError) {
        try await ledger.write { database in
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO events (response, body)
                    SELECT id, ? FROM response WHERE id = ? AND owner = ?
                    """, arguments: [Data(events), id, Data(owner)])
        }
    }

    /// The events kept beside a response, none of one that was streamed without keeping them; nil for any other.
    package func events(of id: String, owner: Owner) async throws(LedgerError) -> [UInt8]? {
        let now = now()
        let body = try await ledger.read { database in
            try Data.fetchOne(
                database,
                sql: """
                    SELECT body FROM events JOIN response ON response.id = events.response
                    WHERE response.id = ? AND owner = ? AND expires > ?
                    """, arguments: [id, Data(owner), now])
        }
        return body.map { [UInt8]($0) }
    }

    /// Puts another object in place of every response that was being made by a server that has ended. Blocks; for the
    /// start, before this server makes any: what has its own number is of one before it.
    /// - Parameter isAtWork: whether the server of a number runs.
    package func settle(
        unless isAtWork: (Int) -> Bool = { _ in false }, _ ended: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) {
        do {
            try ledger.pool.write { database in
                let rows = try Row.fetchAll(
                    database, sql: "SELECT id, object, unfinished FROM response WHERE unfinished > 0")
                for row in rows {
                    let (id, object, maker): (String, Data, Int) = (row["id"], row["object"], row["unfinished"])
                    guard maker == server || !isAtWork(maker) else { continue }
                    try database.execute(
                        sql: "UPDATE response SET object = ?, unfinished = 0 WHERE id = ?",
                        arguments: [Data(ended([UInt8](object))), id])
                }
            }
        } catch {
            throw LedgerError(error)
        }
    }

    /// Deletes one response. False when there is none of this owner's.
    package func delete(_ id: String, of owner: Owner) async throws(LedgerError) -> Bool {
        try await ledger.write { try Self.remove(id, of: owner, in: $0) }
    }

    @discardableResult
    private static func remove(_ id: String, of owner: Owner, in database: Database) throws -> Bool {
        let items = try Int64.fetchSet(database, sql: "SELECT item FROM link WHERE response = ?", arguments: [id])
        try database.execute(
            sql: "DELETE FROM response WHERE id = ? AND owner = ?", arguments: [id, Data(owner)])
        guard database.changesCount > 0 else { return false }
        // Items that no other response holds go along.
        for item in items {
            try database.execute(
                sql: "DELETE FROM item WHERE id = ? AND NOT EXISTS (SELECT 1 FROM link WHERE item = ?)",
                arguments: [item, item])
        }
        return true
    }

    /// Deletes what is older than the retention, at most `limit` at a time.
    /// - Returns: how many went.
    package func expire(limit: Int = 500) async throws(LedgerError) -> Int {
        let now = now()
        return try await ledger.write { database in
            let old = try Row.fetchAll(
                database, sql: "SELECT id, owner FROM response WHERE expires <= ? ORDER BY expires LIMIT ?",
                arguments: [now, limit])
            for row in old {
                let owner: Data = row["owner"]
                try Self.remove(row["id"], of: [UInt8](owner), in: database)
            }
            return old.count
        }
    }
}
