import MartletDialects
import MartletGateway
import NIOCore

/// Carries out what an `Exchange` decides: between a front connection and an upstream's. One per front connection, used
/// again for each request; everything happens on their event loop, and an event that comes up meanwhile waits its turn.
final class ExchangePerformer {
    let context: LoopContext
    unowned let front: any ReplyTaker
    var exchange = Exchange()
    var request: InboundRequest?
    /// Tells a task's answer to an earlier exchange from one to this.
    private(set) var epoch: UInt64 = 0

    private var actions: [Exchange.Action] = []
    private var waiting: [Exchange.Event] = []
    private var isPerforming = false

    var plan: Plan?
    var candidate: Candidate?
    /// The request as the current candidate gets it.
    var prepared: UpstreamRequest?
    var wholeSummary: ReplySummary?
    /// What the summary took that the reply was asked for behind.
    var spent: Usage?
    /// How long the model was loaded for this request.
    var loadTime: Duration?
    /// The answer for which this candidate is asked again.
    var misfit: AnswerMisfit?
    /// The upstream's last head that was no success.
    var refusal: UpstreamHead?
    var upstream: UpstreamHandler?
    var task: Task<Void, Never>?
    var slot: HeldSlot?
    /// The reply to what has the slot is a success; all of it is there.
    private var (succeeds, hasServed) = (false, false)

    var pipe: ReplyPipe?
    /// The pipe has told what was waited for: the reply has begun, and goes on in it.
    var hasTold = false
    /// The reply has begun before there was a request to go up, and with it a pipe.
    var hasBegun = false
    /// The name of the model in the reply has been looked at.
    var knowsModel = false
    /// What the pipe has written and the client has not got.
    var out = ByteBuffer()
    var collected = ByteBuffer()
    var wholePieces: [ByteBuffer] = []
    /// What is kept of the whole reply, where that is not what the client gets.
    var wholeKept: ByteBuffer?
    private var wantsFlush = false
    private var wantsEnd = false

    init(context: LoopContext, front: any ReplyTaker) {
        self.context = context
        self.front = front
        FrontHandler.prepare(&out)
    }

    var isBusy: Bool { request != nil }

    func begin(_ request: InboundRequest) { begin(request, with: .requestComplete(request)) }

    /// In the background: what is to be done about the request has been decided.
    func begin(_ request: InboundRequest, as plan: Plan) { begin(request, with: .planned(plan)) }

    private func begin(_ request: InboundRequest, with event: Exchange.Event) {
        exchange = Exchange()
        epoch += 1
        resetReply()
        self.request = request
        receive(event)
    }

    func upstream(read: ResponseFraming.Parsed, reusable: Bool) {
        if let head = read.head { succeeds = head.isSuccess }
        if read.isEnd { hasServed = succeeds }
        guard !isPerforming else {
            if let head = read.head { waiting.append(.head(head)) }
            if let body = read.body { waiting.append(.bytes(body)) }
            if read.isEnd { waiting.append(.end(cleanly: true, reusable: reusable)) }
            return
        }
        guard request != nil else { return }
        let now = NIODeadline.now()
        isPerforming = true
        if let head = read.head { step(.head(head), at: now) }
        if let body = read.body { step(.bytes(body), at: now) }
        if read.isEnd { step(.end(cleanly: true, reusable: reusable), at: now) }
        endTurn(at: now)
    }

    func receive(_ event: Exchange.Event) {
        guard !isPerforming else { return waiting.append(event) }
        guard request != nil else { return }
        isPerforming = true
        let now = NIODeadline.now()
        step(event, at: now)
        endTurn(at: now)
    }

    /// One event, and those that come up while its actions are carried out.
    private func step(_ event: Exchange.Event, at now: NIODeadline) {
        exchange.receive(event, at: now, into: &actions)
        perform()
        guard !waiting.isEmpty else { return }
        var next = 0
        while next < waiting.count {
            exchange.receive(waiting[next], at: now, into: &actions)
            next += 1
            perform()
        }
        waiting.removeAll(keepingCapacity: true)
    }

    /// An answer that is there at once.
    func note(_ event: Exchange.Event) { waiting.append(event) }

    private func endTurn(at now: NIODeadline) {
        isPerforming = false
        emit(at: now)
        if request == nil { front.exchangeEnded() }
    }

    private func perform() {
        var next = 0
        while next < actions.count {
            perform(actions[next])
            next += 1
        }
        actions.removeAll(keepingCapacity: true)
    }

