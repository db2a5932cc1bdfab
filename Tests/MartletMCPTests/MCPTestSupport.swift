import Logging
import MartletMCP
import MartletWire
import Synchronization
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Polls until the condition holds; the bound is long because other tests run beside this one.
func eventually(
    _ what: String, within limit: Duration = .seconds(60), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async -> Bool
) async {
    let start = ContinuousClock.now
    while ContinuousClock.now - start < limit {
        if await condition() { return }
        try? await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("never: \(what)", sourceLocation: sourceLocation)
}

/// A home of its own for one test.
final class Home: Sendable {
    let path: String

    init() throws {
        path = "/tmp/mm-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        // A file of the same size written within one tick of the clock is told by its number.
        try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
        try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
    }

    func read(_ name: String) -> String? {
        FileManager.default.contents(atPath: "\(path)/\(name)").map { String(decoding: $0, as: UTF8.self) }
    }

    /// `mcp.json` with one server, `fake`, of that behaviour.
    func use(_ behaviour: String, describedIn file: String? = nil, more: String = "") throws {
        let arguments = ([Fake.script, behaviour] + (file.map { ["\(path)/\($0)"] } ?? [])).map { "\"\($0)\"" }
        try write(
            "mcp.json",
            #"{"mcpServers":{"fake":{"command":"python3","args":[\#(arguments.joined(separator: ","))]\#(more)}}}"#)
    }

    func servers(
        limits: MCPLimits = Fake.limits, environment: [String: String] = Fake.environment,
        admits: @escaping AddressDoor.Rule = { _, _, _ in false }
    ) -> MCPServers {
        MCPServers(
            home: path, environment: environment, version: "1", admits: admits, limits: limits,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}

enum Fake {
    static let script =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/fake_mcp.py"

    static var environment: [String: String] { ProcessInfo.processInfo.environment }

    /// With a grace that a test can wait for.
    static var limits: MCPLimits {
        var limits = MCPLimits()
        limits.grace = .seconds(1)
        return limits
    }

    /// - Parameter behaviour: of the fake; or, with a space in it, what a shell is to do, which starts faster.
    static func transport(_ behaviour: String, _ limits: MCPLimits = limits) -> StdioTransport {
        let isShell = behaviour.contains(" ")
        return StdioTransport(
            name: "fake",
            command: StdioCommand(
                program: isShell ? "sh" : "python3", arguments: [isShell ? "-c" : script, behaviour],
                environment: StdioCommand.environment(environment, adding: [:]), folder: "/"), limits: limits)
    }

    /// A session that has begun, for the work; ended afterwards.
    static func session<R: Sendable>(
        _ behaviour: String = "good", _ limits: MCPLimits = limits,
        _ work: (MCPSession) async throws -> R
    ) async throws -> R {
        let session = MCPSession(name: "fake", transport: transport(behaviour, limits), limits: limits)
        do {
            try await session.start(version: "1")
            let result = try await work(session)
            await session.close()
            return result
        } catch {
            await session.close()
            throw error
        }
    }
}

/// What a piece of work throws.
func failure(
    sourceLocation: SourceLocation = #_sourceLocation, _ work: () async throws -> Void
) async throws -> MCPError {
    do {
        try await work()
    } catch {
        return try #require(error as? MCPError, sourceLocation: sourceLocation)
    }
    Issue.record("nothing failed", sourceLocation: sourceLocation)
    return MCPError(.cancelled, "")
}

extension MCPResult {
    /// The text of its only piece.
    var text: String? {
        guard case .content(let content, _) = self else { return nil }
        return (try? JSON(parsing: content))?[0]?["text"]?.string
    }

    /// That text as JSON.
    var json: JSON? { text.flatMap { try? JSON(parsing: $0) } }
}
