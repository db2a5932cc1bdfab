import MartletWire
import NIOCore

/// Tools of MCP servers that a request is given beside its client's own, and what its rounds have added to the
/// conversation so far.
package struct ServedTools: Sendable, Hashable {
    package var tools: [ServedTool]
    /// Those of the same servers that may not be run.
    fileprivate(set) var blocked: [BlockedTool]
    /// The client sees neither them nor their calls.
    package var isHidden: Bool
    /// Behind the client's own: what the model said, its calls, and what came of them.
    package private(set) var turns: [Item] = []
    /// Tokens that the model has written in these rounds. What the client allows counts for all of them.
    private(set) var written = 0
    /// Calls of these rounds.
    private(set) var calls = 0

    package init(_ tools: [ServedTool], without blocked: [BlockedTool] = [], isHidden: Bool) {
        self.tools = tools
        self.blocked = blocked
        self.isHidden = isHidden
    }

    package mutating func add(_ round: ServedRound) {
        turns += round.turns
        written += round.written
        calls += round.calls
    }
}

/// What one round adds to the conversation, and what it took.
package struct ServedRound: Sendable {
    package var turns: [Item]
    /// Tokens that the model has written.
    var written: Int
    var calls: Int

    package init(_ turns: [Item] = [], written: Int = 0, calls: Int = 0) {
        self.turns = turns
        self.written = written
        self.calls = calls
    }
}

/// What a reply may call that is run here, by the names the model is told.
package struct ServedTable: Sendable, Hashable {
    /// By the canonical name.
    private(set) var tools: [String: ServedTool] = [:]
    /// Names of the client's own.
    private(set) var own: Set<String> = []
    let isHidden: Bool
    /// The client wants no call: one that the model makes all the same is not run.
    fileprivate(set) var isBarred = false
    /// Tokens and calls that the client allows in all rounds together; nil: any number.
    fileprivate(set) var tokenLimit: Int?
    fileprivate(set) var callLimit: Int?
    /// Labels of servers whose tools the reply tells, in their order, each with them.
    private(set) var told: [(label: String, tools: [ServedTool])] = []

    /// What a model's word for a tool means.
    enum Meaning {
        case served(String, ServedTool)
        case own
        case nothing
    }

    func meaning(of name: String) -> Meaning {
        if let tool = tools[name] { return isBarred ? .nothing : .served(name, tool) }
        if own.contains(name) { return .own }
        guard name.hasPrefix("functions.") else { return .nothing }
        return meaning(of: String(name.dropFirst("functions.".count)))
    }

    package static func == (a: ServedTable, b: ServedTable) -> Bool {
        a.tools == b.tools && a.own == b.own && a.isHidden == b.isHidden && a.isBarred == b.isBarred
            && a.tokenLimit == b.tokenLimit && a.callLimit == b.callLimit
            && a.told.map(\.label) == b.told.map(\.label)
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(tools) }

    fileprivate init(_ served: ServedTools, beside own: [Tool], telling known: Set<String>) {
        isHidden = served.isHidden
        self.own = Set(own.map(\.name))
        var labels: [String] = []
        var byLabel: [String: [ServedTool]] = [:]
        for tool in served.tools {
            let label = tool.integration.label
            if byLabel[label] == nil { labels.append(label) }
            guard byLabel[label]?.contains(where: { $0.name == tool.name }) != true else { continue }
            byLabel[label, default: []].append(tool)
        }
        let all = labels.flatMap { byLabel[$0] ?? [] }
        for tool in all {
            let isAlone = all.filter { $0.name == tool.name }.count == 1 && !self.own.contains(tool.name)
            var name = isAlone ? tool.name : "\(tool.integration.label)__\(tool.name)"
            if tools[name] != nil || self.own.contains(name) {
                name += "_" + Digest.hex("\(tool.integration.label)\u{0}\(tool.name)", digits: 8)
            }
            tools[name] = tool
            order.append(name)
        }
        told = isHidden ? [] : labels.filter { !known.contains($0) }.map { ($0, byLabel[$0] ?? []) }
    }

    private var order: [String] = []

    /// In the order of the servers, each in its own.
    fileprivate var offered: [Tool] {
        order.compactMap { name in
            tools[name].map { Tool(name: name, description: $0.description, schema: $0.schema) }
        }
    }

    /// - Parameter server: its label.
    fileprivate func name(of tool: String, at server: String) -> String? {
        order.first { tools[$0]?.name == tool && tools[$0]?.integration.label == server }
    }

    fileprivate func names(at server: String) -> [String] {
        order.filter { tools[$0]?.integration.label == server }
    }
}

