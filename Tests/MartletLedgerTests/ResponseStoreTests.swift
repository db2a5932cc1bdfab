import FoundationEssentials
import GRDB
import MartletLedger
import Synchronization
import Testing

@Suite("Stored responses")
struct ResponseStoreTests {
    /// A folder of its own that goes with the test.
    final class Folder: Sendable {
        let path = FileManager.default.temporaryDirectory.path + "martlet-ledger-\(UInt64.random(in: 0 ... .max))"
        var database: String { path + "/martlet.db" }

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    final class Clock: Sendable {
        let seconds = Mutex<Int64>(1_000_000)
        func now() -> Int64 { seconds.withLock { $0 } }
        func move(by count: Int64) { seconds.withLock { $0 += count } }
    }

    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    static func response(_ id: String, context: [String] = [], input: [String], output: [String]) -> StoredResponse {
        StoredResponse(
            id: id, object: bytes("{\"id\":\"\(id)\"}"), context: context.map(bytes), input: input.map(bytes),
            output: output.map(bytes))
    }

    let folder: Folder
    let clock = Clock()
    let mine = bytes("mine"), theirs = bytes("theirs")

    init() throws { folder = try Folder() }

    func store(retention: Duration? = .seconds(60)) throws -> ResponseStore {
        ResponseStore(try Ledger(path: folder.database), retention: retention, now: clock.now)
    }

    func count(_ table: String) throws -> Int {
        try DatabaseQueue(path: folder.database).read {
            try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") ?? -1
        }
    }

    @Test("a response comes back as it was put, also from a database that is opened anew")
    func survives() async throws {
        let first = Self.response("r1", input: ["i1"], output: ["o1", "o2"])
        try await store().put(first, of: mine)
        #expect(try await store().get("r1", of: mine) == first)
        #expect(first.chain == ["i1", "o1", "o2"].map(Self.bytes))
    }

    @Test("to another key a response does not exist, and it cannot delete it")
    func ownership() async throws {
        let store = try store()
        try await store.put(Self.response("r1", input: ["i"], output: ["o"]), of: mine)
        #expect(try await store.get("r1", of: theirs) == nil)
        #expect(try await store.get("r1", of: []) == nil)
        #expect(try await store.delete("r1", of: theirs) == false)
        #expect(try await store.get("r1", of: mine) != nil)
    }

    @Test("items of a chain are stored once, and stay while any response holds them")
    func sharing() async throws {
        let store = try store()
        let first = Self.response("r1", input: ["i1"], output: ["o1"])
        let second = Self.response("r2", context: ["i1", "o1"], input: ["i2"], output: ["o2"])
        try await store.put(first, of: mine)
        try await store.put(second, of: mine, previous: "r1")
        #expect(try count("item") == 4)
        #expect(try await store.delete("r1", of: mine))
        #expect(try await store.get("r1", of: mine) == nil)
        #expect(try await store.get("r2", of: mine) == second)
        #expect(try await store.delete("r2", of: mine))
        #expect(try count("item") == 0)
        #expect(try count("link") == 0)
    }

    @Test("a context that is not the previous chain is stored in full")
    func changedContext() async throws {
        let store = try store()
        try await store.put(Self.response("r1", input: ["i1"], output: ["o1"]), of: mine)
        let cut = Self.response("r2", context: ["o1", "x"], input: [], output: ["o2"])
        try await store.put(cut, of: mine, previous: "r1")
        #expect(try await store.get("r2", of: mine) == cut)
        // Of another's chain nothing is shared.
        let foreign = Self.response("r3", context: ["i1", "o1"], input: [], output: [])
        let before = try count("item")
        try await store.put(foreign, of: theirs, previous: "r1")
        #expect(try count("item") == before + 2)
        #expect(try await store.get("r3", of: theirs) == foreign)
    }

    @Test("a response that is put again takes the place of the first")
    func replaces() async throws {
        let store = try store()
        try await store.put(Self.response("r1", input: ["i"], output: []), of: mine)
        let done = Self.response("r1", input: ["i"], output: ["o"])
        try await store.put(done, of: mine)
        #expect(try await store.get("r1", of: mine) == done)
        #expect(try count("item") == 2)
    }

