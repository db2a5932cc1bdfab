package import MartletWire
import NIOCore
import Synchronization

/// One session with an MCP server: handshake, its tools, calls.
///
/// Requests of the server are answered (`ping`) or refused: it gets no roots, no sampling and no questions to the user.
/// Its `instructions` are not used: nobody has approved them.
package final class MCPSession: Sendable {
    /// The versions of the protocol it can speak, latest first.
    package static let versions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]

    /// Its name in sentences.
    package let name: String
    private let transport: any MCPTransport
    private let limits: MCPLimits
    private let state = Mutex(State())

    private struct State {
        var nextID = 1
        var pending: [Int: PendingReply] = [:]
        var calls = 0
        /// Answers to the server's own requests that are on their way.
        var answers = 0
        var over: MCPError?
        var hasTools = false
        var listed: (tools: [ListedTool], at: ContinuousClock.Instant)?
        /// Counts the server's word that its list has changed.
        var changes = 0
    }

    package init(name: String, transport: any MCPTransport, limits: MCPLimits = MCPLimits()) {
        self.name = name
        self.transport = transport
        self.limits = limits
    }

    /// Why the session is over; nil while it is not.
    package var over: MCPError? { state.withLock(\.over) }

    /// Begins the session. When it throws, the session still has to be closed.
    /// - Parameter version: of this program.
    package func start(version: String) async throws(MCPError) {
        try await transport.open { [weak self] event in self?.take(event) }
        let result = try await ask(
            "initialize",
            [
                "protocolVersion": .string(Self.versions[0]), "capabilities": [:],
                "clientInfo": ["name": "martlet", "version": .string(version)],
            ], within: limits.start)
        guard let version = result["protocolVersion"]?.string, Self.versions.contains(version) else {
            let version = Printable.text(result["protocolVersion"]?.string ?? "none", limit: 40)
            throw MCPError(
                .badReply,
                "the MCP server \(name) speaks a version of the protocol that is not known here (\(version)); known: "
                    + Self.versions.joined(separator: ", "))
        }
        transport.agreed(on: version)
        state.withLock { $0.hasTools = result["capabilities"]?["tools"]?.object != nil }
        try await transport.send(RPCWriter.notification("notifications/initialized"), awaiting: nil)
    }

    /// Ends the session and returns when nothing of the server is left here.
    package func close() async {
        end(MCPError(.cancelled, "the session with the MCP server \(name) was closed"))
        await transport.close()
    }

    // MARK: Tools

    /// The server's tools, as of now or a moment ago.
    package func tools() async throws(MCPError) -> [ListedTool] {
        let (kept, changes) = state.withLock { state -> ([ListedTool]?, Int) in
            guard state.hasTools else { return ([], state.changes) }
            guard let listed = state.listed else { return (nil, state.changes) }
            let isFresh = transport.tellsOfChanges || .now - listed.at < limits.listAge
            return (isFresh ? listed.tools : nil, state.changes)
        }
        if let kept { return kept }
        let tools = try await readTools()
        state.withLock { state in
            // A change that was told meanwhile may not be in this list.
            if state.changes == changes { state.listed = (tools, .now) }
        }
        return tools
    }

    private func readTools() async throws(MCPError) -> [ListedTool] {
        var tools: [MCPTool] = []
        var cursor: String?
        var bytes = 0
        for _ in 0..<limits.pages {
            var params: JSON = [:]
            params["cursor"] = cursor.map(JSON.string)
            let page = try await ask("tools/list", params, within: limits.question)
            guard let entries = page["tools"]?.array else {
                throw MCPError(.badReply, "the MCP server \(name) lists its tools in a form that is not MCP's")
            }
            for entry in entries {
                guard let tool = MCPTool(entry) else {
                    throw MCPError(.badReply, "the MCP server \(name) has a tool without a name")
                }
                bytes += entry.text.utf8.count
                tools.append(tool)
            }
            guard tools.count <= limits.tools, bytes <= limits.toolBytes else {
                throw MCPError(
                    .tooLarge,
                    "the MCP server \(name) has more than \(limits.tools) tools, or says more of them than "
                        + "\(limits.toolBytes >> 20) MiB")
            }
            guard let next = page["nextCursor"]?.string, !next.isEmpty, next != cursor else {
                let counts = Dictionary(tools.map { ($0.name, 1) }, uniquingKeysWith: +)
                return tools.map { ListedTool($0, isRepeated: counts[$0.name] != 1, limits: limits) }
            }
            cursor = next
        }
        throw MCPError(.tooLarge, "the MCP server \(name) lists its tools on more than \(limits.pages) pages")
    }

    /// Calls a tool.
    /// - Parameter arguments: a JSON object.
    /// - Throws: `busy`, `timedOut`, `tooLarge`, and whatever ends a session.
    package func call(_ tool: String, _ arguments: JSON) async throws(MCPError) -> MCPResult {
        guard arguments.text.utf8.count <= limits.arguments else {
            throw MCPError(.tooLarge, "the arguments of \(tool) have more than \(limits.arguments >> 20) MiB")
        }
        let isFree = state.withLock { state in
            guard state.calls < limits.calls else { return false }
            state.calls += 1
            return true
        }
        guard isFree else {
            throw MCPError(.busy, "the MCP server \(name) has \(limits.calls) calls under way: try again later")
        }
        defer { state.withLock { $0.calls -= 1 } }
        let params: JSON = ["name": .string(tool), "arguments": arguments]
        switch await outcome(of: "tools/call", params, within: limits.call) {
        case .failed(let error): throw error
        case .fault(let fault): return .refused(fault)
        case .reply(let result): return try content(of: result, tool)
        }
    }

    private func content(of result: JSON, _ tool: String) throws(MCPError) -> MCPResult {
        guard result["content"]?.array != nil || result["structuredContent"]?.object != nil else {
            throw MCPError(.badReply, "the MCP server \(name) answers to \(tool) with what is no result of a tool")
        }
        var content = result["content"]?.array ?? []
        // Servers should give what is structured as text too; some do not.
        if content.isEmpty, let structured = result["structuredContent"], !structured.isNull {
            content = [["type": "text", "text": .string(structured.text)]]
        }
        let text = JSON.array(content).text
        guard text.utf8.count <= limits.result else {
            throw MCPError(
                .tooLarge,
                "the result of \(tool) has \(text.utf8.count >> 10) KiB, and may have \(limits.result >> 10) KiB: ask "
                    + "for less of it")
        }
        return .content(text, isError: result["isError"]?.bool ?? false)
    }

    // MARK: Requests

    private func ask(_ method: String, _ params: JSON, within limit: Duration) async throws(MCPError) -> JSON {
        switch await outcome(of: method, params, within: limit) {
        case .reply(let result): return result
        case .failed(let error): throw error
        case .fault(let fault):
            throw MCPError(
                .refused,
                "the MCP server \(name) refuses \(method): \(fault.message.isEmpty ? "\(fault.code)" : fault.message)",
                lastWords: transport.lastWords)
        }
    }

    private func outcome(
        of method: String, _ params: JSON, within limit: Duration
    ) async -> PendingReply.Outcome {
        let pending = PendingReply()
        let id: Int? = state.withLock { state in
            guard state.over == nil else { return nil }
            defer { state.nextID += 1 }
            state.pending[state.nextID] = pending
            return state.nextID
        }
        guard let id else { return .failed(over ?? MCPError(.cancelled, "closed")) }
        defer { state.withLock { $0.pending[id] = nil } }
        let sending = Task { [transport] in
            do throws(MCPError) {
                try await transport.send(RPCWriter.request(id: id, method, params), awaiting: id)
            } catch {
                pending.give(.failed(error))
            }
        }
        let alarm = Task { [name] in
            guard (try? await Task.sleep(for: limit)) != nil else { return }
            pending.give(
                .failed(MCPError(.timedOut, "the MCP server \(name) has not answered to \(method) within \(limit)")))
        }
        let outcome = await withTaskCancellationHandler {
            await pending.wait()
        } onCancel: {
            pending.give(.failed(MCPError(.cancelled, "\(method) was cancelled")))
        }
        alarm.cancel()
        guard case .failed(var error) = outcome else { return outcome }
        if error.code == .timedOut {
            if let strange = transport.strangeWords {
                error.message +=
                    "; it has written \"\(strange)\" where only MCP's messages may be: is it an MCP server?"
            }
            error.lastWords = transport.lastWords
        }
        if error.code == .timedOut || error.code == .cancelled { giveUp(id, method, sending) }
        if error.code == .sessionGone { end(error) }
        return .failed(error)
    }

    /// Tells the server that nobody waits for its answer any more.
    private func giveUp(_ id: Int, _ method: String, _ sending: Task<Void, Never>) {
        guard method != "initialize" else { return sending.cancel() }
        let message = RPCWriter.notification(
            "notifications/cancelled", ["requestId": .int(id), "reason": "nobody waits for it any more"])
        Task { [transport] in
            try? await transport.send(message, awaiting: nil)
            sending.cancel()
        }
    }

    // MARK: What comes

    private func take(_ event: TransportEvent) {
        switch event {
        case .closed(let error): end(error)
        case .message(.reply(let id, let result)): pending(id)?.give(.reply(result))
        case .message(.fault(let id, let fault)): pending(id)?.give(.fault(fault))
        case .message(.notification(let method)):
            guard method == "notifications/tools/list_changed" else { return }
            state.withLock { state in
                state.changes += 1
                state.listed = nil
            }
        case .message(.request(let id, let method)): answer(id, method)
        }
    }

    private func pending(_ id: Int) -> PendingReply? { state.withLock { $0.pending[id] } }

    private func answer(_ id: JSON, _ method: String) {
        // A server that asks more at a time than it may call is not answered.
        let isFree = state.withLock { state in
            guard state.answers < limits.calls else { return false }
            state.answers += 1
            return true
        }
        guard isFree else { return }
        let message = method == "ping" ? RPCWriter.reply(to: id) : RPCWriter.refusal(of: method, id: id)
        Task {
            try? await transport.send(message, awaiting: nil)
            state.withLock { $0.answers -= 1 }
        }
    }

    private func end(_ error: MCPError) {
        let waiting = state.withLock { state -> [PendingReply] in
            if state.over == nil { state.over = error }
            defer { state.pending = [:] }
            return Array(state.pending.values)
        }
        for pending in waiting { pending.give(.failed(error)) }
    }
}
