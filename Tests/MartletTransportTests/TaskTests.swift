import MartletGateway
import MartletTransport
import NIOCore
import Testing

@Suite("Embeddings over real sockets", .timeLimit(.minutes(1)))
struct TaskTests {
    private static let asked = #"{"model":"m","input":["a","b"],"encoding_format":"base64"}"#
    private static let floats =
        #"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[1.0]},"#
        + #"{"object":"embedding","index":1,"embedding":[-2]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#

    private func run(
        _ script: @escaping FakeUpstream.Script, retries: Int = 0,
        _ body: (RawClient, FakeUpstream, GatewayUnderTest) async throws -> Void
    ) async throws {
        try await GatewayUnderTest.run(
            { GatewayUnderTest.upstream($0, mode: .repair, retries: retries) }, script: script
        ) { gateway, upstream in
            let client = try await gateway.connect()
            client.send(Text.post(Self.asked, path: "/embeddings"))
            try await body(client, upstream, gateway)
        }
    }

    @Test("The request goes to the upstream's route, and the reply comes in the form that was asked for")
    func converted() async throws {
        try await run({ _, connection in connection.reply(Self.floats) }) { client, upstream, gateway in
            try await client.wait(for: #""total_tokens":2}}"#)
            #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n") && client.text.contains("x-martlet-model: u/m\r\n"))
            for vector in ["AACAPw==", "AAAAwA=="] { #expect(client.text.contains("\"embedding\":\"\(vector)\"")) }
            #expect(upstream.requests[0].head.hasPrefix("POST /v1/embeddings HTTP/1.1\r\n"))
            #expect(upstream.requests[0].body == Self.asked)
            try await until("the record") { gateway.records.all.map(\.outcome) == [.complete] }
        }
    }

    @Test("A reply that does not answer the request is the upstream's failure, and is not asked for again")
    func wrong() async throws {
        let one = Self.floats.replacing(#",{"object":"embedding","index":1,"embedding":[-2]}"#, with: "")
        try await run({ _, connection in connection.reply(one) }, retries: 2) { client, upstream, _ in
            try await client.wait(for: "1 embeddings for 2 inputs")
            #expect(client.text.hasPrefix("HTTP/1.1 502 ") && client.text.contains(#""code":"upstream_bad_reply""#))
            #expect(upstream.requests.count == 1)
        }
    }
}
