package import MartletDialects
import MartletWire

/// Requests of LM Studio's older API: those of OpenAI's, whose replies tell more.
extension Plan {
    /// Whether its client is told how long the reply took.
    package var isTimed: Bool { isLegacy || dialect.tellsProgress }

    /// Whether it goes to that API of a real LM Studio, which measures by itself.
    func isLegacy(at candidate: Candidate) -> Bool { isLegacy && candidate.upstream.profile.hasLegacyAPI }

    /// How a relayed reply is edited. To be told more, it is repaired where its upstream does not tell it.
    package func frameMode(at candidate: Candidate) -> ChatFrameEdit.Mode {
        // Who reads a stream from its middle counts its events: they are numbered as they should be.
        if background != nil || isLegacy && !candidate.upstream.profile.hasLegacyAPI { return .repair }
        return candidate.upstream.mode == .exact ? .exact : .repair
    }

    /// What its reply is to tell; nil where that is not asked for, or is the upstream's own business.
    package func legacyReply(
        from candidate: Candidate, in routes: RouteTable, _ stopwatch: Stopwatch?
    ) -> LegacyReply? {
        let upstream = candidate.upstream
        guard isLegacy, let stopwatch, !isLegacy(at: candidate) || upstream.mode == .repair else { return nil }
        let served = routes.served[upstream.name]
        let window = served?.windows[candidate.model] ?? candidate.window
        return LegacyReply(
            card: served?.cards[candidate.model] ?? ModelCard(), window: window?.tokens,
            runtime: served?.runtime ?? upstream.profile.runtime, isLimited: isLimited, hasStops: hasStops,
            stopwatch: stopwatch)
    }

    private var hasStops: Bool {
        guard let member = try? document.member("stop"), member.kind != .null else { return false }
        return (try? JSON(parsing: document.slice(member.value)))?.array?.isEmpty != true
    }

    /// Whether the request, or the configuration for it, says how long the reply may be. Some clients write -1 for no
    /// limit.
    private var isLimited: Bool {
        if defaults.maxTokens != nil { return true }
        return ["max_tokens", "max_completion_tokens"].contains { name in
            guard let member = try? document.member(name) else { return false }
            return (try? JSON(parsing: document.slice(member.value)))?.int.map { $0 >= 0 } ?? false
        }
    }
}
