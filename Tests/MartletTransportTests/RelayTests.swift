import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import NIOSSL
import Testing

@Suite("Relaying over real sockets", .timeLimit(.minutes(1)))
struct RelayTests {
    static let answer: FakeUpstream.Script = { _, connection in connection.reply(Text.answer) }

    @Test("An unstreamed reply comes through, and connections on both sides are used again")
    func keepAlive() async throws {
        try await GatewayUnderTest.run(script: Self.answer) { gateway, upstream in
            let client = try await gateway.connect()
            for turn in 1...5 {
                client.send(Text.post(Text.body))
                try await client.wait(for: "reply \(turn)") { $0.count(of: Text.answer) == turn }
            }
            #expect(upstream.connections.count == 1)
            #expect(upstream.requests.map(\.turn) == [0, 1, 2, 3, 4])
            #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(client.text.contains("x-martlet-model: u/m\r\n"))
            #expect(gateway.records.all.count == 5)
            #expect(client.text.count(of: "content-type:") == 5, "one content-type a reply")
        }
    }

    @Test("The model is replaced, our key is sent, and the client's own is not")
    func request() async throws {
        try await GatewayUnderTest.run(script: Self.answer) { gateway, upstream in
            let client = try await gateway.connect()
            let body = Text.body.replacing("\"m\"", with: "\"wire\"")
            client.send(
                Text.post(
                    body, more: "Authorization: Bearer mine\r\nx-api-key: mine\r\nCookie: a\r\nOpenAI-Beta: b\r\n"))
            try await client.wait(for: "\"model\":\"wire\"")
            let seen = upstream.requests[0]
            #expect(seen.body == Text.body.replacing("\"m\"", with: "\"real\""))
            #expect(seen.head.contains("\r\nauthorization: Bearer key"))
            #expect(!seen.head.contains("mine") && !seen.head.lowercased().contains("cookie"))
            #expect(seen.head.contains("\r\nOpenAI-Beta: b"))
        }
    }

