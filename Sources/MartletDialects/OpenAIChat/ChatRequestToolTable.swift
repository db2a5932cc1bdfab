import MartletWire
import NIOCore

/// Reads `tools`, `functions` and `tool_choice`.
enum ChatTools {
    private enum Field: String, RequestField {
        case type, function, custom, name, description, parameters, strict
        case cacheControl = "cache_control"
    }

    private enum FunctionField: String, RequestField { case name, description, parameters, strict, format }

    static func table(_ walk: inout RequestWalk) throws(DialectError) -> ToolTable {
        try walk.tools(nameAt: "function.name") { (walk) throws(DialectError) in
            var tool = Tool(name: "")
            var type: String?
            try walk.object(Field.self) { (walk, field) throws(DialectError) in
                if try walk.takeNull() { return }
                switch field {
                case .type: type = try walk.string()
                case .function: try fill(&tool, &walk)
                case .custom:
                    tool.kind = .custom(format: nil)
                    try fill(&tool, &walk)
                // Some clients write the function's members here.
                case .name: tool.name = try walk.string()
                case .description: tool.description = try walk.escapedIfAny()
                case .parameters: tool.schema = try walk.skip()
                case .strict: tool.strict = try walk.boolIfAny()
                case .cacheControl: tool.cacheControl = try walk.skip()
                }
            }
            if let type, type != "function", type != "custom", tool.schema == nil {
                tool.kind = .server(type)
                if tool.name.isEmpty { tool.name = type }
            }
            return tool
        }
    }

    static func functions(_ walk: inout RequestWalk) throws(DialectError) -> ToolTable {
        try walk.tools(nameAt: "function.name") { (walk) throws(DialectError) in
            var tool = Tool(name: "")
            try fill(&tool, &walk)
            return tool
        }
    }

    private static func fill(_ tool: inout Tool, _ walk: inout RequestWalk) throws(DialectError) {
        var filled = tool
        try walk.object(FunctionField.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .name: filled.name = try walk.string()
            case .description: filled.description = try walk.escapedIfAny()
            case .parameters: filled.schema = try walk.skip()
            case .strict: filled.strict = try walk.boolIfAny()
            case .format:
                let format = try walk.skip()
                if case .custom = filled.kind { filled.kind = .custom(format: format) }
            }
        }
        tool = filled
    }

    // MARK: - Choice

    struct Choice {
        var choice: ToolChoice?
        /// Names of the tools that are left, where the choice says so.
        var allowed: Set<String>?
    }

    private enum ChoiceField: String, RequestField {
        case type, function, custom, name, mode, tools
        case allowed = "allowed_tools"
    }

    static func choice(_ walk: inout RequestWalk) throws(DialectError) -> Choice? {
        if try walk.kind() == .string {
            let word = try walk.string()
            // Some clients say no more than the tool's name.
            return word.isEmpty ? nil : Choice(choice: ToolChoice(word: word) ?? .tool(name: word))
        }
        var type: String?
        var name: String?
        var allowed: Choice?
        try walk.object(ChoiceField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .name: name = try walk.stringIfAny()
            case .function, .custom: name = try Self.name(&walk)
            case .allowed: allowed = try Self.allowed(&walk)
            case .type: type = try walk.stringIfAny()
            case .mode, .tools: _ = try walk.skip()
            }
        }
        if let allowed { return allowed }
        if let name { return Choice(choice: .tool(name: name)) }
        return type.flatMap(ToolChoice.init(word:)).map { Choice(choice: $0) }
    }

    private static func allowed(_ walk: inout RequestWalk) throws(DialectError) -> Choice {
        var choice = Choice()
        var names: Set<String> = []
        try walk.object(ChoiceField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .mode: choice.choice = ToolChoice(word: try walk.string())
            case .tools:
                try walk.array { (walk, _) throws(DialectError) in
                    if let name = try Self.name(&walk) { names.insert(name) }
                }
            default: _ = try walk.skip()
            }
        }
        choice.allowed = names
        return choice
    }

    /// `{"name":…}`, or the same inside `function` or `custom`.
    private static func name(_ walk: inout RequestWalk) throws(DialectError) -> String? {
        var name: String?
        try walk.object(ChoiceField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .name: name = try walk.stringIfAny()
            case .function, .custom: name = try Self.name(&walk)
            default: _ = try walk.skip()
            }
        }
        return name
    }
}
