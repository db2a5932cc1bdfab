import MartletDialects
import MartletGateway
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Mutated addresses and prompts; see `Fuzz` for how long.
@Suite("Fuzzing the gateway", .serialized)
struct GatewayFuzzTests {
    static let urls: [[UInt8]] = [
        "http://127.0.0.1:8080/v1", "https://[::1]:443/a/../b?c=d#e", "unix:/run/engine.sock",
        "HTTP://u:p@Host.Example",
        "//b.example/c", "../../x?y=z:1", "http://0x7f.1/", "https://a.example/%2e%2e/é",
    ].map { Array($0.utf8) }

    @Test("an address is read or not, and where a redirect leads can be asked for again")
    func addresses() throws {
        let base = try #require(ImageURL("https://a.example/d/b?w=1"))
        let fault = Fuzz(.addresses).run(Self.urls, count: 1000) { bytes, _ in
            let text = String(decoding: bytes, as: UTF8.self)
            _ = BaseURL(text)
            for url in [ImageURL(text), base.redirected(to: text)] {
                guard let url else { continue }
                guard url.target.hasPrefix("/"), url.target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                    return "no target: \(url.target)"
                }
                let again = ImageURL("\(url.origin.usesTLS ? "https" : "http")://\(url.origin.authority)\(url.target)")
                if again != url { return "read again, it differs: \(url)" }
            }
            return nil
        }
        #expect(fault == nil)
    }

    static let prompts: [[UInt8]] = [
        #"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
        #"{"model":"m","system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"é"}]}]}"#,
        #"{"model":"m","instructions":"s","input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"c"}]}"#,
    ].map { Array($0.utf8) }

    @Test("where two prompts part is a place in the later one")
    func prompts() {
        var memory = PrefixMemory()
        let fault = Fuzz(.prompts).run(Self.prompts, count: 1000) { bytes, _ in
            let body = ByteBuffer(bytes: bytes)
            guard let divergence = memory.note(body, at: "x") else { return nil }
            let places = [divergence.index, divergence.offset, divergence.position]
            return places.allSatisfy { $0 >= 0 && $0 <= max(bytes.count, 1) } ? nil : "\(divergence)"
        }
        #expect(fault == nil)
    }
}
