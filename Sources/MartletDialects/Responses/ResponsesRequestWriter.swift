import MartletWire
import NIOCore

/// Writes the top level of a Responses request; items and tools have files of their own.
struct ResponsesRequestWriter {
    let request: CanonicalRequest
    let target: WriteTarget
    var notes: DropNotes
    var out: JSONOut
    var context = ReplyContext()
    /// What the model is offered, tools of the API's own left out.
    var tools: [Tool] = []
    /// Sentences of our own at the end of the instructions.
    var demands: [EscapedText] = []

    var flags: Capabilities { target.capabilities }

    /// Reasoning comes and goes sealed. The API refuses to be asked for that where a model has no reasoning.
    var sealsReasoning: Bool { flags.sealedReasoning && flags.thinkingControl != .none }

    /// Tokens; the API's own bound.
    private static let leastLimit = 16

    init(_ request: CanonicalRequest, _ target: WriteTarget) {
        self.request = request
        self.target = target
        notes = DropNotes(isStrict: target.isStrict)
        out = JSONOut(capacity: request.origin.bytes + 4096)
    }

    mutating func write() throws(GatewayError) -> TranslatedRequest {
        try refuse()
        if let answer = request.localAnswer {
            return TranslatedRequest(body: ByteBuffer(), dropped: [], context: context, answer: answer)
        }
        for name in request.unread { try notes.drop(name) }
        notes.note(opaqueIn: request.items)
        if request.settings.seed != nil { try notes.drop("seed") }
        let choice = try chooseTools()
        let format = try chooseFormat()
        var turns = Turns(request.items, late: flags.systemLate, hoistsEarly: true)
        var leading = turns.leading
        // The API wants some input: a request of nothing but instructions is asked in the user's name.
        if turns.turns.isEmpty, let last = leading.popLast() {
            turns = Turns([.message(.user, last)], late: .user, hoistsEarly: false)
        }
        let estimate = TokenEstimate.of(request, offered: tools)
        fillContext(estimate)

        out.openObject()
        out.key("model")
        out.value(target.model)
        writeInstructions(leading)
        try writeInput(turns)
        writeTools()
        writeChoice(choice)
        writeFormat(format)
        writeLimit(estimate)
        try writeSampling()
        try writeThinking(isForced: choice?.isForced ?? false)
        out.key("store")
        out.value(false)
        if sealsReasoning {
            out.key("include")
            out.value(json: ByteBuffer(string: #"["reasoning.encrypted_content"]"#))
        }
        if target.streams {
            out.key("stream")
            out.value(true)
        }
        out.closeObject()
        return TranslatedRequest(body: out.bytes, dropped: notes.names, context: context)
    }

    /// What would have to be honoured (class A of the translation rules) and cannot be.
    private func refuse() throws(GatewayError) {
        func refused(_ name: String, _ why: String) -> GatewayError {
            GatewayError(code: .invalidRequest, message: "\(name): \(why)", param: name)
        }
        if request.settings.choices != 1 { throw refused("n", "this model gives one choice at a time") }
        if request.settings.wantsAudio { throw refused("modalities", "this model does not speak") }
        if let servers = request.raw["mcp_servers"], servers.rawKind == .array, servers.readableBytes > 2 {
            throw refused("mcp_servers", "this gateway does not run MCP servers for this model")
        }
    }

    /// The API knows no stop strings: the gateway looks for them itself.
    private mutating func fillContext(_ estimate: Int) {
        context.inputEstimate = estimate
        context.contextWindow = target.contextWindow
        context.stops = request.settings.stops
        context.clientStops = request.settings.stops
        context.includesUsage = request.settings.includesUsage
        context.hidesReasoning = request.settings.hidesReasoning
        context.reasoningOut = flags.reasoningOut
        context.startsInsideThinking = flags.promptOpenedThink
        context.wantsJSON = request.settings.format != nil
        for case .toolCall(let call) in request.items { context.callIDs.insert(call.id) }
    }

    // MARK: - Settings

    private mutating func writeInstructions(_ leading: [[Part]]) {
        let texts = leading.flatMap { $0.compactMap(\.text) }.filter { !$0.isEmpty && !$0.isBilling } + demands
        guard !texts.isEmpty else { return }
        out.key("instructions")
        out.value(TextBuilder.paragraphs(texts))
    }

    private mutating func writeLimit(_ estimate: Int) {
        guard var limit = request.settings.maxTokens ?? target.defaults.maxTokens else { return }
        if let window = target.contextWindow, limit >= window - estimate {
            // The estimate is high: a floor keeps a long conversation from getting no reply at all.
            limit = min(limit, max(window - estimate, min(1024, max(1, window / 8))))
        }
        out.key("max_output_tokens")
        out.value(max(limit, Self.leastLimit))
    }

    private mutating func writeSampling() throws(GatewayError) {
        let settings = request.settings
        if settings.topK != nil { try notes.drop("top_k") }
        guard flags.sampling else {
            if settings.temperature != nil { try notes.drop("temperature") }
            if settings.topP != nil { try notes.drop("top_p") }
            return
        }
        if let temperature = settings.temperature ?? target.defaults.temperature.map(JSONNumber.init) {
            out.key("temperature")
            out.value(temperature)
        }
        if let topP = settings.topP ?? target.defaults.topP.map(JSONNumber.init) {
            out.key("top_p")
            out.value(topP)
        }
        if let penalty = settings.presencePenalty {
            out.key("presence_penalty")
            out.value(penalty)
        }
        if let penalty = settings.frequencyPenalty {
            out.key("frequency_penalty")
            out.value(penalty)
        }
    }

    // MARK: - Thinking

    private mutating func writeThinking(isForced: Bool) throws(GatewayError) {
        var wish = ThinkingWish(request.settings, default: target.defaults.effort)
        // A grammar that forces a call would never let the reasoning end.
        if isForced, !flags.forcedCallWithThinking, flags.thinkingControl != .none { wish = .off }
        guard flags.thinkingControl == .effort else {
            switch wish {
            case .off: context.hidesReasoning = true
            case .effort where request.settings.effort != nil: try notes.drop(request.effortName)
            case .budget: try notes.drop("thinking")
            case .unset, .adaptive, .effort: break
            }
            return
        }
        var effort: String?
        switch wish {
        case .off where flags.effortNone: effort = "none"
        case .off: context.hidesReasoning = true
        case .effort(let wanted, _): effort = wanted.nearest(in: flags.efforts)?.rawValue
        case .budget(let budget): effort = Effort(budget: budget).nearest(in: flags.efforts)?.rawValue
        case .unset, .adaptive: break
        }
        let showsSummary = flags.reasoningSummary && wish != .off && wish != .unset && !context.hidesReasoning
        guard effort != nil || showsSummary else { return }
        out.key("reasoning")
        out.openObject()
        if let effort {
            out.key("effort")
            out.value(effort)
        }
        if showsSummary {
            out.key("summary")
            out.value("auto")
        }
        out.closeObject()
    }
}
