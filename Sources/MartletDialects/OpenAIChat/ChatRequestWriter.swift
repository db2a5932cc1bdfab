import MartletWire
import NIOCore

/// Writes the top level of a Chat Completions request; messages and tools have files of their own.
struct ChatRequestWriter {
    let request: CanonicalRequest
    let target: WriteTarget
    var notes: DropNotes
    var out: JSONOut
    var context = ReplyContext()
    /// What the model is offered, tools of the API's own left out.
    var tools: [Tool] = []
    /// Sentences of our own at the end of the leading system text.
    var demands: [EscapedText] = []

    var flags: Capabilities { target.capabilities }

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
        let choice = try chooseTools()
        let format = try chooseFormat()
        let turns = Turns(request.items, late: flags.systemLate, hoistsEarly: true)
        let estimate = TokenEstimate.of(request, offered: tools)
        fillContext(estimate)

        out.openObject()
        out.key("model")
        out.value(target.model)
        try writeMessages(turns)
        try writeTools()
        writeChoice(choice)
        try writeFormat(format)
        writeLimit(estimate)
        try writeSampling()
        try writeThinking(isForced: choice?.isForced ?? false)
        writeStops()
        if target.streams {
            out.key("stream")
            out.value(true)
            if flags.usage == .streamOptions {
                out.key("stream_options")
                out.value(json: ByteBuffer(string: #"{"include_usage":true}"#))
            }
            if flags.promptProgress {
                out.key("return_progress")
                out.value(true)
            }
        }
        out.closeObject()
        return TranslatedRequest(body: out.bytes, dropped: notes.names, context: context)
    }

    /// What would have to be honoured (class A of the translation rules) and cannot be.
    private func refuse() throws(GatewayError) {
        if let servers = request.raw["mcp_servers"], servers.rawKind == .array, servers.readableBytes > 2 {
            throw GatewayError(
                code: .invalidRequest, message: "mcp_servers: this gateway does not run MCP servers for this model",
                param: "mcp_servers")
        }
    }

    mutating func fillContext(_ estimate: Int) {
        context.inputEstimate = estimate
        context.contextWindow = target.contextWindow
        context.clientStops = request.settings.stops
        context.includesUsage = request.settings.includesUsage
        context.hidesReasoning = request.settings.hidesReasoning
        context.reasoningOut = flags.reasoningOut
        context.startsInsideThinking = flags.promptOpenedThink
        context.wantsJSON = request.settings.format != nil
        if flags.textCalls || flags.garblesArguments {
            context.tools = OfferedTools(tools, context.toolNames, choice: request.settings.toolChoice)
            context.findsCalls = flags.textCalls
            context.mendsArguments = flags.garblesArguments
        }
        for case .toolCall(let call) in request.items { context.callIDs.insert(call.id) }
    }

    // MARK: - Settings

    private mutating func writeLimit(_ estimate: Int) {
        guard let limit = limit(estimate) else { return }
        out.key(named: flags.maxTokensField.rawValue)
        out.value(limit)
    }

    /// Tokens the reply may have; nil: the upstream's own affair. Agents ask for 32 000 and more; a server that reserves them,
    /// or refuses, is asked for what is free.
    mutating func limit(_ estimate: Int) -> Int? {
        guard let limit = request.settings.maxTokens ?? target.defaults.maxTokens else { return nil }
        guard let window = target.contextWindow, limit >= window - estimate else { return limit }
        // The estimate is high: a floor keeps a long conversation from getting no reply at all.
        let free = max(window - estimate, min(1024, max(1, window / 8)))
        if free < limit { notes.note(flags.maxTokensField.rawValue) }
        return min(limit, free)
    }

    private mutating func writeSampling() throws(GatewayError) {
        let settings = request.settings
        guard flags.sampling else {
            if settings.temperature != nil { try notes.drop("temperature") }
            if settings.topP != nil { try notes.drop("top_p") }
            if settings.topK != nil { try notes.drop("top_k") }
            if settings.presencePenalty != nil { try notes.drop("presence_penalty") }
            if settings.frequencyPenalty != nil { try notes.drop("frequency_penalty") }
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
        if let topK = settings.topK {
            if flags.topK {
                out.key("top_k")
                out.value(topK)
            } else {
                try notes.drop("top_k")
            }
        }
        if let penalty = settings.presencePenalty {
            out.key("presence_penalty")
            out.value(penalty)
        }
        if let penalty = settings.frequencyPenalty {
            out.key("frequency_penalty")
            out.value(penalty)
        }
        if let seed = settings.seed {
            out.key("seed")
            out.value(seed)
        }
    }

    private mutating func writeStops() {
        let stops = request.settings.stops
        guard !stops.isEmpty else { return }
        if let limit = flags.stopLimit, stops.count > limit {
            context.stops = stops
            return
        }
        out.key("stop")
        out.openArray()
        for stop in stops { out.value(stop) }
        out.closeArray()
    }

    // MARK: - Thinking

    private mutating func writeThinking(isForced: Bool) throws(GatewayError) {
        var wish = ThinkingWish(request.settings, default: target.defaults.effort)
        // A grammar that forces a call would never let the reasoning end.
        if isForced, !flags.forcedCallWithThinking, flags.thinkingControl != .none { wish = .off }
        switch (flags.thinkingControl, wish) {
        case (_, .unset), (_, .adaptive): break
        case (.none, .off): context.hidesReasoning = true
        case (.none, .effort): if request.settings.effort != nil { try notes.drop(request.effortName) }
        case (.none, .budget): try notes.drop("thinking")
        case (.effort, .off):
            if flags.effortNone {
                out.key("reasoning_effort")
                out.value("none")
            } else {
                context.hidesReasoning = true
            }
        case (.effort, .effort(let effort, _)): writeEffort(effort)
        case (.effort, .budget(let budget)): writeEffort(Effort(budget: budget))
        case (.enableThinking, .effort(_, isOn: false)): break
        case (.enableThinking, let wish):
            out.key("chat_template_kwargs")
            out.openObject()
            out.key("enable_thinking")
            out.value(wish != .off)
            out.closeObject()
        case (.budget, .effort(_, isOn: false)): break
        case (.budget, .off): writeBudget(0)
        case (.budget, .budget(let budget)): writeBudget(budget)
        case (.budget, .effort(let effort, _)): writeBudget(effort == .max ? -1 : effort.budget)
        }
    }

    private mutating func writeEffort(_ effort: Effort) {
        guard let known = effort.nearest(in: flags.efforts) else { return }
        out.key("reasoning_effort")
        out.value(known.rawValue)
    }

    private mutating func writeBudget(_ budget: Int) {
        out.key("thinking_budget_tokens")
        out.value(budget)
    }
}
