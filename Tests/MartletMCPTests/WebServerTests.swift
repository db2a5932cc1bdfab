import MartletMCP
import MartletWire
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3))) struct WebServerTests {
    /// A session with the server, which the work gets too.
    private func session<R: Sendable>(
        _ server: FakeWebServer, at url: String? = nil, headers: [(String, String)] = [], door: AddressDoor = .open,
        limits: MCPLimits = Fake.limits, _ work: (MCPSession) async throws -> R
    ) async throws -> R {
        let url = try #require(ServerURL(url ?? server.url))
        let transport = HTTPTransport(
            name: "web", url: url, headers: try ServerHeader.all(headers), door: door, limits: limits)
        let session = MCPSession(name: "web", transport: transport, limits: limits)
        do {
            try await session.start(version: "1")
            let result = try await work(session)
            await session.close()
            try await server.stop()
            return result
        } catch {
            await session.close()
            try await server.stop()
            throw error
        }
    }

    @Test("a session has its id, its version and the headers in every request, and is ended by DELETE")
    func headers() async throws {
        let server = try await FakeWebServer.start()
        try await session(server, headers: [("Authorization", "Bearer abc"), ("User-Agent", "mine")]) {
            session async throws in
            #expect(try await session.tools().map(\.tool.name) == ["echo"])
            #expect(try await session.call("echo", ["text": "hi"]).text == "hi")
        }
        let seen = server.seen
        #expect(seen.map(\.rpc) == ["initialize", "notifications/initialized", "tools/list", "tools/call", nil])
        #expect(seen.last?.method == .DELETE)
        #expect(
            seen.allSatisfy { $0.headers["authorization"] == ["Bearer abc"] && $0.headers["user-agent"] == ["mine"] })
        #expect(seen.dropFirst().allSatisfy { $0.headers["mcp-session-id"] == ["s1"] })
        #expect(seen.dropFirst().allSatisfy { $0.headers["mcp-protocol-version"] == ["2025-06-18"] })
        #expect(seen.first?.headers["mcp-session-id"] == [])
    }

    @Test("an answer may come in an event stream, behind signs of life and notifications")
    func events() async throws {
        let before = """
            : alive\n\nid: 0\ndata:\n\nevent: message
            data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n
            """
        let server = try await FakeWebServer.start {
            $0.rpc == "tools/call" ? FakeWebServer.events($1, before: before) : $1
        }
        #expect(try await session(server) { try await $0.call("echo", ["text": "hi"]).text } == "hi")
    }

    @Test("a stream that ends without the answer is an error")
    func cut() async throws {
        let server = try await FakeWebServer.start { seen, answer in
            guard seen.rpc == "tools/call" else { return answer }
            return .init(headers: ["content-type": "text/event-stream"], body: ": alive\n\n")
        }
        let error = try await failure { _ = try await session(server) { try await $0.call("echo", [:]) } }
        #expect(error.code == .ended && error.message.contains("before it had answered"))
    }

    @Test("a server that stalls in its answer is given up")
    func stall() async throws {
        let server = try await FakeWebServer.start { seen, answer in
            guard seen.rpc == "tools/call" else { return answer }
            return .init(headers: ["content-type": "text/event-stream"], body: ": alive\n\n", stalls: true)
        }
        var limits = Fake.limits
        limits.call = .seconds(1)
        let error = try await failure {
            _ = try await session(server, limits: limits) { try await $0.call("echo", [:]) }
        }
        #expect(error.code == .timedOut)
    }

    @Test("a list that came over HTTP is read again when it is old")
    func age() async throws {
        var limits = Fake.limits
        limits.listAge = .zero
        let server = try await FakeWebServer.start()
        try await session(server, limits: limits) { session async throws in
            _ = try await session.tools()
            _ = try await session.tools()
        }
        #expect(server.seen.count { $0.rpc == "tools/list" } == 2)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var status: Int
        var body = ""
        var type = "application/json"
        var location: String?
        var code: MCPError.Code
        var words: String
        var testDescription: String { "\(status) \(words)" }
    }

    @Test(
        "what no server should answer is told for what it is",
        arguments: [
            Refusal(status: 401, code: .unauthorized, words: "set its headers"),
            Refusal(status: 403, code: .unauthorized, words: "HTTP 403"),
            Refusal(status: 404, code: .badReply, words: "is its path right?"),
            Refusal(status: 405, code: .badReply, words: "HTTP+SSE, is not spoken"),
            Refusal(status: 500, code: .refused, words: "HTTP 500"),
            Refusal(status: 302, location: "/other", code: .refused, words: "HTTP 302"),
            Refusal(status: 307, location: "http://127.0.0.1:9/mcp", code: .badReply, words: "another place"),
            Refusal(status: 307, location: "/mcp", code: .badReply, words: "more than 3 times"),
            Refusal(status: 200, body: "<html>", type: "text/html", code: .badReply, words: "text/html"),
            Refusal(status: 200, body: "nonsense", code: .badReply, words: "\"nonsense\""),
            Refusal(
                status: 200, body: #"{"jsonrpc":"2.0","id":99,"result":{}}"#, code: .badReply, words: "not to what"),
            Refusal(
                status: 200, body: #"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no\u001b[31m"}}"#,
                code: .refused, words: "refuses initialize: no [31m"),
        ])
    func refusals(_ refusal: Refusal) async throws {
        let server = try await FakeWebServer.start { _, _ in
            var answer = FakeWebServer.Answer(
                status: refusal.status, headers: ["content-type": refusal.type], body: refusal.body)
            if let location = refusal.location { answer.headers.add(name: "location", value: location) }
            return answer
        }
        let error = try await failure { try await session(server) { _ in } }
        #expect(error.code == refusal.code && error.message.contains(refusal.words), "\(error.message)")
    }

    @Test("a redirect within the server's origin is followed, with the headers")
    func redirect() async throws {
        let server = try await FakeWebServer.start { seen, answer in
            seen.uri == "/mcp" ? .init(status: 307, headers: ["location": "/mcp/"]) : answer
        }
        try await session(server, headers: [("X-Key", "k")]) { _ = try await $0.tools() }
        #expect(server.seen.map(\.uri) == ["/mcp", "/mcp/", "/mcp/", "/mcp/", "/mcp/"])
        #expect(server.seen.allSatisfy { $0.headers["x-key"] == ["k"] })
    }

    @Test("a message beyond the bound is an error, in a body and in a stream", arguments: [false, true])
    func tooLarge(_ isStream: Bool) async throws {
        let server = try await FakeWebServer.start { seen, answer in
            guard seen.rpc == "tools/list" else { return answer }
            let large = FakeWebServer.Answer(body: String(repeating: " ", count: 5 << 20) + answer.body)
            return isStream ? FakeWebServer.events(large) : large
        }
        let error = try await failure { _ = try await session(server) { try await $0.tools() } }
        #expect(error.code == .tooLarge)
    }

    // MARK: Addresses

    @Test(
        "an address that the rule refuses is not connected to, by whatever name",
        arguments: ["127.0.0.1", "LOCALHOST", "2130706433"])
    func refused(_ host: String) async throws {
        let server = try await FakeWebServer.start()
        let asked = Mutex<[(String, [UInt8])]>([])
        let door = AddressDoor.checked { host, port, address in
            asked.withLock { $0.append((host, address)) }
            return false
        }
        let error = try await failure {
            try await session(server, at: "http://\(host):\(server.port)/mcp", door: door) { _ in }
        }
        #expect(error.code == .closedAddress && error.message.contains("mcp.allowed_hosts"))
        #expect(server.seen.isEmpty)
        #expect(asked.withLock { $0.map(\.1) } == [[127, 0, 0, 1]])
        #expect(asked.withLock { $0.map(\.0) } == [host.lowercased()])
    }

    @Test("what was looked up is what is connected to, though the name's spelling differs")
    func pinned() async throws {
        let server = try await FakeWebServer.start()
        let door = AddressDoor.checked { _, _, address in address == [127, 0, 0, 1] }
        let port = server.port
        let text = try await session(server, at: "http://LocalHost:\(server.port)/mcp", door: door) {
            session async throws in
            try await session.call("echo", ["text": "in"]).text
        }
        #expect(text == "in")
        #expect(server.seen.first?.headers["host"] == ["localhost:\(port)"])
    }

    @Test("nobody listens: the error says so")
    func unreachable() async throws {
        let server = try await FakeWebServer.start()
        let url = server.url
        try await server.stop()
        let transport = HTTPTransport(
            name: "web", url: try #require(ServerURL(url)), headers: [], door: .open, limits: Fake.limits)
        let session = MCPSession(name: "web", transport: transport)
        let error = try await failure { try await session.start(version: "1") }
        await session.close()
        #expect(error.code == .unreachable && error.message.contains("cannot connect"))
    }

    @Test(
        "what is no address of a server is none",
        arguments: [
            "ftp://a/b", "http://", "http://user@a/", "http://a b/", "/mcp", "http://a:0/", "http://a%2eb/", "",
        ])
    func addresses(_ text: String) { #expect(ServerURL(text) == nil) }

    @Test("the identity of a server has its port and no query")
    func identity() {
        #expect(ServerURL("HTTPS://Mcp.Example.org/a?key=1#x")?.identity == "https://mcp.example.org:443/a")
        #expect(ServerURL("http://[::1]:8")?.identity == "http://[::1]:8/")
        #expect(ServerURL("http://a?k=1")?.text == "http://a:80/?k=1")
    }

    @Test(
        "headers that say how a message travels, and what is no header, are refused",
        arguments: [("Host", "a"), ("Mcp-Session-Id", "a"), ("a b", "a"), ("", "a"), ("x", "a\r\nb: c"), ("x:", "a")])
    func badHeaders(_ name: String, _ value: String) async throws {
        let error = try await failure { _ = try ServerHeader(name, value) }
        #expect(error.code == .badEntry)
    }
}
