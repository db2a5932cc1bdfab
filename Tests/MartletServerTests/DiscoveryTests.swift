import MartletGateway
import MartletServer
import MartletTransport
import NIOCore
import NIOPosix
import Testing

@Suite("Discovery on loopback")
struct DiscoveryTests {
    static let list = "{\"object\":\"list\",\"data\":[{\"id\":\"m1\"}]}"

    static func place(_ port: Int, _ kind: String = "lmstudio") -> Discovery.Place {
        Discovery.Place(port: port, kind: kind, name: "found", shown: "a server")
    }

    /// What is found where a server answers so.
    static func look(_ routes: [String: String], status: Int = 200, kind: String) async throws -> Discovery.Answer {
        try await Loop.run { loop in
            let server = try await FixedServer.start(on: loop.group, status: status, routes)
            return await Discovery.look(at: [place(server.port, kind)], over: loop.calls)[0].answer
        }
    }

    @Test(
        "Each kind is known by what it answers",
        arguments: [
            ("/lmstudio-greeting", "{\"lmstudio\":true}", "lmstudio"),
            ("/props", "{\"default_generation_settings\":{}}", "llamacpp"),
            ("/api/version", "{\"version\":\"0.9\"}", "ollama"), ("/version", "{\"version\":\"0.9\"}", "vllm"),
        ])
    func kinds(path: String, body: String, kind: String) async throws {
        let answer = try await Self.look(["/v1/models": Self.list, path: body], kind: kind)
        guard case .server(let settings) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(settings.kind == kind)
        #expect(settings.name == "found")
        #expect(settings.url.hasPrefix("http://127.0.0.1:"))
    }

    @Test("Another kind than the port's is used under the port's number")
    func otherKind() async throws {
        guard case .server(let settings) = try await Self.look(["/v1/models": Self.list], kind: "vllm") else {
            Issue.record("nothing was found")
            return
        }
        #expect(settings.kind == "openai-compatible")
        #expect(settings.name == "port-\(BaseURL(settings.url)?.origin.authority.split(separator: ":").last ?? "")")
    }

    @Test("A Martlet is never taken, neither this one nor another")
    func martlet() async throws {
        let routes = ["/v1/models": Self.list, "/": "{\"message\":\"Ok\",\"name\":\"martlet\",\"instance\":\"x\"}"]
        #expect(try await Self.look(routes, kind: "lmstudio") == .martlet)
    }

    @Test("What answers without a model list is none of ours, and what wants a key is named")
    func unusable() async throws {
        #expect(try await Self.look(["/": "{}"], kind: "vllm") == .nothing)
        #expect(try await Self.look(["/v1/models": "<html>"], kind: "vllm") == .nothing)
        #expect(try await Self.look(["/v1/models": "{}"], status: 401, kind: "vllm") == .wantsKey)
        let notes = Discovery.notes([(Self.place(7), .wantsKey), (Self.place(8), .martlet), (Self.place(9), .nothing)])
        #expect(notes.count == 2)
        #expect(notes[0].contains("127.0.0.1:7"))
        #expect(notes[0].contains("api_key"))
    }

    @Test("Ports that never answer cost one second together, and hide no server that does")
    func silent() async throws {
        let (time, answers) = try await Loop.run { loop in
            let mute = try await (0..<24).asyncMap { _ in
                try await ServerBootstrap(group: loop.group).bind(host: "127.0.0.1", port: 0).get()
            }
            let server = try await FixedServer.start(
                on: loop.group, ["/v1/models": Self.list, "/lmstudio-greeting": "{\"lmstudio\":true}"])
            let places = mute.map { Self.place($0.localAddress?.port ?? 0) } + [Self.place(server.port)]
            let clock = ContinuousClock()
            let start = clock.now
            let answers = await Discovery.look(at: places, over: loop.calls).map(\.answer)
            return (clock.now - start, answers)
        }
        #expect(answers.dropLast() == Array(repeating: .nothing, count: 24)[...])
        if case .server = answers.last {} else { Issue.record("\(answers)") }
        #expect(time >= .milliseconds(900))
        #expect(time < .seconds(12), "one after another they would take 24 seconds")
    }

    @Test("It can be switched off, and is off as soon as an upstream is named")
    func off() throws {
        let file = try Written.load("discovery: off").configuration
        #expect(!UpstreamMaker.looksAround(file))
        #expect(!UpstreamMaker.looksAround(try Written.load(variables: ["MARTLET_DISCOVERY": "off"]).configuration))
        let flags = Written.flags { $0.noDiscovery = true }
        let loaded = try Written.load("discovery: auto", flags: flags)
        #expect(!UpstreamMaker.looksAround(loaded.configuration))
        #expect(loaded.origin("discovery") == "--no-discovery")
        #expect(!UpstreamMaker.looksAround(try Written.load("upstreams: { a: { url: 'http://a' } }").configuration))
        #expect(UpstreamMaker.looksAround(try Written.load().configuration))
        #expect(Written.refusal("discovery: maybe")?.contains("one of auto, off") == true)
    }

    @Test("A server that is its own upstream is noticed")
    func ownInstance() async throws {
        let sentence = try await Loop.run { loop -> String? in
            let server = try await FixedServer.start(
                on: loop.group, ["/": "{\"name\":\"martlet\",\"instance\":\"me\"}"])
            let settings = Configuration.UpstreamSettings(name: "a", url: "http://127.0.0.1:\(server.port)")
            let upstream = try UpstreamFactory.make(settings, kind: "openai-compatible")
            try await OwnInstance.check([upstream], port: server.port, instance: "another", over: loop.calls)
            do {
                try await OwnInstance.check([upstream], port: server.port, instance: "me", over: loop.calls)
                return nil
            } catch {
                return "\(error)"
            }
        }
        #expect(sentence?.hasPrefix("upstreams.a.url leads to this server itself") == true)
    }

    @Test("Who holds a port is told by name")
    func owner() async throws {
        let owners = try await Loop.run { loop in
            let studio = try await FixedServer.start(on: loop.group, ["/lmstudio-greeting": "{\"lmstudio\":true}"])
            let martlet = try await FixedServer.start(on: loop.group, ["/": "{\"name\":\"martlet\"}"])
            let other = try await FixedServer.start(on: loop.group, [:])
            return try await [studio, martlet, other].asyncMap {
                await PortOwner.find(host: "127.0.0.1", port: $0.port, over: loop.calls)
            }
        }
        #expect(owners == [.server("LM Studio"), .martlet, .silent])
        #expect(
            owners[0].sentence(port: 7).hasPrefix(
                "port 7 is taken by another program (LM Studio answers there). Use --port"))
    }
}

extension Sequence {
    func asyncMap<Value>(_ change: (Element) async throws -> Value) async throws -> [Value] {
        var made: [Value] = []
        for element in self { made.append(try await change(element)) }
        return made
    }
}
