import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("How a request wants its model loaded")
struct LoadWishTests {
    private func wish(_ body: String) throws -> LoadWish {
        let document = try JSONDocument(checking: ByteBuffer(string: body))
        return try LoadWish(
            ttl: document.member("ttl"), contextLength: document.member("context_length"), in: document)
    }

    @Test("The idle time in seconds and the window in tokens are read; null and absent say nothing")
    func read() throws {
        let both = LoadWish(ttl: .seconds(300), contextLength: 4096)
        #expect(try wish(#"{"model":"m","ttl":300,"context_length":4096}"#) == both)
        #expect(try wish(#"{"ttl":60.0}"#) == LoadWish(ttl: .seconds(60)))
        #expect(try wish(#"{"ttl":null,"context_length":null}"#) == LoadWish())
        #expect(try wish(#"{"messages":[{"ttl":5}]}"#) == LoadWish())
    }

    @Test(
        "A value that cannot be meant is refused by name",
        arguments: [
            (#"{"ttl":0}"#, "ttl"), (#"{"ttl":-1}"#, "ttl"), (#"{"ttl":"5m"}"#, "ttl"), (#"{"ttl":1e12}"#, "ttl"),
            (#"{"context_length":0}"#, "context_length"),
            (#"{"context_length":true}"#, "context_length"),
        ])
    func refused(_ body: String, _ name: String) throws {
        let error = #expect(throws: GatewayError.self) { try wish(body) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.param == name)
    }
}
