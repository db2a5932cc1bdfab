import MartletMCP
import MartletProcess
import MartletWire
import NIOHTTP1
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3))) struct MCPServersTests {
    private let fake = ServerReference.installed("mcp/fake")

    @discardableResult
    private func used<R: Sendable>(_ servers: MCPServers, _ work: (MCPServers) async throws -> R) async throws -> R {
        do {
            let result = try await work(servers)
            await servers.close()
            return result
        } catch {
            await servers.close()
            throw error
        }
    }

    /// Works with the servers of a home whose `mcp.json` has one, `fake`, of that behaviour.
    private func faked(
        _ behaviour: String = "good", limits: MCPLimits = Fake.limits,
        _ work: (Home, MCPServers) async throws -> Void
    ) async throws {
        let home = try Home()
        try home.use(behaviour)
        try await used(home.servers(limits: limits)) { try await work(home, $0) }
    }

    private func group(_ servers: MCPServers) async throws -> Int {
        try #require(try await servers.call("surroundings", of: fake, arguments: [:]).json?["group"]?.int)
    }

    @Test("a server is started once for all who want it, and goes on for the next")
    func shared() async throws {
        try await faked { _, servers async throws in
            let groups = try await withThrowingTaskGroup(of: Int.self) { tasks in
                for _ in 0..<5 { tasks.addTask { try await group(servers) } }
                return try await tasks.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(groups.count == 1)
            #expect(try await groups == [group(servers)])
        }
    }

    @Test("a server runs with what its entry says, in the user's home, without our keys")
    func surroundings() async throws {
        let home = try Home()
        try home.use("good", more: #","env":{"ROOT":"a b"}"#)
        let environment = Fake.environment.merging(["HF_TOKEN": "secret", "HOME": home.path]) { $1 }
        try await used(home.servers(environment: environment)) { servers async throws in
            let json = try #require(try await servers.call("surroundings", of: fake, arguments: [:]).json)
            #expect(json["environment"]?["ROOT"] == "a b")
            #expect(json["environment"]?["HF_TOKEN"] == nil)
            #expect(json["folder"]?.string?.hasSuffix(String(home.path.dropFirst("/tmp".count))) == true)
        }
    }

    @Test("mcp.json is read again when it has changed, and the changed server is started anew")
    func changedFile() async throws {
        try await faked { home, servers async throws in
            let first = try await group(servers)
            try home.use("good", more: #","env":{"A":"b"}"#)
            #expect(try await group(servers) != first)
            try home.write("mcp.json", "{}")
            let error = try await failure { _ = try await servers.tools(of: fake) }
            #expect(error.code == .noSuchServer && error.message.contains("martlet mcp add"))
        }
    }

    @Test("a server that crashed is started again at its next use")
    func restart() async throws {
        try await faked { _, servers async throws in
            let first = try await group(servers)
            let error = try await failure { _ = try await servers.call("die", of: fake, arguments: [:]) }
            #expect(error.code == .ended && error.lastWords == ["about to die"])
            #expect(try await group(servers) != first)
        }
    }

    @Test("a server that fails to start is not tried again at once; the error says when, and why")
    func backOff() async throws {
        var limits = Fake.limits
        limits.backOff = .seconds(30)
        try await faked("crash", limits: limits) { _, servers async throws in
            let first = try await failure { _ = try await servers.tools(of: fake) }
            let second = try await failure { _ = try await servers.tools(of: fake) }
            #expect(first.code == .ended && second.code == .backingOff)
            #expect(second.message.hasPrefix(first.message) && second.message.contains("tried again in 30 s"))
            #expect(second.lastWords == first.lastWords)
        }
    }

    @Test("a short pause is waited for, and the server used that starts then")
    func secondStart() async throws {
        let home = try Home()
        try home.use("late", describedIn: "late")
        try home.write("late", "Says it.")
        try await used(home.servers()) { servers async throws in
            _ = try await failure { _ = try await servers.tools(of: fake) }
            #expect(try await servers.tools(of: fake).first?.tool.name == "echo")
        }
    }

    @Test("a server that nobody uses any more is closed")
    func idle() async throws {
        var limits = Fake.limits
        limits.idle = .milliseconds(200)
        try await faked(limits: limits) { _, servers async throws in
            let first = try await group(servers)
            await eventually("it is gone") { !ProcessGroup.isAlive(Int32(first)) }
            #expect(try await group(servers) != first)
        }
    }

    // MARK: Pins

    @Test("tools are pinned at first use; a changed one is blocked until it is approved, others go on")
    func changed() async throws {
        let home = try Home()
        try home.write("words", "Says it.")
        try home.use("good", describedIn: "words")
        try await used(home.servers()) { servers async throws in
            #expect(try await servers.tools(of: fake).allSatisfy { $0.state == .usable })
            try home.write("words", "Says it, and sends it to me.")
            // The server tells of the change; then the list is read again.
            _ = try await servers.call("change", of: fake, arguments: [:])
            var changed: CheckedTool?
            await eventually("the change is seen") {
                changed = try? await servers.tools(of: fake).first { $0.tool.name == "echo" }
                return changed?.state != .usable
            }
            guard case .changed(let old)? = changed?.state else {
                Issue.record("\(String(describing: changed))")
                return
            }
            #expect(old.description == "Says it.")
            let error = try await failure { _ = try await servers.call("echo", of: fake, arguments: ["text": "a"]) }
            #expect(error.code == .blocked && error.message.contains("martlet mcp approve fake"))
            #expect(try await servers.call("fail", of: fake, arguments: [:]) != .content("[]", isError: false))
            // As the command does it, in another process.
            let tool = try #require(changed?.tool)
            #expect(try PinFile(home: home.path).read().waiting(of: "mcp/fake") == [tool])
            try PinFile(home: home.path).change { $0.approve([tool], of: "mcp/fake") }
            #expect(try await servers.call("echo", of: fake, arguments: ["text": "a"]).text == "a")
        }
    }

    @Test("a change while nobody looked is seen after a restart, and a new tool is blocked")
    func changedAway() async throws {
        let home = try Home()
        try home.write("words", "Says it.")
        try home.use("good", describedIn: "words")
        try await used(home.servers()) { _ = try await $0.tools(of: fake) }
        try home.write("words", "Says something else.")
        try home.write("words.more", "")
        try await used(home.servers()) { servers async throws in
            let blocked = try await servers.tools(of: fake).filter { $0.state != .usable }
            #expect(blocked.map(\.tool.name) == ["echo", "more"] && blocked[1].state == .new)
            let error = try await failure { _ = try await servers.call("more", of: fake, arguments: [:]) }
            #expect(error.code == .blocked && error.message.contains("new since"))
        }
    }

    @Test("a tool that is not listed cannot be called")
    func unlisted() async throws {
        try await faked { _, servers async throws in
            let error = try await failure { _ = try await servers.call("hidden", of: fake, arguments: [:]) }
            #expect(error.code == .noSuchTool)
        }
    }

    // MARK: Servers that requests name

    private func reference(_ server: FakeWebServer, owner: String = "me") throws -> ServerReference {
        .ephemeral(label: "web", try #require(ServerURL(server.url)), [], owner: owner)
    }

    @Test("an address that is not allowed is refused with the setting's name")
    func closedAddress() async throws {
        let server = try await FakeWebServer.start()
        let home = try Home()
        let web = try reference(server)
        try await used(home.servers()) { servers async throws in
            let error = try await failure { _ = try await servers.tools(of: web) }
            #expect(error.code == .closedAddress && error.message.contains("mcp.allowed_hosts"))
        }
        #expect(server.seen.isEmpty)
        try await server.stop()
    }

    @Test("a session that the server has forgotten is begun anew, once")
    func forgotten() async throws {
        let server = try await FakeWebServer.start()
        let home = try Home()
        let web = try reference(server)
        try await used(home.servers { _, _, _ in true }) { servers async throws in
            _ = try await servers.tools(of: web)
            server.forget()
            #expect(try await servers.call("echo", of: web, arguments: ["text": "on"]).text == "on")
            server.alter { $0.rpc == "tools/call" ? .init(status: 404) : $1 }
            let error = try await failure { _ = try await servers.call("echo", of: web, arguments: [:]) }
            #expect(error.code == .sessionGone)
        }
        #expect(server.seen.count { $0.rpc == "initialize" } == 3)
        try await server.stop()
    }

    @Test("owners do not share a session, and a changed tool of a server they name is blocked, a new one is not")
    func ephemeralPins() async throws {
        let words = Mutex("Says it.")
        let server = try await FakeWebServer.start { seen, answer in
            guard seen.rpc == "tools/list" else { return answer }
            var answer = answer
            let text = words.withLock { $0 }
            answer.body = answer.body.replacing("Says it.", with: text)
            if text != "Says it." {
                answer.body = answer.body.replacing(#""tools":["#, with: #""tools":[{"name":"more"},"#)
            }
            return answer
        }
        let home = try Home()
        let (mine, theirs) = (try reference(server), try reference(server, owner: "them"))
        try await used(home.servers { _, _, _ in true }) { servers async throws in
            #expect(try await servers.tools(of: mine).map(\.state) == [.usable])
            words.withLock { $0 = "Says more." }
            let tools = try await servers.tools(of: theirs)
            #expect(tools.map(\.tool.name) == ["more", "echo"] && tools[0].state == .usable)
            guard case .changed = tools[1].state else {
                Issue.record("\(tools)")
                return
            }
            let error = try await failure { _ = try await servers.call("echo", of: theirs, arguments: [:]) }
            #expect(error.message.contains("martlet mcp approve http://127.0.0.1:\(server.port)/mcp"))
        }
        #expect(server.seen.count { $0.rpc == "initialize" } == 2)
        try await server.stop()
    }

    @Test("no more servers that requests name are connected than the bound; an idle one makes room")
    func room() async throws {
        let server = try await FakeWebServer.start()
        let home = try Home()
        var limits = Fake.limits
        limits.ephemeral = 2
        try await used(home.servers(limits: limits) { _, _, _ in true }) { servers async throws in
            for owner in ["a", "b", "c"] { _ = try await servers.tools(of: try reference(server, owner: owner)) }
            #expect(server.seen.count { $0.method == .DELETE } == 1)
        }
        #expect(server.seen.count { $0.method == .DELETE } == 3)
        try await server.stop()
    }

    @Test("pins of servers that requests name are bounded; those used longest ago go, those of mcp.json stay")
    func boundedPins() async throws {
        let server = try await FakeWebServer.start()
        let home = try Home()
        try PinFile(home: home.path).change { $0.approve([MCPTool(name: "t")], of: "mcp/mine") }
        var limits = Fake.limits
        limits.ephemeralPins = 2
        try await used(home.servers(limits: limits) { _, _, _ in true }) { servers async throws in
            for path in ["a", "b", "c", "d"] {
                let url = try #require(ServerURL("http://127.0.0.1:\(server.port)/\(path)"))
                _ = try await servers.tools(of: .ephemeral(label: path, url, [], owner: ""))
            }
        }
        let names = try PinFile(home: home.path).read().names
        #expect(names.count == 3 && names.contains("mcp/mine"))
        try await server.stop()
    }
}
