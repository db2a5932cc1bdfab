import Logging
import MartletDialects
import MartletGateway
import MartletMCP
import MartletServer
import MartletWire
import NIOCore
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite(.timeLimit(.minutes(3))) struct MCPToolHostTests {
    private static let script =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/fake_mcp.py"

    /// Works with a host whose `mcp.json` has one server, `fake`, of that behaviour.
    private func hosted(
        _ behaviour: String = "good", _ change: (inout Configuration) -> Void = { $0.mcp.installed = .on },
        _ work: (MCPToolHost) async throws -> Void
    ) async throws {
        let home = "/tmp/mh-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let file = #"{"mcpServers":{"fake":{"command":"python3","args":["\#(Self.script)","\#(behaviour)"]}}}"#
        try Data(file.utf8).write(to: URL(filePath: home + "/mcp.json"))
        var configuration = Configuration()
        change(&configuration)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let servers = MCPServers(
            home: home, environment: ProcessInfo.processInfo.environment, version: "1",
            admits: configuration.mcp.admits, logger: logger)
        let host = MCPToolHost(servers: servers, configuration: configuration, logger: logger)
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
            let tools = try await host.tools(of: [fake, fake], for: [])
            #expect(tools.count == 18 && tools[0] == tools[9])
            #expect(tools[0].name == "echo" && tools[0].integration == fake)
            #expect(tools[0].description == EscapedText(escaping: "Says what it is told."))
            let schema: JSON = ["type": "object", "properties": ["text": ["type": "string"]]]
            #expect(tools[0].schema.map { String(buffer: $0) } == schema.text)
            let two = Integration(.installed(label: "fake"), allowedTools: ["fail", "echo"])
            #expect(try await host.tools(of: [two], for: []).map(\.name) == ["echo", "fail"])
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
        }
        try await hosted("late") { host async throws in
            let error = try await refusal { _ = try await host.tools(of: [fake], for: []) }
            #expect(error.message.contains("fake_mcp.py") && !error.message.contains("/Fixtures"))
        }
        try await hosted { host async throws in
            let other = Integration(.installed(label: "other"))
            let error = try await refusal { _ = try await host.tools(of: [other], for: []) }
            #expect(error.code == .mcpFailed && error.message.contains("there are: fake"))
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
                #expect(try await !host.tools(of: [fake], for: []).isEmpty)
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