    @Test("after its time a response is gone, first to the reader and then from the disk")
    func expiry() async throws {
        let store = try store(retention: .seconds(60))
        try await store.put(Self.response("old", input: ["i"], output: ["o"]), of: mine)
        clock.move(by: 30)
        try await store.put(Self.response("new", input: ["j"], output: []), of: mine)
        clock.move(by: 30)
        #expect(try await store.get("old", of: mine) == nil)
        #expect(try count("response") == 2)
        #expect(try await store.expire() == 1)
        #expect(try count("response") == 1)
        #expect(try count("item") == 1)
        #expect(try await store.get("new", of: mine) != nil)
        #expect(try await self.store(retention: nil).expire() == 0)
    }

    @Test("what was being made when its server ended is settled by the next start, and nothing else")
    func unfinished() async throws {
        let store = try store()
        try await store.put(Self.response("making", input: ["i"], output: []), of: mine, isUnfinished: true)
        try await store.put(Self.response("made", input: ["j"], output: []), of: mine, isUnfinished: true)
        let made = Self.response("made", input: ["j"], output: ["o"])
        try await store.put(made, of: mine)
        let next = try self.store()
        try next.settle { object in Self.bytes("lost ") + object }
        #expect(try await next.get("making", of: mine)?.object == Self.bytes("lost {\"id\":\"making\"}"))
        #expect(try await next.get("making", of: mine)?.input == [Self.bytes("i")])
        #expect(try await next.get("made", of: mine) == made)
        try next.settle { _ in Self.bytes("twice") }
        #expect(try await next.get("making", of: mine)?.object != Self.bytes("twice"))
    }

    @Test("what another server that runs is making is left alone; what it left behind is settled")
    func servers() async throws {
        let (first, second) = (try ServerClaim(in: folder.path), try ServerClaim(in: folder.path))
        #expect(first.number == 1 && second.number == 2)
        #expect(second.isAtWork(1) && second.isAtWork(2) && !second.isAtWork(3))
        let mine = ResponseStore(
            try Ledger(path: folder.database), retention: nil, server: first.number, now: clock.now)
        try await mine.put(Self.response("making", input: ["i"], output: []), of: self.mine, isUnfinished: true)
        let other = ResponseStore(
            try Ledger(path: folder.database), retention: nil, server: second.number, now: clock.now)
        try other.settle(unless: second.isAtWork) { _ in Self.bytes("lost") }
        #expect(try await other.get("making", of: self.mine)?.object == Self.bytes("{\"id\":\"making\"}"))
        try other.settle(unless: { $0 == 2 }) { _ in Self.bytes("lost") }
        #expect(try await other.get("making", of: self.mine)?.object == Self.bytes("lost"))
    }

    @Test("the number of a server that has ended is given to the next")
    func numbers() throws {
        let one = try ServerClaim(in: folder.path)
        do {
            let two = try ServerClaim(in: folder.path)
            #expect(two.number == 2)
        }
        #expect(!one.isAtWork(2))
        let again = try ServerClaim(in: folder.path)
        #expect(again.number == 2)
    }

    @Test("a database with other tables is somebody else's, and left as it is")
    func foreign() async throws {
        try await DatabaseQueue(path: folder.database).write { try $0.execute(sql: "CREATE TABLE response (x)") }
        let error = #expect(throws: LedgerError.self) { _ = try store() }
        #expect(error?.code == .corrupt && error?.message.contains("not one that Martlet made") == true)
        #expect(try count("response") == 0)
    }

    @Test("an item is found by its id, among its owner's only, as long as a response holds it")
    func named() async throws {
        let store = try store()
        let item = "{\"type\":\"message\",\"id\":\"msg_1\"}"
        try await store.put(Self.response("r1", input: ["{\"id\":7}", "no json"], output: [item]), of: mine)
        try await store.put(Self.response("r2", context: [item], input: [], output: []), of: mine, previous: "r1")
        #expect(try await store.items(["msg_1", "msg_2", "msg_1"], of: mine) == ["msg_1": Self.bytes(item)])
        #expect(try await store.items(["msg_1"], of: theirs) == [:])
        _ = try await store.delete("r1", of: mine)
        #expect(try await store.items(["msg_1"], of: mine).count == 1)
        _ = try await store.delete("r2", of: mine)
        #expect(try await store.items(["msg_1"], of: mine) == [:])
    }

