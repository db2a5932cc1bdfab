import MartletDialects
import MartletGateway
import NIOCore
import Testing

/// Drives an `Exchange` event by event on a clock of its own. Orders are compared by short names.
struct ExchangeDriver {
    private(set) var exchange = Exchange()
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// All orders so far.
    private(set) var all: [String] = []
    private(set) var records: [ExchangeRecord] = []
    private(set) var refusals: [GatewayError] = []
    let plan: Plan

    init(_ plan: Plan) { self.plan = plan }

    init(
        streams: Bool = true, candidates: Int = 1, mode: RelayMode = .repair, retries: Int = 2,
        deadlines: Deadlines = Deadlines()
    ) {
        let upstreams = (0..<candidates).map {
            Make.upstream(["a", "b", "c"][$0], mode: mode, deadlines: deadlines, retries: retries)
        }
        self.init(Make.plan(streams: streams, upstreams: upstreams))
    }

    @discardableResult
    mutating func receive(_ events: Exchange.Event...) -> [String] {
        var given: [String] = []
        for event in events {
            var actions: [Exchange.Action] = []
            exchange.receive(event, at: now, into: &actions)
            for action in actions {
                if case .record(let record) = action { records.append(record) }
                if case .refuse(let error) = action { refusals.append(error) }
                if case .failInDialect(let error) = action { refusals.append(error) }
                given.append(ExchangeDriver.name(action))
            }
        }
        all += given
        return given
    }

    /// What was ordered last was bytes for the client.
    mutating func wrote() { exchange.wrote(at: now) }

    /// Lets time pass as the loop does, a tick each tenth of a second.
    @discardableResult
    mutating func wait(_ time: TimeAmount) -> [String] {
        var given: [String] = []
        let end = now + time
        while now < end {
            now = min(now + .milliseconds(100), end)
            given += receive(.tick)
        }
        return given
    }

    /// Brings an exchange into a phase by the shortest way.
    mutating func go(to phase: Phase) {
        if phase == .receiving { return }
        receive(.requestComplete(Make.request("{}")))
        switch phase {
        case .receiving, .deciding: return
        case .answering:
            receive(.decided(.control))
            return
        default: receive(.decided(.complete(plan)))
        }
        if phase == .acquiring { return }
        receive(.slotGranted(Make.place.origin))
        if phase == .connecting { return }
        if phase == .backingOff {
            receive(.upstreamFailed(Fault.unreachable, stale: false))
            return
        }
        receive(.connected)
        if phase == .sent { return }
        if phase == .whole {
            receive(.head(Fault.head(503)))
            return
        }
        receive(.head(Fault.head(200)))
        if phase == .streaming { return }
        receive(.bytes(ByteBuffer(string: "x")), .passed(.usable), .readComplete)
        if phase == .committed { return }
        receive(.bytes(ByteBuffer(string: "y")), .passed(.complete))
        if phase == .draining { return }
        receive(.end(cleanly: true, reusable: true))
    }

    enum Phase: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case receiving, deciding, answering, acquiring, connecting, sent, whole, streaming, committed, draining
        case backingOff, ended
        var testDescription: String { rawValue }
    }

    static func name(_ action: Exchange.Action) -> String {
        switch action {
        case .decide(_, let mayRefresh): mayRefresh ? "decide" : "decide again"
        case .refreshCatalog: "refresh"
        case .weigh: "weigh"
        case .recall: "recall"
        case .listTools: "list tools"
        case .runTools: "run tools"
        case .tellRun(let place, let run): "tell \(place) \(run.bytes)"
        case .prepareRound: "prepare round"
        case .endRounds: "end rounds"
        case .keepResponse: "keep response"
        case .answer: "answer"
        case .queue: "queue"
        case .follow(let following): "follow \(following.place)"
        case .write(let bytes): "write \(String(buffer: bytes))"
        case .acquire(let candidate): "acquire \(candidate.shown)"
        case .stopWaiting: "stop waiting"
        case .release: "release"
        case .connect: "connect"
        case .send(_, let candidate): "send \(candidate.shown)"
        case .pauseUpstream: "pause"
        case .resumeUpstream: "resume"
        case .closeUpstream: "close upstream"
        case .keepUpstream: "keep upstream"
        case .pass: "pass"
        case .finishPipe: "finish pipe"
        case .collect: "collect"
        case .finishWhole: "finish whole"
        case .keepAlive: "keep alive"
        case .tell(let progress): "tell \(progress.phase)"
        case .commitStream(let head): head == nil ? "commit early" : "commit"
        case .commitWhole: "commit whole"
        case .flush: "flush"
        case .endReply: "end reply"
        case .resetReply: "reset"
        case .refuse(let error): "refuse \(error.code.rawValue)"
        case .failInDialect(let error): "fail \(error.code.rawValue)"
        case .reply: "reply"
        case .closeClient: "close client"
        case .record(let record):
            switch record.outcome {
            case .complete: "record complete"
            case .failed(let code): "record \(code.rawValue)"
            case .clientGone: "record gone"
            }
        }
    }
}

/// Things that go wrong.
enum Fault {
    static let unreachable = GatewayError(code: .upstreamUnreachable, message: "cannot connect")
    static let closed = GatewayError(code: .upstreamClosedEarly, message: "closed")
    static let bad = GatewayError(code: .upstreamBadReply, message: "not HTTP")
    static let busy = GatewayError(code: .queueFull, message: "busy")
    static let limited = GatewayError(code: .rateLimited, message: "limited", retryAfter: .seconds(2))
    static let invalid = GatewayError(code: .invalidRequest, message: "wrong")
    static let died = GatewayError(code: .engineFailed, message: "the engine died")
    static let failed = GatewayError(code: .upstreamFailed, message: "failed")

    static func head(_ status: Int, retryAfter: TimeAmount? = nil) -> UpstreamHead {
        UpstreamHead(status: status, content: status == 200 ? .eventStream : .json, retryAfter: retryAfter)
    }
}
