import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import Synchronization
import Testing

/// Tools `lookup` of a server `wiki`; a call waits until it is let go where it is held.
private final class FakeTools: ToolHost {
    private let calls = Mutex<[String]>([])
    private let cancelled = Mutex(0)
    private let isHeld = Mutex(false)

    var made: [String] { calls.withLock { $0 } }
    var given: Int { cancelled.withLock { $0 } }

    func hold() { isHeld.withLock { $0 = true } }
    func letGo() { isHeld.withLock { $0 = false } }

    func tools(of integrations: [Integration], for owner: KeyTable.Digest) async throws(GatewayError) -> ListedTools {
        guard integrations.allSatisfy({ $0.label == "wiki" }) else {
            throw GatewayError(code: .mcpDenied, message: "Permission denied to use local MCP server 'other'.")
        }
        return ListedTools(integrations.map { ServedTool($0, name: "lookup") })
    }

    func attachedTools(of integrations: [Integration], for owner: KeyTable.Digest) async -> [ServedTool] {
        (try? await tools(of: integrations, for: owner).served) ?? []
    }

    func call(_ tool: ServedTool, _ arguments: ByteBuffer, for owner: KeyTable.Digest) async -> ToolRun {
        calls.withLock { $0.append(String(buffer: arguments)) }
        while isHeld.withLock({ $0 }) {
            do {
                try await Task.sleep(for: .milliseconds(5))
            } catch {
                cancelled.withLock { $0 += 1 }
                break
            }
        }
        return ToolRun(.output("[{\"type\":\"text\",\"text\":\"paper\"}]"), by: tool.integration.provider)
    }
}

@Suite("Tools that are run here, over real sockets", .timeLimit(.minutes(2)))
struct ToolRoundTests {
    static let body =
        "{\"model\":\"m\",\"stream\":true,\"input\":\"hi\",\"tools\":[{\"type\":\"mcp\",\"server_label\":\"wiki\"}]}"
    static let call =
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
        + "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"lookup\","
        + "\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n"
        + "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
        + "\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"

    /// Calls until it has been given so many results, then answers.
    static func script(results: Int = 1) -> FakeUpstream.Script {
        { request, connection in
            connection.beginStream()
            let done = request.body.count(of: "\"role\":\"tool\"") >= results
            connection.lastChunk(done ? Text.delta("Paper.") + Text.stop : Self.call)
        }
    }

    static func upstream(_ port: Int) -> Upstream { GatewayUnderTest.upstream(port, mode: .repair) }

