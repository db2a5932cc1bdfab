import Foundation
import MartletHub
import NIOHTTP1
import Testing

@Suite("What the environment says of the hub")
struct HubSettingsTests {
    private let home = FileManager.default.temporaryDirectory.appending(path: "hub-home-\(UUID().uuidString)").path

    private func put(_ text: String, _ place: String) throws {
        let url = URL(filePath: "\(home)/\(place)")
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    /// The token that a hub on loopback is sent.
    private func sent(_ environment: [String: String]) async throws -> String? {
        var sent: String?
        try await HubUnderTest.run { test in
            var all = environment
            all["HF_ENDPOINT"] = test.hub.base
            let client = HubClient(endpoint: try HubEndpoint(environment: all), limits: .quick)
            _ = try await client.search("x")
            await client.shutdown()
            sent = test.hub.seen.first?.headers.first(name: "authorization")
        }
        return sent
    }

    @Test("the token that was saved is found where Hugging Face's programs save it, unless another is named")
    func saved() async throws {
        defer { try? FileManager.default.removeItem(atPath: home) }
        try put("hf_cache\n", ".cache/huggingface/token")
        try put("hf_home", "hf/token")
        try put("hf_path", "elsewhere")
        try put("hf_xdg", "xdg/huggingface/token")
        let base = ["HOME": home]
        #expect(try await sent(base) == "Bearer hf_cache")
        #expect(try await sent(base.merging(["XDG_CACHE_HOME": "\(home)/xdg"]) { $1 }) == "Bearer hf_xdg")
        #expect(try await sent(base.merging(["HF_HOME": "~/hf"]) { $1 }) == "Bearer hf_home")
        let path = ["HF_TOKEN_PATH": "\(home)/elsewhere", "HF_HOME": "\(home)/hf"]
        #expect(try await sent(base.merging(path) { $1 }) == "Bearer hf_path")
        #expect(try await sent(base.merging(["HF_TOKEN": "hf_named"]) { $1 }) == "Bearer hf_named")
        #expect(try await sent(base.merging(["HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"]) { $1 }) == nil)
        #expect(try await sent(["HOME": "\(home)/nobody"]) == nil)
    }

    @Test(
        "what is no token is not sent", arguments: ["", " \n", "a b", "a\r\nx: y", String(repeating: "x", count: 5000)])
    func noToken(text: String) async throws {
        defer { try? FileManager.default.removeItem(atPath: home) }
        try put(text, ".cache/huggingface/token")
        #expect(try await sent(["HOME": home]) == nil)
    }

    @Test("a token that nobody named is not sent without encryption, and that is no error")
    func plain() throws {
        defer { try? FileManager.default.removeItem(atPath: home) }
        try put("hf_cache", ".cache/huggingface/token")
        let endpoint = try HubEndpoint(environment: ["HOME": home, "HF_ENDPOINT": "http://mirror.example"])
        #expect(!"\(endpoint)".contains("hidden"), "there is none")
        let safe = try HubEndpoint(environment: ["HOME": home, "HF_ENDPOINT": "https://mirror.example"])
        #expect("\(safe)".contains("hidden") && !"\(safe)".contains("hf_cache"))
    }

    @Test("HF_HUB_OFFLINE: nothing is asked", arguments: ["1", "ON", "yes", "True"])
    func offline(value: String) async throws {
        try await HubUnderTest.run { test in
            let environment = ["HF_ENDPOINT": test.hub.base, "HF_HUB_OFFLINE": value]
            let client = HubClient(endpoint: try HubEndpoint(environment: environment), limits: .quick)
            let error = await hubError { _ = try await client.search("x") }
            await client.shutdown()
            #expect(error?.code == .offline && error?.message.hasPrefix("HF_HUB_OFFLINE is set") == true)
            #expect(test.hub.seen.isEmpty)
        }
    }
}
