import MartletWire
import NIOCore

/// Writes the top level of a Messages request; turns have a file of their own.
struct AnthropicRequestWriter: RequestWriter {
    var draft: RequestDraft
    var out: JSONOut

    func refuse() throws(GatewayError) { try draft.refuseAlternatives() }

    mutating func write() throws(GatewayError) {
        try draft.noteUnread()
        try draft.drop([.seed, .minP, .repeatPenalty])
        if request.settings.presencePenalty?.double ?? 0 != 0 { try draft.drop([.presencePenalty]) }
        if request.settings.frequencyPenalty?.double ?? 0 != 0 { try draft.drop([.frequencyPenalty]) }
        try draft.offerTools(called: request.items.compactMap(\.call))
        var turns = Turns(request.items, late: flags.systemLate == .keep ? .keep : .user, hoistsEarly: false)
        turns.askInUsersName()
        let thinking = try chooseThinking(turns)
        let format = try chooseFormat()
        draft.fillContext(TokenEstimate.of(request, offered: draft.tools))
        draft.expectCalls()

        out.openObject()
        out.key("model")
        out.value(target.model)
        out.key("max_tokens")
        out.value(thinking.maxTokens)
        writeSystem(turns.leading)
        try writeMessages(turns)
        writeTools()
        try writeChoice()
        // The API refuses stop strings of nothing but white space: the gateway looks for them itself.
        let stops = request.settings.stops
        write(stops: stops.filter { !$0.allSatisfy(\.isWhitespace) }, key: "stop_sequences")
        draft.context.stops += stops.filter { $0.allSatisfy(\.isWhitespace) }
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
        blocks += draft.demands.map { Part(.text($0)) }
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

    private mutating func writeTools() {
        guard !draft.tools.isEmpty else { return }
        out.key("tools")
        out.openArray()
        for tool in draft.tools {
            out.openObject()
            if case .typed(let type) = tool.kind {
                out.key("type")
                out.value(type)
            }
            out.key("name")
            out.value(draft.context.toolNames.upstream(tool.name))
            let strict = strict(tool)
            if !tool.isTyped {
                out.form(
                    of: tool, schemaKey: "input_schema",
                    strict == true ? .strictAnthropic : target.profile(of: tool))
            }
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
        draft.notes.note("tools.strict")
        return nil
    }

    private mutating func writeChoice() throws(GatewayError) {
        guard !draft.tools.isEmpty else { return }
        let isSingle = request.settings.parallelCalls == false
        var choice: (type: StaticString, name: String?)?
        switch request.settings.toolChoice {
        case nil: choice = isSingle ? ("auto", nil) : nil
        case .auto: choice = ("auto", nil)
        case .never: choice = ("none", nil)
        case .required: choice = ("any", nil)
        case .tool(let name):
            guard draft.tools.contains(where: { $0.name == name }) else {
                throw GatewayError(
                    code: .invalidRequest, message: "tool_choice: no tool is named \"\(name.prefix(128))\"",
                    param: "tool_choice")
            }
            choice = ("tool", draft.context.toolNames.upstream(name))
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

    /// The API takes no sampling beside thinking, and its newer version none at all.
    private mutating func writeSampling(isThinking: Bool) throws(GatewayError) {
        guard flags.sampling, !isThinking else { return try draft.drop([.temperature, .topP, .topK]) }
        writeTemperatureUpToOne()
        write([.topP])
        try writeTopK()
    }
}
