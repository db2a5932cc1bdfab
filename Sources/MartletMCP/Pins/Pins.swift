import MartletWire

/// Which tools of which servers have been approved, as they were then.
package struct Pins: Sendable, Hashable {
    /// A tool as it was approved.
    package struct Pin: Sendable, Hashable {
        package var digest: String
        package var tool: MCPTool
    }

    /// Whether a tool may be used.
    package enum Verdict: Sendable, Hashable {
        case approved
        /// The server had no such tool when its tools were approved.
        case new
        /// It says something else of itself than when it was approved.
        case changed(from: MCPTool)
        /// Nothing of this server has been approved yet.
        case unseen
    }

    struct Server: Sendable, Hashable {
        var tools: [String: Pin] = [:]
        /// Seconds since 1970, of a server that requests have named.
        var used: Int?
        /// Tools that were met and are not approved, for `approve` to show where the server cannot be asked.
        var waiting: [String: MCPTool] = [:]
    }

    /// By what identifies them: `mcp/label`, or the address of one that requests have named.
    var servers: [String: Server] = [:]

    package init() {}

    package func verdict(on tool: MCPTool, of server: String) -> Verdict {
        guard let known = servers[server] else { return .unseen }
        guard let pin = known.tools[tool.name] else { return .new }
        return pin.digest == ToolDigest.of(tool) ? .approved : .changed(from: pin.tool)
    }

    /// Names of the servers that have pins.
    package var names: [String] { servers.keys.sorted() }

    /// The tools of a server that wait to be approved.
    package func waiting(of server: String) -> [MCPTool] {
        servers[server].map { $0.waiting.values.sorted { $0.name < $1.name } } ?? []
    }

    package mutating func approve(_ tools: [MCPTool], of server: String) {
        for tool in tools {
            servers[server, default: Server()].tools[tool.name] = Pin(digest: ToolDigest.of(tool), tool: tool)
            servers[server]?.waiting[tool.name] = nil
        }
        // A server without tools has been seen too.
        if tools.isEmpty, servers[server] == nil { servers[server] = Server() }
    }

    /// - Returns: false when there was none.
    package mutating func forget(_ server: String) -> Bool { servers.removeValue(forKey: server) != nil }

    /// Notes the use of a server that a request has named; the ones used longest ago make room.
    mutating func use(ephemeral server: String, at seconds: Int, limit: Int) {
        servers[server, default: Server()].used = seconds
        let count = servers.values.count { $0.used != nil }
        for _ in 0..<max(0, count - limit) { _ = forgetOldestEphemeral() }
    }

    /// - Returns: false when there are no such servers.
    mutating func forgetOldestEphemeral() -> Bool {
        let oldest = servers.filter { $0.value.used != nil }.min { ($0.value.used ?? 0) < ($1.value.used ?? 0) }
        guard let oldest else { return false }
        return forget(oldest.key)
    }

    // MARK: The file's form

    var json: JSON {
        var all = JSONObject()
        for (name, server) in servers.sorted(by: { $0.key < $1.key }) {
            var tools = JSONObject()
            for (tool, pin) in server.tools.sorted(by: { $0.key < $1.key }) {
                tools[tool] = ["sha256": .string(pin.digest), "tool": pin.tool.json]
            }
            var entry: JSON = ["tools": .object(tools)]
            if !server.waiting.isEmpty { entry["waiting"] = .array(waiting(of: name).map(\.json)) }
            entry["used"] = server.used.map(JSON.int)
            all[name] = entry
        }
        return ["version": 1, "servers": .object(all)]
    }

    /// Nil when it is not of this form: nothing is approved by a file that is damaged.
    init?(_ json: JSON) {
        guard json["version"]?.int == 1, let all = json["servers"]?.object else { return nil }
        for (name, entry) in all {
            var server = Server(used: entry["used"]?.int)
            guard let tools = entry["tools"]?.object else { return nil }
            for (name, pin) in tools {
                guard let digest = pin["sha256"]?.string, let tool = pin["tool"].flatMap({ MCPTool($0) }),
                    tool.name == name
                else { return nil }
                server.tools[name] = Pin(digest: digest, tool: tool)
            }
            for tool in entry["waiting"]?.array ?? [] {
                guard let tool = MCPTool(tool) else { return nil }
                server.waiting[tool.name] = tool
            }
            servers[name] = server
        }
    }
}
