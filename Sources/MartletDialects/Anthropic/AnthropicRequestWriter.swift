import MartletWire
import NIOCore

/// Writes the top level of a Messages request; turns have a file of their own.
struct AnthropicRequestWriter {
    let request: CanonicalRequest
    let target: WriteTarget
    var notes: DropNotes
    var out: JSONOut
    var context = ReplyContext()
    /// What the model is offered.
    var tools: [Tool] = []
    /// Sentences of our own behind the system text.
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
        if request.settings.seed != nil { try notes.drop("seed") }
        if request.settings.presencePenalty?.double ?? 0 != 0 { try notes.drop("presence_penalty") }
        if request.settings.frequencyPenalty?.double ?? 0 != 0 { try notes.drop("frequency_penalty") }
        chooseTools()
        var turns = Turns(request.items, late: flags.systemLate == .keep ? .keep : .user, hoistsEarly: false)
        // The API wants at least one message: a request of nothing but instructions is asked in the user's name.
        var leading = turns.leading
        if turns.turns.isEmpty, let last = leading.popLast() {
            turns = Turns([.message(.user, last)], late: .user, hoistsEarly: false)
        }
        let thinking = try chooseThinking(turns)
        let format = try chooseFormat()
        fillContext()

        out.openObject()
        out.key("model")
        out.value(target.model)
        out.key("max_tokens")
        out.value(thinking.maxTokens)
        writeSystem(leading)
        try writeMessages(turns)
        writeTools()
        try writeChoice()
        writeStops()
        try writeSampling(isThinking: thinking.budget != nil || thinking.effort != nil)
        writeThinking(thinking)
        writeConfig(thinking, format)
        if let user = request.settings.user, !user.isEmpty, user.bytes.readableBytes <= 256 {
            out.key("metadata")
            out.openObject()
            out.key("user_id")
            out.value(user)
            out.closeObject()
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
    }

    private mutating func fillContext() {
        context.inputEstimate = TokenEstimate.of(request, offered: tools)
        context.contextWindow = target.contextWindow
        context.clientStops = request.settings.stops
        context.includesUsage = request.settings.includesUsage
        context.hidesReasoning = context.hidesReasoning || request.settings.hidesReasoning
        context.wantsJSON = request.settings.format != nil
        if flags.textCalls || flags.garblesArguments {
            context.tools = OfferedTools(tools, context.toolNames, choice: request.settings.toolChoice)
            context.findsCalls = flags.textCalls
            context.mendsArguments = flags.garblesArguments
        }
        for case .toolCall(let call) in request.items { context.callIDs.insert(call.id) }
    }

    // MARK: - System text

    private mutating func writeSystem(_ leading: [[Part]]) {
        var blocks: [Part] = []
        for parts in leading {
            if parts.contains(where: { $0.cacheControl != nil }) {
                blocks += parts
            } else {
                blocks.append(Part(.text(TextBuilder.paragraphs(parts.compactMap(\.text)))))
            }
        }
        blocks += demands.map { Part(.text($0)) }
        blocks.removeAll { $0.text?.isEmpty ?? true }
        guard !blocks.isEmpty else { return }
        out.key("system")
        out.openArray()
        for block in blocks {
            if let text = block.text { write(text: text, cacheControl: block.cacheControl) }
        }
        out.closeArray()
    }

    // MARK: - Tools

    private mutating func chooseTools() {
        for tool in ToolOffer.tools(request.tools, request.items) {
            if case .server(let type) = tool.kind {
                notes.note("tools.\(type)")
            } else {
                tools.append(tool)
            }
        }
        var names = tools.map(\.name)
        for case .toolCall(let call) in request.items { names.append(call.name) }
        context.toolNames = ToolNameMap(names, maximum: flags.toolNameLength)
        for tool in tools {
            if case .custom = tool.kind { context.toolNames.wrap(tool.name) }
        }
    }

    private mutating func writeTools() {
        guard !tools.isEmpty else { return }
        out.key("tools")
        out.openArray()
        for tool in tools {
            out.openObject()
            if case .typed(let type) = tool.kind {
                out.key("type")
                out.value(type)
            }
            out.key("name")
            out.value(context.toolNames.upstream(tool.name))
            let strict = strict(tool)
            writeForm(of: tool, isStrict: strict == true)
            if let strict {
                out.key("strict")
                out.value(strict)
            }
            write(cacheControl: tool.cacheControl)
            out.closeObject()
        }
        out.closeArray()
    }

    /// What is said of it. The API wants all objects of a strict tool closed, which not every schema bears.
    private mutating func strict(_ tool: Tool) -> Bool? {
        guard flags.strictTools, tool.strict == true, let schema = tool.schema, !SchemaFit.canBeClosed(schema) else {
            return flags.strictTools ? tool.strict : nil
        }
        notes.note("tools.strict")
        return nil
    }

    private mutating func writeForm(of tool: Tool, isStrict: Bool) {
        var description = tool.description ?? EscapedText()
        var schema = tool.schema
        switch tool.kind {
        case .typed: return
        case .custom(let format):
            schema = WrappedTool.schema
            description = WrappedTool.description(description, format: format)
        case .function, .server: break
        }
        if !description.isEmpty {
            out.key("description")
            out.value(description)
        }
        out.key("input_schema")
        out.value(json: SchemaFit.parameters(schema, isStrict ? .strictAnthropic : target.profile(of: tool)))
    }

    private mutating func writeChoice() throws(GatewayError) {
        guard !tools.isEmpty else { return }
        let isSingle = request.settings.parallelCalls == false
        var choice: (type: StaticString, name: String?)?
        switch request.settings.toolChoice {
        case nil: choice = isSingle ? ("auto", nil) : nil
        case .auto: choice = ("auto", nil)
        case .never: choice = ("none", nil)
        case .required: choice = ("any", nil)
        case .tool(let name):
            guard tools.contains(where: { $0.name == name }) else {
                throw GatewayError(
                    code: .invalidRequest, message: "tool_choice: no tool is named \"\(name.prefix(128))\"",
                    param: "tool_choice")
            }
            choice = ("tool", context.toolNames.upstream(name))
        }
        guard let choice else { return }
        out.key("tool_choice")
        out.openObject()
        out.key("type")
        out.value("\(choice.type)")
        if let name = choice.name {
            out.key("name")
            out.value(name)
        }
        if isSingle, request.settings.toolChoice != .never {
            out.key("disable_parallel_tool_use")
            out.value(true)
        }
        out.closeObject()
    }

    // MARK: - Settings

    /// The API refuses stop strings of nothing but white space.
    private mutating func writeStops() {
        let stops = request.settings.stops.filter { !$0.allSatisfy(\.isWhitespace) }
        guard !stops.isEmpty else { return }
        if let limit = flags.stopLimit, stops.count > limit {
            context.stops = stops
            return
        }
        out.key("stop_sequences")
        out.openArray()
        for stop in stops { out.value(stop) }
        out.closeArray()
    }

    /// The API takes no sampling beside thinking, and its newer version none at all.
    private mutating func writeSampling(isThinking: Bool) throws(GatewayError) {
        let settings = request.settings
        guard flags.sampling, !isThinking else {
            if settings.temperature != nil { try notes.drop("temperature") }
            if settings.topP != nil { try notes.drop("top_p") }
            if settings.topK != nil { try notes.drop("top_k") }
            return
        }
        if let temperature = settings.temperature ?? target.defaults.temperature.map(JSONNumber.init) {
            out.key("temperature")
            if let value = temperature.double, value > 1 {
                out.value(1)
            } else {
                out.value(temperature)
            }
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
    }
}
