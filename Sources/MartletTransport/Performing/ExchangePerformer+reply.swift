import MartletDialects
import MartletGateway
import MartletWire
import NIOCore

/// From an upstream's bytes to the client's.
extension ExchangePerformer {
    /// - Parameter fails: to tell a failure. A reply that is no more than a summary is not told.
    func makePipe(fails: Bool = false) {
        guard let prepared, fails || plan?.sumsUpFirst != true, let target = target() else { return }
        pipe = Dialects.pipe(from: prepared.dialect, to: target, context: prepared.context)
    }

    /// What a stream begins with, or a failure, while there is no request to go up yet; nil where that is nothing.
    private func opening() -> ReplyPipe? {
        guard prepared == nil, plan?.dialect.tellsProgress == true, let target = target() else { return nil }
        return Dialects.pipe(from: .chat, to: target)
    }

    func keepAlive() {
        if pipe == nil { makePipe() }
        if pipe != nil {
            hasTold = true
            pipe?.keepAlive(into: &out)
        } else if var opening = opening() {
            opening.keepAlive(into: &out)
            hasBegun = true
        } else if let request {
            ErrorTable.writeKeepAlive(for: request.dialect, into: &out)
        }
    }

    /// How the client wants its reply.
    private func target() -> ReplyTarget? {
        guard let plan, let candidate else { return nil }
        var ids = context.ids
        context.ids.moveOn()  // so that two exchanges never mint the same ids
        let label = plan.label(plan.responses != nil ? ids.response() : "")
        let stopwatch = plan.isTimed ? self.stopwatch : nil
        var target = ReplyTarget(
            dialect: plan.dialect, model: plan.shownModel(candidate), usage: plan.usage,
            mode: plan.frameMode(at: candidate),
            created: plan.background?.created ?? Int(HTTPDate.now()), ids: ids, requestID: plan.requestID,
            showsThinkingBlocks: candidate.upstream.showsThinkingBlocks, seal: plan.seal,
            clock: { Int(HTTPDate.now()) },
            label: label, instance: prepared?.dialect == .lmstudio ? nil : slot?.instance ?? candidate.model,
            loadTime: loadTime,
            stopwatch: stopwatch, legacy: plan.legacyReply(from: candidate, in: context.snapshot.routes, stopwatch))
        target.folds = plan.folds
        target.hasBegun = hasBegun
        return target
    }

    /// A stream may begin while its model is still loaded: it counts from when the request is sent, and no time in which
    /// tools are run.
    private var stopwatch: Stopwatch {
        let bound = NIOLoopBound(self, eventLoop: context.loop)
        return Stopwatch(
            since: { bound.value.exchange.sentAt?.uptimeNanoseconds },
            without: { UInt64(max(0, bound.value.exchange.paused(at: .now()).nanoseconds)) },
            now: { NIODeadline.now().uptimeNanoseconds })
    }

    /// A reply that needs no upstream, on its way to the client or to who keeps it.
    func answered(_ answer: LocalAnswer, _ request: UpstreamRequest) -> Exchange.Event {
        let reply = local(answer, request)
        guard let plan, plan.isKept(from: candidate) else { return .answered(reply) }
        return .prepared(reply)
    }

    private func local(_ answer: LocalAnswer, _ request: UpstreamRequest) -> ControlReply {
        guard let plan, let candidate, let target = target() else {
            return ControlReply(status: 500, body: ByteBuffer())
        }
        var ids = target.ids
        let events = answer.events(
            id: ids.message(), callID: ids.mint("srvtoolu_"), model: target.model, input: request.context.inputEstimate)
        let body = Dialects.writeLocal(events, to: target, context: request.context, streams: plan.streams)
        if plan.isKept(from: candidate) || plan.turn != nil {
            var whole = target
            if whole.dialect == .lmstudio { whole.dialect = .responses }
            let isBody = !plan.streams && whole.dialect == target.dialect
            wholePieces = [
                isBody ? body : Dialects.writeLocal(events, to: whole, context: request.context, streams: false)
            ]
        }
        return ControlReply(
            status: 200, contentType: plan.streams ? "text/event-stream; charset=utf-8" : "application/json",
            body: body,
            headers: ["x-martlet-model: \(candidate.shown)"])
    }

