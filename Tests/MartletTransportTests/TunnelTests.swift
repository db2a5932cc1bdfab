import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import NIOPosix
import Testing

@Suite("Upstreams behind a proxy")
struct TunnelTests {
    static let opened = "HTTP/1.1 200 Connection established\r\nx-proxy: yes\r\n\r\n"

    /// A gateway whose upstream is behind TLS and a proxy.
    /// - Parameters:
    ///   - answer: what the proxy says to a CONNECT, given the upstream's port.
    ///   - user: `user:password@` or nothing.
    static func run(
        user: String = "", deadlines: Deadlines = Deadlines(),
        answer: @escaping @Sendable (_ port: Int) -> FakeProxy.Answer,
        _ body: (GatewayUnderTest, FakeUpstream, FakeProxy) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        // The host of the CONNECT is the upstream's: `localhost:PORT`.
        let proxy = try await FakeProxy(group) { head in
            let port = head.prefix { $0 != "\r" }.split(separator: " ").dropFirst().first?.split(separator: ":").last
            return answer(port.flatMap { Int($0) } ?? 0)
        }
        let use = ProxyRules(environment: ["HTTPS_PROXY": "http://\(user)127.0.0.1:\(proxy.port)"])
            .use(for: Origin(address: .tcp(host: "api.example", port: 443), usesTLS: true))
        let result: Result<Void, any Error>
        do {
            try await GatewayUnderTest.run(
                { GatewayUnderTest.upstream($0, deadlines: deadlines, tls: true, proxyUse: use) },
                script: { _, connection in connection.reply(Text.answer) },
                serverTLS: try RelayTests.serverTLS(), clientTLS: try RelayTests.clientTLS(trusts: true)
            ) { gateway, upstream in try await body(gateway, upstream, proxy) }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await proxy.stop()
        try await group.shutdownGracefully()
        try result.get()
    }

    @Test("A tunnel is asked for, TLS goes through it, and it is kept for the next request")
    func tunnel() async throws {
        try await Self.run(answer: { .tunnel(Self.opened, port: $0) }) { gateway, upstream, proxy in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: Text.answer)
            client.send(Text.post(Text.body))
            try await client.wait(for: "two answers") { $0.count(of: Text.answer) == 2 }
            let place = "localhost:\(upstream.port)"
            #expect(
                proxy.heads == ["CONNECT \(place) HTTP/1.1\r\nhost: \(place)\r\nuser-agent: martlet\r\n\r\n"])
            #expect(upstream.requests.count == 2)
            #expect(upstream.requests[0].head.contains("authorization: Bearer key"), "the upstream's key stays inside")
        }
    }

    @Test("The proxy's credentials go to the proxy and no further")
    func credentials() async throws {
        try await Self.run(
            user: "user:password@", answer: { .tunnel(Self.opened, port: $0) }
        ) { gateway, upstream, proxy in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: Text.answer)
            #expect(proxy.heads[0].contains("\r\nproxy-authorization: Basic dXNlcjpwYXNzd29yZA==\r\n"))
            #expect(upstream.requests[0].head.lowercased().contains("proxy-") == false)
        }
    }

    @Test("An HTTP/1.0 answer with bare line feeds opens the tunnel too")
    func oldProxy() async throws {
        try await Self.run(answer: { .tunnel("HTTP/1.0 200 OK\n\n", port: $0) }) { gateway, _, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: Text.answer)
        }
    }

    @Test(
        "A refusal is a 502 that names the proxy, its variable and what to do",
        arguments: [
            ("HTTP/1.1 407 Auth\r\nproxy-authenticate: Basic\r\n\r\n", "", "wants a user and a password (407)"),
            ("HTTP/1.1 407 Auth\r\n\r\n", "u:secret@", "does not take the user and password in HTTPS_PROXY (407)"),
            ("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope", "", "refuses to connect to localhost:"),
            ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "", "cannot reach localhost:"),
            ("HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n", "", "refuses to connect"),
            ("HTTP/1.1 abc\r\n\r\n", "", "does not answer as an HTTP proxy does"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "", "does not answer as an HTTP proxy does"),
        ])
    func refused(answer: String, user: String, words: String) async throws {
        try await Self.run(user: user, answer: { _ in .bytes(answer, closes: false) }) { gateway, upstream, proxy in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "upstream_unavailable")
            let text = client.text
            #expect(text.hasPrefix("HTTP/1.1 502"))
            #expect(text.contains("the proxy 127.0.0.1:\(proxy.port) (HTTPS_PROXY) \(words)"), "\(text)")
            #expect(!text.contains("secret"))
            #expect(upstream.connections.isEmpty)
            try await until("the connection to the proxy is closed") { proxy.openConnections == 0 }
        }
    }

    @Test("A proxy that hangs up is told from one that cannot be reached")
    func gone() async throws {
        try await Self.run(answer: { _ in .bytes("", closes: true) }) { gateway, _, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "closed the connection without an answer to CONNECT")
        }
        // A port that nothing ever listened at: one just closed may live on in a child process that another test starts.
        let use = ProxyRules(environment: ["https_proxy": "127.0.0.1:1"])
            .use(for: Origin(address: .tcp(host: "api.example", port: 443), usesTLS: true))
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, tls: true, proxyUse: use) },
            clientTLS: try RelayTests.clientTLS(trusts: true)
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "the proxy 127.0.0.1:1 (https_proxy) cannot be reached: connection refused")
        }
    }

    @Test("An answer without an end is bounded")
    func endless() async throws {
        let long = "HTTP/1.1 200 OK\r\n" + String(repeating: "x: y\r\n", count: 4000)
        try await Self.run(answer: { _ in .bytes(long, closes: false) }) { gateway, _, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "does not answer as an HTTP proxy does")
        }
    }

    @Test("A proxy that says nothing is a connect timeout that names it, and its connection is given up")
    func silent() async throws {
        let deadlines = Deadlines(connect: .milliseconds(300))
        try await Self.run(deadlines: deadlines, answer: { _ in .silence }) { gateway, _, proxy in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            let place = "127.0.0.1:\(proxy.port) (HTTPS_PROXY)"
            try await client.wait(for: "through the proxy \(place): connect timeout after 300 ms")
            #expect(client.text.hasPrefix("HTTP/1.1 504"))
            try await until("the connection to the proxy is closed") { proxy.openConnections == 0 }
        }
    }

    @Test("A variable that names no usable proxy is an error; nothing goes around it")
    func impossible() async throws {
        let use = ProxyRules(environment: ["ALL_PROXY": "socks5://127.0.0.1:1"])
            .use(for: Origin(address: .tcp(host: "api.example", port: 443), usesTLS: true))
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, tls: true, proxyUse: use) },
            serverTLS: try RelayTests.serverTLS(), clientTLS: try RelayTests.clientTLS(trusts: true)
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "ALL_PROXY names a proxy of the kind socks5")
            #expect(upstream.connections.isEmpty)
        }
    }
}
