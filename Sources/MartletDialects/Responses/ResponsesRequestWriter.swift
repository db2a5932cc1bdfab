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
        try draft.noteUnread(but: Self.shared + ["verbosity"])
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
        writeText(format)
        if let limit = draft.limit(beside: estimate) {
            out.key("max_output_tokens")
            out.value(max(limit, Self.leastLimit))
        }
        try writeSampling()
        try writeThinking(isForced: choice?.isForced ?? false)
        writeShared()
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

    private mutating func writeText(_ format: FormatChoice?) {
        let verbosity = given("verbosity")
        guard format != nil || verbosity != nil else { return }
        out.key("text")
        out.openObject()
        if let format {
            out.key("format")
            write(format)
        }
        if let verbosity {
            out.key("verbosity")
            out.value(json: verbosity)
        }
        out.closeObject()
    }

    /// Members that Chat has under the same names.
    private static let shared = ["service_tier", "metadata", "prompt_cache_key", "prompt_cache_retention"]

    /// Bytes; the API's own bound.
    private static let longestIdentifier = 64

    private mutating func writeShared() {
        for name in Self.shared {
            guard let value = given(name) else { continue }
            out.key(named: name)
            out.value(json: value)
        }
        guard request.origin.dialect == .chat, let user = request.settings.user, !user.isEmpty,
            user.bytes.readableBytes <= Self.longestIdentifier
        else { return }
        out.key("safety_identifier")
        out.value(user)
    }

    /// A Chat client's member as it stands; nil when it is absent or null.
    private func given(_ name: String) -> ByteBuffer? {
        guard request.origin.dialect == .chat, let value = request.raw[name], value.rawKind != .null else { return nil }
        return value
    }

    private mutating func writeSampling() throws(GatewayError) {
        try draft.drop([.topK, .minP, .repeatPenalty])
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
