#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif
import MartletEngine
import Testing

@Suite("What an engine's log shows to others")
struct EngineLogTests {
    @Test(
        "Paths shrink to their last component",
        arguments: [
            ("cannot open '/home/me/models/x.gguf' (No such file)", "cannot open 'x.gguf' (No such file)"),
            ("cannot open '/home/my user/x y.gguf': no", "cannot open 'x y.gguf': no"),
            ("File \"/usr/lib/python3.11/a.py\", line 3", "File \"a.py\", line 3"),
            ("/opt/llama/server: error while loading", "server: error while loading"),
            ("path=/a/b/c.so;next", "path=c.so;next"), ("open(/a/b/)", "open(b)"),
            ("~/models/x.gguf is gone", "x.gguf is gone"),
            ("at (/srv/a.cpp:12)", "at (a.cpp:12)"), ("both /a/b and /c/d", "both b and d"),
        ])
    func folders(line: String, shown: String) {
        #expect(EngineLog.withoutFolders(line) == shown)
    }

    @Test(
        "What is no path stays as it is",
        arguments: [
            "12.5 tokens/s, 3/4 done", "CPU/GPU", "http://127.0.0.1:8080/health", "a / b", "plain words", "",
            "read I/O error", "and/or",
        ])
    func others(line: String) {
        #expect(EngineLog.withoutFolders(line) == line)
    }

    @Test("Time stamp and level are left out, other lines are not touched")
    func bare() {
        #expect(EngineLog.bare("0.00.003.346 E gguf_init: cannot read") == "gguf_init: cannot read")
        #expect(EngineLog.bare("3 blind mice") == "3 blind mice")
        #expect(EngineLog.bare("") == "")
    }

    private let scratch = Scratch()

    @Test("An engine that had requests tells its last words without what llama.cpp may quote of them")
    func quotes() async throws {
        let plan = Fixture.plan(scratch, fake: "quotes,exit-on-request")
        let engine = Watched(plan)
        try await eventually("ready") { engine.isReady }
        #expect(SocketClient.request(plan.socketPath, "/boom") == nil)
        let error = try #require(await engine.error())
        #expect(error.message.contains("the fake engine gives up"))
        #expect(!"\(error.message) \(error.logTail)".contains("secret words"))
        #expect(error.logTail.contains { $0.contains("GGML_ASSERT") && $0.contains("(ggml.c:12)") }, "\(error.logTail)")
    }

    @Test("An engine that is killed is not said to have complained")
    func killed() async throws {
        let engine = Watched(Fixture.plan(scratch))
        try await eventually("ready") { engine.isReady }
        kill(try #require(engine.process), SIGKILL)
        let error = try #require(await engine.error())
        #expect(error.code == .exited)
        #expect(
            error.message == "the engine of tiny ended by itself (signal 9). The system kills programs like that when "
                + "memory runs out. A later request starts it anew.")
        #expect(!error.logTail.isEmpty)
    }

    @Test(
        "How far an engine is with loading is read from its report, over all parts, and from nothing else",
        arguments: [
            (#"{"state":"loading","payload":{"stages":["text_model"],"current":"text_model","value":0.5}}"#, 0.5),
            (#"{"state":"loading","payload":{"stages":["a","b","c","d"],"current":"c","value":1}}"#, 0.75),
            (#"{"state":"loading","payload":{"value":7}}"#, 1), (#"{"state":"loading","payload":{"value":-1}}"#, 0),
            (#"{"state":"loading","payload":{"stages":["a"],"current":"b","value":0.25}}"#, 0.25),
            (#"{"state":"ready","payload":{"value":0.5}}"#, nil),
            (#"{"state":"loading","payload":{"value":"x"}}"#, nil),
            (#"{"state":"loading","payload":{"stages":["a"],"#, nil), ("", nil),
        ] as [(String, Double?)])
    func loadReports(_ report: String, _ fraction: Double?) {
        #expect(LoadReport.fraction(in: "cmd_child_to_router:state:" + report) == fraction)
        #expect(LoadReport.fraction(in: "x cmd_child_to_router:state:" + report) == nil)
    }

    @Test("Who reads along gets an engine's lines bare, with how grave they are; of requests nothing but numbers")
    func told() {
        let scratch = Scratch()
        let plan = Fixture.plan(scratch)
        func told(_ line: String, served: Bool = true) -> String? {
            EngineLog.told(line, of: plan, served: served).map { "\($0.level) \($0.text)" }
        }
        #expect(
            told("0.00.001.000 W load: \(plan.model.path) is old", served: false) == "W load: tiny-chat.gguf is old")
        #expect(told("build: 1 (fake)", served: false) == "I build: 1 (fake)" && told("build: 1 (fake)") == nil)
        #expect(told("0.00.001.000 I slot release: id 0, task 7") == "I slot release: id 0, task 7")
        #expect(told("0.00.001.000 E srv: got exception: secret words") == nil)
        #expect(told("  secret words of the second line") == nil && told("", served: false) == nil)
        let timing = "prompt eval time =  55.32 ms /  11 tokens (  5.03 ms per token, 198.83 tokens per second)"
        #expect(told(timing) == "I \(timing)" && told("prompt eval time = my secret") == nil)
        let stamped = "slot print_timing: id  3 | task 0 | \(timing)"
        #expect(told("0.00.012.000 I \(stamped)") == "I \(stamped)")
        #expect(told("0.00.012.000 I slot print_timing: id  3 | task 0 | prompt eval time = my secret") == nil)
        #expect(told("cmd_child_to_router:state:{}", served: false) == nil)
    }
}
