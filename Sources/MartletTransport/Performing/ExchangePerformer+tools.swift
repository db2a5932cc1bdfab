import MartletDialects
import MartletGateway
import NIOCore

/// Tools that are run here, between the rounds of a reply.
extension ExchangePerformer {
    func listTools(_ plan: Plan) {
        self.plan = plan
        candidate = plan.candidates.first
        let host = context.services.tools
        later { () async -> Exchange.Event in
            guard let wish = plan.tools, !wish.isHidden else {
                let tools = await host.attachedTools(of: plan.tools?.integrations ?? [], for: plan.owner)
                return .toolsListed(plan.equipped(with: tools))
            }
            do throws(GatewayError) {
                let tools = try await host.tools(of: wish.integrations, for: plan.owner)
                return .toolsListed(plan.equipped(with: tools.served, without: tools.blocked))
            } catch {
                return .toolsRefused(error)
            }
        } then: {
            $0
        }
    }

    func runTools() {
        guard let plan, let pipe else { return }
        let calls = pipe.hostedCalls
        let (host, owner) = (context.services.tools, plan.owner)
        let (loop, epoch) = (context.loop, self.epoch)
        let bound = NIOLoopBound(self, eventLoop: loop)
        task = Task {
            await ToolCalls.run(calls, by: host, for: owner) { place, run, isLast in
                loop.execute {
                    let performer = bound.value
                    guard performer.epoch == epoch else { return }
                    if isLast { performer.task = nil }
                    performer.receive(.toolRan(place, run, isLast: isLast))
                }
            }
        }
    }

    func prepareRound() {
        guard let plan, let round = pipe?.endRound() else { return }
        note(.roundPrepared(plan.continued(behind: round)))
    }

    func endRounds() -> Finding { fold(pipe?.endRounds(into: &out) ?? .complete) }

    /// Takes what has been put together of a reply that leaves whole.
    func fold(_ finding: Finding) -> Finding {
        guard finding == .complete, plan?.folds == true else { return finding }
        wholePieces = [ByteBuffer(bytes: out.readableBytesView)]
        FrontHandler.prepare(&out)
        return finding
    }
}

/// The calls of one round.
enum ToolCalls {
    /// Runs them, a few at the same time. What became of them is told in their order.
    static func run(
        _ calls: [HostedCall], by host: any ToolHost, for owner: KeyTable.Digest,
        _ tell: @Sendable (_ place: Int, ToolRun, _ isLast: Bool) -> Void
    ) async {
        await withTaskGroup(of: (Int, ToolRun).self) { group in
            var next = min(Limits.callsAtOnce, calls.count)
            for index in 0..<next {
                let call = calls[index]
                group.addTask { (index, await outcome(of: call, at: index, host, owner)) }
            }
            var done: [Int: ToolRun] = [:]
            var told = 0
            for await (index, run) in group {
                if next < calls.count {
                    let (index, call) = (next, calls[next])
                    group.addTask { (index, await outcome(of: call, at: index, host, owner)) }
                    next += 1
                }
                done[index] = run
                while let run = done.removeValue(forKey: told) {
                    guard !Task.isCancelled else { return }
                    tell(calls[told].place, run, told == calls.count - 1)
                    told += 1
                }
            }
        }
    }

    private static func outcome(
        of call: HostedCall, at index: Int, _ host: any ToolHost, _ owner: KeyTable.Digest
    ) async -> ToolRun {
        switch call.checked {
        case .fault(let run): return run
        case .run(let tool, _) where index >= Limits.roundCalls:
            return ToolRun(
                .failed("Not run: no more than \(Limits.roundCalls) calls are run at once. Ask for it again."),
                by: tool.integration.provider)
        case .run(let tool, let arguments): return await host.call(tool, arguments, for: owner)
        }
    }
}
