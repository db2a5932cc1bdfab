import MartletCommands
import MartletWire
import Testing

@Suite("ps")
struct ResidentTests {
    static let reply = """
        {"residents":[
          {"id":"m:2","model":"m","state":"idle","users":0,"queued":0,"parallel":4,"context":8192,"bytes":1500000000,
           "ttl_ms":3600000,"last_used":1000000,"pinned":false,
           "settings":{"parallel":{"value":4,"origin":"configuration"},
                       "context_length":{"value":"auto","origin":"built-in"},
                       "flash_attention":{"value":true,"origin":"command"},
                       "threads":{"value":null,"origin":"built-in"},
                       "prompt_cache":{"value":9175040,"origin":"built-in"}}},
          {"id":"w","model":"acme/writer","state":"generating","users":4,"queued":2,"parallel":4,"context":null,
           "bytes":999,"ttl_ms":null,"last_used":null,"pinned":true,"settings":{}}]}
        """

    static var resident: Resident? { (try? JSON(parsing: reply)).map { Resident.all(in: $0)[0] } }

    @Test("the settings that hold are told with who chose them, the context as it came out")
    func settings() throws {
        #expect(
            try #require(Self.resident).settingsShown
                == [
                    "context 8192 (built-in)", "parallel 4 (configuration)", "flash attention on (command)",
                    "prompt cache 9.2 MB (built-in)",
                ])
    }

    @Test("the table says what each does, and how long it stays")
    func table() throws {
        let residents = Resident.all(in: try JSON(parsing: Self.reply))
        #expect(
            Resident.table(residents, now: 61_000 + 1_000_000) == [
                "IDENTIFIER  MODEL        STATUS                   SIZE  CONTEXT  PARALLEL  TTL",
                "m:2         m            IDLE                   1.5 GB     8192         4  58m 59s / 1h",
                "w           acme/writer  GENERATING (2 queued)   999 B        -         4  pinned",
            ])
        #expect(
            Resident.table(residents, withDevice: true, now: 0)[0].split(separator: " ")
                == ["IDENTIFIER", "MODEL", "STATUS", "SIZE", "CONTEXT", "PARALLEL", "DEVICE", "TTL"])
    }

    @Test("as lms has it, the size is the file's, and what makes vectors works on one request at once")
    func device() throws {
        var encoder = try #require(
            Resident(["id": "e", "parallel": 4, "bytes": 300_000_000, "size_bytes": 25_000_000, "state": "loaded"]))
        encoder.isEncoder = true
        #expect(
            Resident.table([encoder], withDevice: true, now: 0)[1].split(separator: " ")
                == ["e", "e", "LOADED", "25.0", "MB", "-", "-", "Local", "-"])
        #expect(Resident.table([encoder], now: 0)[1].contains("300.0 MB"))
    }

    @Test("what waits for memory is not loaded, and says why it waits")
    func waiting() throws {
        let resident = try #require(
            Resident(["id": "a", "state": "waiting", "reason": "a waits for memory", "bytes": 5, "queued": 1]))
        #expect(!resident.isLoaded && resident.reason == "a waits for memory")
        #expect(Resident.table([resident], now: 0)[1].contains("WAITING FOR MEMORY (1 queued)"))
    }

    @Test("a list in another shape is empty, and an entry without an id is left out")
    func otherShapes() throws {
        #expect(Resident.all(in: ["error": "no"]).isEmpty)
        #expect(Resident.all(in: ["residents": [["model": "m"], ["id": "a"]]]).map(\.id) == ["a"])
    }

    @Test(
        "spans are shown in their largest units",
        arguments: [
            (0, "0s"), (59_999, "59s"), (60_000, "1m"), (61_000, "1m 1s"), (3_660_000, "1h 1m"), (86_400_000, "1d"),
            (90_000_000, "1d 1h"), (-5, "0s"),
        ])
    func spans(_ milliseconds: Int, _ shown: String) { #expect(Shown.span(milliseconds: milliseconds) == shown) }

    @Test("seconds are rounded")
    func seconds() {
        #expect(Shown.seconds(1.005) == "1.00 s" || Shown.seconds(1.005) == "1.01 s")
        #expect(Shown.seconds(12.5) == "12.50 s")
        #expect(Shown.fixed(34.06, places: 1) == "34.1")
    }
}