    private func perform(_ action: Exchange.Action) {
        switch action {
        case .pass(let bytes):
            if pipe == nil { makePipe() }
            waiting.append(.passed(passed(bytes)))
        case .flush: wantsFlush = true
        case .endReply: wantsEnd = true
        case .decide(let request, let mayRefresh):
            waiting.append(.decided(Decider.decide(request, in: context.snapshot, mayRefresh: mayRefresh)))
        case .refreshCatalog:
            let control = context.services.control
            later({ await control.refreshCatalog() }, then: { .catalogRefreshed })
        case .weigh(let plan):
            let control = context.services.control
            later({ await control.weigh(plan) }, then: { .decided($0) })
        case .recall(let plan):
            let responses = context.services.responses
            later({ await responses.recall(plan) }, then: { .decided($0) })
        case .listTools(let plan): listTools(plan)
        case .runTools: runTools()
        case .tellRun(let place, let run): pipe?.tell(run, of: place, into: &out)
        case .prepareRound: prepareRound()
        case .endRounds: note(.finished(endRounds()))
        case .keepResponse: keepResponse()
        case .answer(let request):
            let (control, snapshot) = (context.services.control, context.snapshot)
            later({ await control.answer(request, in: snapshot) }, then: { .answered($0) })
        case .acquire(let candidate): acquire(candidate)
        case .stopWaiting:
            task?.cancel()
            task = nil
        case .release: release()
        case .connect(let origin, let upstream): connect(to: origin, upstream)
        case .send(let plan, let candidate): send(plan, candidate)
        case .pauseUpstream: upstream?.pause()
        case .resumeUpstream: upstream?.resume()
        case .closeUpstream:
            upstream?.close()
            upstream = nil
        case .keepUpstream:
            upstream?.keep()
            upstream = nil
        case .finishPipe(let cleanly): waiting.append(.finished(finishPipe(cleanly: cleanly)))
        case .collect(var bytes): collected.writeBuffer(&bytes)
        case .finishWhole(let head): waiting.append(whole(head))
        case .queue(let plan): queue(plan)
        case .follow(let following):
            later({ await following.source.events(from: following.place) }, then: { .followed($0) })
        case .write(let bytes): out.writeImmutableBuffer(bytes)
        case .keepAlive: keepAlive()
        case .tell(let progress):
            if pipe == nil { makePipe() }
            hasTold = true
            pipe?.tell(progress, into: &out)
        case .commitStream(let head): commitStream(head)
        case .commitWhole(let head): commitWhole(head)
        case .resetReply: resetReply()
        case .refuse(let error): refuse(error)
        case .failInDialect(let error):
            fail(error)
            front.closeAfterReply()
            wantsFlush = true
            wantsEnd = true
        case .reply(let reply):
            send(reply)
        case .closeClient: front.closeNow()
        case .record(let record): finish(record)
        }
    }

    /// Sends what this turn has written, in one go. The end of a reply that is being
    /// stored waits with what is before it.
    private func emit(at now: NIODeadline) {
        guard wantsFlush || wantsEnd, !exchange.isKeeping else { return }
        wantsFlush = false
        if out.readableBytes > 0 { exchange.wrote(at: now) }
        if wantsEnd {
            wantsEnd = false
            front.send(chunk: &out, last: true)
        } else {
            front.send(chunk: &out, last: false)
        }
    }

    // MARK: Leaving the loop

    /// Runs `work` as a task and brings its answer back as an event of this exchange, if it still runs then.
    func later<Answer: Sendable>(
        _ work: @escaping @Sendable () async -> Answer, then: @escaping @Sendable (Answer) -> Exchange.Event
    ) {
        let epoch = self.epoch
        let loop = context.loop
        let bound = NIOLoopBound(self, eventLoop: loop)
        task = Task {
            let answer = await work()
            loop.execute {
                let performer = bound.value
                guard performer.epoch == epoch else { return }
                performer.task = nil
                performer.receive(then(answer))
            }
        }
    }

    /// Prepares the request for a candidate and takes a slot at its upstream.
    private func acquire(_ candidate: Candidate) {
        self.candidate = candidate
        guard let plan = exchange.plan else { return }
        self.plan = plan
        if exchange.rung == nil, !context.rungs.isEmpty {
            exchange.rung = context.rungs.rung(for: plan.schemaKey(at: candidate), at: .now())
        }
        do throws(GatewayError) {
            let request = try plan.request(
                for: candidate, rung: exchange.rung, after: exchange.asksAgain ? misfit : nil)
            prepared = request
            if plan.isBehindRounds { pipe?.beginRound(from: request.dialect, context: request.context) }
            if let answer = request.answer, !warmsUp { return waiting.append(answered(answer, request)) }
        } catch {
            return waiting.append(.slotRefused(error))
        }
        let upstream = candidate.upstream
        guard case .url(let base) = upstream.location else { return acquireHosted(candidate, plan) }
        guard let gate = context.services.gates[upstream.name] else {
            return waiting.append(.slotGranted(base.origin))
        }
        if gate.tryTake() {
            slot = .gate(gate)
            return waiting.append(.slotGranted(base.origin))
        }
        waitForSlot { () async throws(GatewayError) in
            try await gate.wait(for: upstream)
            return (base.origin, .gate(gate))
        }
    }