    /// Works while a call is held that a client's reply waits for; the upstream has one slot.
    private func held(
        _ work: (GatewayUnderTest, FakeUpstream, FakeTools, RawClient) async throws -> Void
    ) async throws {
        let tools = FakeTools()
        tools.hold()
        try await GatewayUnderTest.run(Self.upstream, script: Self.script(), slots: 1, tools: tools) {
            gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body, path: "/v1/responses"))
            try await until("the call") { tools.made.count == 1 }
            try await work(gateway, upstream, tools, client)
        }
    }

    @Test("A stream goes on through the rounds, on one connection to the upstream")
    func stream() async throws {
        let tools = FakeTools()
        try await GatewayUnderTest.run(Self.upstream, script: Self.script(results: 3), slots: 1, tools: tools) {
            gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body, path: "/v1/responses"))
            try await client.wait(for: "the end") { $0.contains("\r\n0\r\n\r\n") }
            #expect(upstream.requests.count == 4)
            #expect(upstream.connections.count == 1)
            #expect(tools.made == ["{}", "{}", "{}"])
            #expect(client.text.count(of: "event: response.mcp_call.completed") == 3)
            #expect(client.text.count(of: "event: response.created") == 1)
            #expect(client.text.contains("event: response.completed"))
            try await until("the record") { gateway.records.all.count == 1 }
            #expect(gateway.records.all[0].outcome == .complete)
            client.send(Text.post(Self.body, path: "/v1/responses"))
            try await client.wait(for: "another end") { $0.count(of: "\r\n0\r\n\r\n") == 2 }
        }
    }

    @Test("A reply that is wanted whole comes in one piece")
    func whole() async throws {
        let tools = FakeTools()
        try await GatewayUnderTest.run(Self.upstream, script: Self.script(), tools: tools) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body.replacing("true", with: "false"), path: "/v1/responses"))
            try await client.wait(for: "\"total_tokens\"")
            #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(client.text.contains("content-type: application/json\r\n"))
            #expect(client.text.contains("\"output\":\"paper\"") && client.text.contains("Paper."))
            #expect(upstream.requests.allSatisfy { $0.body.contains("\"stream\":true") })
        }
    }

    @Test("A client that leaves while a tool runs ends the call at once, and nobody is asked again")
    func gone() async throws {
        try await held { gateway, upstream, tools, client in
            client.close()
            try await until("the call's end") { tools.given == 1 }
            try await until("the record") { gateway.records.all.count == 1 }
            #expect(gateway.records.all[0].outcome == .clientGone)
            #expect(upstream.requests.count == 1)
        }
    }

    @Test("While a tool runs, its slot is another's")
    func slot() async throws {
        try await held { gateway, upstream, _, _ in
            let other = try await gateway.connect()
            let plain = "{\"model\":\"m\",\"stream\":true,\"input\":\"hi\"}"
            other.send(Text.post(plain, path: "/v1/responses"))
            try await until("another request") { upstream.requests.count == 2 }
        }
    }

    @Test(
        "While a tool runs, its model is in use, and the next round goes to the same engine; one that has ended is loaded again",
        arguments: [true, false])
    func engine(lives: Bool) async throws {
        let tools = FakeTools()
        tools.hold()
        let path = "/tmp/martlet-test-\(UInt32.random(in: 0 ... .max)).sock"
        try await GatewayUnderTest.run(
            { _ in Upstream(name: "u", profile: .engine, location: .hosted) }, script: Self.script(), path: path,
            tools: tools
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body, path: "/v1/responses"))
            try await until("the call") { tools.made.count == 1 }
            #expect(gateway.models.inUse == 1)
            if !lives { gateway.models.end() }
            tools.letGo()
            try await client.wait(for: "event: response.completed")
            #expect(gateway.models.wished.count == (lives ? 1 : 2))
            try await until("the model is given back") { gateway.models.inUse == 0 }
        }
    }

    @Test("What may not be used is a status and a sentence")
    func denied() async throws {
        try await GatewayUnderTest.run(Self.upstream, script: Self.script(), tools: FakeTools()) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body.replacing("wiki", with: "other"), path: "/v1/responses"))
            try await client.wait(for: "Permission denied to use local MCP server 'other'.")
            #expect(client.text.hasPrefix("HTTP/1.1 403 "))
            #expect(upstream.requests.isEmpty)
        }
        try await GatewayUnderTest.run(Self.upstream, script: Self.script()) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body, path: "/v1/responses"))
            try await client.wait(for: "its configuration (mcp) turns them on")
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test("An upstream that fails in a later round fails the reply, in the words of its stream")
    func laterFailure() async throws {
        try await GatewayUnderTest.run(
            Self.upstream,
            script: { request, connection in
                guard request.body.contains("\"role\":\"tool\"") else {
                    return Self.script()(request, connection)
                }
                connection.reply("{\"error\":{\"message\":\"no memory\"}}", status: "500 Oh")
            }, tools: FakeTools()
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.body, path: "/v1/responses"))
            try await client.wait(for: "event: response.failed")
            #expect(client.text.contains("no memory"))
            #expect(client.text.contains("\"output\":\"paper\""), "what was done is told")
            #expect(upstream.requests.count == 2)
        }
    }
}
