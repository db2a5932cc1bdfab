import MartletWire
import NIOCore

/// What is settled of a request before an upstream's dialect says it: which tools are offered and under which names,
/// what is asked for in words, what has no counterpart, and what the reply's reader must know.
struct RequestDraft {
    let request: CanonicalRequest
    let target: WriteTarget
    var notes: DropNotes
    var context = ReplyContext()
    /// What the model is offered, tools of the API's own left out.
    var tools: [Tool] = []
    /// Sentences of our own at the end of the system text.
    var demands: [EscapedText] = []

    var flags: Capabilities { target.capabilities }

    init(_ request: CanonicalRequest, _ target: WriteTarget) {
        self.request = request
        self.target = target
        notes = DropNotes(isStrict: target.isStrict)
    }

    // MARK: - What cannot be said

    func refuseAlternatives() throws(GatewayError) {
        if request.settings.choices != 1 { throw .refused("n", "this model gives one choice at a time") }
        if request.settings.wantsAudio { throw .refused("modalities", "this model does not speak") }
    }

    func refuseServers() throws(GatewayError) {
        let why = "this gateway does not run MCP servers for this model"
        if let servers = request.raw["mcp_servers"], servers.rawKind == .array, servers.readableBytes > 2 {
            throw .refused("mcp_servers", why)
        }
        // It names one of those servers, so without them the API refuses it as well.
        if request.tools.tools.contains(where: { $0.kind == .server("mcp_toolset") }) {
            throw .refused("tools", why)
        }
    }

    /// Members that have no canonical form, and items that only their own dialect knows.
    ///
    /// - Parameter taken: members that the upstream's dialect has as they stand.
    mutating func noteUnread(but taken: [String] = []) throws(GatewayError) {
        for name in request.unread { try notes.drop(name) }
        for name in request.raw.wishes where !taken.contains(name) { try notes.drop(name) }
        if request.settings.hasUnknownEffort { try notes.drop(request.effortName) }
        for case .opaque(let dialect, let name) in request.items {
            notes.note(dialect == .responses ? "input.\(name)" : name)
        }
    }

    // MARK: - Settings

    /// As the client said it, else as configured.
    func value(of setting: SamplingSetting) -> JSONNumber? {
        if let value = request.settings[setting] { return value }
        switch setting {
        case .temperature: return target.defaults.temperature.map(JSONNumber.init)
        case .topP: return target.defaults.topP.map(JSONNumber.init)
        case .topK, .presencePenalty, .frequencyPenalty, .seed, .minP, .repeatPenalty: return nil
        }
    }

    /// Those of them that the client set.
    mutating func drop(_ settings: [SamplingSetting]) throws(GatewayError) {
        for setting in settings where request.settings[setting] != nil { try notes.drop(setting.rawValue) }
    }

    /// Tokens the reply may have; nil: the upstream's own affair. Agents ask for 32 000 and more; a server that
    /// reserves them, or refuses, is asked for what is free.
    ///
    /// - Parameters:
    ///   - estimate: tokens of the prompt.
    ///   - name: noted where that is less than was asked for.
    mutating func limit(beside estimate: Int, noting name: String? = nil) -> Int? {
        guard let limit = request.settings.maxTokens ?? target.defaults.maxTokens else { return nil }
        guard let free = target.room(beside: estimate) else { return limit }
        if free < limit, let name { notes.note(name) }
        return min(limit, free)
    }

    /// What is said before the conversation, as one text; nil when that is nothing.
    func systemText(_ leading: [[Part]]) -> EscapedText? {
        let texts = leading.flatMap { $0.compactMap(\.text) }.filter { !$0.isEmpty && !$0.isBilling } + demands
        return texts.isEmpty ? nil : TextBuilder.paragraphs(texts)
    }

    // MARK: - Thinking

    func thinkingWish(isForced: Bool) -> ThinkingWish {
        // A grammar that forces a call would never let the reasoning end.
        if isForced, !flags.forcedCallWithThinking, flags.thinkingControl != .none { return .off }
        return ThinkingWish(request.settings, default: target.defaults.effort)
    }

    /// The upstream has no switch for it.
    mutating func drop(_ wish: ThinkingWish) throws(GatewayError) {
        switch wish {
        case .off: context.hidesReasoning = true
        case .effort: if request.settings.effort != nil { try notes.drop(request.effortName) }
        case .budget: try notes.drop("thinking")
        case .unset, .adaptive: break
        }
    }

    // MARK: - The form of the answer

    /// What the upstream is told; where it cannot be, the system text says it.
    ///
    /// - Parameter flags: as far as they hold for this form.
    mutating func chooseFormat(_ flags: Capabilities) throws(GatewayError) -> FormatChoice? {
        let choice = FormatChoice(request.settings.format, flags, hasTools: !tools.isEmpty)
        guard case .words(let form) = choice else { return choice }
        demands.append(form.demand)
        context.answerForm = try notes.checked(form, for: request)
        return nil
    }

    // MARK: - What the reply's reader must know

    /// - Parameter estimate: tokens of the prompt.
    mutating func fillContext(_ estimate: Int) {
        context.inputEstimate = estimate
        context.contextWindow = target.contextWindow
        context.clientStops = request.settings.stops
        context.includesUsage = request.settings.includesUsage
        context.hidesReasoning = context.hidesReasoning || request.settings.hidesReasoning
        context.wantsJSON = request.settings.format != nil
        for case .toolCall(let call) in request.items { context.callIDs.insert(call.id) }
    }

    /// How the upstream's reasoning comes.
    mutating func expectReasoning() { context.expectReasoning(flags) }

    /// Calls may come as text, or garbled.
    mutating func expectCalls() {
        guard flags.textCalls || flags.garblesArguments else { return }
        context.tools = OfferedTools(tools, context.toolNames, choice: request.settings.toolChoice)
        context.findsCalls = flags.textCalls
        context.mendsArguments = flags.garblesArguments
    }
}

/// A number that says how a reply's words are drawn, by the name all dialects have for it.
enum SamplingSetting: String {
    case temperature, seed
    case topP = "top_p"
    case topK = "top_k"
    case presencePenalty = "presence_penalty"
    case frequencyPenalty = "frequency_penalty"
    case minP = "min_p"
    case repeatPenalty = "repeat_penalty"
}

extension Settings {
    subscript(setting: SamplingSetting) -> JSONNumber? {
        switch setting {
        case .temperature: temperature
        case .topP: topP
        case .topK: topK
        case .presencePenalty: presencePenalty
        case .frequencyPenalty: frequencyPenalty
        case .seed: seed
        case .minP: minP
        case .repeatPenalty: repeatPenalty
        }
    }
}

extension GatewayError {
    /// - Parameter name: the member that is not taken.
    static func refused(_ name: String, _ why: String) -> GatewayError {
        GatewayError(code: .invalidRequest, message: "\(name): \(why)", param: name)
    }

    /// A conversation of which nothing is left to send.
    static var nothingSaid: GatewayError {
        refused("messages", "at least one message that says something is required")
    }

    static var noPrefill: GatewayError {
        refused("messages", "the last message is the assistant's, and this model does not support prefill")
    }
}