    @Test("events are kept beside their response, for its owner, and go with it")
    func events() async throws {
        let store = try store()
        try await store.put(Self.response("r1", input: ["i"], output: ["o"]), of: mine)
        try await store.put(events: Self.bytes("e1 e2"), of: "r1", owner: mine)
        try await store.put(events: Self.bytes("forged"), of: "r1", owner: theirs)
        try await store.put(events: Self.bytes("lost"), of: "r2", owner: mine)
        #expect(try await store.events(of: "r1", owner: mine) == Self.bytes("e1 e2"))
        #expect(try await store.events(of: "r1", owner: theirs) == nil)
        #expect(try count("events") == 1)
        clock.move(by: 61)
        #expect(try await store.events(of: "r1", owner: mine) == nil)
        #expect(try await store.expire() == 1)
        #expect(try count("events") == 0)
    }

    @Test("of a stream it is known that it was one, before its events are kept and where they never are")
    func streamed() async throws {
        let store = try store()
        try await store.put(Self.response("whole", input: ["i"], output: ["o"]), of: mine)
        try await store.put(Self.response("told", input: ["i"], output: ["o"]), of: mine, isStreamed: true)
        #expect(try await store.events(of: "whole", owner: mine) == nil)
        #expect(try await store.events(of: "told", owner: mine) == [])
        try await store.put(events: Self.bytes("e1"), of: "told", owner: mine)
        #expect(try await store.events(of: "told", owner: mine) == Self.bytes("e1"))
        try await store.put(Self.response("told", input: ["i"], output: ["o"]), of: mine)
        #expect(try await store.events(of: "told", owner: mine) == nil, "another one of its id")
    }

    @Test("the write-ahead log does not grow with what is written")
    func logBound() async throws {
        let store = try store()
        for round in 0..<40 {
            let big = String(repeating: "\(round % 10)", count: 1 << 20)
            try await store.put(Self.response("r\(round % 4)", input: [big], output: []), of: mine)
            let log = try FileManager.default.attributesOfItem(atPath: folder.database + "-wal")[.size] as? Int
            #expect(try #require(log) <= 12 << 20, "after \(round) MiB")
        }
        #expect(try count("response") == 4)
    }

    @Test("what is no database is left as it is and named")
    func corrupt() async throws {
        let text = String(repeating: "this is no database\n", count: 500)
        try text.write(toFile: folder.database, atomically: true, encoding: .utf8)
        let error = #expect(throws: LedgerError.self) { _ = try store() }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains(folder.path) == false)
        #expect(try String(contentsOfFile: folder.database, encoding: .utf8) == text)
    }

    @Test("a page that was overwritten is found when the database is opened")
    func damaged() async throws {
        let store = try store()
        for number in 0..<50 {
            let items = (0..<20).map { "\(number) \($0) " + String(repeating: "x", count: 300) }
            try await store.put(Self.response("r\(number)", input: items, output: []), of: mine)
        }
        try await DatabaseQueue(path: folder.database).writeWithoutTransaction {
            _ = try $0.checkpoint(.truncate)
        }
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: folder.database)))
        #expect(bytes.count > 200_000)
        for at in 100_000..<140_000 { bytes[at] = 0x5A }
        try? FileManager.default.removeItem(atPath: folder.database + "-wal")
        try? FileManager.default.removeItem(atPath: folder.database + "-shm")
        try Data(bytes).write(to: URL(filePath: folder.database))
        let error = #expect(throws: LedgerError.self) { _ = try self.store() }
        #expect(error?.code == .corrupt)
    }

    @Test("a place that cannot be written is named")
    func unavailable() async throws {
        let error = #expect(throws: LedgerError.self) { _ = try Ledger(path: folder.path + "/missing/martlet.db") }
        #expect(error?.code == .unavailable)
    }

    @Test("a database that is full says so, and what was there stays readable")
    func full() async throws {
        let store = try store()
        let first = Self.response("r1", input: ["i"], output: ["o"])
        try await store.put(first, of: mine)
        let small = ResponseStore(try Ledger(path: folder.database, pages: 40), retention: nil, now: clock.now)
        let big = Self.response("big", input: [String(repeating: "x", count: 1 << 20)], output: [])
        let error = await #expect(throws: LedgerError.self) { try await small.put(big, of: mine) }
        #expect(error?.code == .full)
        #expect(try await small.get("big", of: mine) == nil)
        #expect(try await small.get("r1", of: mine) == first)
    }

    @Test("a database of a newer Martlet is not touched")
    func tooNew() async throws {
        _ = try store()
        try await DatabaseQueue(path: folder.database).write {
            try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('from the future')")
        }
        let error = #expect(throws: LedgerError.self) { _ = try store() }
        #expect(error?.code == .tooNew)
    }
}
