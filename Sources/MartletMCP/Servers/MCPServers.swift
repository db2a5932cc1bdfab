package import Logging
package import MartletWire

/// The MCP servers in use: started when they are needed, shared by those who use them, closed when nobody does any more.
package actor MCPServers {
    private let environment: [String: String]
    private let version: String
    private let limits: MCPLimits
    private let door: AddressDoor
    private let logger: Logger
    private let file: ServerFile
    private let pins: PinFile
    private var known: (stamp: HomeFile.Stamp?, entries: [ServerEntry])?
    private var places: [Key: Place] = [:]
    private var isClosed = false

    private enum Key: Hashable {
        case installed(String)
        case ephemeral(ServerURL, [ServerHeader], owner: String)
    }

    private struct Place {
        /// What was started; another entry of this name is another server.
        var access: ServerAccess
        var starting: Task<Result<MCPSession, MCPError>, Never>?
        var session: MCPSession?
        var startedAt = ContinuousClock.now
        var failures = 0
        var lastFailure: MCPError?
        var notBefore = ContinuousClock.now
        var users = 0
        /// Counts uses, so that an old alarm knows that it is.
        var uses = 0
    }

    /// - Parameters:
    ///   - home: martlet's, with `mcp.json`.
    ///   - environment: of this process.
    ///   - version: of this program.
    ///   - admits: which addresses a request may name.
    package init(
        home: String, environment: [String: String], version: String, admits: @escaping AddressDoor.Rule,
        limits: MCPLimits = MCPLimits(), logger: Logger
    ) {
        self.environment = environment
        self.version = version
        self.limits = limits
        self.logger = logger
        door = .checked(admits)
        file = ServerFile(home: home, limits: limits)
        pins = PinFile(home: home, limits: limits)
    }

    /// The servers of `mcp.json`, as it is now.
    package func entries() throws(MCPError) -> [ServerEntry] {
        let stamp = file.stamp
        if let known, known.stamp == stamp { return known.entries }
        let entries = try file.entries()
        known = (stamp, entries)
        return entries
    }

    /// The tools of a server, each with whether it may be used. Those that are met first are pinned.
    package func tools(of server: ServerReference) async throws(MCPError) -> [CheckedTool] {
        try await used(server) { (session) async throws(MCPError) in
            try self.checked(try await session.tools(), of: server)
        }
    }

    /// Calls a tool that may be used.
    /// - Parameter arguments: a JSON object.
    /// - Throws: `noSuchTool`, `blocked` too.
    package func call(
        _ tool: String, of server: ServerReference, arguments: JSON
    ) async throws(MCPError) -> MCPResult {
        try await used(server) { (session) async throws(MCPError) in
            let all = try self.checked(try await session.tools(), of: server)
            guard let found = all.first(where: { $0.tool.name == tool }) else {
                throw MCPError(
                    .noSuchTool, "the MCP server \(server.shown) has no tool \(Printable.text(tool, limit: 128))")
            }
            if let reason = self.blocked(found, of: server) { throw MCPError(.blocked, reason) }
            return try await session.call(tool, arguments)
        }
    }

    /// Closes all of them and returns when none is left.
    package func close() async {
        isClosed = true
        let all = places
        places = [:]
        await withTaskGroup(of: Void.self) { group in
            for place in all.values {
                group.addTask {
                    if let session = place.session { await session.close() }
                    place.starting?.cancel()
                    if case .success(let session)? = await place.starting?.value { await session.close() }
                }
            }
        }
    }

    // MARK: Pins

    /// Why a tool may not be used, and what to do; nil when it may.
    package nonisolated func blocked(_ tool: CheckedTool, of server: ServerReference) -> String? {
        let name = Printable.text(tool.tool.name, limit: 128)
        switch tool.state {
        case .usable: return nil
        case .unusable(let reason):
            return "the tool \(name) of the MCP server \(server.shown) cannot be used: \(reason)"
        case .new:
            return "the tool \(name) of the MCP server \(server.shown) is new since the server was approved: "
                + approval(server)
        case .changed:
            return "the tool \(name) of the MCP server \(server.shown) describes itself otherwise than when it was "
                + "approved: " + approval(server)
        }
    }

    private nonisolated func approval(_ server: ServerReference) -> String {
        switch server {
        case .installed(let name): "see what changed with: martlet mcp approve \(shownLabel(name))"
        case .ephemeral(_, let url, _, _): "see what changed with: martlet mcp approve \(url.identity)"
        }
    }

    /// As a shell takes it: a name of one word as it is, which is the surest; another as a label.
    private nonisolated func shownLabel(_ name: String) -> String {
        let bare = ServerEntry.bare(name)
        let isWord = bare.utf8.allSatisfy { byte in
            let character = Character(UnicodeScalar(byte))
            return character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
        }
        return isWord ? bare : ServerEntry.label(bare)
    }

    /// - Throws: `noSuchServer`; `badEntry` for a name that may be each of several.
    private func entry(_ server: ServerReference, _ name: String) throws(MCPError) -> ServerEntry {
        let entries = try entries()
        if let entry = try ServerEntry.find(name, among: entries) { return entry }
        let all = entries.map(\.label)
        throw MCPError(
            .noSuchServer,
            "there is no MCP server \"\(server.shown)\" in mcp.json; "
                + (all.isEmpty ? "it names none" : "there are: \(all.joined(separator: ", "))")
                + ". Add one with: martlet mcp add")
    }

    private func checked(_ listed: [ListedTool], of server: ServerReference) throws(MCPError) -> [CheckedTool] {
        let identity: String
        let isEphemeral: Bool
        switch server {
        case .installed(let name): (identity, isEphemeral) = (try entry(server, name).id, false)
        case .ephemeral(_, let url, _, _): (identity, isEphemeral) = (url.identity, true)
        }
        let checked = try pins.check(
            listed.filter { $0.fault == nil }.map(\.tool), of: identity, isEphemeral: isEphemeral)
        let pinned = checked.count { $0.isNewlyPinned }
        if pinned > 0 {
            logger.log(
                level: isEphemeral ? .debug : .info, "MCP tools pinned at first use",
                metadata: ["server": "\(identity)", "tools": "\(pinned)"])
        }
        var states: [String: CheckedTool.State] = [:]
        for tool in checked {
            switch tool.verdict {
            case .approved: states[tool.tool.name] = .usable
            case .new, .unseen: states[tool.tool.name] = .new
            case .changed(let old): states[tool.tool.name] = .changed(from: old)
            }
        }
        return listed.map { listed in
            if let fault = listed.fault { return CheckedTool(tool: listed.tool, state: .unusable(fault)) }
            return CheckedTool(tool: listed.tool, state: states[listed.tool.name] ?? .new)
        }
    }

    // MARK: Sessions

    /// Runs the work with a session of the server, once more with a new one where the server has forgotten it.
    private func used<R: Sendable>(
        _ server: ServerReference, _ work: (MCPSession) async throws(MCPError) -> R
    ) async throws(MCPError) -> R {
        let (key, access, name) = try resolve(server)
        var isRetry = false
        while true {
            let session = try await session(key, access, name)
            places[key]?.users += 1
            let result: Result<R, MCPError>
            do throws(MCPError) {
                result = .success(try await work(session))
            } catch {
                result = .failure(error)
            }
            released(key)
            if case .failure(let error) = result, error.code == .sessionGone, !isRetry {
                isRetry = true
                continue
            }
            return try result.get()
        }
    }

    private func resolve(_ server: ServerReference) throws(MCPError) -> (Key, ServerAccess, String) {
        switch server {
        case .ephemeral(_, let url, let headers, let owner):
            return (.ephemeral(url, headers, owner: owner), .remote(url, headers), server.shown)
        case .installed(let name):
            let entry = try entry(server, name)
            return (.installed(entry.label), try entry.access.get(), entry.label)
        }
    }

    private func session(
        _ key: Key, _ access: ServerAccess, _ name: String
    ) async throws(MCPError) -> MCPSession {
        while true {
            if isClosed { throw MCPError(.cancelled, "this server is stopping") }
            if let place = places[key], place.access != access {
                places[key] = nil
                Task { await Self.closeAll(of: place) }
            }
            guard let place = places[key] else {
                if case .ephemeral = key { try await makeRoom() }
                if places[key] == nil { places[key] = Place(access: access) }
                continue
            }
            if let session = place.session {
                guard let over = session.over else { return session }
                places[key]?.session = nil
                // A session that a server forgets is no fault of its.
                if over.code != .sessionGone { failed(key, over, livedFor: .now - place.startedAt) }
                Task { await session.close() }
                continue
            }
            if let starting = place.starting {
                return try await starting.value.get()
            }
            let pause = place.notBefore - .now
            if pause > .zero {
                guard pause <= .seconds(2) else {
                    var error = place.lastFailure ?? MCPError(.ended, "the MCP server \(name) has failed")
                    error.code = .backingOff
                    error.message += "; it is tried again in \(pause.components.seconds + 1) s"
                    throw error
                }
                guard (try? await Task.sleep(for: pause)) != nil else {
                    throw MCPError(.cancelled, "nobody waits for the MCP server \(name) any more")
                }
                continue
            }
            start(key, access, name)
        }
    }

    private func start(_ key: Key, _ access: ServerAccess, _ name: String) {
        let door: AddressDoor = if case .ephemeral = key { self.door } else { .open }
        let transport = access.transport(name: name, environment: environment, door: door, limits: limits)
        let (version, limits) = (self.version, self.limits)
        logger.debug("MCP server started", metadata: ["server": "\(name)"])
        places[key]?.startedAt = .now
        places[key]?.starting = Task {
            let session = MCPSession(name: name, transport: transport, limits: limits)
            let result: Result<MCPSession, MCPError>
            do throws(MCPError) {
                try await session.start(version: version)
                result = .success(session)
            } catch {
                await session.close()
                result = .failure(error)
            }
            self.started(key, access, result)
            return result
        }
    }

    private func started(_ key: Key, _ access: ServerAccess, _ result: Result<MCPSession, MCPError>) {
        // Another entry has taken its place meanwhile, or all were closed: whoever did so closes it.
        guard places[key]?.access == access else { return }
        places[key]?.starting = nil
        switch result {
        case .success(let session):
            places[key]?.session = session
            if places[key]?.users == 0 { released(key) }
        case .failure(let error): failed(key, error, livedFor: .zero)
        }
    }

    private func failed(_ key: Key, _ error: MCPError, livedFor life: Duration) {
        guard var place = places[key] else { return }
        place.failures = life >= limits.settled ? 1 : place.failures + 1
        place.lastFailure = error
        let pause = limits.backOff * (1 << min(place.failures - 1, 20))
        place.notBefore = .now + min(pause, limits.longestBackOff)
        places[key] = place
        var metadata: Logger.Metadata = ["code": "\(error.code)", "reason": "\(error.message)"]
        // What a server says at work may quote what it was told.
        if life == .zero, !error.lastWords.isEmpty { metadata["tail"] = "\(error.lastWords.joined(separator: " | "))" }
        guard case .ephemeral = key else { return logger.warning("MCP server failed", metadata: metadata) }
        logger.debug("MCP server failed", metadata: metadata)
        // Nobody has to know for long why a server failed that a request has named.
        if place.users == 0 { released(key) }
    }

    // MARK: When nobody uses them

    private func released(_ key: Key) {
        guard var place = places[key] else { return }
        place.users = max(0, place.users - 1)
        place.uses += 1
        places[key] = place
        guard place.users == 0 else { return }
        let uses = place.uses
        let idle = if case .ephemeral = key { limits.idleEphemeral } else { limits.idle }
        Task { [weak self] in
            try? await Task.sleep(for: idle)
            await self?.closeIfUnused(key, since: uses)
        }
    }

    private func closeIfUnused(_ key: Key, since uses: Int) async {
        guard let place = places[key], place.uses == uses, place.users == 0, place.starting == nil else { return }
        places[key] = nil
        await Self.closeAll(of: place)
    }

    /// - Throws: `busy` when all servers that requests have named are in use.
    private func makeRoom() async throws(MCPError) {
        let ephemeral = places.filter { if case .ephemeral = $0.key { true } else { false } }
        guard ephemeral.count >= limits.ephemeral else { return }
        let idle = ephemeral.filter { $0.value.users == 0 && $0.value.starting == nil }
        guard let oldest = idle.min(by: { $0.value.startedAt < $1.value.startedAt }) else {
            throw MCPError(
                .busy,
                "as many MCP servers that requests name are in use as there may be, \(limits.ephemeral): try later")
        }
        places[oldest.key] = nil
        await Self.closeAll(of: oldest.value)
    }

    private static func closeAll(of place: Place) async {
        if let session = place.session { await session.close() }
        if case .success(let session)? = await place.starting?.value { await session.close() }
    }
}
