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
        var writer = LMStudioRequestWriter(request, target)
        return try writer.write()
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
struct LMStudioRequestWriter {
    /// Decides about parts, limits and demands, which are Chat's; writes nothing.
    private var chat: ChatRequestWriter
    private var out: JSONOut

    private var request: CanonicalRequest { chat.request }
    private var flags: Capabilities { chat.flags }

    init(_ request: CanonicalRequest, _ target: WriteTarget) {
        var target = target
        target.capabilities = target.capabilities.inLMStudioAPI
        chat = ChatRequestWriter(request, target)
        out = JSONOut(capacity: request.origin.bytes + 4096)
    }

    mutating func write() throws(GatewayError) -> TranslatedRequest {
        try refuse()
        if let answer = request.localAnswer {
            return TranslatedRequest(body: ByteBuffer(), dropped: [], context: chat.context, answer: answer)
        }
        try chooseTools()
        for name in request.unread { try chat.notes.drop(name) }
        chat.notes.note(opaqueIn: request.items)
        _ = try chat.chooseFormat()  // asks for it in words
        var turns = Turns(request.items, late: .merge, hoistsEarly: true)
        var leading = turns.leading
        try refuse(turns)
        // The API wants some input: a request of nothing but instructions is asked in the user's name.
        if turns.turns.isEmpty, let last = leading.popLast() {
            turns = Turns([.message(.user, last)], late: .merge, hoistsEarly: false)
        }
        let estimate = TokenEstimate.of(request, offered: [])
        chat.fillContext(estimate)
        chat.context.stops = request.settings.stops

        out.openObject()
        out.key("model")
        out.value(chat.target.model)
        writeSystem(leading)
        writeInput(turns)
        try writeSampling()
        if let limit = chat.limit(estimate) {
            chat.context.outputLimit = limit
            out.key("max_output_tokens")
            out.value(limit)
        }
        try writeReasoning()
        out.key("store")
        out.value(false)
        if chat.target.streams {
            out.key("stream")
            out.value(true)
        }
        out.closeObject()
        return TranslatedRequest(body: out.bytes, dropped: chat.notes.names, context: chat.context)
    }

    // MARK: - What it cannot say

    private func refused(_ name: String, _ why: String) -> GatewayError {
        GatewayError(code: .invalidRequest, message: "\(name): \(why)", param: name)
    }

    private func refused(_ name: String, lacks what: String) -> GatewayError {
        refused(name, "LM Studio's own API takes no \(what); set this upstream's dialect to chat, which does")
    }

    private func refuse() throws(GatewayError) {
        if request.settings.choices != 1 { throw refused("n", "this model gives one choice at a time") }
        if request.settings.wantsAudio { throw refused("modalities", "this model does not speak") }
        if let servers = request.raw["mcp_servers"], servers.rawKind == .array, servers.readableBytes > 2 {
            throw refused("mcp_servers", "this gateway does not run MCP servers for this model")
        }
    }

    /// Tools that must not be called need not be shown either.
    private mutating func chooseTools() throws(GatewayError) {
        let hasTools = !ToolOffer.tools(request.tools, request.items).allSatisfy(\.isServer)
        if hasTools, request.settings.toolChoice != .never { throw refused("tools", lacks: "tools of a client") }
        _ = try chat.chooseTools()
        if hasTools { chat.notes.note("tools") }
    }

    private func refuse(_ turns: Turns) throws(GatewayError) {
        for case .assistant in turns.turns {
            let name = request.origin.dialect == .responses ? "input" : "messages"
            throw refused(name, lacks: "earlier turns of the assistant")
        }
    }

    // MARK: - The prompt

    private mutating func writeSystem(_ leading: [[Part]]) {
        let texts = leading.flatMap { $0.compactMap(\.text) }.filter { !$0.isEmpty && !$0.isBilling } + chat.demands
        guard !texts.isEmpty else { return }
        out.key("system_prompt")
        out.value(TextBuilder.paragraphs(texts))
    }

    private mutating func writeInput(_ turns: Turns) {
        var parts: [ChatPart] = []
        for case .gap(let gap) in turns.turns {
            for case .user(let given) in gap.pieces { parts += given.flatMap { chat.rendered($0) } }
        }
        parts.removeAll(where: \.isEmpty)
        out.key("input")
        if parts.count <= 1, let text = parts.isEmpty ? EscapedText() : parts[0].text { return out.value(text) }
        out.openArray()
        for part in parts { write(part) }
        out.closeArray()
    }

    private mutating func write(_ part: ChatPart) {
        out.openObject()
        out.key("type")
        switch part {
        case .text(let text):
            out.value("text")
            out.key("content")
            out.value(text)
        case .image(let source):
            out.value("image")
            out.key("data_url")
            out.value(address: source)
        case .file, .audio:  // words stand in their place: the capabilities have neither
            out.value("text")
            out.key("content")
            out.value("[attachment omitted]")
        }
        out.closeObject()
    }

    // MARK: - Settings

    private mutating func writeSampling() throws(GatewayError) {
        let settings = request.settings
        if settings.seed != nil { try chat.notes.drop("seed") }
        if settings.presencePenalty != nil { try chat.notes.drop("presence_penalty") }
        if settings.frequencyPenalty != nil { try chat.notes.drop("frequency_penalty") }
        for name in ["ttl", "draft_model"] where request.raw[name] != nil { try chat.notes.drop(name) }
        let defaults = chat.target.defaults
        if let temperature = settings.temperature ?? defaults.temperature.map(JSONNumber.init) {
            out.key("temperature")
            if let value = temperature.double, value > 1 {
                try chat.notes.drop("temperature")
                out.value(1)
            } else {
                out.value(temperature)
            }
        }
        if let topP = settings.topP ?? defaults.topP.map(JSONNumber.init) {
            out.key("top_p")
            out.value(topP)
        }
        if let topK = settings.topK {
            out.key("top_k")
            out.value(topK)
        }
        if let least = number("min_p") {
            out.key("min_p")
            out.value(json: least)
        }
        if let penalty = number("repeat_penalty") {
            out.key("repeat_penalty")
            out.value(json: penalty)
        }
    }

    /// A member that local servers know beside their API's own.
    private func number(_ name: String) -> ByteBuffer? {
        request.raw[name].flatMap { $0.rawKind == .number ? $0 : nil }
    }

    /// The API refuses a word that the model has no switch for: `thinking_control` says which it has.
    private mutating func writeReasoning() throws(GatewayError) {
        let word: String?
        switch (flags.thinkingControl, ThinkingWish(request.settings, default: chat.target.defaults.effort)) {
        case (_, .unset), (_, .adaptive): word = nil
        case (.none, .off): word = nil
        case (.none, .effort):
            if request.settings.effort != nil { try chat.notes.drop("reasoning.effort") }
            word = nil
        case (.none, .budget):
            try chat.notes.drop("thinking")
            word = nil
        case (_, .off): word = flags.effortNone ? "off" : nil
        case (.enableThinking, .effort(_, isOn: false)): word = nil
        case (.enableThinking, _): word = "on"
        case (_, .effort(let effort, _)): word = effort.nearest(in: flags.efforts)?.rawValue
        case (_, .budget(let budget)): word = Effort(budget: budget).nearest(in: flags.efforts)?.rawValue
        }
        if let word {
            out.key("reasoning")
            out.value(word)
        } else if ThinkingWish(request.settings, default: nil) == .off {
            chat.context.hidesReasoning = true
        }
    }
}
