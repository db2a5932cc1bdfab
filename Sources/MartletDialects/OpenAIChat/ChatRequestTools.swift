import MartletWire
import NIOCore

/// What `tool_choice` says, after what the upstream can take.
enum ChatToolChoice {
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

extension ChatRequestWriter {
    /// Settles which tools are offered, under which names, and how the choice among them is said.
    mutating func chooseTools() throws(GatewayError) -> ChatToolChoice? {
        var offered: [Tool] = []
        for tool in ToolOffer.tools(request.tools, request.items) {
            switch tool.kind {
            case .server(let type): notes.note("tools.\(type)")
            case .typed(let type) where TypedTools.form(type) == nil:
                throw GatewayError(
                    code: .invalidRequest, message: "tools: \"\(type.prefix(64))\" is not supported by this model",
                    param: "tools")
            case .function, .custom, .typed: offered.append(tool)
            }
        }
        tools = offered
        var names = offered.map(\.name)
        for case .toolCall(let call) in request.items where call.kind != .server { names.append(call.name) }
        context.toolNames = ToolNameMap(names, maximum: flags.toolNameLength)
        for tool in offered {
            if case .custom = tool.kind { context.toolNames.wrap(tool.name) }
        }
        guard !tools.isEmpty else { return nil }
        return try choice()
    }

    private mutating func choice() throws(GatewayError) -> ChatToolChoice? {
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
            switch form {
            case .full: return .function(upstreamName)
            case .strings:
                tools = [tool]
                return .word("required")
            case .none:
                tools = [tool]
                demand("Answer by calling the tool \(upstreamName).")
                return nil
            }
        }
    }

    mutating func demand(_ sentence: String) { demands.append(EscapedText(escaping: sentence)) }

    mutating func writeTools() throws(GatewayError) {
        guard !tools.isEmpty else { return }
        out.key("tools")
        out.openArray()
        for tool in tools {
            out.openObject()
            out.key("type")
            out.value("function")
            out.key("function")
            out.openObject()
            out.key("name")
            out.value(context.toolNames.upstream(tool.name))
            writeForm(of: tool)
            if let strict = tool.strict, flags.strictTools {
                out.key("strict")
                out.value(strict)
            }
            out.closeObject()
            out.closeObject()
        }
        out.closeArray()
    }

    private mutating func writeForm(of tool: Tool) {
        var description = tool.description ?? EscapedText()
        var schema = tool.schema
        switch tool.kind {
        case .typed(let type):
            guard let form = TypedTools.form(type) else { break }
            if description.isEmpty { description = EscapedText(escaping: form.description) }
            schema = form.schema.buffer
        case .custom(let format):
            schema = WrappedTool.schema
            description = WrappedTool.description(description, format: format)
        case .function, .server: break
        }
        if !description.isEmpty {
            out.key("description")
            out.value(description)
        }
        out.key("parameters")
        out.value(json: SchemaFit.parameters(schema, target.profile(of: tool)))
    }

    mutating func writeChoice(_ choice: ChatToolChoice?) {
        guard !tools.isEmpty else { return }
        switch choice {
        case .word(let word):
            out.key("tool_choice")
            out.value(word)
        case .function(let name):
            out.key("tool_choice")
            out.openObject()
            out.key("type")
            out.value("function")
            out.key("function")
            out.openObject()
            out.key("name")
            out.value(name)
            out.closeObject()
            out.closeObject()
        case nil: break
        }
        if request.settings.parallelCalls == false {
            if flags.parallelToolCalls {
                out.key("parallel_tool_calls")
                out.value(false)
            } else {
                context.keepsFirstCallOnly = target.isStrict
            }
        } else if flags.parallelIsOffByDefault {
            out.key("parallel_tool_calls")
            out.value(true)
        }
    }

    // MARK: - Structured output

    /// What `response_format` says; where the upstream cannot be told, the system text says it.
    mutating func chooseFormat() throws(GatewayError) -> FormatChoice? {
        let choice = FormatChoice(request.settings.format, flags, hasTools: !tools.isEmpty)
        guard case .words(let form) = choice else { return choice }
        demands.append(form.demand)
        context.answerForm = try notes.checked(form, for: request)
        return nil
    }

    mutating func writeFormat(_ format: FormatChoice?) throws(GatewayError) {
        guard let format else { return }
        out.key("response_format")
        out.openObject()
        out.key("type")
        switch format {
        case .object: out.value("json_object")
        case .words: break
        case .schema(let format):
            out.value("json_schema")
            out.key("json_schema")
            out.openObject()
            out.key("name")
            out.value(format.name)
            out.key("schema")
            out.value(json: SchemaFit.output(format.schema, flags.schemaProfile))
            out.key("strict")
            out.value(format.strict ?? true)
            out.closeObject()
        }
        out.closeObject()
    }
}
