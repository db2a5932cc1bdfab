import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import Testing

@Suite("WebSockets", .timeLimit(.minutes(2)))
struct WebSocketTests {
    private static let upgrade =
        "GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    /// A frame whose mask changes nothing.
    private static func frame(_ opcode: UInt8, _ payload: String) -> [UInt8] {
        let count = payload.utf8.count
        let length = count < 126 ? [0x80 | UInt8(count)] : [0xFE, UInt8(count >> 8), UInt8(count & 255)]
        return [0x80 | opcode] + length + [0, 0, 0, 0] + Array(payload.utf8)
    }

    private static func create(_ text: String) -> [UInt8] {
        frame(1, "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"\(text)\"}")
    }

    @Test("A connection that has had requests becomes a WebSocket, decoded bodies and all")
    func upgraded() async throws {
        try await GatewayUnderTest.run(script: { _, connection in
            connection.beginStream()
            connection.chunk(Text.role + Text.delta("yes") + Text.stop)
            connection.endStream()
        }) { gateway, upstream in
            let client = try await gateway.connect()
            let body = Gzip.stored(Array(Text.streamBody.utf8))
            client.send(
                Array(
                    ("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
                        + "Content-Length: \(body.count)\r\n\r\n").utf8) + body)
            try await client.wait(for: "0\r\n\r\n")
            client.send(Self.upgrade)
            let text = try await client.wait(for: "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
            #expect(text.contains("HTTP/1.1 101 Switching Protocols\r\n") && !text.contains("connection: close"))
            client.send(Self.create("one") + Self.create("two"))
            try await client.wait(for: "two replies") { $0.count(of: "\"type\":\"response.completed\"") == 2 }
            #expect(client.text.count(of: "[DONE]") == 1, "that of the POST")
            #expect(!client.text.contains("event: "))
            #expect(gateway.records.all.count == 3)
            client.send(Self.frame(8, ""))
            try await client.waitForClose()
        }
    }

    @Test("A client that says much and reads nothing is not answered without end, and loses nothing")
    func neverReads() async throws {
        try await GatewayUnderTest.run { gateway, _ in
            let one = try await gateway.connect()
            let message = Self.frame(1, "{\"type\":\"no such thing\"}")
            one.send(Self.upgrade)
            let head = try await one.wait(for: "\r\n\r\n").utf8.count
            one.send(message)
            try await one.wait(for: "no such thing")
            let answer = one.count - head

            let client = try await gateway.connect(reads: false)
            client.send(Self.upgrade)
            let times = 60_000
            for _ in 0..<times / 100 { client.send(Array(repeating: message, count: 100).flatMap { $0 }) }
            client.startReading()
            try await until("all are answered once it reads") { client.count == head + times * answer }
        }
    }

    @Test("A client that leaves in the middle of a reply ends it")
    func leaves() async throws {
        try await GatewayUnderTest.run(script: { _, connection in
            connection.beginStream()
            connection.chunk(Text.role + Text.delta("first"))
        }) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Self.upgrade)
            client.send(Self.create("one"))
            try await client.wait(for: "first")
            client.send(Self.frame(8, ""))
            try await client.waitForClose()
            try await until("the exchange has ended") { gateway.records.all.map(\.outcome) == [.clientGone] }
        }
    }
}
