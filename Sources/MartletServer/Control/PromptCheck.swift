import MartletDialects
import MartletGateway

/// Finds out whether a prompt is longer than the window it has to fit into, before it waits in a queue and is read for
/// minutes (specs 0.4). Only what is certain is refused: a count by the upstream, or a bound no vocabulary can beat.
struct PromptCheck: Sendable {
    let tokens: TokenCount
    let catalog: CatalogBox

    /// Refuses what fits into the window of no candidate, and has a conversation summed up that is too long for its
    /// client.
    func weigh(_ plan: Plan) async -> Decision {
        // What is wrong with a request is said where it is translated.
        guard let request = try? Dialects.readRequest(plan.document, from: plan.dialect, seal: plan.seal) else {
            return .complete(plan)
        }
        if request.settings.truncates { return .complete(await summedUp(truncated(plan, request), request)) }
        if let error = await overflow(request, plan) { return .refuse(error) }
        return .complete(await summedUp(plan, request))
    }

    /// Nil where it fits into one of the windows.
    private func overflow(_ request: CanonicalRequest, _ plan: Plan) async -> GatewayError? {
        var first: GatewayError?
        for candidate in plan.candidates {
            guard let error = await overflow(request, plan, at: candidate) else { return nil }
            first = first ?? error
        }
        return first
    }

    /// The plan with its conversation summed up first, where it is longer than the client wants it answered.
    private func summedUp(_ plan: Plan, _ request: CanonicalRequest) async -> Plan {
        guard plan.mayPassThreshold, let threshold = plan.responses?.compactThreshold, request.canBeSummedUp,
            let first = plan.candidates.first
        else { return plan }
        let count = await tokens.exact(plan.document, from: plan.dialect, at: first) ?? TokenEstimate.of(request)
        return count > threshold ? plan.summedUpFirst : plan
    }

    /// The plan without its oldest turns, where the prompt is longer than a window: by the upstream's own count where
    /// it has one, else by the estimate.
    private func truncated(_ plan: Plan, _ request: CanonicalRequest) async -> Plan {
        let estimate = TokenEstimate.of(request)
        for candidate in plan.candidates {
            guard let window = candidate.window?.tokens, estimate > window, candidate.upstream.mode != .exact else {
                continue
            }
            let count = await tokens.exact(plan.document, from: plan.dialect, at: candidate) ?? estimate
            if count > window { return plan.truncated(scale: Double(count) / Double(max(1, estimate))) }
        }
        return plan
    }

    private func overflow(_ request: CanonicalRequest, _ plan: Plan, at candidate: Candidate) async -> GatewayError? {
        let estimate = TokenEstimate.of(request)
        guard let window = candidate.window?.tokens, estimate > window, candidate.upstream.mode != .exact else {
            return nil
        }
        let exact = await tokens.exact(plan.document, from: plan.dialect, at: candidate)
        let atLeast = exact ?? TokenEstimate.atLeast(request)
        guard atLeast > window else { return nil }
        // The model may have been loaded with another window since the lists were read.
        await catalog.value?.refresh(ifOlderThan: .seconds(1))
        guard let fresh = await catalog.value?.routes.window(at: candidate)?.tokens, atLeast > fresh else { return nil }
        return .contextOverflow(prompt: exact ?? estimate, maximum: fresh)
    }
}
