import Logging
import MartletDialects
import MartletGateway
import MartletMCP
import MartletServer
import MartletWire
import NIOCore
import Synchronization
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Keeps the messages that are logged.
private final class HeardLog: LogHandler {
    private let messages = Mutex<[String]>([])

    func count(_ message: String) -> Int { messages.withLock { $0.count { $0 == message } } }

    func log(event: LogEvent) { messages.withLock { $0.append("\(event.message)") } }

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
}

@Suite(.timeLimit(.minutes(3))) struct MCPToolHostTests {
    private static let script =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/fake_mcp.py"

    /// Works with a host whose `mcp.json` has one server, `fake`, of that behaviour.
    private func hosted(
        _ behaviour: String = "good", _ change: (inout Configuration) -> Void = { $0.mcp.installed = .on },
        hasWords: Bool = false, patience: Duration = .seconds(10), heard: HeardLog = HeardLog(),
        _ work: (MCPToolHost) async throws -> Void
    ) async throws {
        let home = "/tmp/mh-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let words = hasWords ? #","\#(home)/words""# : ""
        try Data("Says what it is told.".utf8).write(to: URL(filePath: home + "/words"))
        let file =
            #"{"mcpServers":{"fake":{"command":"python3","args":["\#(Self.script)","\#(behaviour)"\#(words)]}}}"#
        try Data(file.utf8).write(to: URL(filePath: home + "/mcp.json"))
        var configuration = Configuration()
        change(&configuration)
        let logger = Logger(label: "test") { _ in heard }
        let servers = MCPServers(
            home: home, environment: ProcessInfo.processInfo.environment, version: "1",
            admits: configuration.mcp.admits, logger: logger)
        let host = MCPToolHost(
            servers: servers, configuration: configuration, patience: patience, logger: logger)
        do {
            try await work(host)
        } catch {
            await servers.close()
            throw error
        }
        await servers.close()
    }

    private func refusal(_ work: () async throws -> Void) async throws -> GatewayError {
        do {
            try await work()
        } catch {
            return try #require(error as? GatewayError)
        }
        Issue.record("nothing was refused")
        return GatewayError(code: .internalError, message: "")
    }

    private let fake = Integration(.installed(label: "fake"))

    @Test("tools of a server are listed with what the model has to know, narrowed to what is allowed")
    func tools() async throws {
        try await hosted { host async throws in
            let tools = try await host.tools(of: [fake, fake], for: []).served
            #expect(tools.count == 18 && tools[0] == tools[9])
            #expect(tools[0].name == "echo" && tools[0].integration == fake)
            #expect(tools[0].description == EscapedText(escaping: "Says what it is told."))
            let schema: JSON = ["type": "object", "properties": ["text": ["type": "string"]]]
            #expect(tools[0].schema.map { String(buffer: $0) } == schema.text)
            let two = Integration(.installed(label: "fake"), allowedTools: ["fail", "echo"])
            #expect(try await host.tools(of: [two], for: []).served.map(\.name) == ["echo", "fail"])
            let most = Integration(.installed(label: "fake"), deniedTools: ["fail", "serch"])
            #expect(
                try await host.tools(of: [most], for: []).served.map(\.name)
                    == tools[..<9].map(\.name).filter { $0 != "fail" }
            )
            let other = Integration(.installed(label: "fake"), allowedTools: ["serch"])
            let error = try await refusal { _ = try await host.tools(of: [other], for: []) }
            #expect(error.code == .invalidRequest && error.message.contains("no tool \"serch\""))
            #expect(error.message.contains("it has: echo, "))
        }
    }

    @Test("a call's outcome tells what the server said; that a tool has failed is output")
    func calls() async throws {
        try await hosted { host async throws in
            func outcome(_ name: String, _ arguments: String = "{}") async -> ToolRun {
                await host.call(ServedTool(fake, name: name), ByteBuffer(string: arguments), for: [])
            }
            let plugin = ToolProvider.plugin(id: "mcp/fake")
            #expect(
                await outcome("echo", #"{"text":"a"}"#)
                    == ToolRun(.output(#"[{"type":"text","text":"a"}]"#), by: plugin))
            #expect(await outcome("fail").outcome == .output(#"[{"type":"text","text":"it went wrong"}]"#))
            guard case .invalidName = await outcome("nothing").outcome else {
                Issue.record("it has a name")
                return
            }
            guard case .invalidArguments = await outcome("echo", "{").outcome else {
                Issue.record("they are arguments")
                return
            }
            let dead = await outcome("die").reason
            #expect(dead?.contains("exit code 3") == true && dead?.contains("Its last words: about to die") == true)
        }
    }

    @Test("a server that cannot be had is an error with its last words, without folders of this machine")
    func broken() async throws {
        try await hosted("crash") { host async throws in
            let error = try await refusal { _ = try await host.tools(of: [fake], for: []) }
            #expect(error.code == .mcpFailed && error.message.contains("no module named 'boom'"))
            let unused = Integration(.installed(label: "fake"), allowedTools: [])
            #expect(try await host.tools(of: [unused], for: []).served.isEmpty, "nobody wants anything of it")
        }
        try await hosted("late") { host async throws in
            let error = try await refusal { _ = try await host.tools(of: [fake], for: []) }
            #expect(error.message.contains("fake_mcp.py") && !error.message.contains("/Fixtures"))
        }
        try await hosted { host async throws in
            let other = Integration(.installed(label: "other"))
            let error = try await refusal { _ = try await host.tools(of: [other], for: []) }
            #expect(error.code == .mcpUnknown && error.message.contains("there are: fake"))
        }
    }

    @Test("a server that a request has not asked for is left out when it cannot be had, and named once")
    func attached() async throws {
        let heard = HeardLog()
        try await hosted("crash", heard: heard) { host async throws in
            for _ in 0..<3 { #expect(await host.attachedTools(of: [fake], for: []).isEmpty) }
            #expect(heard.count("MCP server left out") == 1)
        }
        try await hosted { host async throws in
            let other = Integration(.installed(label: "other"))
            let tools = await host.attachedTools(of: [other, fake], for: [])
            #expect(tools.count == 9 && tools.allSatisfy { $0.integration == fake })
        }
        try await hosted("good", { $0.mcp.installed = .off }) { host async throws in
            #expect(await host.attachedTools(of: [fake], for: []).isEmpty)
        }
    }

    @Test("one that does not start is left to start, and requests go on without it")
    func late() async throws {
        let heard = HeardLog()
        try await hosted("stall", patience: .milliseconds(100), heard: heard) { host async throws in
            for _ in 0..<2 { #expect(await host.attachedTools(of: [fake], for: []).isEmpty) }
            #expect(heard.count("MCP server left out") == 1 && heard.count("MCP server failed") == 0)
        }
    }

    @Test("one that is absent is asked for again by one request at a time, which hardly waits")
    func patience() {
        let absent = AbsentServers(patience: .seconds(10))
        #expect(absent.patience(for: "a") == .seconds(10) && absent.patience(for: "a") == .seconds(10))
        #expect(absent.begin("a", isOver: false))
        #expect(absent.patience(for: "a") == nil, "whoever is late is still asking")
        #expect(!absent.begin("a", isOver: true), "it is news once")
        #expect(absent.patience(for: "a") == .milliseconds(250) && absent.patience(for: "a") == nil)
        #expect(absent.patience(for: "b") == .seconds(10))
        #expect(absent.end("a") && !absent.end("a"))
        #expect(absent.patience(for: "a") == .seconds(10))
    }

    @Test("one that is there again is used again, and the log says so")
    func recovered() async throws {
        let heard = HeardLog()
        try await hosted("late", hasWords: true, heard: heard) { host async throws in
            #expect(await host.attachedTools(of: [fake], for: []).isEmpty)
            for _ in 0..<200 where heard.count("MCP server is there again") == 0 {
                _ = await host.attachedTools(of: [fake], for: [])
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(await host.attachedTools(of: [fake], for: []).count == 9)
            #expect(heard.count("MCP server left out") == 1 && heard.count("MCP server is there again") == 1)
        }
    }

    struct Grant: Sendable, CustomTestStringConvertible {
        var installed: Configuration.MCPSettings.Grant
        var tokens: [String]
        var required: Configuration.AuthSettings.Required
        /// What the refusal says; nil: it is granted.
        var refusal: String?
        var testDescription: String { "\(installed) \(required) \(tokens.count)" }
    }

    @Test(
        "servers of mcp.json are for clients with tokens, unless the configuration says otherwise",
        arguments: [
            Grant(installed: .auto, tokens: [], required: .auto, refusal: "auth.tokens"),
            Grant(installed: .auto, tokens: ["sha256:0"], required: .off, refusal: "mcp.installed: on"),
            Grant(installed: .auto, tokens: ["sha256:0"], required: .auto, refusal: nil),
            Grant(installed: .on, tokens: [], required: .auto, refusal: nil),
            Grant(installed: .off, tokens: ["sha256:0"], required: .on, refusal: "mcp.installed is off"),
        ])
    func grants(_ grant: Grant) async throws {
        let change = { (configuration: inout Configuration) in
            configuration.mcp.installed = grant.installed
            configuration.auth.tokens = grant.tokens
            configuration.auth.required = grant.required
        }
        try await hosted("good", change) { host async throws in
            guard let words = grant.refusal else {
                #expect(try await !host.tools(of: [fake], for: []).served.isEmpty)
                return
            }
            let error = try await refusal { _ = try await host.tools(of: [fake], for: []) }
            #expect(error.code == .mcpDenied)
            #expect(error.message.hasPrefix("Permission denied to use local MCP server 'fake'"))
            #expect(error.message.contains(words), "\(error.message)")
            let run = await host.call(ServedTool(fake, name: "echo"), ByteBuffer(string: "{}"), for: [])
            #expect(run.reason == error.message)
        }
    }

    @Test("servers that requests name are off unless granted, and only where everybody may reach them")
    func ephemeral() async throws {
        func named(_ url: String, _ headers: [String: String] = [:]) -> [Integration] {
            [Integration(.ephemeral(label: "web", url: url, headers: headers))]
        }
        try await hosted { host async throws in
            let error = try await refusal { _ = try await host.tools(of: named("https://mcp.example.org/"), for: []) }
            #expect(error.code == .mcpDenied && error.message.contains("mcp.ephemeral: on"))
        }
        let change = { (configuration: inout Configuration) in configuration.mcp.ephemeral = .on }
        try await hosted("good", change) { host async throws in
            for url in [
                "http://127.0.0.1:9/mcp", "http://localhost:9/mcp", "http://169.254.169.254/", "http://[::1]:9/",
            ] {
                let error = try await refusal { _ = try await host.tools(of: named(url), for: []) }
                #expect(error.code == .mcpDenied && error.message.contains("mcp.allowed_hosts"), "\(error.message)")
            }
            for url in ["file:///etc/passwd", "http://me@example.org/"] {
                let error = try await refusal { _ = try await host.tools(of: named(url), for: []) }
                #expect(error.code == .invalidRequest, "\(error.message)")
            }
            let error = try await refusal {
                _ = try await host.tools(of: named("https://mcp.example.org/", ["Host": "other"]), for: [])
            }
            #expect(error.code == .invalidRequest && error.message.contains("Host"))
        }
    }

    @Test("hosts that the configuration allows need not be on the open internet")
    func allowed() {
        var settings = Configuration().mcp
        settings.allowedHosts = ["NAS.local", "localhost:8000"]
        let admits = settings.admits
        #expect(admits("nas.local", 80, [192, 168, 1, 2]) && admits("localhost", 8000, [127, 0, 0, 1]))
        #expect(!admits("localhost", 8001, [127, 0, 0, 1]) && !admits("other.local", 80, [192, 168, 1, 2]))
        #expect(admits("example.org", 80, [93, 184, 216, 34]))
    }
}
