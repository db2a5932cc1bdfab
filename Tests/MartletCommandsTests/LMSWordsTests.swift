import MartletCommands
import MartletWire
import Testing

@Suite("command lines of lms")
struct LMSWordsTests {
    @Test(
        "only a program named lms is lms",
        arguments: [
            ("lms", true), ("/usr/local/bin/lms", true), ("./lms", true), ("martlet", false), ("/lms/martlet", false),
            ("lms2", false), ("", false), ("films", false),
        ])
    func name(_ program: String, _ isMeant: Bool) { #expect(LMSWords.isMeant(by: program) == isMeant) }

    @Test(
        "commands of LM Studio that are not here say so",
        arguments: [
            "login", "logout", "whoami", "push", "clone", "dev", "create", "link", "runtime", "bootstrap", "flags",
        ])
    func refusals(_ command: String) throws {
        let sentence = try #require(LMSWords.refusal(["--quiet", command, "--json"]))
        #expect(sentence.hasPrefix("lms \(command) is LM Studio's own, and Martlet does not have it: "))
    }

    @Test("commands that are here are not refused", arguments: [["ls"], ["get", "push"], ["--version"], []])
    func noRefusals(_ words: [String]) { #expect(LMSWords.refusal(words) == nil) }

    @Test(
        "name@quant is name:QUANT",
        arguments: [
            ("acme/writer@q4_k_m", "acme/writer:Q4_K_M"), ("acme/writer", "acme/writer"), ("@scope", "@scope"),
            ("writer@", "writer@"), ("https://hub.example/a/b@c", "https://hub.example/a/b@c"),
        ])
    func references(_ name: String, _ ours: String) { #expect(LMSWords.reference(name) == ours) }

    @Test("lms get is martlet get in other words")
    func get() throws {
        #expect(try LMSWords.get(["a/b@q8_0"], yes: true, mlx: false) == ["--yes", "--", "a/b:Q8_0"])
        #expect(try LMSWords.get(["tiny", "chat"], yes: false, mlx: false) == ["--", "tiny", "chat"])
        #expect(try LMSWords.get(["a"], yes: false, mlx: false, limit: 3) == ["--limit", "3", "--", "a"])
        #expect(try LMSWords.get(["a"], yes: false, mlx: false, selects: true) == ["--select", "--", "a"])
        #expect(throws: LMSRefusal.self) { try LMSWords.get(["a/b"], yes: true, mlx: true) }
        #expect(throws: LMSRefusal.self) { try LMSWords.get([], yes: true, mlx: false) }
    }

    @Test(
        "commands that a sentence names are those of lms",
        arguments: [
            ("Get one with: martlet get OWNER/REPOSITORY", "Get one with: lms get owner/name"),
            ("See it with: martlet ls --served", "See it with: lms ls"),
            ("look for it with: martlet search a b", "look for it with: lms get a b"),
            ("martlet is here", "martlet is here"),
        ])
    func sentences(_ ours: String, _ theirs: String) { #expect(LMSWords.own(ours) == theirs) }

    @Test(
        "some hosts are this machine",
        arguments: [("127.0.0.1", true), ("LOCALHOST", true), ("[::1]", true), ("box", false), ("10.0.0.1", false)])
    func here(_ host: String, _ isHere: Bool) { #expect(LMSAddress(host: host, port: 1).isHere == isHere) }

    @Test("the server is where the flags say, else MARTLET_HOST, else where it was started last, else at 1234")
    func address() throws {
        func found(
            _ host: String?, _ port: Int?, _ variable: String?, _ last: Int?, at bind: String = "127.0.0.1"
        ) throws -> String {
            let last = last.map { LMSAddress(host: bind, port: $0) }
            return try LMSAddress.find(host: host, port: port, variable: variable, last: last).url
        }
        #expect(try found(nil, nil, nil, nil) == "http://127.0.0.1:1234")
        #expect(try found(nil, nil, nil, 4000) == "http://127.0.0.1:4000")
        #expect(try found(nil, nil, "http://box:3000/v1", 4000) == "http://box:3000")
        #expect(try found(nil, nil, "[::1]:3000", nil) == "http://[::1]:3000")
        #expect(try found(nil, nil, "box", nil) == "http://box:3000")
        #expect(try found(nil, nil, "http://box", nil) == "http://box:80")
        #expect(try found(nil, nil, nil, 4000, at: "192.0.2.7") == "http://192.0.2.7:4000")
        #expect(try found(nil, 4000, nil, 4000, at: "192.0.2.7") == "http://192.0.2.7:4000")
        #expect(try found(nil, 5, nil, 4000, at: "192.0.2.7") == "http://127.0.0.1:5")
        #expect(try found(nil, 5, "http://box:3000", 4000) == "http://127.0.0.1:5")
        #expect(try found("box", nil, nil, 4000) == "http://box:1234")
        #expect(try found("box", 99, "http://x:1", nil) == "http://box:99")
    }

    @Test("--host takes a name only, --port a port", arguments: ["http://box", "box:1234", "", "a/b"])
    func badAddresses(_ host: String) {
        #expect(throws: LMSRefusal.self) {
            try LMSAddress.find(host: host, port: nil, variable: nil, last: nil)
        }
        #expect(throws: LMSRefusal.self) {
            try LMSAddress.find(host: nil, port: 65_536, variable: nil, last: nil)
        }
    }

    @Test("log lines as lms prints them")
    func logs() throws {
        let line = try #require(
            LMSLogLine([
                "type": "server.log", "timestamp": 1_770_573_629_123, "level": "warning", "content": "it \"is\"",
            ])
        )
        #expect(
            line.json.text
                == #"{"timestamp":1770573629123,"data":{"type":"server.log","content":"it \"is\"","level":"warning"}}"#)
        #expect(line.text == "[2026-02-08 18:00:29][WARNING] it \"is\"")
        #expect(LMSLogLine(["type": "keepalive"]) == nil)
        let engines = try #require(
            LMSLogLine([
                "type": "runtime.log", "timestamp": 1_770_573_629_123, "level": "info", "message": "slot released",
                "engineName": "llama.cpp", "modelIdentifier": "m",
            ])
        )
        #expect(
            engines.json.text
                == #"{"timestamp":1770573629123,"data":{"type":"runtime.log","level":"info","message":"slot released","#
                + #""engineName":"llama.cpp","modelIdentifier":"m"}}"#)
        #expect(engines.text == "[2026-02-08 18:00:29][INFO][m] slot released")
    }

    @Test(
        "moments are dates of the calendar",
        arguments: [
            (0, "1970-01-01 00:00:00"), (951_782_400_000, "2000-02-29 00:00:00"),
            (4_107_542_399_999, "2100-02-28 23:59:59"),
            (4_107_542_400_000, "2100-03-01 00:00:00"), (1_735_689_599_000, "2024-12-31 23:59:59"),
        ])
    func times(_ milliseconds: Int, _ text: String) { #expect(UTCTime(milliseconds: milliseconds).text == text) }
}
