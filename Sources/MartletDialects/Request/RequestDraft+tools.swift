import MartletWire
import NIOCore

extension RequestDraft {
    /// Takes the tools the request offers, and names them and their calls as the upstream takes names. Those the
    /// API would run itself are noted.
    ///
    /// - Parameter calls: in the conversation, as far as they are written as calls.
    /// - Throws: `invalidRequest` where a call is demanded and there is nothing to call.
    mutating func offerTools(called calls: [ToolCall]) throws(GatewayError) {
        for tool in ToolOffer.tools(request.tools, request.items) {
            if case .server(let type) = tool.kind {
                notes.note("tools.\(type)")
            } else {
                tools.append(tool)
            }
        }
        guard !tools.isEmpty || !request.settings.demandsCall else {
            throw .refused("tool_choice", "it demands a call, and there is no tool to call")
        }
        context.toolNames = ToolNameMap(tools.map(\.name) + calls.map(\.name), maximum: flags.toolNameLength)
        for tool in tools {
            if case .custom = tool.kind { context.toolNames.wrap(tool.name) }
        }
    }

    /// Settles which tools are offered as functions, and how the choice among them is said; nil: not at all.
    mutating func chooseFunctions() throws(GatewayError) -> FunctionChoice? {
        try offerTools(called: request.items.compactMap(\.clientCall))
        for tool in tools {
            guard case .typed(let type) = tool.kind, TypedTools.form(type) == nil else { continue }
            throw .refused("tools", "\"\(type.prefix(64))\" is not supported by this model")
        }
        return tools.isEmpty ? nil : try choice()
    }

    private mutating func choice() throws(GatewayError) -> FunctionChoice? {
        switch (request.settings.toolChoice, flags.toolChoice) {
        case (nil, _), (.auto, _): return nil
        case (.never, .none):
            tools = []
            return nil
        case (.never, _): return .word("none")
        case (.required, .none):
            demand("Answer by calling one of the tools.")
            return nil
        case (.required, _): return .word("required")
        case (.tool(let name), let form):
            guard let tool = tools.first(where: { $0.name == name }) else {
                throw GatewayError(
                    code: .invalidRequest, message: "tool_choice.name: no tool is named \"\(name.prefix(128))\"",
                    param: "tool_choice")
            }
            let upstreamName = context.toolNames.upstream(name)
            if form == .full { return .function(upstreamName) }
            tools = [tool]
            if form == .strings { return .word("required") }
            demand("Answer by calling the tool \(upstreamName).")
            return nil
        }
    }

    private mutating func demand(_ sentence: String) { demands.append(EscapedText(escaping: sentence)) }
}

/// What OpenAI's `tool_choice` says, after what the upstream can take.
enum FunctionChoice {
    case word(String)
    case function(String)

    /// The model has to make a call.
    var isForced: Bool {
        switch self {
        case .word(let word): word == "required"
        case .function: true
        }
    }
}

extension Tool {
    /// What an upstream that knows functions only is told: what it is for, and the schema of its arguments.
    var asFunction: (description: EscapedText, schema: ByteBuffer?) {
        let said = description ?? EscapedText()
        switch kind {
        case .typed(let type):
            guard let form = TypedTools.form(type) else { return (said, schema) }
            return (said.isEmpty ? EscapedText(escaping: form.description) : said, form.schema.buffer)
        case .custom(let format): return (WrappedTool.description(said, format: format), WrappedTool.schema)
        case .function, .server: return (said, schema)
        }
    }
}

extension JSONOut {
    /// What a tool is for, and the schema of its arguments under the dialect's name for that.
    mutating func form(of tool: Tool, schemaKey: StaticString, _ profile: SchemaProfile) {
        let (description, schema) = tool.asFunction
        if !description.isEmpty {
            key("description")
            value(description)
        }
        key(schemaKey)
        value(json: SchemaFit.parameters(schema, profile))
    }
}

extension ToolCall {
    /// The arguments of a function's call, as the content of a string.
    var functionArguments: EscapedText {
        if kind == .custom, case .text(let input) = arguments {
            return EscapedText(escaping: String(buffer: WrappedTool.arguments(input)))
        }
        return arguments.escaped
    }

    /// What stands for a call the API has run itself: `[web_search {"query":"…"}]`.
    var trace: EscapedText {
        var trace = TextBuilder()
        trace.add("[\(name) ")
        trace.add(arguments.escaped)
        trace.add("]")
        return trace.text
    }
}
