import MartletWire
package import NIOCore

/// The dialects and the ways between them, so that nobody else has to tell one from another.
package enum Dialects {
    /// The pipe for a stream. Within one dialect frames are relayed, edited at most; between two they are translated.
    /// - Parameter context: of the request this replies to. Of it, a relay looks at `hidesProgress`, and one that
    ///   repairs at the calls to look for.
    package static func pipe(
        from upstream: UpstreamDialect, to target: ReplyTarget, context: ReplyContext = ReplyContext()
    ) -> ReplyPipe {
        if let served = context.served {
            let hosted = HostedCalls(served, context, target)
            return ReplyPipe(
                reader: reader(of: upstream, context), filter: ReplyFilter(context, hosted),
                writer: target.folds ? FoldWriter(target, context) : writer(target, context),
                dialect: target.dialect, requestID: target.requestID)
        }
        if let watch = watch(upstream, target, context) {
            return ReplyPipe(
                reader: reader(of: upstream, context), edit: edit(target, context), watch: watch,
                dialect: target.dialect, requestID: target.requestID)
        }
        let isOwn = upstream == UpstreamDialect(target.dialect) && target.dialect.isRelayed && !context.needsWriter
        guard !isOwn || mends(upstream, target, context) else {
            return ReplyPipe(
                reader: reader(of: upstream, context, relaysAll: target.mode == .exact && target.label == nil),
                edit: edit(target, context),
                dialect: target.dialect, requestID: target.requestID)
        }
        return ReplyPipe(
            reader: reader(of: upstream, context), filter: ReplyFilter(context), writer: writer(target, context),
            dialect: target.dialect, requestID: target.requestID)
    }

    /// For a relay in whose text calls or thinking are looked for.
    private static func watch(_ upstream: UpstreamDialect, _ target: ReplyTarget, _ context: ReplyContext) -> CallWatch?
    {
        guard upstream == .chat, target.dialect == .chat, target.mode == .repair, !mends(upstream, target, context)
        else { return nil }
        return CallWatch(target, context)
    }

    /// Within one dialect too: arguments wait for their end, which no frame is cut for,
    /// and JSON for the text it may be.
    private static func mends(_ upstream: UpstreamDialect, _ target: ReplyTarget, _ context: ReplyContext) -> Bool {
        guard upstream == .chat, target.mode == .repair else { return false }
        return context.mendsArguments && context.tools?.isEmpty == false || context.rescuesJSON
    }

    /// A whole reply of an upstream, for the client. An upstream that streamed all the same is understood too.
    /// - Throws: the upstream's own error when a 200 carries one; `upstreamBadReply` when it is no reply.
    package static func translateWhole(
        _ body: ByteBuffer, from upstream: UpstreamDialect, to target: ReplyTarget,
        context: ReplyContext = ReplyContext()
    ) throws(GatewayError) -> WholeReply {
        let whole = try wholeReply(body, from: upstream, to: target, context)
        return target.legacy?.completed(whole) ?? whole
    }

    private static func wholeReply(
        _ body: ByteBuffer, from upstream: UpstreamDialect, to target: ReplyTarget, _ context: ReplyContext
    ) throws(GatewayError) -> WholeReply {
        var ids = target.ids
        let isOwn =
            upstream == UpstreamDialect(target.dialect) && target.dialect.isRelayed && !context.needsWriter
            && !(target.mode == .repair && context.rescuesJSON)
        if isOwn, !body.holdsStream || upstream == .responses {
            switch target.dialect {
            case .chat:
                var reply = try ChatReply.read(body)
                let found = target.mode == .repair ? reply.takingCalls(context) : nil
                let checked = try ChatReply.checked(found?.body ?? body, context)
                if found != nil || context.answerForm != nil { reply = try ChatReply.read(checked.body) }
                reply.summary.callTally = found?.tally ?? CallTally()
                if let misfit = checked.misfit {
                    return WholeReply(pieces: [], summary: reply.summary, misfit: misfit)
                }
                let pieces = reply.edit(mode: target.mode, model: target.model, created: target.created, ids: &ids)
                return WholeReply(pieces: pieces, summary: reply.summary)
            case .completions:
                let reply = try ChatReply.read(body, .text)
                let pieces = reply.edit(mode: target.mode, model: target.model, created: target.created, ids: &ids)
                return WholeReply(pieces: pieces, summary: reply.summary)
            case .anthropic:
                let summary = try fold(body, from: .anthropic, ReplyContext()).reply.summary
                return WholeReply(pieces: ModelSplice.splice(target.model, into: body), summary: summary)
            case .responses:
                let summary = try fold(body, from: .responses, ReplyContext()).reply.summary
                if context.compaction == .relayed { return WholeReply(pieces: [body], summary: summary) }
                let whole = body.holdsStream ? ResponsesReply.whole(of: body) ?? body : body
                return WholeReply(pieces: ResponsesReply.edit(whole, target, ids: &ids), summary: summary)
            case .lmstudio: break
            }
        }
        var (reply, calls) = try fold(body, from: upstream, context)
        // What continues a turn of the client's own is not the whole answer.
        if let form = context.answerForm, context.prefill == nil, let misfit = reply.fit(to: form) {
            return WholeReply(pieces: [], summary: reply.summary, misfit: misfit)
        }
        if let spent = context.spent { reply.usage = spent + reply.usage }
        if target.dialect == .anthropic, let fault = reply.brokenCall(context) { throw fault }
        if let fault = reply.missingSummary(context) { throw fault }
        var summary = reply.summary
        summary.callTally = calls
        if target.dialect == .lmstudio {
            let (body, kept) = LMStudioReplyWriter.write(reply, to: target, context: context)
            return WholeReply(pieces: [body], summary: summary, kept: kept)
        }
        return WholeReply(pieces: [write(reply, to: target, context)], summary: summary)
    }

    /// A reply the gateway makes up itself.
    /// - Parameter streams: the client asked for a stream.
    package static func writeLocal(
        _ events: [ReplyEvent], to target: ReplyTarget, context: ReplyContext = ReplyContext(), streams: Bool
    ) -> ByteBuffer {
        guard streams else {
            var fold = ReplyFold()
            for event in events { fold.take(event) }
            return write(fold.reply, to: target, context)
        }
        var writer = writer(target, context)
        var out = ByteBuffer()
        for event in events { writer.write(event, into: &out) }
        writer.finish(into: &out)
        return out
    }

    /// An upstream's error body, in whatever shape.
    package static func readError(status: Int, body: ByteBuffer, retryAfter: Duration? = nil) -> GatewayError {
        ChatErrors.read(status: status, body: body, retryAfter: retryAfter)
    }

    /// - Parameter relaysAll: what stands behind the terminal event is passed on too.
    static func reader(
        of dialect: UpstreamDialect, _ context: ReplyContext, relaysAll: Bool = false
    ) -> any StreamReader {
        switch dialect {
        case .chat: ChatStreamReader()
        case .completions: ChatStreamReader(.text, readsFast: true)
        case .anthropic: AnthropicStreamReader()
        case .responses: ResponsesStreamReader(awaitsDone: relaysAll)
        case .lmstudio: LMStudioStreamReader(limit: context.outputLimit)
        }
    }

    private static func writer(_ target: ReplyTarget, _ context: ReplyContext) -> any StreamWriter {
        switch target.dialect {
        case .chat: ChatStreamWriter(target, context: context)
        case .completions: CompletionStreamWriter(target, context: context)
        case .anthropic:
            AnthropicStreamWriter(
                model: target.model, context: context, ids: target.ids, requestID: target.requestID)
        case .responses: ResponsesStreamWriter(target, context: context)
        case .lmstudio: LMStudioStreamWriter(target, context: context)
        }
    }

    /// Nil where frames go on as they are.
    private static func edit(_ target: ReplyTarget, _ context: ReplyContext) -> (any FrameEdit)? {
        switch target.dialect {
        case .chat:
            ChatFrameEdit(
                mode: target.mode, model: target.model, usage: target.usage, created: target.created, ids: target.ids,
                context: context, legacy: target.legacy)
        case .completions:
            ChatFrameEdit(
                .text, mode: target.mode, model: target.model, usage: target.usage, created: target.created,
                ids: target.ids, context: context, legacy: target.legacy)
        case .anthropic: AnthropicFrameEdit(model: target.model, requestID: target.requestID)
        case .responses:
            ResponsesFrameEdit(
                mode: target.mode, model: target.model, created: target.created, ids: target.ids, label: target.label)
        case .lmstudio: nil
        }
    }

    private static func fold(
        _ body: ByteBuffer, from dialect: UpstreamDialect, _ context: ReplyContext
    ) throws(GatewayError) -> (reply: Reply, calls: CallTally) {
        let events: [ReplyEvent]
        if body.holdsStream {
            events = try streamed(body, reader(of: dialect, context))
        } else {
            switch dialect {
            case .chat: events = try ChatReply.events(body)
            case .completions: events = try ChatReply.events(body, .text)
            case .anthropic: events = try AnthropicReply.events(body)
            case .responses: events = try ResponsesReply.events(body)
            case .lmstudio: events = try LMStudioReply.events(body, limit: context.outputLimit)
            }
        }
        var filter = ReplyFilter(context)
        var fold = ReplyFold()
        var shown: [ReplyEvent] = []
        filter?.take(events, into: &shown)
        for event in filter == nil ? events : shown { fold.take(event) }
        return (fold.reply, filter?.callTally ?? CallTally())
    }

    /// The events of a stream that has been collected as a whole.
    private static func streamed(_ body: ByteBuffer, _ reader: any StreamReader) throws(GatewayError) -> [ReplyEvent] {
        var reader = reader
        var framer = SSEFramer()
        var events: [ReplyEvent] = []
        guard framer.take(body) else { throw .eventTooLong }
        do throws(DialectError) {
            while let frame = framer.next() ?? framer.finish() {
                if let event = frame.event { try reader.read(event, into: &events) }
            }
            try reader.finish(into: &events)
        } catch {
            throw GatewayError(unreadable: error)
        }
        for case .failed(let error) in events { throw error }
        return events
    }

    static func write(_ reply: Reply, to target: ReplyTarget, _ context: ReplyContext) -> ByteBuffer {
        var ids = target.ids
        return switch target.dialect {
        case .chat: ChatReply.write(reply, to: target, context: context, ids: &ids)
        case .completions: CompletionReply.write(reply, to: target, context: context, ids: &ids)
        case .anthropic: AnthropicReply.write(reply, model: target.model, context: context, ids: &ids)
        case .responses: ResponsesReplyWriter.write(reply, to: target, context: context)
        case .lmstudio: LMStudioReplyWriter.write(reply, to: target, context: context).body
        }
    }
}

extension ByteBuffer {
    /// Begins as an event stream does, with a field's name or a comment, and not as JSON or a page.
    fileprivate var holdsStream: Bool {
        let first = readableBytesView.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
        return first == UInt8(ascii: "d") || first == UInt8(ascii: "e") || first == UInt8(ascii: ":")
    }
}
