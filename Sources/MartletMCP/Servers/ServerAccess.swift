/// How a server is reached.
package enum ServerAccess: Sendable, Hashable {
    /// A program and what is added to its environment; no folder: the user's home.
    case program(String, arguments: [String], environment: [String: String], folder: String?)
    case remote(ServerURL, [ServerHeader])

    /// - Parameters:
    ///   - name: the server's, in sentences.
    ///   - environment: of this process.
    ///   - door: which addresses it may have.
    func transport(
        name: String, environment: [String: String], door: AddressDoor, limits: MCPLimits
    ) -> any MCPTransport {
        switch self {
        case .program(let program, let arguments, let theirs, let folder):
            let command = StdioCommand(
                program: program, arguments: arguments,
                environment: StdioCommand.environment(environment, adding: theirs),
                folder: folder ?? environment["HOME"] ?? "/", secrets: Array(theirs.values))
            return StdioTransport(name: name, command: command, limits: limits)
        case .remote(let url, let headers):
            let authorities = environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 }
            return HTTPTransport(
                name: name, url: url, headers: headers, door: door, authorities: authorities, limits: limits)
        }
    }

    /// Starts the server, reads its tools and ends it again.
    /// - Parameter version: of this program.
    package func tools(
        name: String, environment: [String: String], version: String, limits: MCPLimits
    ) async throws(MCPError) -> [ListedTool] {
        let transport = transport(name: name, environment: environment, door: .open, limits: limits)
        let session = MCPSession(name: name, transport: transport, limits: limits)
        let result: Result<[ListedTool], MCPError>
        do throws(MCPError) {
            try await session.start(version: version)
            result = .success(try await session.tools())
        } catch {
            result = .failure(error)
        }
        await session.close()
        return try result.get()
    }
}
