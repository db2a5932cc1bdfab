import MartletWire
import NIOCore

/// What `thinking`, `output_config` and `max_tokens` say.
struct AnthropicThinking {
    var maxTokens: Int
    /// `disabled`.
    var isOff = false
    /// Tokens: `enabled`.
    var budget: Int?
    /// `adaptive`, and so much effort.
    var effort: Effort?
    var isAdaptive = false
}

extension AnthropicRequestWriter {
    /// Tokens asked for where neither client nor configuration say, nor the API how many the model can give.
    private static let maxTokens = 4096
    /// Tokens; the API's own bound.
    private static let leastBudget = 1024

    mutating func chooseThinking(_ turns: Turns) throws(GatewayError) -> AnthropicThinking {
        let limit = request.settings.maxTokens ?? target.defaults.maxTokens
        var choice = AnthropicThinking(maxTokens: limit ?? target.replyLimit ?? Self.maxTokens)
        var wish = ThinkingWish(request.settings, default: target.defaults.effort)
        if wish == .unset || wish == .off || wish == .adaptive {
            choice.isOff = wish == .off && flags.thinkingControl != .none
            choice.isAdaptive = wish == .adaptive && flags.thinkingControl == .effort
            draft.context.hidesReasoning = wish == .off && flags.thinkingControl == .none
            return choice
        }
        let name = request.settings.effort != nil ? "reasoning_effort" : "thinking"
        // The API refuses thinking beside a forced call, and in a tool loop whose thinking did not come back.
        if request.settings.demandsCall || turns.endsInUnsignedLoop || flags.thinkingControl == .none {
            try draft.notes.drop(name)
            wish = .unset
        }
        switch wish {
        case _ where flags.thinkingControl == .effort: choice.effort = wish.effort(in: flags.efforts)
        case .effort(let effort, _): set(budget: effort.budget, hasLimit: limit != nil, &choice)
        case .budget(let budget): set(budget: budget, hasLimit: limit != nil, &choice)
        case .unset, .off, .adaptive: break
        }
        return choice
    }

    /// A budget is at least 1024 and below `max_tokens`.
    private mutating func set(budget: Int, hasLimit: Bool, _ choice: inout AnthropicThinking) {
        let budget = max(budget, Self.leastBudget)
        if !hasLimit { choice.maxTokens = target.replyLimit ?? budget + Self.maxTokens }
        let room = choice.maxTokens - 1
        guard room >= Self.leastBudget else {
            draft.notes.note(request.effortName)
            return
        }
        choice.budget = min(budget, max(Self.leastBudget, min(room, choice.maxTokens - choice.maxTokens / 4)))
    }

    mutating func writeThinking(_ choice: AnthropicThinking) {
        if choice.isOff || choice.isAdaptive || choice.effort != nil || choice.budget != nil {
            out.key("thinking")
            out.openObject()
            out.key("type")
            if let budget = choice.budget {
                out.value("enabled")
                out.key("budget_tokens")
                out.value(budget)
            } else {
                out.value(choice.isOff ? "disabled" : "adaptive")
            }
            out.closeObject()
        }
    }

    /// What `output_config.format` says; where it cannot, the system text does. The API has a form for objects of known
    /// members only.
    mutating func chooseFormat() throws(GatewayError) -> JSONSchemaFormat? {
        var flags = flags
        flags.jsonObject = .none
        switch request.settings.format {
        case .jsonObject: flags.jsonSchema = .none
        case .jsonSchema(let format) where !SchemaFit.canBeClosed(format.schema): flags.jsonSchema = .none
        case .jsonSchema, nil: break
        }
        guard case .schema(let format) = try draft.chooseFormat(flags) else { return nil }
        return format
    }

    mutating func writeConfig(_ choice: AnthropicThinking, _ format: JSONSchemaFormat?) {
        guard choice.effort != nil || format != nil else { return }
        out.key("output_config")
        out.openObject()
        if let effort = choice.effort {
            out.key("effort")
            out.value(effort.rawValue)
        }
        if let format {
            out.key("format")
            out.openObject()
            out.key("type")
            out.value("json_schema")
            out.key("schema")
            out.value(json: SchemaFit.output(format.describedSchema, .strictAnthropic))
            out.closeObject()
        }
        out.closeObject()
    }
}

extension Turns {
    /// It ends with results of tools, and the turn that called them brought no thinking of Anthropic's own.
    fileprivate var endsInUnsignedLoop: Bool {
        guard turns.count >= 2, case .gap(let gap) = turns[turns.count - 1], !gap.answers.isEmpty,
            case .assistant(let items) = turns[turns.count - 2]
        else { return false }
        return !items.contains { item in
            if case .reasoning(let reasoning) = item { return reasoning.isGenuine }
            return false
        }
    }
}
