package import MartletDialects
package import MartletWire
package import NIOCore

/// What is to be done about a request.
package enum Decision: Sendable {
    case refuse(GatewayError)
    /// The model is not known; its upstream may have got it since the lists were read.
    case refresh
    /// A control route answers.
    case control
    /// The prompt may be longer than the window: to be counted before it waits for
    /// anything. Or images are to be fetched.
    case weigh(Plan)
    /// What it continues from is to be put before it, and there must be room for its reply.
    case recall(Plan)
    case complete(Plan)
}

/// A completion or a task to be had: where, and with which edits. Immutable; shared by all attempts.
package final class Plan: Sendable {
    package let requestID: String
    package let dialect: DialectID
    /// Nil: a completion.
    package let task: VectorTask?
    /// The model as the client spelled it, for every reply; nil when it named none.
    package let clientModel: String?
    package let streams: Bool
    /// Where usage stands in a stream of a Chat client.
    package let usage: ChatFrameEdit.UsagePlacement
    /// In the order they are tried; never empty.
    package let candidates: [Candidate]
    /// How a model of this machine is to be loaded for it.
    package let wish: LoadWish
    package let forwarded: [(name: String, value: String)]
    package let query: String
    package let document: JSONDocument
    /// Whose the reply is, where it is kept.
    package let owner: KeyTable.Digest
    /// Of a client of Responses or of LM Studio's own API: what is kept here.
    package let responses: ResponsesState?
    /// Its reply is one of LM Studio's older API.
    package let isLegacy: Bool
    /// Of a request over a WebSocket.
    package let turn: SocketTurn?
    /// A summary of the conversation is asked for by its route.
    let compacts: Bool
    /// A summary of the conversation is asked for, and behind it what is asked in it.
    package let sumsUpFirst: Bool
    /// Set once that summary is there: the item with which the reply begins.
    let summary: ByteBuffer?
    /// Set once its reply is made in the background.
    package let background: QueuedResponse?
    /// Set once what it continues from stands in the document.
    package let recalled: RecalledItems?
    /// Of reasoning that travels through the client.
    package let seal: ReasoningSeal
    /// Set where the prompt is too long and its oldest turns may go: its tokens as counted, for each that is estimated.
    private let promptScale: Double?
    let defaults: WriteTarget.Defaults
    private let fetchesImages: Bool
    /// Set where it is given tools that are run here.
    package let tools: ToolWish?

    init(
        request: InboundRequest, responses: ResponsesState?, clientModel: String?, streams: Bool,
        usage: ChatFrameEdit.UsagePlacement,
        candidates: [Candidate], wish: LoadWish = LoadWish(), document: JSONDocument, defaults: WriteTarget.Defaults,
        seal: ReasoningSeal = .plain, fetchesImages: Bool
    ) {
        self.seal = seal
        self.wish = wish
        compacts = request.endpoint == .compactResponse
        sumsUpFirst = false
        summary = nil
        requestID = request.id
        dialect = request.dialect
        isLegacy = request.isLegacy
        task = nil
        self.clientModel = clientModel
        self.streams = streams
        self.usage = usage
        self.candidates = candidates
        forwarded = request.forwarded
        query = request.query
        self.document = document
        self.defaults = defaults
        self.fetchesImages = fetchesImages
        self.responses = responses
        turn = request.turn
        owner = request.owner
        recalled = nil
        background = nil
        promptScale = nil
        tools = nil
    }

    /// Nothing of it is left to defaults, streamed or kept.
    init(
        request: InboundRequest, task: VectorTask, clientModel: String?, candidates: [Candidate], wish: LoadWish,
        document: JSONDocument
    ) {
        self.wish = wish
        requestID = request.id
        dialect = request.dialect
        isLegacy = request.isLegacy
        self.task = task
        compacts = false
        sumsUpFirst = false
        summary = nil
        self.clientModel = clientModel
        streams = false
        usage = .hidden
        self.candidates = candidates
        forwarded = request.forwarded
        query = request.query
        self.document = document
        defaults = WriteTarget.Defaults()
        responses = nil
        turn = nil
        owner = request.owner
        recalled = nil
        seal = .plain
        background = nil
        promptScale = nil
        fetchesImages = false
        tools = nil
    }

    /// The same but for what is given. The answer to a conversation that is summed up comes behind its summary.
    private init(
        _ plan: Plan, document: JSONDocument? = nil, recalled: RecalledItems? = nil,
        background: QueuedResponse? = nil, promptScale: Double? = nil, sumsUpFirst: Bool? = nil,
        summary: ByteBuffer? = nil, tools: ToolWish?? = nil
    ) {
        self.tools = tools ?? plan.tools
        self.document = document ?? plan.document
        self.recalled = recalled ?? plan.recalled
        self.background = background ?? plan.background
        self.promptScale = promptScale ?? plan.promptScale
        self.sumsUpFirst = sumsUpFirst ?? plan.sumsUpFirst
        self.summary = summary ?? plan.summary
        seal = plan.seal
        compacts = plan.compacts
        requestID = plan.requestID
        dialect = plan.dialect
        isLegacy = plan.isLegacy
        task = plan.task
        clientModel = plan.clientModel
        // Whoever polls gets the whole reply, and whoever reads along its events.
        streams = plan.streams || self.background?.isWhole == false
        usage = plan.usage
        candidates = plan.candidates
        wish = plan.wish
        forwarded = plan.forwarded
        query = plan.query
        defaults = plan.defaults
        fetchesImages = plan.fetchesImages
        responses = plan.responses
        turn = plan.turn
        owner = plan.owner
    }

    /// The same with stored items before its own.
    /// - Parameter document: the request with all of them in its input.
    package func continued(_ document: JSONDocument, _ recalled: RecalledItems) throws(GatewayError) -> Plan {
        guard dialect == .lmstudio else { return Plan(self, document: document, recalled: recalled) }
        let led = try LMStudioRequest.led(document, before: recalled.before, own: recalled.own)
        return Plan(self, document: led.document, recalled: RecalledItems(before: led.before, own: led.own))
    }

    func with(_ tools: ToolWish?) -> Plan { Plan(self, tools: .some(tools)) }

    /// The same, made while nobody waits for it.
    package func inBackground(_ queued: QueuedResponse) -> Plan { Plan(self, background: queued) }

    /// The same without so many of its oldest turns that the rest fits.
    /// - Parameter scale: tokens as counted, for each that is estimated.
    package func truncated(scale: Double) -> Plan { Plan(self, promptScale: scale) }

    /// A summary of the conversation, and then the same behind it.
    package var summedUpFirst: Plan { Plan(self, sumsUpFirst: true) }

    /// The same behind the summary of its conversation; what is kept of it is the conversation as it was.
    /// - Parameter compaction: the object of `/v1/responses/compact`.
    package func continued(from compaction: ByteBuffer) throws(GatewayError) -> Plan {
        let (body, summary) = try ResponsesRequest.continued(document, from: compaction)
        return Plan(
            self, document: try Decider.check(body), recalled: try keptItems(), sumsUpFirst: false, summary: summary)
    }

    /// What is kept of a request of Responses whose input is replaced before it goes on.
    private func keptItems() throws(GatewayError) -> RecalledItems {
        if let recalled { return recalled }
        return RecalledItems(before: [], own: try ResponsesRequest.inputItems(document))
    }

    /// The upstream's reply is taken whole before anything is made of it.
    package var takesWhole: Bool { !streams && !runsTools || sumsUpFirst }

    /// Whether it has to be queued before anything else is done about it.
    package var isToBeQueued: Bool { responses?.isBackground == true && background == nil }

    /// Whether its conversation is kept here, before or behind it.
    var keepsConversation: Bool {
        guard let responses else { return false }
        return responses.isStored || responses.previousID != nil || turn != nil
    }

    /// What the reply says of itself; nil where nothing of the conversation is kept here.
    /// - Parameter id: minted for it.
    package func label(_ id: String) -> ResponseLabel? {
        guard let responses, keepsConversation else { return nil }
        return ResponseLabel(
            id: background?.id ?? id, previousID: responses.previousID, isStored: responses.isStored,
            isBackground: responses.isBackground)
    }

    /// Whether it may have more tokens, by an estimate on the high side.
    package func mayBeLonger(than window: Int) -> Bool {
        TokenEstimate.of(bytes: document.bytes.readableBytes) > window
    }

    /// Whether images are to be fetched, because the first place it goes takes bytes only.
    package var awaitsImages: Bool {
        guard fetchesImages, let first = candidates.first, first.upstream.mode == .repair,
            first.capabilities.images == .data
        else { return false }
        return (try? ImageAddresses.find(in: document, of: dialect).isEmpty) == false
    }

    /// The same with images' bytes in the places of their addresses; what is kept of it keeps the addresses.
    package func illustrated(_ document: JSONDocument) throws(GatewayError) -> Plan {
        Plan(self, document: document, recalled: dialect == .responses ? try keptItems() : nil)
    }

    /// Whether the reply of this candidate is kept before its end is told to the client.
    package func isKept(from candidate: Candidate?) -> Bool {
        candidate != nil && responses?.isStored == true
    }

    /// What replies call the model: as the client did, else by the upstream's name.
    package func shownModel(_ candidate: Candidate) -> String {
        clientModel.flatMap { $0.isEmpty ? nil : $0 } ?? candidate.model
    }

    /// Whether an upstream's error may go to the client as it is: same dialect, and nothing to be mended.
    package func relaysErrors(of candidate: Candidate?) -> Bool {
        guard let candidate, background == nil, !runsTools else { return false }
        return candidate.upstream.mode == .exact && candidate.speaks(dialect)
    }

    /// The request as one candidate is to get it.
    /// - Parameters:
    ///   - rung: how far its schemas are simplified; nil: not more than the way to this upstream always does.
    ///   - misfit: an answer in another form than was asked for, for which it is asked again.
    /// - Throws: `invalidRequest` for what cannot be said in the upstream's dialect.
    package func request(
        for candidate: Candidate, rung: SchemaRung? = nil, after misfit: AnswerMisfit? = nil
    ) throws(GatewayError) -> UpstreamRequest {
        try candidate.traits?.work?.check(task, of: candidate.model)
        if let task { return try request(of: task, for: candidate) }
        if turn?.generates == false { return try warmUp(candidate) }
        let simplified = rung.map { [$0.note] } ?? []
        let upstream = upstreamDialect(at: candidate)
        if upstream == UpstreamDialect(dialect), upstream != .lmstudio, try !isRewritten(for: candidate) {
            return try compacts ? relayedCompaction(to: candidate) : relayed(to: candidate, rung, misfit, simplified)
        }
        var flags = candidate.capabilities
        // An upstream that gets its requests exactly is asked for as many tokens as the client wants.
        let window = candidate.upstream.mode == .exact ? nil : candidate.window?.tokens
        if let rung {
            flags.schemaProfile = rung.profile(flags.schemaProfile)
            flags.strictTools = false
            if rung == .bare { flags.takesNoForms() }
        }
        // A whole reply is put together from a stream where only a stream notices early that its client is gone.
        let target = WriteTarget(
            model: candidate.model, capabilities: flags, streams: !takesWhole || flags.promptProgress,
            contextWindow: window, replyLimit: candidate.window?.reply, defaults: defaults, promptScale: promptScale,
            isStrict: candidate.upstream.isStrict, bareTool: rung?.bareTool)
        var translated = try Dialects.translateRequest(
            document, from: dialect, to: upstream, for: target, version: header("anthropic-version"),
            betas: forwarded.betas, seal: seal, after: misfit,
            compacts: compacts || sumsUpFirst, serving: tools?.served)
        translated.context.summary = summary
        if let responses, let echo = translated.context.echo {
            translated.context.echo = echo.with(previousID: responses.previousID, isStored: responses.isStored)
        }
        return UpstreamRequest(
            dialect: upstream, body: [translated.body], dropped: left(translated.dropped, at: candidate) + simplified,
            context: translated.context, answer: translated.answer, isTranslated: true,
            isLegacy: isLegacy(at: candidate))
    }

    /// What is left behind of a request: how a model of this machine is loaded is not the engine's business.
    private func left(_ dropped: [String], at candidate: Candidate) -> [String] {
        guard candidate.upstream.location == .hosted else { return dropped }
        return dropped.filter { !LoadWish.members.contains($0) }
    }

    /// LM Studio's own API takes nothing but what the user says: a conversation goes to it as to others, and so do tools
    /// that are run here.
    private func upstreamDialect(at candidate: Candidate) -> UpstreamDialect {
        let upstream = candidate.dialect(for: dialect)
        guard upstream == .lmstudio, dialect == .lmstudio, runsTools || !LMStudioRequest.fitsOwnAPI(document)
        else {
            return upstream
        }
        return candidate.upstream.profile.dialects.first { $0 != .lmstudio } ?? upstream
    }

    private func header(_ name: String) -> String? {
        forwarded.first { $0.name.lowercased() == name }?.value
    }

    private func request(of task: VectorTask, for candidate: Candidate) throws(GatewayError) -> UpstreamRequest {
        var edit = JSONEdit()
        do throws(JSONError) {
            try setModel(candidate, of: document, in: &edit)
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence)
        }
        let prepared = try task.prepare(
            document, edit: edit, for: candidate.capabilities, repairs: candidate.upstream.mode == .repair)
        return UpstreamRequest(
            dialect: UpstreamDialect(dialect), body: prepared.body, task: prepared,
            isLegacy: task == .embeddings && isLegacy(at: candidate))
    }
}

/// The items of a stored conversation, each a JSON object's text.
package struct RecalledItems: Sendable, Hashable {
    /// All that came before the request.
    package var before: [ByteBuffer]
    /// The request's own, without references.
    package var own: [ByteBuffer]

    package init(before: [ByteBuffer], own: [ByteBuffer]) {
        self.before = before
        self.own = own
    }
}
