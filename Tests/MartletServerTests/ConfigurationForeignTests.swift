import MartletGateway
import MartletServer
import Testing

@Suite("Variables of LM Studio's clients")
struct ConfigurationForeignTests {
    @Test(
        "an address makes the upstream studio, with the first key that goes with it",
        arguments: [
            (["LMSTUDIO_BASE_URL": "http://s:1/v1"], nil),
            (["LMSTUDIO_BASE_URL": "http://s:1/v1", "LMSTUDIO_API_KEY": "a", "LM_API_TOKEN": "b"], "a"),
            (["LMSTUDIO_BASE_URL": "http://s:1/v1", "LM_API_TOKEN": "b", "LMSTUDIO_API_TOKEN": "c"], "b"),
            (["LMSTUDIO_BASE_URL": "http://s:1/v1", "LMSTUDIO_API_KEY": "", "LMSTUDIO_API_TOKEN": "c"], "c"),
            (["LM_STUDIO_API_BASE": "http://s:1/v1", "LM_STUDIO_API_KEY": "d"], "d"),
            (["LMSTUDIO_BASE_URL": "", "LM_STUDIO_API_BASE": "http://s:1/v1"], nil),
        ] as [([String: String], String?)])
    func address(variables: [String: String], key: String?) throws {
        let loaded = try Written.load(variables: variables)
        let upstream = try #require(loaded.configuration.upstreams.first)
        #expect(loaded.configuration.upstreams.count == 1)
        #expect(upstream.name == "studio")
        #expect(upstream.kind == "lmstudio")
        #expect(upstream.url == "http://s:1/v1")
        #expect(upstream.apiKey == key.map { Secret($0) })
        #expect(!loaded.configuration.discovers)
        #expect(loaded.origin("upstreams.studio.url")?.hasPrefix("LM") == true)
    }

    @Test("a key alone names no upstream")
    func keyAlone() throws {
        let loaded = try Written.load(variables: ["LMSTUDIO_API_KEY": "a"])
        #expect(loaded.configuration == Configuration())
    }

    @Test("they give way to upstreams of a file, of our variables and of the command line")
    func givingWay() throws {
        let variables = ["LMSTUDIO_BASE_URL": "http://s"]
        let file = try Written.load("upstreams: { a: { url: 'http://a' } }", variables: variables)
        #expect(file.configuration.upstreams.map(\.name) == ["a"])
        let ours = try Written.load(variables: variables.merging(["MARTLET_UPSTREAMS_B_URL": "http://b"]) { a, _ in a })
        #expect(ours.configuration.upstreams.map(\.name) == ["b"])
        let flag = try Written.load(variables: variables, flags: Written.flags { $0.upstreams = ["c=http://c"] })
        #expect(flag.configuration.upstreams.map(\.name) == ["c"])
    }

    @Test("our variables add to their upstream")
    func joined() throws {
        let loaded = try Written.load(
            variables: ["LMSTUDIO_BASE_URL": "http://s", "MARTLET_UPSTREAMS_STUDIO_MAX_CONCURRENT": "4"])
        #expect(loaded.configuration.upstreams.map(\.maxConcurrent) == [4])
    }

    @Test("an address that is none is refused under its variable's name")
    func wrongAddress() {
        #expect(
            Written.refusal(variables: ["LMSTUDIO_BASE_URL": "ws://s"])?
                .hasPrefix("LMSTUDIO_BASE_URL: upstreams.studio.url must be a URL") == true)
    }
}
