package import MartletDialects
package import MartletWire

/// Tools of MCP servers that a request is given, and that are run here.
package struct ToolWish: Sendable {
    package var integrations: [Integration]
    package var rules: ToolRules
    /// The client has not asked for them, and sees nothing of them.
    package var isHidden: Bool
    /// Set once they are listed.
    package var served: ServedTools?
}

extension Plan {
    /// Whether tools have to be listed before anything else is done about it.
    package var awaitsTools: Bool { tools != nil && tools?.served == nil }

    /// Whether its reply may take several rounds.
    package var runsTools: Bool { tools != nil }

    /// There has been a round.
    package var isBehindRounds: Bool { tools?.served?.turns.isEmpty == false }

    /// A whole reply is put together from the streams of its rounds.
    package var folds: Bool { runsTools && !streams }

    /// The same with its tools listed. Where there are none that its client has not asked for, it is as any other.
    package func equipped(with listed: [ServedTool], without blocked: [BlockedTool] = []) -> Plan {
        guard var wish = tools else { return self }
        if wish.isHidden, listed.isEmpty { return with(nil) }
        wish.served = ServedTools(listed, without: blocked, isHidden: wish.isHidden)
        return with(wish)
    }

    /// The same behind another round.
    package func continued(behind round: ServedRound) -> Plan {
        guard var wish = tools else { return self }
        wish.served?.add(round)
        return with(wish)
    }

    /// Why its tools cannot be had, at the member that asks for them.
    func refusal(_ error: GatewayError) -> GatewayError {
        var error = error
        error.param = error.param ?? dialect.toolServers
        return error
    }

    func toolWish(_ rules: ToolRules) throws(GatewayError) -> ToolWish? {
        guard task == nil, !compacts, turn?.generates != false, let first = candidates.first else { return nil }
        return try ToolWish(of: document, from: dialect, betas: forwarded.betas, at: first, by: rules)
    }
}

extension ToolWish {
    /// The request's own wish, and where it has none, what the configuration gives every request of its dialect; nil
    /// where there is neither. An upstream that runs such tools itself is left to it.
    ///
    /// - Parameter betas: the client's `anthropic-beta` lists.
    /// - Throws: `invalidRequest` for a wish that cannot be understood.
    package init?(
        of document: JSONDocument, from dialect: DialectID, betas: [String], at candidate: Candidate,
        by rules: ToolRules
    ) throws(GatewayError) {
        let isLeft = candidate.upstream.profile.runsTools && candidate.speaks(dialect)
        let wanted = isLeft ? [] : try Dialects.integrations(of: document, from: dialect, betas: betas)
        let attached = rules.attached[dialect] ?? []
        guard !wanted.isEmpty || !attached.isEmpty else { return nil }
        self.rules = rules
        isHidden = wanted.isEmpty
        integrations = isHidden ? attached.map { Integration(.installed(label: $0)) } : wanted
    }
}

extension DialectID {
    /// The member that names MCP servers.
    fileprivate var toolServers: String? {
        switch self {
        case .responses: "tools"
        case .lmstudio: "integrations"
        case .anthropic: "mcp_servers"
        case .chat, .completions: nil
        }
    }
}
