import MartletDialects
import MartletGateway
import MartletServer
import Testing

@Suite("How an upstream is spoken to, and whether images are fetched for it")
struct ConfigurationDialectTests {
    static func file(_ more: String) -> String {
        "upstreams:\n  studio:\n    kind: lmstudio\n    url: http://localhost:1234\n\(more)"
    }

    static let clients: [DialectID] = [.chat, .anthropic, .responses]

    @Test("A dialect that is named is the only one; what LM Studio's own API lacks, its models cannot do")
    func dialect() throws {
        let loaded = try Written.load(Self.file("    dialect: lmstudio\n"))
        let upstream = try UpstreamFactory.make(try #require(loaded.configuration.upstreams.first), kind: "lmstudio")
        for client in DialectID.allCases { #expect(upstream.profile.dialect(for: client) == .lmstudio) }
        let flags = upstream.profile.capabilities
        #expect(flags.toolChoice == .none && flags.jsonSchema == .none && flags.images == .data)
        #expect(flags.thinkingControl == .effort, "what it has is the kind's")
    }

    @Test("Without one, each client is spoken to in its own where the upstream can, else in the best it has")
    func kinds() throws {
        let settings = try #require(try Written.load(Self.file("")).configuration.upstreams.first)
        let studio = try UpstreamFactory.make(settings, kind: "lmstudio")
        #expect(Self.clients.map { studio.profile.dialect(for: $0) } == [.chat, .chat, .chat])
        let openAI = try UpstreamFactory.make(settings, kind: "openai")
        #expect(Self.clients.map { openAI.profile.dialect(for: $0) } == [.chat, .responses, .responses])
        let responses = try #require(
            try Written.load(Self.file("    dialect: responses\n")).configuration.upstreams.first)
        let only = try UpstreamFactory.make(responses, kind: "openai")
        #expect(Self.clients.map { only.profile.dialect(for: $0) } == [.responses, .responses, .responses])
    }

    @Test("A variable names it too, and a word nobody knows is an error")
    func words() throws {
        let loaded = try Written.load(
            Self.file(""), variables: ["MARTLET_UPSTREAMS_STUDIO_DIALECT": "anthropic"])
        #expect(loaded.configuration.upstreams.first?.dialect == .anthropic)
        #expect(throws: ConfigurationError.self) { try Written.load(Self.file("    dialect: latin\n")) }
    }

    @Test("Images are fetched only where that is switched on, from anywhere public and from hosts that are named")
    func images() throws {
        #expect(try Written.load(Self.file("")).configuration.images.rules == nil)
        let hosts = try Written.load(Self.file("images: { allowed_hosts: [nas.local] }\n")).configuration
        #expect(hosts.images.rules == nil, "hosts alone switch nothing on")
        let on = try Written.load(Self.file("images: { fetch: true, allowed_hosts: [\"NAS.local:8080\"] }\n"))
        #expect(on.configuration.images.rules == ImageRules(allowedHosts: ["nas.local:8080"]))
    }
}
