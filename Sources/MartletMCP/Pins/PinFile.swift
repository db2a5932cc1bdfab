import MartletWire

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// `mcp-pins.json` under home: which tools have been approved.
///
/// Pins of a server of `mcp.json` are made by `martlet mcp add` and `approve`, or when it is used for the first time;
/// from then on what is new or changed is blocked. Of a server that a request names, which the client has chosen and not
/// this machine's owner, every tool is pinned when it is met first, and blocked when it has changed.
package struct PinFile: Sendable {
    private let file: HomeFile
    private let limits: MCPLimits

    package init(home: String, limits: MCPLimits = MCPLimits()) {
        file = HomeFile(path: home + "/mcp-pins.json", limits: limits)
        self.limits = limits
    }

    /// - Throws: `fileSystem`, also when the file is damaged.
    package func read() throws(MCPError) -> Pins {
        guard let json = try file.read() else { return Pins() }
        guard let pins = Pins(json) else {
            throw MCPError(
                .fileSystem,
                "mcp-pins.json in martlet's home is damaged, and no MCP tool can be used: remove it, and approve the tools "
                    + "anew")
        }
        return pins
    }

    /// Changes the pins while nobody else does.
    package func change<R>(_ body: (inout Pins) throws(MCPError) -> R) throws(MCPError) -> R {
        try file.locked { () throws(MCPError) -> R in
            let old = try read()
            var pins = old
            let result = try body(&pins)
            while pins.json.text.utf8.count > limits.file / 2, pins.forgetOldestEphemeral() {}
            if pins != old { try file.replace(with: pins.json) }
            return result
        }
    }

    /// A tool and whether it may be used.
    package struct Checked: Sendable, Hashable {
        package var tool: MCPTool
        package var verdict: Pins.Verdict
        package var isNewlyPinned = false
    }

    /// Looks at the tools of a server that is about to be used, pins what is met first, and notes what is not approved.
    /// - Parameters:
    ///   - server: what identifies it.
    ///   - isEphemeral: a request has named it.
    func check(_ tools: [MCPTool], of server: String, isEphemeral: Bool) throws(MCPError) -> [Checked] {
        let now = isEphemeral ? time(nil) : 0
        let seen = try read()
        if let known = seen.servers[server], !isEphemeral || now - (known.used ?? 0) < 3600 {
            let checked = tools.map { Checked(tool: $0, verdict: seen.verdict(on: $0, of: server)) }
            let isSettled = checked.allSatisfy { $0.verdict == .approved || known.waiting[$0.tool.name] == $0.tool }
            if isSettled { return checked }
        }
        return try change { (pins) throws(MCPError) in
            let isFirst = pins.servers[server] == nil
            if isEphemeral { pins.use(ephemeral: server, at: now, limit: limits.ephemeralPins) }
            if isFirst, !isEphemeral { pins.approve([], of: server) }
            var checked: [Checked] = []
            for tool in tools {
                let verdict = pins.verdict(on: tool, of: server)
                if verdict == .new, isFirst || isEphemeral {
                    pins.approve([tool], of: server)
                    checked.append(Checked(tool: tool, verdict: .approved, isNewlyPinned: true))
                } else {
                    if verdict != .approved { pins.servers[server]?.waiting[tool.name] = tool }
                    checked.append(Checked(tool: tool, verdict: verdict))
                }
            }
            return checked
        }
    }
}
