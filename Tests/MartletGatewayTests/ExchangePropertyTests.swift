import MartletDialects
import MartletGateway
import MartletTestSupport
import NIOCore
import Testing

/// Whatever happens in whatever order: what an exchange orders can be carried out, and leaves nothing behind.
@Suite("Any order of events")
struct ExchangePropertyTests {
    /// Carries out orders on paper, and notes those that could not be.
    struct Model {
        var wrongs: [String] = []
        var slots = 0
        /// The model is one of this machine: its use may outlast a round.
        var isHosted = false
        var records = 0
        /// A head has left.
        var hasHead = false
        var hasReplied = false
        /// Stream bytes went into the pipe since it was made.
        var hasPassed = false
        var hasEnded = false
        var hasRun = false

        mutating func perform(_ action: Exchange.Action) {
            let name = ExchangeDriver.name(action)
            if hasEnded { wrongs.append("\(name) after the record") }
            switch action {
            case .connect: slots = isHosted ? 1 : slots + 1
            case .release:
                slots -= 1
                if slots < 0 { wrongs.append("a slot is given back twice") }
            case .acquire where slots > 0 && !(isHosted && hasRun): wrongs.append("asks for a slot while it holds one")
            case .commitStream:
                if hasHead { wrongs.append("two heads") }
                hasHead = true
            case .reply(let reply) where reply.following != nil: hasHead = true
            case .commitWhole, .refuse, .reply:
                if hasHead { wrongs.append("\(name) after a head") }
                hasHead = true
                hasReplied = true
            case .flush, .keepAlive: if !hasHead { wrongs.append("\(name) before the head") }
            case .endReply, .failInDialect:
                if !hasHead || hasReplied { wrongs.append("\(name) out of place") }
                hasReplied = true
            case .pass: hasPassed = true
            case .runTools:
                if slots > 0, !isHosted { wrongs.append("runs tools with a slot") }
                hasRun = true
            case .resetReply:
                if hasRun { wrongs.append("drops what tools have done") }
                if hasHead && hasPassed { wrongs.append("drops what has been committed") }
                hasPassed = false
            case .record:
                records += 1
                hasEnded = true
                if slots != 0 { wrongs.append("ends with a slot") }
            default: break
            }
        }
    }

    static let errors = [Fault.unreachable, Fault.closed, Fault.bad, Fault.limited, Fault.failed, .contextOverflow()]

    static func event(_ random: inout Seeded, _ plan: Plan) -> Exchange.Event {
        switch random.below(27) {
        case 0: return .requestComplete(Make.request("{}"))
        case 1: return .clientWritable(random.below(2) == 0)
        case 2 where random.below(12) == 0: return .clientGone
        case 3:
            return .decided(
                random.pick([
                    .complete(plan), .complete(plan), .complete(plan), .weigh(plan), .refresh, .control,
                    .refuse(Fault.invalid),
                ]))
        case 4: return .catalogRefreshed
        case 5:
            var reply = ControlReply(status: 200, body: ByteBuffer())
            if random.below(2) == 0 { reply.following = following }
            return .answered(reply)
        case 6, 7, 8: return .slotGranted(Make.place.origin)
        case 9 where random.below(3) == 0: return .slotRefused(Fault.busy)
        case 10, 11, 12: return .connected
        case 13, 14: return .head(Fault.head(random.pick([200, 200, 200, 400, 429, 502, 503])))
        case 15: return .end(cleanly: random.below(4) > 0, reusable: random.below(2) == 0)
        case 16 where random.below(2) == 0: return .upstreamFailed(random.pick(errors), stale: random.below(3) == 0)
        case 17, 18: return .bytes(ByteBuffer(string: "x"))
        case 19: return .readComplete
        case 20 where plan.runsTools: return .toolRan(0, ToolRun(.output("[]"), by: nil), isLast: random.below(2) == 0)
        default: return .tick
        }
    }

    static var following: Following { Following(source: KeptRepliesTests.NoEvents(), place: 0) }

    /// Answers an order that has to be answered.
    static func answer(_ action: Exchange.Action, _ random: inout Seeded, _ plan: Plan) -> Exchange.Event? {
        switch action {
        case .pass:
            .passed(
                random.pick(
                    plan.runsTools && random.below(2) == 0
                        ? [.calls(endsReply: random.below(3) == 0)]
                        : [.nothing, .nothing, .usable, .usable, .complete, .failed(random.pick(errors))]))
        case .finishPipe: .finished(random.pick([.complete, .failed(.closedEarly)]))
        case .listTools:
            random.below(4) > 0 ? .toolsListed(plan.equipped(with: [])) : .toolsRefused(Fault.invalid)
        case .prepareRound: .roundPrepared(plan.continued(behind: ServedRound()))
        case .endRounds: .finished(random.pick([.complete, .complete, .failed(.closedEarly)]))
        case .finishWhole(let head):
            .passed(head.isSuccess && random.below(3) > 0 ? .complete : .failed(random.pick(errors)))
        case .keepResponse: .kept(random.below(3) > 0 ? nil : KeptRepliesTests.full)
        case .follow:
            .followed(EventBatch(bytes: ByteBuffer(string: "x"), rest: random.below(4) > 0 ? following : nil))
        default: nil
        }
    }

    @Test("no order is out of place, the slot is given back once, and there is one record", arguments: 0..<8)
    func property(batch: Int) throws {
        for round in 0..<2500 {
            let seed = UInt64(batch) << 32 | UInt64(round)
            var random = Seeded(seed)
            let deadlines = random.pick([
                Deadlines(),
                Deadlines(connect: .seconds(1), firstByte: .seconds(2), idle: .seconds(1), total: .seconds(9)),
            ])
            let kept = try KeptRepliesTests.plan(streams: random.below(3) > 0)
            let plan =
                random.below(3) == 0
                ? random.below(2) == 0
                    ? kept
                    : RoundExchangeTests.plan(streams: random.below(3) > 0, location: random.pick([nil, .hosted]))
                : Make.plan(
                    streams: random.below(3) > 0,
                    upstreams: ["a", "b", "c"].prefix(1 + random.below(3)).map {
                        Make.upstream(
                            $0, mode: random.pick([.exact, .repair]), deadlines: deadlines, retries: random.below(3))
                    })
            var exchange = Exchange()
            var model = Model(isHosted: plan.candidates[0].upstream.location == .hosted)
            var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
            var queue: [Exchange.Event] = [.requestComplete(Make.request("{}"))]
            var trace: [String] = []
            for step in 0..<200 {
                let event: Exchange.Event
                if !queue.isEmpty {
                    event = queue.removeFirst()
                } else if step > 190 {
                    event = .clientGone
                } else {
                    event = Self.event(&random, plan)
                }
                now = now + .milliseconds(Int64(random.pick([0, 1, 100, 100, 1000, 6000])))
                var actions: [Exchange.Action] = []
                exchange.receive(event, at: now, into: &actions)
                for action in actions {
                    model.perform(action)
                    trace.append(ExchangeDriver.name(action))
                    if let answer = Self.answer(action, &random, plan) { queue.append(answer) }
                }
                if !model.wrongs.isEmpty { break }
            }
            #expect(model.wrongs == [], "seed \(seed): \(trace.joined(separator: ", "))")
            #expect(model.records == 1, "seed \(seed): \(trace.joined(separator: ", "))")
            #expect(exchange.hasEnded, "seed \(seed)")
            #expect(model.slots == 0, "seed \(seed)")
            if !model.wrongs.isEmpty || model.records != 1 { return }
        }
    }
}