    /// What the reply comes to that has been collected.
    func whole(_ head: UpstreamHead) -> Exchange.Event {
        let finding = finishWhole(head)
        guard case .complete = finding, let plan, plan.sumsUpFirst, let summary = wholePieces.first else {
            return .passed(finding)
        }
        spent = wholeSummary?.usage
        wholeSummary = nil
        do throws(GatewayError) {
            return .summedUp(try plan.continued(from: summary))
        } catch {
            return .passed(.failed(error))
        }
    }

    private func finishWhole(_ head: UpstreamHead) -> Finding {
        guard let prepared, let target = target() else {
            return .failed(GatewayError(code: .internalError, message: "no plan"))
        }
        if 300..<400 ~= head.status, let candidate { return .failed(redirect(head, candidate.upstream)) }
        guard head.isSuccess else {
            refusal = head
            if let upstream = candidate?.upstream { collected = upstream.withoutKey(collected) }
            wholePieces = [collected]
            let error = Dialects.readError(
                status: head.status, body: collected,
                retryAfter: head.retryAfter.map { .nanoseconds($0.nanoseconds) })
            return .failed(prepared.task?.refusal(error) ?? error)
        }
        do throws(GatewayError) {
            let whole =
                if let task = prepared.task {
                    try task.reply(collected, for: target)
                } else {
                    try Dialects.translateWhole(
                        collected, from: prepared.dialect, to: target, context: prepared.context)
                }
            wholePieces = whole.pieces
            wholeKept = whole.kept
            wholeSummary = whole.summary
            if let misfit = whole.misfit, let plan {
                self.misfit = misfit
                return .failed(misfit.error(for: plan.dialect))
            }
            return substitution(whole.summary.model).map { .failed($0) } ?? .complete
        } catch {
            return .failed(error)
        }
    }

    /// The stream's last word. One that has none, after a prompt that all estimates find too long, is an overflow's.
    func finishPipe(cleanly: Bool) -> Finding {
        if pipe == nil { makePipe() }
        let finding = fold(pipe?.finish(into: &out) ?? .complete)
        guard case .failed(let error) = finding, error.code == .upstreamClosedEarly, cleanly, pipe?.tally.events == 0,
            let plan, let candidate, candidate.upstream.profile.mayOverflowSilently,
            let window = candidate.window?.tokens, plan.mayBeLonger(than: window)
        else { return finding }
        return .failed(.contextOverflow(maximum: window))
    }

    /// A read of a stream into the pipe. Whether the right model answers is looked at
    /// once, before anything of it leaves.
    func passed(_ bytes: ByteBuffer) -> Finding {
        let finding = fold(pipe?.pass(bytes, into: &out) ?? .nothing)
        guard !knowsModel, let pipe else { return finding }
        switch finding {
        case .nothing, .failed: return finding
        case .usable, .complete, .calls:
            knowsModel = true
            return substitution(pipe.tally.model).map { .failed($0) } ?? finding
        }
    }

    private func substitution(_ reported: String) -> GatewayError? {
        guard let candidate, candidate.upstream.profile.mayAnswerWithAnother else { return nil }
        return Substitution.check(
            candidate, reported: reported, served: context.snapshot.routes.served[candidate.upstream.name])
    }

    /// Redirects are not followed: the request carries a key and a prompt, which were meant for the configured address.
    private func redirect(_ head: UpstreamHead, _ upstream: Upstream) -> GatewayError {
        let target = head.shownLocation.map { " to \($0)" } ?? ""
        return GatewayError(
            code: .upstreamBadReply,
            message: "\(upstream.shown) answers with a redirect\(target) (HTTP \(head.status)), which is not followed; "
                + "set upstreams.\(upstream.name).url to where the API is")
    }

    func commitStream(_ head: UpstreamHead?) {
        guard let request, let candidate else { return }
        if pipe == nil { makePipe() }
        var reply = front.head(status: 200)
        reply.add(
            fixed:
                "content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
        )
        describe(&reply, request, candidate, head)
        front.beginStream(reply)
    }

    func commitWhole(_ head: UpstreamHead) {
        guard let request, let candidate else { return }
        var reply = front.head(status: head.status)
        let relaysType = candidate.upstream.mode == .exact && head.content != .json && prepared?.isTranslated != true
        if !relaysType { reply.add(fixed: "content-type: application/json\r\n") }
        describe(&reply, request, candidate, head, contentType: relaysType)
        reply.add("server-timing", "total;dur=\(exchange.elapsed(at: .now()).nanoseconds / 1_000_000)")
        front.send(reply, body: wholePieces)
    }

