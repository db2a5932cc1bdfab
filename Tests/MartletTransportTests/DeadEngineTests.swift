import MartletDialects
import MartletGateway
import MartletTransport
import NIOCore
import Testing

@Suite("Requests to an engine, and its connections that break")
struct DeadEngineTests {
    @Test("A dead engine says why: as a status before the commit, in the stream after it", arguments: [true, false])
    func deadEngine(streams: Bool) async throws {
        let path = "/tmp/martlet-test-\(UInt32.random(in: 0 ... .max)).sock"
        try await GatewayUnderTest.run(
            { _ in Upstream(name: "u", profile: .engine, location: .hosted, retries: 3) },
            script: { _, connection in
                guard streams else { return connection.close() }
                connection.beginStream()
                connection.chunk(Text.role + Text.delta("part"))
                connection.close()
            }, path: path
        ) { gateway, upstream in
            gateway.models.die(GatewayError(code: .engineFailed, message: "it ran out of memory"))
            let client = try await gateway.connect()
            client.send(Text.post(streams ? Text.streamBody : Text.body))
            try await client.wait(for: "it ran out of memory")
            #expect(client.text.hasPrefix(streams ? "HTTP/1.1 200" : "HTTP/1.1 502"))
            #expect(client.text.contains("engine_failed"))
            #expect(!client.text.contains("[DONE]"))
            #expect(upstream.requests.count == 1, "what killed it is not sent again")
            try await until("the model is given back") { gateway.models.inUse == 0 }
            #expect(gateway.models.served == [false])
        }
    }

    @Test("An engine that lives on is an upstream that closed early")
    func livingEngine() async throws {
        let path = "/tmp/martlet-test-\(UInt32.random(in: 0 ... .max)).sock"
        try await GatewayUnderTest.run(
            { _ in Upstream(name: "u", profile: .engine, location: .hosted, retries: 0) },
            script: { _, connection in connection.close() }, path: path
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body))
            try await client.wait(for: "the local engine closed the connection without an answer")
        }
    }

    @Test("How a request wants its model loaded is handed on; what cannot be meant is a 400")
    func loadWish() async throws {
        let path = "/tmp/martlet-test-\(UInt32.random(in: 0 ... .max)).sock"
        try await GatewayUnderTest.run(
            { _ in Upstream(name: "u", profile: .engine, location: .hosted) }, script: RelayTests.answer, path: path
        ) { gateway, _ in
            let client = try await gateway.connect()
            client.send(Text.post(Text.body.replacing("{\"model\"", with: "{\"ttl\":300,\"model\"")))
            try await client.wait(for: "reply") { $0.contains("\"yes\"") }
            #expect(gateway.models.wished == [LoadWish(ttl: .seconds(300))])
            #expect(gateway.models.served == [true])
            client.send(Text.post(Text.body.replacing("{\"model\"", with: "{\"ttl\":0,\"model\"")))
            try await client.wait(for: "refusal") { $0.contains("ttl must be a whole number") }
            #expect(client.text.contains("HTTP/1.1 400"))
            #expect(gateway.models.wished.count == 1)
        }
    }
}
