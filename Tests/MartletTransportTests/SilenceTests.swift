import MartletGateway
import MartletTransport
import NIOCore
import Testing

@Suite("Silence of a stream", .timeLimit(.minutes(2)))
struct SilenceTests {
    @Test("What an upstream says that is nothing to the client is no sign of life")
    func comments() async throws {
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, mode: .repair) },
            script: { _, connection in
                connection.beginStream()
                connection.chunk(Text.role + Text.delta("part"))
                connection.channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(500)) {
                    task in
                    guard !connection.isClosed else { return task.cancel() }
                    connection.chunk(": thinking\n\n")
                }
            }
        ) { gateway, _ in
            let client = try await gateway.connect()
            let body = Text.streamBody.replacing("{\"model\"", with: "{\"max_tokens\":9,\"model\"")
            client.send(Text.post(body, path: "/v1/messages"))
            try await client.wait(for: "part")
            let before = client.text.count(of: "event: ping")
            try await client.wait(for: "a sign of life") { $0.count(of: "event: ping") > before }
        }
    }
}
