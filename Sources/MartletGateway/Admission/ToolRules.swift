package import MartletDialects
package import NIOCore

/// What the configuration says about tools that are run here for clients.
package struct ToolRules: Sendable, Hashable {
    /// Labels of configured MCP servers whose tools every request of a dialect gets, without its client seeing them:
    /// for dialects that have no word for such servers.
    package var attached: [DialectID: [String]] = [:]
    /// How often the model may call tools before it has to have answered.
    package var rounds = Limits.toolRounds
    /// From the first call to the last result.
    package var time = Limits.toolTime
    /// Of all rounds, their prompts included.
    package var tokens = Limits.toolTokens
    /// Bytes of all results together; what is beyond is cut off, and said to be.
    package var results = Limits.toolResults

    package init() {}
}

/// How far the rounds of one exchange have come.
struct ToolRounds: Sendable {
    private(set) var count = 0
    private(set) var startedAt = NIODeadline.distantPast
    private var tokens = 0
    private var bytes = 0
    private var pauses = TimeAmount.zero
    /// Set while none is under way.
    private var endedAt: NIODeadline?

    /// The model wants tools run.
    /// - Parameters:
    ///   - spent: tokens that it took to say so.
    ///   - isLast: it is not asked again.
    /// - Returns: the bound that is met.
    mutating func begin(_ rules: ToolRules, _ spent: Int, isLast: Bool, at now: NIODeadline) -> GatewayError? {
        if count == 0 { startedAt = now }
        endedAt = now
        let (sum, overflow) = tokens.addingReportingOverflow(spent)
        tokens = overflow ? .max : sum
        guard isLast || tokens < rules.tokens else {
            let rounds = count == 0 ? "one round" : "\(count + 1) rounds"
            return Self.limit("the model has taken \(tokens) tokens in \(rounds) without an answer", "mcp.max_tokens")
        }
        guard count < rules.rounds else {
            return Self.limit("the model has called tools \(count) times without an answer", "mcp.max_rounds")
        }
        count += 1
        return overdue(rules, at: now)
    }

    /// The next one's reply has begun.
    mutating func goOn(at now: NIODeadline) {
        pauses = paused(at: now)
        endedAt = nil
    }

    /// How long the model has had nothing to say: from the end of each round to the beginning of the next one's reply.
    func paused(at now: NIODeadline) -> TimeAmount { pauses + (endedAt.map { now - $0 } ?? .zero) }

    func overdue(_ rules: ToolRules, at now: NIODeadline) -> GatewayError? {
        guard count > 0, now - startedAt >= rules.time else { return nil }
        return Self.limit("the model has been calling tools for \(rules.time.shown)", "mcp.max_time")
    }

    /// A result, as much of it as there is room for.
    mutating func take(_ run: ToolRun, _ rules: ToolRules) -> ToolRun {
        let kept = run.cut(to: min(Limits.toolResult, max(0, rules.results - bytes)))
        bytes += kept.bytes
        return kept
    }

    private static func limit(_ what: String, _ setting: String) -> GatewayError {
        GatewayError(code: .toolLimit, message: "\(what), and is not asked again; \(setting) raises this bound")
    }
}