    @Test("A stream comes through event by event, and its connection is used again")
    func stream() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.beginStream() }) { gateway, upstream in
            let client = try await gateway.connect()
            for turn in 1...2 {
                client.send(Text.post(Text.streamBody))
                try await until("request \(turn)") { upstream.requests.count == turn }
                let connection = upstream.connections[0]
                connection.chunk(Text.delta("one\(turn)"))
                try await client.wait(for: "one\(turn)")
                connection.chunk(Text.delta("two\(turn)") + Text.stop)
                connection.endStream()
                try await client.wait(for: "end \(turn)") { $0.count(of: "\r\n0\r\n\r\n") == turn }
            }
            #expect(upstream.connections.count == 1)
            #expect(client.text.count(of: "[DONE]") == 2)
            #expect(client.text.count(of: "content-type:") == 2)
            #expect(gateway.records.all.map(\.outcome) == [.complete, .complete])
        }
    }

    @Test("What one request left unsent is never part of the next reply on the connection")
    func leftOver() async throws {
        try await GatewayUnderTest.run(
            script: { request, connection in
                connection.beginStream()
                if request.turn == 0, connection.index == 0 {
                    connection.chunk(Text.role.replacing("assistant", with: "leftover"))
                    connection.chunk(
                        "data: {\"error\":{\"message\":\"broken\",\"type\":\"server_error\",\"code\":null}}\n\n")
                } else {
                    connection.chunk(Text.delta("fresh") + Text.stop)
                }
                connection.endStream()
            }
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.streamBody))
            try await client.wait(for: "broken")
            #expect(client.text.hasPrefix("HTTP/1.1 500"))
            client.send(Text.post(Text.streamBody))
            try await client.wait(for: "[DONE]")
            #expect(!client.text.contains("leftover"))
        }
    }

    @Test("A kept connection that the upstream has closed is replaced, unseen by the client and uncounted")
    func stale() async throws {
        try await GatewayUnderTest.run(
            script: { request, connection in
                // The first connection answers once, and closes when it is asked again.
                if connection.index == 0, request.turn == 1 {
                    connection.close()
                } else {
                    connection.reply(Text.answer)
                }
            }
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: Text.answer)
            client.send(Text.post(Text.body))
            try await client.wait(for: "second reply") { $0.count(of: Text.answer) == 2 }
            #expect(upstream.connections.count == 2)
            #expect(gateway.records.all.map(\.attempts) == [1, 1])
        }
    }

    @Test("When one kept connection is stale, no other that was kept is tried either")
    func allStale() async throws {
        try await GatewayUnderTest.run(
            script: { request, connection in
                if request.turn > 0 {
                    connection.close()
                } else if connection.index > 2 {
                    connection.reply(Text.answer)
                }  // The first three are answered together, so that all three connections are open at once.
            }
        ) { gateway, upstream in
            var clients: [RawClient] = []
            for _ in 0..<3 {
                clients.append(try await gateway.connect())
                clients[clients.count - 1].send(Text.post(Text.body))
            }
            try await until("three requests") { upstream.requests.count == 3 }
            for connection in upstream.connections { connection.reply(Text.answer) }
            for client in clients { try await client.wait(for: Text.answer) }
            clients[0].send(Text.post(Text.body))
            try await clients[0].wait(for: "second reply") { $0.count(of: Text.answer) == 2 }
            #expect(gateway.records.all.map(\.outcome) == Array(repeating: .complete, count: 4))
        }
    }

    @Test("An upstream that closes without an answer is a 502 that says so")
    func closes() async throws {
        try await GatewayUnderTest.run(script: { _, connection in connection.close() }) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "closed the connection without an answer")
            #expect(client.text.hasPrefix("HTTP/1.1 502"))
        }
    }

    @Test("A reply that breaks off is an error, as a status or as an event", arguments: [true, false])
    func breaksOff(streams: Bool) async throws {
        try await GatewayUnderTest.run(
            script: { _, connection in
                if streams {
                    connection.beginStream()
                    connection.chunk(Text.delta("part"))
                } else {
                    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"id\"")
                }
            }
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(streams ? Text.streamBody : Text.body))
            if streams {
                try await client.wait(for: "part")
            } else {
                try await until("request") { upstream.requests.count == 1 }
            }
            upstream.connections[0].close()
            try await client.wait(for: "\"error\"")
            #expect(client.text.hasPrefix(streams ? "HTTP/1.1 200" : "HTTP/1.1 502"))
            if streams {
                try await client.waitForClose()
                #expect(client.text.hasSuffix("\r\n0\r\n\r\n"))
            }
        }
    }

    @Test("An upstream that nobody is behind is a 502 with a hint")
    func refused() async throws {
        try await GatewayUnderTest.run({ _ in GatewayUnderTest.upstream(1) }) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "cannot connect to vLLM at 127.0.0.1:1: connection refused. Is it running?")
            #expect(client.text.hasPrefix("HTTP/1.1 502"))
        }
    }

    @Test("An upstream's error keeps its status and its rate-limit headers")
    func upstreamError() async throws {
        try await GatewayUnderTest.run(
            script: { _, connection in
                connection.reply(
                    "{\"error\":{\"message\":\"no\"}}", status: "404 Not Found",
                    more: "x-ratelimit-a: 1\r\nset-cookie: s\r\n")
            }
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "{\"error\":{\"message\":\"no\"}}")
            #expect(client.text.hasPrefix("HTTP/1.1 404"))
            #expect(client.text.contains("x-ratelimit-a: 1\r\n"))
            #expect(!client.text.contains("set-cookie"))
        }
    }

    // MARK: The client leaves

    @Test(
        "A client that leaves closes the upstream at once, wherever its request is",
        arguments: ["sent", "head", "streaming", "whole"])
    func gone(phase: String) async throws {
        try await GatewayUnderTest.run(
            script: { _, connection in
                switch phase {
                case "head": connection.beginStream()
                case "streaming":
                    connection.beginStream()
                    connection.chunk(Text.delta("part"))
                case "whole": connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"id\"")
                default: break
                }
            }
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(phase == "whole" ? Text.body : Text.streamBody))
            try await until("the request is there") { upstream.requests.count == 1 }
            if phase == "streaming" { try await client.wait(for: "part") }
            client.close()
            try await until("the upstream's connection is closed") { upstream.openConnections == 0 }
            try await until("the record") { gateway.records.all.count == 1 }
            #expect(gateway.records.all[0].outcome == .clientGone)
        }
    }

    @Test("A client that leaves the queue is not served, and its place goes to the next")
    func goneInQueue() async throws {
        try await GatewayUnderTest.run(slots: 1) { gateway, upstream in
            let first = try await gateway.connect()
            first.send(Text.post(Text.streamBody))
            try await until("the first request") { upstream.requests.count == 1 }
            let second = try await gateway.connect()
            second.send(Text.post(Text.body.replacing("hi", with: "second")))
            let third = try await gateway.connect()
            third.send(Text.post(Text.body.replacing("hi", with: "third")))
            second.close()
            try await until("the second is recorded") { gateway.records.all.count == 1 }
            first.close()
            try await until("the third is served") { upstream.requests.count == 2 }
            #expect(upstream.requests[1].body.contains("third"))
            upstream.connections[1].reply(Text.answer)
            try await third.wait(for: Text.answer)
        }
    }

    @Test("A client that does not read stops its upstream; when it reads on, everything arrives")
    func backPressure() async throws {
        let filler = Text.delta(String(repeating: "x", count: 60_000))
        let times = 1500
        try await GatewayUnderTest.run(
            script: { _, connection in
                connection.beginStream()
                connection.pour(filler, times: times) {
                    connection.chunk(Text.stop)
                    connection.endStream()
                }
            }
        ) { gateway, upstream in
            let client = try await gateway.connect(reads: false)
            client.send(Text.post(Text.streamBody))
            try await until("bytes flow") { upstream.connections.first?.takenBytes ?? 0 > 1 << 20 }
            var last = -1
            var same = 0
            try await until("the upstream stands still") {
                let taken = upstream.connections[0].takenBytes
                same = taken == last ? same + 1 : 0
                last = taken
                return same > 100
            }
            // What the system's own buffers hold, twice, and ours.
            #expect(last < 32 << 20)
            client.startReading()
            try await until("everything is there") { client.count > filler.utf8.count * times }
            try await client.wait(for: "the end") { $0.hasSuffix("\r\n0\r\n\r\n") }
            #expect(gateway.records.all.map(\.outcome) == [.complete])
        }
    }

    // MARK: Other transports

    @Test("A model of this machine is reached over its Unix socket, and given back afterwards")
    func unixSocket() async throws {
        let path = "/tmp/martlet-test-\(UInt32.random(in: 0 ... .max)).sock"
        try await GatewayUnderTest.run(
            { _ in Upstream(name: "u", profile: .engine, location: .hosted) }, script: Self.answer, path: path
        ) { gateway, upstream in
            let client = try await gateway.connect()
            for turn in 1...3 {
                client.send(Text.post(Text.body))
                try await client.wait(for: "reply \(turn)") { $0.count(of: "\"yes\"") == turn }
            }
            #expect(gateway.models.inUse == 0)
            #expect(upstream.connections.count == 1)
            #expect(upstream.requests[0].head.contains("host: localhost"))
        }
    }

    static func serverTLS() throws -> NIOSSLContext {
        let certificate = try NIOSSLCertificate(bytes: Array(Certificate.certificate.utf8), format: .pem)
        let key = try NIOSSLPrivateKey(bytes: Array(Certificate.key.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(certificate)], privateKey: .privateKey(key)))
    }

    static func clientTLS(trusts: Bool) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if trusts {
            configuration.trustRoots = .certificates([
                try NIOSSLCertificate(bytes: Array(Certificate.certificate.utf8), format: .pem)
            ])
        }
        return try NIOSSLContext(configuration: configuration)
    }

    @Test("An upstream behind TLS is relayed, streamed and kept alive as any other")
    func tls() async throws {
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, tls: true) },
            script: { request, connection in
                guard request.turn == 0 else { return connection.reply(Text.answer) }
                connection.beginStream()
                connection.chunk(Text.delta("part") + Text.stop)
                connection.endStream()
            },
            serverTLS: try Self.serverTLS(), clientTLS: try Self.clientTLS(trusts: true)
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Text.streamBody))
            try await client.wait(for: "[DONE]")
            try await client.wait(for: "0\r\n\r\n")
            client.send(Text.post(Text.body))
            try await client.wait(for: Text.answer)
            #expect(upstream.connections.count == 1)
        }
    }

    @Test("A certificate that nobody vouches for is an error that says so, and nothing is sent")
    func badCertificate() async throws {
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, tls: true) }, script: Self.answer, serverTLS: try Self.serverTLS(),
            clientTLS: try Self.clientTLS(trusts: false)
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "its TLS certificate or handshake failed")
            #expect(client.text.hasPrefix("HTTP/1.1 502"))
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test("An upstream that accepts and never shakes hands is a connect timeout")
    func silentHandshake() async throws {
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, deadlines: Deadlines(connect: .milliseconds(300)), tls: true) },
            clientTLS: try Self.clientTLS(trusts: true)
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "connect timeout after 300 ms")
            #expect(client.text.hasPrefix("HTTP/1.1 504"))
        }
    }

    @Test("A silent upstream is a 504 that names the setting")
    func firstByte() async throws {
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, deadlines: Deadlines(firstByte: .milliseconds(300))) }
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "upstreams.u.timeouts.first_byte raises it")
            #expect(client.text.hasPrefix("HTTP/1.1 504"))
            try await until("the upstream's connection is closed") { upstream.openConnections == 0 }
        }
    }
}