extension CanonicalRequest {
    /// Offers the tools, and goes on behind the rounds there have been.
    /// - Throws: `mcpDenied` where a call is demanded that only a blocked tool could be; `invalidRequest` for more than
    ///   one choice.
    package mutating func serve(_ served: ServedTools) throws(GatewayError) -> ServedTable {
        guard settings.choices == 1 else {
            throw .refused("n", "one choice is given at a time where tools of MCP servers are run")
        }
        integrations = []
        var served = served
        if origin.dialect == .responses, !served.isHidden {
            // A choice may have left some of the servers out.
            let labels = Set(tools.tools.filter { $0.kind == .server("mcp") }.map(\.name))
            served.tools.removeAll { !labels.contains($0.integration.label) }
            served.blocked.removeAll { !labels.contains($0.label) }
        }
        tools.tools.removeAll { $0.kind == .server("mcp") || $0.kind == .server("mcp_toolset") }
        var table = ServedTable(served, beside: tools.tools, telling: listedServers)
        tools.tools += table.offered
        raw.members.removeAll { $0.name == "mcp_servers" }
        for place in items.indices {
            guard case .toolCall(var call) = items[place], let server = call.server,
                let name = table.name(of: call.name, at: server)
            else { continue }
            call.name = name
            items[place] = .toolCall(call)
        }
        try chooseServed(table, of: served)
        table.isBarred = settings.toolChoice == .never
        // A call that was demanded has been made, or will be told as missing: the next turn is the model's own.
        if !served.turns.isEmpty, settings.demandsCall { settings.toolChoice = .auto }
        limit(served, &table)
        items += served.turns
        return table
    }

    /// What the client allows a reply is what all of its rounds may take together.
    private mutating func limit(_ served: ServedTools, _ table: inout ServedTable) {
        if let tokens = settings.maxTokens, tokens > 0 {
            table.tokenLimit = tokens
            settings.maxTokens = max(1, tokens - served.written)
        }
        guard let calls = settings.maxServerCalls else { return }
        table.callLimit = calls
        unread.removeAll { $0 == "max_tool_calls" }
        // The tools are told all the same, so that the prompt begins as the one before.
        if served.calls >= calls, table.own.isEmpty { settings.toolChoice = .never }
    }

    /// A choice of a server, or of a tool of one, becomes one among the names that the model is told.
    private mutating func chooseServed(_ table: ServedTable, of served: ServedTools) throws(GatewayError) {
        if let choice = servedChoice {
            let names = table.names(at: choice.server)
            let isMeant = { (tool: BlockedTool) in
                tool.label == choice.server && (choice.tool == nil || choice.tool == tool.name)
            }
            if let tool = choice.tool {
                let name = table.name(of: tool, at: choice.server)
                if name == nil { try served.refuseBlocked(where: isMeant) }
                settings.toolChoice = .tool(name: name ?? tool)
            } else {
                if names.isEmpty { try served.refuseBlocked(where: isMeant) }
                settings.toolChoice = names.count == 1 ? .tool(name: names[0]) : .required
            }
        } else if case .tool(let name) = settings.toolChoice, !tools.tools.contains(where: { $0.name == name }) {
            try served.refuseBlocked { name == $0.name || name == "\($0.label)__\($0.name)" }
        } else if settings.toolChoice == .required, !tools.tools.contains(where: { !$0.isServer }) {
            try served.refuseBlocked { _ in true }
        }
    }
}
