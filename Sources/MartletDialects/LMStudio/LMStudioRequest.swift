import MartletWire
import NIOCore

/// A request of LM Studio's own API (https://lmstudio.ai/docs/developer/rest/chat).
package enum LMStudioRequest {
    /// Writes a request of another dialect. Deterministic; nothing is kept at the upstream.
    ///
    /// - Throws: `invalidRequest` for what must be honoured and cannot be: tools of the client and earlier turns of the
    ///   assistant above all; in strict mode for what else is lost, too.
    package static func write(
        _ request: CanonicalRequest, for target: WriteTarget
    ) throws(GatewayError) -> TranslatedRequest {
        var target = target
        target.capabilities = target.capabilities.inLMStudioAPI
        return try LMStudioRequestWriter.write(request, for: target)
    }
}

package extension Capabilities {
    /// These, as far as LM Studio's own API has a place for them: it takes no tools, no schemas, no stop strings.
    var inLMStudioAPI: Capabilities {
        var flags = self
        flags.toolChoice = .none
        flags.images = images == .none ? .none : .data
        flags.files = false
        flags.audio = false
        flags.jsonSchema = .none
        flags.jsonObject = .none
        flags.stopLimit = 0
        flags.seed = false
        flags.textCalls = false
        flags.garblesArguments = false
        flags.promptProgress = false
        return flags
    }
}

/// Writes a request field by field: the API refuses every key it does not know.
struct LMStudioRequestWriter: RequestWriter {
    var draft: RequestDraft
    var out: JSONOut

    mutating func write() throws(GatewayError) {
        try chooseTools()
        try draft.noteUnread(but: Self.extras.filter { number($0) != nil })
        _ = try draft.chooseFormat(flags)  // asks for it in words
        var turns = Turns(request.items, late: .merge, hoistsEarly: true)
        try refuse(turns)
        turns.askInUsersName()
        let estimate = TokenEstimate.of(request, offered: [])
        draft.fillContext(estimate)
        draft.expectReasoning()
        draft.context.stops = request.settings.stops

        out.openObject()
        out.key("model")
        out.value(target.model)
        if let text = draft.systemText(turns.leading) {
            out.key("system_prompt")
            out.value(text)
        }
        writeInput(turns)
        try writeSampling()
        if let limit = draft.limit(beside: estimate, noting: flags.maxTokensField.rawValue) {
            draft.context.outputLimit = limit
            out.key("max_output_tokens")
            out.value(limit)
        }
        try writeReasoning()
        if request.origin.dialect == .lmstudio, let length = request.raw["context_length"] {
            out.key("context_length")
            out.value(json: length)
        }
        out.key("store")
        out.value(false)
        if target.streams {
            out.key("stream")
            out.value(true)
        }
        out.closeObject()
    }

    // MARK: - What it cannot say

    private func refused(_ name: String, lacks what: String) -> GatewayError {
        .refused(name, "LM Studio's own API takes no \(what); set this upstream's dialect to chat, which does")
    }

    func refuse() throws(GatewayError) {
        try draft.refuseAlternatives()
        try draft.refuseServers()
    }

    /// Tools that must not be called need not be shown either.
    private mutating func chooseTools() throws(GatewayError) {
        let hasTools = !ToolOffer.tools(request.tools, request.items).allSatisfy(\.isServer)
        if hasTools, request.settings.toolChoice != .never { throw refused("tools", lacks: "tools of a client") }
        _ = try draft.chooseFunctions()
        if hasTools { draft.notes.note("tools") }
    }

    private func refuse(_ turns: Turns) throws(GatewayError) {
        for case .assistant in turns.turns {
            let name = [.responses, .lmstudio].contains(request.origin.dialect) ? "input" : "messages"
            throw refused(name, lacks: "earlier turns of the assistant")
        }
    }

    // MARK: - The prompt

    private mutating func writeInput(_ turns: Turns) {
        var parts: [UpstreamPart] = []
        for case .gap(let gap) in turns.turns {
            for case .user(let given) in gap.pieces { parts += given.flatMap { rendered($0) } }
        }
        parts.removeAll(where: \.isEmpty)
        out.key("input")
        if parts.count <= 1, let text = parts.isEmpty ? EscapedText() : parts[0].text { return out.value(text) }
        out.openArray()
        for part in parts { write(part) }
        out.closeArray()
    }

    private mutating func write(_ part: UpstreamPart) {
        out.openObject()
        out.key("type")
        switch part {
        case .text(let text):
            out.value("text")
            out.key("content")
            out.value(text)
        case .image(let image):
            if let detail = image.detail, detail != "auto" { draft.notes.note("image_url.detail") }
            out.value("image")
            out.key("data_url")
            out.value(address: image.source)
        case .file, .audio:  // words stand in their place: the capabilities have neither
            out.value("text")
            out.key("content")
            out.value("[attachment omitted]")
        }
        out.closeObject()
    }

    // MARK: - Settings

    private mutating func writeSampling() throws(GatewayError) {
        try draft.drop([.seed, .presencePenalty, .frequencyPenalty])
        if writeTemperatureUpToOne() { try draft.notes.drop("temperature") }
        write([.topP, .topK, .minP, .repeatPenalty])
        if let least = number("min_p") {
            out.key("min_p")
            out.value(json: least)
        }
        if let penalty = number("repeat_penalty") ?? number("repetition_penalty") {
            out.key("repeat_penalty")
            out.value(json: penalty)
        }
    }

    /// Members of local servers' that this API has; the last is another word for the one before.
    private static let extras = ["min_p", "repeat_penalty", "repetition_penalty"]

    /// A member that local servers know beside their API's own.
    private func number(_ name: String) -> ByteBuffer? {
        request.raw[name].flatMap { $0.rawKind == .number ? $0 : nil }
    }

    /// The API refuses a word that the model has no switch for: `thinking_control` says which it has.
    private mutating func writeReasoning() throws(GatewayError) {
        // A client of this API says it in the model's own words.
        if request.origin.dialect == .lmstudio, let word = request.raw["reasoning"] {
            out.key("reasoning")
            return out.value(json: word)
        }
        let wish = draft.thinkingWish(isForced: false)
        let word: String?
        switch (flags.thinkingControl, wish) {
        case (_, .unset), (_, .adaptive): word = nil
        case (.none, .off): word = nil
        case (.none, .effort):
            if request.settings.effort != nil { try draft.notes.drop("reasoning.effort") }
            word = nil
        case (.none, .budget):
            try draft.notes.drop("thinking")
            word = nil
        case (_, .off): word = flags.effortNone ? "off" : nil
        case (.enableThinking, .effort(_, isOn: false)): word = nil
        case (.enableThinking, _): word = "on"
        case (.effort, _), (.budget, _): word = wish.effort(in: flags.efforts)?.rawValue
        }
        if let word {
            out.key("reasoning")
            out.value(word)
        } else if wish == .off {
            draft.context.hidesReasoning = true
        }
    }
}
