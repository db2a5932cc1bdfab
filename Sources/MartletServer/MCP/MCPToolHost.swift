package import Logging
package import MartletDialects
import MartletEngine
package import MartletGateway
package import MartletMCP
import MartletWire
package import NIOCore

/// Runs tools of MCP servers for requests, as far as the configuration grants it.
package struct MCPToolHost: ToolHost {
    private let servers: MCPServers
    private let configuration: Configuration
    private let absent: AbsentServers
    private let logger: Logger

    /// - Parameter patience: how long a request waits for a server that it has not asked for.
    package init(
        servers: MCPServers, configuration: Configuration, patience: Duration = .seconds(10), logger: Logger
    ) {
        self.servers = servers
        self.configuration = configuration
        absent = AbsentServers(patience: patience)
        self.logger = logger
    }

    package func tools(
        of integrations: [Integration], for owner: KeyTable.Digest
    ) async throws(GatewayError) -> ListedTools {
        var references: [ServerReference] = []
        for integration in integrations { references.append(try reference(to: integration, owner)) }
        // All are started at once, as each may take its time.
        let found = await withTaskGroup(of: (Int, Result<[CheckedTool], MCPError>).self) { group in
            for (place, reference) in references.enumerated() where integrations[place].allowedTools != [] {
                group.addTask {
                    do throws(MCPError) {
                        return (place, .success(try await servers.tools(of: reference)))
                    } catch {
                        return (place, .failure(error))
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        var tools = ListedTools()
        for (place, integration) in integrations.enumerated() {
            switch found[place] {
            case .success(let checked): try narrow(checked, to: integration, references[place], into: &tools)
            case .failure(let error): throw Self.error(error)
            case nil: break
            }
        }
        return tools
    }

    package func attachedTools(of integrations: [Integration], for owner: KeyTable.Digest) async -> [ServedTool] {
        await withTaskGroup(of: (Int, [ServedTool]).self) { group in
            for (place, integration) in integrations.enumerated() {
                group.addTask { (place, await attached(integration, owner)) }
            }
            let found = await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            return integrations.indices.flatMap { found[$0] ?? [] }
        }
    }

    /// A server that is late goes on starting, for a later request.
    private func attached(_ integration: Integration, _ owner: KeyTable.Digest) async -> [ServedTool] {
        let label = integration.label
        guard let patience = absent.patience(for: label) else { return [] }
        let (found, answer) = AsyncStream.makeStream(of: [ServedTool].self)
        Task {
            do throws(GatewayError) {
                let tools = try await tools(of: [integration], for: owner).served
                if absent.end(label) { logger.notice("MCP server is there again", metadata: ["server": "\(label)"]) }
                answer.yield(tools)
            } catch {
                leaveOut(label, error.message, isOver: true)
            }
            answer.finish()
        }
        let alarm = Task {
            try? await Task.sleep(for: patience)
            answer.finish()
        }
        defer { alarm.cancel() }
        for await tools in found { return tools }
        if !Task.isCancelled { leaveOut(label, "it has not listed its tools within \(patience)", isOver: false) }
        return []
    }

    private func leaveOut(_ label: String, _ reason: String, isOver: Bool) {
        guard absent.begin(label, isOver: isOver) else { return }
        logger.warning(
            "MCP server left out", metadata: ["server": "\(label)", "reason": "\(Printable.text(reason, limit: 500))"])
    }

    package func call(_ tool: ServedTool, _ arguments: ByteBuffer, for owner: KeyTable.Digest) async -> ToolRun {
        let provider = tool.integration.provider
        do {
            let arguments = try JSON(parsing: arguments)
            let result = try await servers.call(
                tool.name, of: try reference(to: tool.integration, owner), arguments: arguments)
            switch result {
            // What a tool says is data, also that it has failed: the model is to read it.
            case .content(let content, _): return ToolRun(.output(content), by: provider)
            case .refused(let fault) where fault.code == RPCFault.invalidParams:
                return ToolRun(.invalidArguments(fault.message), by: provider)
            case .refused(let fault):
                return ToolRun(.failed("the MCP server refuses the call: \(fault.message)"), by: provider)
            }
        } catch let error as MCPError {
            if error.code == .noSuchTool { return ToolRun(.invalidName(error.message), by: provider) }
            return ToolRun(.failed(Self.sentence(error)), by: provider)
        } catch let error as GatewayError {
            return ToolRun(.failed(error.message), by: provider)
        } catch {
            return ToolRun(.invalidArguments("the arguments are not JSON"), by: provider)
        }
    }

    // MARK: Grants

    private func reference(
        to integration: Integration, _ owner: KeyTable.Digest
    ) throws(GatewayError) -> ServerReference {
        let label = Printable.text(integration.label, limit: 100)
        switch integration.source {
        case .installed(let name):
            guard configuration.grantsInstalledServers else {
                let reason =
                    configuration.mcp.installed == .off
                    ? "mcp.installed is off in this server's configuration"
                    : "Without tokens whoever reaches this server could run the tools. Let clients need a token (auth.tokens), or "
                        + "set mcp.installed: on"
                throw GatewayError(
                    code: .mcpDenied, message: "Permission denied to use local MCP server '\(label)'. \(reason)")
            }
            return .installed(name)
        case .ephemeral(let name, let url, let headers):
            guard configuration.mcp.ephemeral == .on else {
                throw GatewayError(
                    code: .mcpDenied,
                    message:
                        "Permission denied to use the MCP server '\(label)' that the request names: set mcp.ephemeral: "
                        + "on in the server's configuration")
            }
            guard let url = ServerURL(url) else {
                throw GatewayError(
                    code: .invalidRequest,
                    message:
                        "the MCP server '\(label)' has an address that is none of the web (http or https, without a "
                        + "user's name)")
            }
            do throws(MCPError) {
                let headers = try ServerHeader.all(headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
                return .ephemeral(
                    label: name, url, headers, owner: owner.map { String($0, radix: 16) }.joined(separator: ":"))
            } catch {
                throw GatewayError(code: .invalidRequest, message: "of the MCP server '\(label)', \(error.message)")
            }
        }
    }

    /// What is allowed of a server's tools.
    private func narrow(
        _ tools: [CheckedTool], to integration: Integration, _ reference: ServerReference,
        into listed: inout ListedTools
    ) throws(GatewayError) {
        if let unknown = integration.allowedTools?.first(where: { name in !tools.contains { $0.tool.name == name } }) {
            let all = tools.prefix(20).map { Printable.text($0.tool.name, limit: 128) }.joined(separator: ", ")
            throw GatewayError(
                code: .invalidRequest,
                message:
                    "the MCP server '\(reference.shown)' has no tool \"\(Printable.text(unknown, limit: 128))\" to be "
                    + "allowed; it has: \(all.isEmpty ? "none" : all)")
        }
        for tool in tools where integration.offers(tool.tool.name) {
            if let reason = servers.blocked(tool, of: reference) {
                // Whoever asks for it by name has to know; else the others go on.
                guard integration.allowedTools == nil else { throw GatewayError(code: .mcpDenied, message: reason) }
                logger.warning("MCP tool blocked", metadata: ["reason": "\(reason)"])
                let name = Printable.text(tool.tool.name, limit: 128)
                listed.blocked.append(BlockedTool(label: integration.label, name: name, reason: reason))
                continue
            }
            listed.served.append(
                ServedTool(
                    integration, name: tool.tool.name,
                    description: tool.tool.description.map { EscapedText(escaping: $0) },
                    schema: ByteBuffer(string: tool.tool.inputSchema.text)))
        }
    }

    // MARK: Errors

    private static func error(_ error: MCPError) -> GatewayError {
        let code: ErrorCode =
            switch error.code {
            case .closedAddress, .blocked: .mcpDenied
            case .noSuchServer: .mcpUnknown
            default: .mcpFailed
            }
        return GatewayError(code: code, message: sentence(error))
    }

    /// The error with the server's last words, in which no folder of this machine stands.
    private static func sentence(_ error: MCPError) -> String {
        guard !error.lastWords.isEmpty else { return error.message }
        let words = error.lastWords.map { EngineLog.withoutFolders(Printable.text($0, limit: 200)) }
        return "\(error.message). Its last words: \(words.joined(separator: " | "))"
    }
}
