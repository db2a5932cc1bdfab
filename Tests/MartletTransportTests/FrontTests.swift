import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import Testing

@Suite("Clients, polite and hostile", .timeLimit(.minutes(1)))
struct FrontTests {
    @Test("Requests sent in one go are answered in their order")
    func pipelined() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.reply(Text.answer) }) { gateway, _ in
            let client = try await gateway.connect()
            gateway.control.hold()
            client.send(
                Text.get("/health") + Text.post(Text.body) + Text.get("/nowhere") + Text.post("{")
                    + Text.get("/v1/models"))
            try await until("the first is at work") { gateway.control.waiting == 1 }
            #expect(client.text == "")
            gateway.control.letGo()
            let text = try await client.wait(for: "\"path\":\"/v1/models\"")
            #expect(text.count(of: "HTTP/1.1 ") == 5)
            let order = [
                "\"path\":\"/health\"", Text.answer, "HTTP/1.1 404", "HTTP/1.1 400", "\"path\":\"/v1/models\"",
            ]
            let places = order.compactMap { text.utf8.firstRange(of: $0.utf8)?.lowerBound }
            #expect(places.count == order.count && places == places.sorted())
        }
    }

    @Test(
        "Thousands of requests in one go are answered one after another",
        arguments: [
            Text.get("/nowhere"), Text.post("{"), Text.get("/v1/models"),
        ])
    func flood(request: String) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            gateway.control.hold()
            // A first body that is large makes the reads behind it large too.
            client.send(Text.post(String(repeating: " ", count: 1 << 20)) + Text.get("/health"))
            try await until("the first is at work") { gateway.control.waiting == 1 }
            let times = 5000
            client.send(String(repeating: request, count: times))
            gateway.control.letGo()
            try await client.wait(for: "all replies") { $0.count(of: "HTTP/1.1 ") == times + 2 }
        }
    }

    @Test("A client that asks and never reads is not answered without end")
    func neverReads() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect(reads: false)
            let request = Text.get("/v1/models/\(String(repeating: "x", count: 8000))")
            let times = 4000
            for _ in 0..<times { client.send(request) }
            var last = -1
            var same = 0
            try await until("it stands still") {
                let answers = gateway.control.answers
                same = answers == last ? same + 1 : 0
                last = answers
                return same > 60 && answers > 0
            }
            #expect(last < times / 2, "\(last) answers of 8 KB wait for nobody")
            client.startReading()
            try await until("all are answered once it reads") { gateway.control.answers == times }
        }
    }

    @Test("A body in chunks is read, up to the limit")
    func chunked() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.reply(Text.answer) }, maxBody: 4096) {
            gateway, upstream in
            let client = try await gateway.connect()
            let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            let half = Text.body.utf8.count / 2
            let first = String(Text.body.prefix(half)), second = String(Text.body.dropFirst(half))
            client.send(head + String(first.utf8.count, radix: 16) + "\r\n" + first + "\r\n")
            client.send(String(second.utf8.count, radix: 16) + ";x=y\r\n" + second + "\r\n0\r\nx-trailer: 1\r\n\r\n")
            try await client.wait(for: Text.answer)
            #expect(upstream.requests[0].body == Text.body)
            #expect(upstream.requests[0].head.contains("content-length: \(Text.body.utf8.count)"))
            client.send(head + "1001\r\n" + String(repeating: " ", count: 4097) + "\r\n0\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 413")
            try await client.waitForClose()
            #expect(client.text.contains("connection: close"), "what follows a body that was not read is no request")
        }
    }

    @Test("A body over the limit is refused before it is sent")
    func tooLarge() async throws {
        try await GatewayUnderTest.run(maxBody: 4096) { gateway, _ in
            let client = try await gateway.connect()
            client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4097\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 413")
        }
    }

    @Test("An HTTP/1.0 client gets a stream without chunks that ends with the connection")
    func http10() async throws {
        try await GatewayUnderTest.run(
            script: { _, connection in
                connection.beginStream()
                connection.chunk(Text.delta("part") + Text.stop)
                connection.endStream()
            }
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.streamBody).replacing("HTTP/1.1", with: "HTTP/1.0"))
            try await client.waitForClose()
            #expect(client.text.contains("\r\n\r\n" + Text.delta("part") + Text.stop))
            #expect(!client.text.contains("transfer-encoding"))
            #expect(client.text.contains("connection: close\r\n"))
        }
    }

    @Test("An HTTP/1.0 client that wants to keep its connection is told that it may")
    func http10KeepAlive() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            let request = "GET /v1/models HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n"
            client.send(request)
            try await client.wait(for: "\"path\"")
            #expect(client.text.contains("connection: keep-alive\r\n"))
            client.send(request)
            try await client.wait(for: "second reply") { $0.count(of: "\"path\"") == 2 }
            let closing = try await gateway.connect()
            closing.send("GET /v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n")
            try await closing.waitForClose()
            #expect(closing.text.contains("\"path\""))
        }
    }

    @Test("HEAD is answered as GET, without the body")
    func head() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            for (turn, path) in ["/", "/v1/models", "/health", "/nowhere", "/v1/chat/completions"].enumerated() {
                client.send("HEAD \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                try await client.wait(for: "head \(turn)") { $0.count(of: "\r\n\r\n") == turn + 1 }
            }
            #expect(client.text.hasSuffix("\r\n\r\n"))
            #expect(!client.text.contains("{"))
            #expect(client.text.count(of: "HTTP/1.1 200") == 3)
            #expect(client.text.count(of: "HTTP/1.1 404") == 1)
            #expect(client.text.count(of: "allow: POST\r\n") == 1)
            #expect(!client.text.contains("content-length: 0"))
        }
    }

    @Test("A client that expects 100-continue is told to, or why not")
    func expects() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.reply(Text.answer) }, maxBody: 4096) {
            gateway, _ in
            let client = try await gateway.connect()
            let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            client.send(head + "Content-Length: \(Text.body.utf8.count)\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 100 Continue\r\n\r\n")
            client.send(Text.body)
            try await client.wait(for: Text.answer)
            client.send(head + "Content-Length: 5000\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 413")
            try await client.waitForClose()
            #expect(client.text.count(of: "100 Continue") == 1)
            let old = try await gateway.connect()
            old.send(Text.post(Text.body, more: "Expect: 100-continue\r\n").replacing("HTTP/1.1", with: "HTTP/1.0"))
            try await old.wait(for: Text.answer)
            #expect(!old.text.contains("100 Continue"), "RFC 9110, 10.1.1: never to an older client")
        }
    }

    @Test("A client that offers an upgrade is answered in HTTP/1.1")
    func upgrade() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.reply(Text.answer) }) { gateway, _ in
            let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
            let client = try await gateway.connect()
            client.send(Text.post(Text.body, more: offer))
            try await client.wait(for: Text.answer)
            let getting = try await gateway.connect()
            getting.send(Text.get("/v1/models", more: offer))
            try await getting.wait(for: "\"path\"")
        }
    }

    // MARK: Refusals

    @Test(
        "What is no HTTP, or not for us, is answered with a status and a sentence",
        arguments: [
            ("GET /v1/models HTTP/1.1\r\n\r\n", "403", "one Host header"),
            ("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "403", "one Host header"),
            ("GET /v1/models HTTP/1.1\r\nHost: evil.com\r\n\r\n", "403", "evil.com"),
            ("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.com\r\n\r\n", "403", "http://evil.com"),
            ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "GET /nowhere"),
            ("PUT /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "GET or HEAD"),
            ("GET /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "POST"),
            (
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: zstd\r\nContent-Length: 0\r\n\r\n",
                "415", "zstd"
            ),
            ("garbage\r\n\r\n", "400", "not valid HTTP"),
            ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", "400", "not valid HTTP"),
            (
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400",
                "content-length"
            ),
            ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", "400", "content-length"),
            (
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                "400", "chunk"
            ),
            ("GET /\u{0} HTTP/1.1\r\nHost: localhost\r\n\r\n", "400", "not valid HTTP"),
            (
                "GET / HTTP/1.1\r\nHost: localhost\r\nx: \(String(repeating: "y", count: 90_000))\r\n\r\n", "431",
                "80 KiB"
            ),
        ])
    func refused(request: String, status: String, words: String) async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            client.send(request)
            try await client.wait(for: words)
            #expect(client.text.hasPrefix("HTTP/1.1 \(status)"))
            #expect(client.text.contains("{\"error\":{\"message\":"))
            #expect(client.text.contains("x-request-id: "))
        }
    }

    @Test("A second request that is no HTTP is answered too")
    func secondRefused() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.get("/v1/models"))
            try await client.wait(for: "\"path\"")
            client.send("garbage\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 400")
            try await client.waitForClose()
        }
    }

    @Test("Garbage behind a request does not take its reply away")
    func garbageBehind() async throws {
        try await GatewayUnderTest.run { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body) + "garbage\r\n\r\n")
            try await until("the request is there") { upstream.requests.count == 1 }
            upstream.connections[0].reply(Text.answer)
            try await client.wait(for: Text.answer)
            try await client.waitForClose()
        }
    }

    @Test("A browser's page from an allowed origin may call, any other may not")
    func crossOrigin() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            client.send(
                "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 204")
            #expect(client.text.contains("access-control-allow-origin: https://app.example\r\n"))
            client.send(Text.get("/v1/models", more: "Origin: https://app.example\r\n"))
            try await client.wait(for: "\"path\"")
            #expect(client.text.count(of: "access-control-allow-origin: https://app.example\r\n") == 2)
            let stranger = try await gateway.connect()
            stranger.send(
                "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.com\r\n\r\n")
            try await stranger.wait(for: "HTTP/1.1 403")
            #expect(!stranger.text.contains("access-control-allow"))
        }
    }

    @Test("A pre-flight is given the headers it asks for, as far as they are names, and a way into a private network")
    func preflight() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            let long = String(repeating: "a", count: 65)
            client.send(
                "OPTIONS /v1/nothing HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
                    + "Access-Control-Request-Headers: x-stainless-os, authorization ,,x y,b(c),\(long),x-b:c\r\n"
                    + "Access-Control-Request-Private-Network: true\r\n\r\n")
            try await client.wait(for: "HTTP/1.1 204")
            #expect(client.text.contains("access-control-allow-headers: x-stainless-os, authorization\r\n"))
            #expect(client.text.contains("access-control-allow-methods: GET, HEAD, POST, DELETE\r\n"))
            #expect(client.text.contains("access-control-allow-private-network: true\r\n"))
            let many = try await gateway.connect()
            many.send(
                "OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
                    + "Access-Control-Request-Headers: \((1...99).map { "x\($0)" }.joined(separator: ", "))\r\n\r\n")
            try await many.wait(for: "HTTP/1.1 204")
            #expect(many.text.contains(", x64\r\n") && !many.text.contains("private-network"))
            let stranger = try await gateway.connect()
            stranger.send(
                "OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.com\r\n"
                    + "Access-Control-Request-Headers: authorization\r\n"
                    + "Access-Control-Request-Private-Network: true\r\n\r\n")
            try await stranger.wait(for: "HTTP/1.1 403")
            #expect(!stranger.text.contains("access-control"))
        }
    }

    @Test("A page that may call is told why a request is refused, and may read every header")
    func refusedPage() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.get("/v1/nothing", more: "Origin: https://app.example\r\n"))
            try await client.wait(for: "HTTP/1.1 404")
            #expect(client.text.contains("access-control-allow-origin: https://app.example\r\n"))
            #expect(client.text.contains("access-control-expose-headers: *\r\n"))
            let rebound = try await gateway.connect()
            rebound.send("GET /v1/models HTTP/1.1\r\nHost: evil.com\r\nOrigin: https://app.example\r\n\r\n")
            try await rebound.wait(for: "HTTP/1.1 403")
            #expect(!rebound.text.contains("access-control"))
        }
    }

    // MARK: Compressed bodies

    @Test("A gzip body is read as what it holds", arguments: ["gzip", "GZIP"])
    func gzip(name: String) async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.reply(Text.answer) }) {
            gateway, upstream in
            let client = try await gateway.connect()
            for turn in 1...2 {
                let packed = Gzip.stored(Array(Text.body.utf8))
                let head =
                    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: \(name)\r\nContent-Length: \(packed.count)\r\n\r\n"
                client.send(Array(head.utf8) + packed)
                try await client.wait(for: "reply \(turn)") { $0.count(of: Text.answer) == turn }
            }
            #expect(upstream.requests.map(\.body) == [Text.body, Text.body])
            #expect(!upstream.requests[0].head.contains("content-encoding"))
        }
    }

    @Test("A gzip bomb is refused when it passes the limit, and is not unpacked further")
    func bomb() async throws {
        try await GatewayUnderTest.run(maxBody: 1 << 20) { gateway, upstream in
            let client = try await gateway.connect()
            let packed = Gzip.bomb
            let head =
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n"
            client.send(Array(head.utf8) + packed)
            try await client.wait(for: "larger than 1 MiB")
            #expect(client.text.hasPrefix("HTTP/1.1 413"))
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test("What is not gzip although it says so is a 400")
    func notGzip() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body, more: "Content-Encoding: gzip\r\n"))
            try await client.wait(for: "not valid gzip")
            #expect(client.text.hasPrefix("HTTP/1.1 400"))
        }
    }

    // MARK: The end of the server

    @Test("A reply under way ends before the server does")
    func drain() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.beginStream() }) { gateway, upstream in
            let client = try await gateway.connect()
            let idle = try await gateway.connect()
            client.send(Text.post(Text.streamBody))
            try await until("the request is there") { upstream.requests.count == 1 }
            async let drained: Void = gateway.listener.drain(grace: .seconds(10))
            try await idle.waitForClose()
            upstream.connections[0].chunk(Text.delta("late") + Text.stop)
            upstream.connections[0].endStream()
            try await client.waitForClose()
            #expect(client.text.contains("late") && client.text.hasSuffix("\r\n0\r\n\r\n"))
            await drained
        }
    }

    @Test("A reply that its client reads slowly is not cut off when the server ends")
    func drainSlow() async throws {
        let long = Text.answer.replacing("yes", with: String(repeating: "y", count: 30 << 20))
        try await GatewayUnderTest.run(script: { _, connection in connection.reply(long) }) { gateway, _ in
            let client = try await gateway.connect(reads: false)
            client.send(Text.post(Text.body))
            try await until("the reply is on its way") { gateway.records.all.count == 1 }
            async let drained: Void = gateway.listener.drain(grace: .seconds(10))
            try await Task.sleep(for: .milliseconds(50))
            client.startReading()
            try await client.waitForClose()
            #expect(client.count > 30 << 20)
            await drained
        }
    }
}
