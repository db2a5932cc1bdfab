import MartletDialects
import MartletGateway
import MartletMCP
import MartletWire
import NIOCore

extension Configuration {
    /// Which tools of MCP servers requests may have run here.
    package struct MCPSettings: Sendable, Equatable {
        package enum Grant: String, Sendable { case auto, on, off }

        /// Servers of `mcp.json`. Auto: where clients need a token, for else whoever reaches the server, web pages that
        /// find a way included, would run the owner's tools.
        package var installed = Grant.auto
        /// Servers that requests name.
        package var ephemeral = Grant.off
        /// Hosts, or `host:port`, that requests may name though they are not on the open internet.
        package var allowedHosts: [String] = []
        /// Servers of `mcp.json` whose tools every request of these dialects gets, which have no word for such servers.
        package var chat: [String] = []
        package var messages: [String] = []
        package var maxRounds = Limits.toolRounds
        package var maxTime = Duration.nanoseconds(Limits.toolTime.nanoseconds)
        package var maxTokens = Limits.toolTokens

        var rules: ToolRules {
            var rules = ToolRules()
            if !chat.isEmpty { rules.attached[.chat] = chat }
            if !messages.isEmpty { rules.attached[.anthropic] = messages }
            rules.rounds = maxRounds
            rules.time = maxTime.timeAmount
            rules.tokens = maxTokens
            return rules
        }

        /// Whether a request may name a server at this address: one of the open internet, or an allowed host.
        package func admits(_ host: String, _ port: Int, _ address: [UInt8]) -> Bool {
            let hosts = allowedHosts.map { $0.lowercased() }
            return hosts.contains(host) || hosts.contains("\(host):\(port)") || AddressGuard.isPublic(address)
        }
    }

    /// Whether requests may use the servers of `mcp.json`.
    package var grantsInstalledServers: Bool {
        switch mcp.installed {
        case .on: true
        case .off: false
        case .auto: auth.required == .on || auth.required == .auto && !auth.tokens.isEmpty
        }
    }
}

extension ConfigurationKeys {
    static let mcp: [ConfigurationKey<Configuration>] = [
        .init(
            "mcp.installed",
            set: { $0.mcp.installed = try $1.word([Configuration.MCPSettings.Grant.auto, .on, .off]) },
            show: { $0.mcp.installed.rawValue }),
        .init(
            "mcp.ephemeral", set: { $0.mcp.ephemeral = try $1.word([Configuration.MCPSettings.Grant.on, .off]) },
            show: { $0.mcp.ephemeral.rawValue }),
        .init(
            "mcp.allowed_hosts", .list, set: { $0.mcp.allowedHosts = try $1.allowedHosts() },
            show: { SettingText.show($0.mcp.allowedHosts) }),
        .init("mcp.chat", .list, set: { $0.mcp.chat = try $1.serverNames() }, show: { SettingText.show($0.mcp.chat) }),
        .init(
            "mcp.messages", .list, set: { $0.mcp.messages = try $1.serverNames() },
            show: { SettingText.show($0.mcp.messages) }),
        .init("mcp.max_rounds", set: { $0.mcp.maxRounds = try $1.int(1...1000) }, show: { "\($0.mcp.maxRounds)" }),
        .init(
            "mcp.max_time", set: { $0.mcp.maxTime = try $1.duration() }, show: { SettingText.show($0.mcp.maxTime) }),
        .init(
            "mcp.max_tokens", set: { $0.mcp.maxTokens = try $1.int(1...1_000_000_000) },
            show: { "\($0.mcp.maxTokens)" }),
    ]
}

extension WrittenSetting {
    /// Names, labels or ids of servers of `mcp.json`, without `mcp/`.
    fileprivate func serverNames() throws(ValueProblem) -> [String] {
        let names = try list()
        if let none = names.first(where: { ServerEntry.label(ServerEntry.bare($0)).isEmpty }) {
            throw ValueProblem(mustBe: "a list of servers of mcp.json", got: none)
        }
        return names.map(ServerEntry.bare)
    }
}