    private func acquireHosted(_ candidate: Candidate, _ plan: Plan) {
        let models = context.services.models
        let wish = plan.wish
        let held = slot?.origin
        let (epoch, attempt) = (self.epoch, exchange.attempts)
        let loop = context.loop
        let bound = NIOLoopBound(self, eventLoop: loop)
        waitForSlot { () async throws(GatewayError) in
            if let held, try await models.keeps(candidate.model, at: held) { return (held, nil) }
            let origin = try await models.acquire(candidate.model, wish: wish) { progress in
                loop.execute { bound.value.waits(progress, epoch: epoch, attempt: attempt) }
            }
            return (origin, .model(candidate.model, origin, models))
        }
    }

    /// What this attempt waits for.
    private func waits(_ progress: Progress, epoch: UInt64, attempt: Int) {
        guard self.epoch == epoch, exchange.isAcquiring, exchange.attempts == attempt else { return }
        if progress.phase == .load, progress.fraction == 1, let elapsed = progress.elapsed { loadTime = elapsed }
        receive(.progress(progress))
    }

    /// Leaves the loop until a slot is there; if the exchange has gone on or ended by then, the slot is given back.
    /// - Parameter take: gives no slot where the one that is held goes on.
    private func waitForSlot(
        _ take: @escaping @Sendable () async throws(GatewayError) -> (Origin, HeldSlot?)
    ) {
        let epoch = self.epoch
        let loop = context.loop
        let bound = NIOLoopBound(self, eventLoop: loop)
        task = Task {
            do throws(GatewayError) {
                let (origin, slot) = try await take()
                loop.execute { bound.value.granted(origin, slot, epoch: epoch) }
            } catch {
                loop.execute { bound.value.refused(error, epoch: epoch) }
            }
        }
    }

    private func granted(_ origin: Origin, _ taken: HeldSlot?, epoch: UInt64) {
        guard self.epoch == epoch, exchange.isAcquiring else {
            taken?.release(served: false)
            return
        }
        task = nil
        if let taken {
            release()
            slot = taken
        }
        guard warmsUp, let prepared, let answer = prepared.answer else { return receive(.slotGranted(origin)) }
        let reply = answered(answer, prepared)
        release()
        receive(reply)
    }

    /// Nothing is to be said, but a model of this machine is to be ready for what comes. A stream is not kept waiting.
    private var warmsUp: Bool {
        prepared?.answer == .nothing && candidate?.upstream.location == .hosted && plan?.streams == false
    }

    private func refused(_ error: GatewayError, epoch: UInt64) {
        guard self.epoch == epoch, !exchange.hasEnded else { return }
        task = nil
        receive(.slotRefused(error))
    }

    private func release() {
        slot?.release(served: hasServed)
        slot = nil
        (succeeds, hasServed) = (false, false)
    }

    // MARK: The upstream

    private func connect(to origin: Origin, _ upstream: Upstream) {
        let epoch = self.epoch
        let attempt = exchange.attempts
        context.pool.connect(to: origin, upstream: upstream) { [self] result in
            guard self.epoch == epoch, exchange.isConnecting(attempt: attempt) else {
                if case .success(let handler) = result { handler.keep() }
                return
            }
            switch result {
            case .success(let handler):
                self.upstream = handler
                handler.begin(for: self)
                receive(.connected)
            case .failure(let error): receive(.upstreamFailed(error, stale: false))
            }
        }
    }

    private func send(_ plan: Plan, _ candidate: Candidate) {
        guard let prepared else { return }
        context.services.prompts?.sent(prepared, to: candidate, id: plan.requestID)
        upstream?.send(RequestHead.pieces(plan, candidate, prepared))
    }

    // MARK: The end

    private func finish(_ record: ExchangeRecord) {
        guard let request else { return }
        if let rung = record.rung, case .complete = record.outcome, let plan, let candidate {
            context.rungs.keep(rung, for: plan.schemaKey(at: candidate), at: .now())
        }
        var record = record
        record.calls = pipe?.callTally ?? wholeSummary?.callTally ?? CallTally()
        var usage = pipe?.tally.usage ?? wholeSummary?.usage
        if let spent { usage = usage.map { spent + $0 } ?? spent }
        context.services.records.keep(record, of: request, usage: usage)
        front.concluded(record.outcome, plan, pipe?.finalObject ?? wholePieces.first)
        self.request = nil
        plan = nil
        candidate = nil
        prepared = nil
        wholeSummary = nil
        spent = nil
        loadTime = nil
        misfit = nil
        pipe = nil
        hasTold = false
        hasBegun = false
        task = nil
        collected = ByteBuffer()
        wholePieces = []
        wholeKept = nil
        waiting.removeAll(keepingCapacity: true)
    }
}
