import MartletWire
import NIOCore

/// Writes the top level of a Chat Completions request; messages and tools have files of their own.
struct ChatRequestWriter: OpenAIRequestWriter {
    static let form = TypedForm.nested

    var draft: RequestDraft
    var out: JSONOut

    func refuse() throws(GatewayError) { try draft.refuseServers() }

    mutating func write() throws(GatewayError) {
        try draft.noteUnread()
        let choice = try draft.chooseFunctions()
        let format = try draft.chooseFormat(flags)
        let turns = Turns(request.items, late: flags.systemLate, hoistsEarly: true)
        let estimate = TokenEstimate.of(request, offered: draft.tools)
        draft.fillContext(estimate)
        draft.expectReasoning()
        draft.expectCalls()

        out.openObject()
        out.key("model")
        out.value(target.model)
        try writeMessages(turns)
        writeFunctions()
        write(choice)
        if let format {
            out.key("response_format")
            write(format)
        }
        if let limit = draft.limit(beside: estimate, noting: flags.maxTokensField.rawValue) {
            out.key(named: flags.maxTokensField.rawValue)
            out.value(limit)
        }
        try writeSampling()
        try writeThinking(isForced: choice?.isForced ?? false)
        write(stops: request.settings.stops, key: "stop")
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
    }

    // MARK: - Settings

    private mutating func writeSampling() throws(GatewayError) {
        guard flags.sampling else {
            return try draft.drop([
                .temperature, .topP, .topK, .minP, .repeatPenalty, .presencePenalty, .frequencyPenalty,
            ])
        }
        write([.temperature, .topP])
        try writeTopK()
        switch flags.localSampling {
        case .none: try draft.drop([.minP, .repeatPenalty])
        case .repeatPenalty: write([.minP, .repeatPenalty])
        case .repetitionPenalty:
            write([.minP])
            if let penalty = draft.value(of: .repeatPenalty) {
                out.key("repetition_penalty")
                out.value(penalty)
            }
        }
        write([.presencePenalty, .frequencyPenalty, .seed])
    }

    // MARK: - Thinking

    private mutating func writeThinking(isForced: Bool) throws(GatewayError) {
        switch (flags.thinkingControl, draft.thinkingWish(isForced: isForced)) {
        case (_, .unset), (_, .adaptive): break
        case (.none, let wish): try draft.drop(wish)
        case (.effort, .off):
            if flags.effortNone {
                out.key("reasoning_effort")
                out.value("none")
            } else {
                draft.context.hidesReasoning = true
            }
        case (.effort, let wish):
            if let effort = wish.effort(in: flags.efforts) {
                out.key("reasoning_effort")
                out.value(effort.rawValue)
            }
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

    private mutating func writeBudget(_ budget: Int) {
        out.key("thinking_budget_tokens")
        out.value(budget)
    }
}
