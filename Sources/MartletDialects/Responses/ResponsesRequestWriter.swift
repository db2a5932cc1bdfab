import MartletWire
import NIOCore

/// Writes the top level of a Responses request; items and tools have files of their own.
struct ResponsesRequestWriter: OpenAIRequestWriter {
    static let form = TypedForm.flat

    var draft: RequestDraft
    var out: JSONOut

    /// Reasoning comes and goes sealed. The API refuses to be asked for that where a model has no reasoning.
    var sealsReasoning: Bool { flags.sealedReasoning && flags.thinkingControl != .none }

    /// Tokens; the API's own bound.
    private static let leastLimit = 16

    func refuse() throws(GatewayError) {
        try draft.refuseAlternatives()
        try draft.refuseServers()
    }

    mutating func write() throws(GatewayError) {
        try draft.noteUnread()
        try draft.drop([.seed])
        let choice = try draft.chooseFunctions()
        let format = try draft.chooseFormat(flags)
        var turns = Turns(request.items, late: flags.systemLate, hoistsEarly: true)
        turns.askInUsersName()
        let estimate = TokenEstimate.of(request, offered: draft.tools)
        draft.fillContext(estimate)
        draft.expectReasoning()
        // The API knows no stop strings: the gateway looks for them itself.
        draft.context.stops = request.settings.stops

        out.openObject()
        out.key("model")
        out.value(target.model)
        if let text = draft.systemText(turns.leading) {
            out.key("instructions")
            out.value(text)
        }
        try writeInput(turns)
        writeFunctions()
        write(choice)
        if let format {
            out.key("text")
            out.openObject()
            out.key("format")
            write(format)
            out.closeObject()
        }
        if let limit = draft.limit(beside: estimate) {
            out.key("max_output_tokens")
            out.value(max(limit, Self.leastLimit))
        }
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
    }

    private mutating func writeSampling() throws(GatewayError) {
        try draft.drop([.topK])
        guard flags.sampling else { return try draft.drop([.temperature, .topP]) }
        write([.temperature, .topP, .presencePenalty, .frequencyPenalty])
    }

    private mutating func writeThinking(isForced: Bool) throws(GatewayError) {
        let wish = draft.thinkingWish(isForced: isForced)
        guard flags.thinkingControl == .effort else { return try draft.drop(wish) }
        var effort = wish.effort(in: flags.efforts)?.rawValue
        if wish == .off {
            if flags.effortNone { effort = "none" } else { draft.context.hidesReasoning = true }
        }
        let showsSummary = flags.reasoningSummary && wish != .off && wish != .unset && !draft.context.hidesReasoning
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
