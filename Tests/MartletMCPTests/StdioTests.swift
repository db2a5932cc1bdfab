import MartletMCP
import MartletProcess
import MartletWire
import Testing

@Suite(.timeLimit(.minutes(3))) struct StdioTests {
    @Test("a server's tools are listed and called")
    func calls() async throws {
        try await Fake.session { session async throws in
            let tools = try await session.tools()
            #expect(tools.map(\.tool.name).prefix(3) == ["echo", "surroundings", "fail"])
            #expect(tools.allSatisfy { $0.fault == nil })
            let result = try await session.call("echo", ["text": "ä\n\"b\""])
            #expect(result == .content(#"[{"type":"text","text":"ä\n\"b\""}]"#, isError: false))
        }
    }

    @Test("a list on several pages is read whole")
    func pages() async throws {
        let names = try await Fake.session("pages") { try await $0.tools().map(\.tool.name) }
        #expect(names.count == 9 && Set(names).count == 9)
    }

    @Test("that a tool has failed is a result, and so is a result that is structured only")
    func failing() async throws {
        try await Fake.session { session async throws in
            let failed = try await session.call("fail", [:])
            #expect(failed == .content(#"[{"type":"text","text":"it went wrong"}]"#, isError: true))
            #expect(try await session.call("raw", [:]).text == #"{"degrees":7}"#)
        }
    }

    @Test("a tool that the server does not know is refused by it")
    func unknown() async throws {
        let result = try await Fake.session { try await $0.call("nothing", [:]) }
        guard case .refused(let fault) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(fault.code == RPCFault.invalidParams && fault.message == "Unknown tool: nothing")
    }

    @Test("an answer that is no tool's result is an error at once, and the session goes on")
    func noResult() async throws {
        try await Fake.session { session async throws in
            let error = try await failure { _ = try await session.call("words", [:]) }
            #expect(error.code == .badReply && error.message.contains("to words with what is no result"))
            guard case .refused(let fault) = try await session.call("neither", [:]) else {
                Issue.record("not refused")
                return
            }
            #expect(fault.message == "an answer without result or error")
            #expect(try await session.call("echo", ["text": "on"]).text == "on")
        }
    }

    @Test("a result beyond the bound is an error that says what to do, and the session goes on")
    func tooMuch() async throws {
        try await Fake.session { session async throws in
            let error = try await failure { _ = try await session.call("much", [:]) }
            #expect(error.code == .tooLarge && error.message.contains("1024 KiB: ask for less"))
            #expect(try await session.call("echo", ["text": "on"]).text == "on")
        }
    }

    @Test("a server is asked only what it can do, and its own questions are refused politely")
    func questions() async throws {
        try await Fake.session("asks") { session async throws in
            await eventually("both are answered") {
                let heard = try? await session.call("heard", [:]).text
                return heard?.contains("p1") == true && heard?.contains("r1") == true
            }
            let heard = try await session.call("heard", [:]).json?.array ?? []
            #expect(heard.first { $0["id"] == "p1" }?["result"] == [:])
            #expect(heard.first { $0["id"] == "r1" }?["error"]?["code"]?.int == RPCFault.methodNotFound)
        }
    }

    @Test("a call that takes too long is given up, and the server is told")
    func slow() async throws {
        var limits = Fake.limits
        limits.call = .seconds(1)
        try await Fake.session("good", limits) { session async throws in
            let error = try await failure { _ = try await session.call("wait", [:]) }
            #expect(error.code == .timedOut && error.message.contains("tools/call within 1.0 seconds"))
            await eventually("the server heard of it") {
                (try? await session.call("heard", [:]).text)?.contains("notifications/cancelled") == true
            }
        }
    }

    @Test("a call whose caller leaves is given up, and the server is told")
    func leaving() async throws {
        try await Fake.session { session async throws in
            let call = Task { try await session.call("wait", [:]) }
            call.cancel()
            let error = try await failure { _ = try await call.value }
            #expect(error.code == .cancelled)
            await eventually("the server heard of it") {
                (try? await session.call("heard", [:]).text)?.contains("notifications/cancelled") == true
            }
        }
    }

    @Test("more calls at a time than the bound are refused")
    func busy() async throws {
        var limits = Fake.limits
        limits.calls = 1
        try await Fake.session("good", limits) { session async throws in
            let first = await withTaskGroup(of: MCPError?.self) { group in
                for _ in 0..<2 {
                    group.addTask { try? await failure { _ = try await session.call("wait", [:]) } }
                }
                defer { group.cancelAll() }
                return await group.next() ?? nil
            }
            #expect(first?.code == .busy)
        }
    }

    // MARK: Servers that are broken

    @Test("a server that crashes at start is told with its exit code and its last words")
    func crash() async throws {
        let error = try await failure { try await Fake.session("crash") { _ in } }
        #expect(error.code == .ended && error.message == "the MCP server fake has ended by itself (exit code 3)")
        #expect(error.lastWords == ["first words", "ModuleNotFoundError: no module named 'boom'"])
    }

    @Test("what its entry gives a server is told to nobody, also where the server says it")
    func secrets() async throws {
        let command = StdioCommand(
            program: "sh", arguments: ["-c", "echo token $KEY of $SHORT, $LONG >&2; echo $KEY; exit 3"],
            environment: StdioCommand.environment(
                Fake.environment, adding: ["KEY": "hush-hush", "LONG": "hush-hush-hush", "SHORT": "on"]),
            folder: "/", secrets: ["hush-hush", "on", "hush-hush-hush"])
        let transport = StdioTransport(name: "fake", command: command, limits: Fake.limits)
        let session = MCPSession(name: "fake", transport: transport, limits: Fake.limits)
        let error = try await failure { try await session.start(version: "1") }
        await session.close()
        #expect(error.lastWords == ["token *** of on, ***"])
        #expect(transport.strangeWords == "***")
    }

    @Test("half of a surrogate pair in a result is a replacement character")
    func cut() async throws {
        try await Fake.session("good") { session async throws in
            #expect(try await session.call("cut", [:]).text == "cut \u{FFFD}")
        }
    }

    @Test("an answer that is no JSON ends the call at once")
    func torn() async throws {
        try await Fake.session("good") { session async throws in
            let error = try await failure { _ = try await session.call("torn", [:]) }
            #expect(
                error.code == .badReply && error.message.contains(#"such as "{"jsonrpc": "2.0""#), "\(error.message)")
        }
    }

    @Test("a server that is killed is told by the signal")
    func killed() async throws {
        let error = try await failure { try await Fake.session("killed") { _ in } }
        #expect(error.message.hasSuffix("(signal 9)"))
    }

    @Test("a server that crashes in a call fails that call with its last words")
    func crashInCall() async throws {
        try await Fake.session { session async throws in
            let error = try await failure { _ = try await session.call("die", [:]) }
            #expect(error.code == .ended && error.message.contains("exit code 3"))
            #expect(error.lastWords == ["about to die"])
            #expect(session.over == error)
        }
    }

    @Test("a server that never answers is given up within the time to start, with its words")
    func stall() async throws {
        var limits = Fake.limits
        limits.start = .seconds(2)
        let error = try await failure { try await Fake.session("echo thinking >&2; sleep 3600", limits) { _ in } }
        #expect(error.code == .timedOut && error.message.contains("initialize within 2.0 seconds"))
        #expect(error.lastWords == ["thinking"])
    }

    @Test("a program that writes something else than messages is no server")
    func garbage() async throws {
        let error = try await failure { try await Fake.session("garbage") { _ in } }
        #expect(error.code == .badReply && error.message.contains("\"Hello, I am no server 0\""))
    }

    @Test("a line of greeting does no harm; where nothing follows the error shows it")
    func banner() async throws {
        #expect(try await Fake.session("banner") { try await $0.call("echo", ["text": "x"]).text } == "x")
        var limits = Fake.limits
        limits.start = .seconds(2)
        let error = try await failure {
            try await Fake.session("echo 'Welcome to the server!'; sleep 3600", limits) { _ in }
        }
        #expect(error.message.contains("\"Welcome to the server!\""))
    }

    @Test("a line that never ends ends the server")
    func line() async throws {
        let error = try await failure { try await Fake.session("line") { _ in } }
        #expect(error.code == .tooLarge && error.message.contains("more than 4 MiB"))
    }

    @Test("a version of the protocol that is not known here is refused")
    func version() async throws {
        let error = try await failure { try await Fake.session("version") { _ in } }
        #expect(error.code == .badReply && error.message.contains("1999-01-01"))
    }

    @Test("a program that is not there is told by its name", arguments: ["no-such-program-here", "/no/such/program"])
    func missing(_ program: String) async throws {
        let transport = StdioTransport(
            name: "fake",
            command: StdioCommand(
                program: program, environment: StdioCommand.environment(Fake.environment, adding: [:]), folder: "/"),
            limits: Fake.limits)
        let session = MCPSession(name: "fake", transport: transport, limits: Fake.limits)
        let error = try await failure { try await session.start(version: "1") }
        await session.close()
        #expect(error.code == .cannotStart)
    }

    @Test("tools with a name, description or schema beyond the bounds cannot be used; others can")
    func odd() async throws {
        let tools = try await Fake.session("odd") { try await $0.tools() }
        let faults = Dictionary(tools.compactMap { tool in tool.fault.map { (tool.tool.name, $0) } }) { $1 }
        #expect(Set(faults.keys) == ["twice", String(repeating: "long", count: 50), "wordy", "deep", "two words"])
        #expect(tools.count { $0.tool.name == "twice" && $0.fault != nil } == 2)
    }

    @Test("a server with more tools than the bound is refused")
    func many() async throws {
        let error = try await failure { _ = try await Fake.session("many") { try await $0.tools() } }
        #expect(error.code == .tooLarge && error.message.contains("more than 256 tools"))
    }

    @Test("closing ends a server that wants to stay, and its children")
    func stays() async throws {
        let group = try await Fake.session("stays") { session async throws in
            let group = Int32(try #require(try await session.call("surroundings", [:]).json?["group"]?.int))
            #expect(ProcessGroup.isAlive(group))
            return group
        }
        #expect(!ProcessGroup.isAlive(group))
    }
}