    private func describe(
        _ reply: inout ReplyHead, _ request: InboundRequest, _ candidate: Candidate, _ head: UpstreamHead?,
        contentType: Bool = false
    ) {
        reply.add("x-request-id", request.id)
        if request.dialect == .anthropic { reply.add("request-id", request.id) }
        if ModelName.isPlain(candidate.model) {
            reply.add("x-martlet-model", candidate.upstream.name, "/", candidate.model)
        }
        let isTranslated = prepared?.isTranslated == true
        if let dropped = prepared?.dropped, !dropped.isEmpty {
            reply.add("x-translation-dropped", dropped.joined(separator: ", "))
        }
        if let blocked = plan?.tools?.served?.blockedNames, !blocked.isEmpty {
            reply.add("x-martlet-blocked-tools", blocked.joined(separator: ", "))
        }
        if let head {
            reply.add(head, exact: candidate.upstream.mode == .exact && !isTranslated, contentType: contentType)
        }
    }

    func refuse(_ error: GatewayError) {
        guard let request else { return }
        if let reply = streamed(error, request) {
            return front.send(whole: reply, dialect: request.dialect, requestID: request.id)
        }
        front.send(error, dialect: request.dialect, requestID: request.id, allow: [], upstream: refusal)
    }

    /// The head has left: the stream says it.
    func fail(_ error: GatewayError) {
        if pipe == nil { makePipe(fails: true) }
        if pipe == nil { pipe = opening() }
        guard pipe != nil else {
            guard let request else { return }
            return ErrorTable.writeInStream(error, for: request.dialect, requestID: request.id, into: &out)
        }
        pipe?.takeBackEnd(from: &out)
        pipe?.fail(error, into: &out)
    }

    /// A reply that no upstream has made, or one that is made elsewhere and read along.
    func send(_ reply: ControlReply) {
        guard let request else { return }
        guard reply.following != nil else {
            return front.send(whole: reply, dialect: request.dialect, requestID: request.id)
        }
        var head = front.head(status: reply.status)
        head.add(
            fixed:
                "content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
        )
        head.add("x-request-id", request.id)
        for line in reply.headers { head.add(line: line + "\r\n") }
        front.beginStream(head)
    }

    /// Queues a response that is made in the background. It is made even when its client leaves meanwhile.
    func queue(_ plan: Plan) {
        guard let request else { return }
        let responses = context.services.responses
        let bound = NIOLoopBound(context, eventLoop: context.loop)
        let loop = context.loop
        later {
            do throws(GatewayError) {
                let (queued, reply) = try await responses.queue(plan)
                loop.execute { bound.value.run(queued, request, plan) }
                return reply
            } catch {
                return ControlReply(refusing: error, request)
            }
        } then: {
            .answered($0)
        }
    }

    /// A refusal that its client understands as a stream only.
    private func streamed(_ error: GatewayError, _ request: InboundRequest) -> ControlReply? {
        guard request.dialect == .responses, error.code == .contextOverflow,
            let document = try? JSONDocument(checking: request.body)
        else { return nil }
        let model = (try? Decider.model(in: document)) ?? candidate?.model ?? ""
        let ids = context.ids
        context.ids.moveOn()
        let target = ReplyTarget(
            dialect: request.dialect, model: model, created: Int(HTTPDate.now()), ids: ids, requestID: request.id)
        return Dialects.streamedRefusal(error, of: document, to: target).map {
            ControlReply(status: 200, contentType: "text/event-stream; charset=utf-8", body: $0)
        }
    }

    /// Stores the reply, and keeps its end from leaving until that is done.
    func keepResponse() {
        var whole = pipe?.finalObject ?? wholeKept
        if whole == nil, let first = wholePieces.first {
            var pieces = first
            for piece in wholePieces.dropFirst() { pieces.writeImmutableBuffer(piece) }
            whole = pieces
        }
        guard let plan, let whole else {
            let error = GatewayError(code: .internalError, message: "there is no reply to keep")
            return note(.kept(error))
        }
        let responses = context.services.responses
        later {
            do throws(GatewayError) {
                try await responses.keep(whole, of: plan)
                return nil
            } catch {
                return error
            }
        } then: { (error: GatewayError?) in
            .kept(error)
        }
    }

    func resetReply() {
        if !hasTold { pipe = nil }
        knowsModel = false
        FrontHandler.prepare(&out)
        collected.clear()
        wholePieces = []
        wholeKept = nil
        refusal = nil
        upstream = nil
    }
}
