import MartletWire
import NIOCore

/// Reads `tools`.
enum AnthropicTools {
    private enum Field: String, RequestField {
        case type, name, description, strict
        case schema = "input_schema"
        case isDeferred = "defer_loading"
        case cacheControl = "cache_control"
    }

    static func table(_ walk: inout RequestWalk) throws(DialectError) -> ToolTable {
        try walk.tools(nameAt: "name") { (walk) throws(DialectError) in try tool(&walk) }
    }

    static func tool(_ walk: inout RequestWalk) throws(DialectError) -> Tool {
        var type: String?
        var name: String?
        var tool = Tool(name: "")
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.stringIfAny()
            case .name: name = try walk.string()
            case .description: tool.description = try walk.escapedIfAny()
            case .strict: tool.strict = try walk.boolIfAny()
            case .schema: tool.schema = try walk.takeNull() ? nil : try walk.skip()
            case .isDeferred: tool.isDeferred = try walk.boolIfAny() ?? false
            case .cacheControl: tool.cacheControl = try walk.skip()
            }
        }
        if let type { tool.kind = kind(type, hasSchema: tool.schema != nil) }
        guard let name = name ?? (tool.isServer ? type : nil), !name.isEmpty else {
            throw DialectError(.unexpected, at: "name", "a name is required")
        }
        tool.name = name
        return tool
    }

    /// Types whose arguments the API defines and whose calls the client runs.
    private static let clientTypes = ["bash_", "text_editor_", "memory_", "computer_"]

    private static func kind(_ type: String, hasSchema: Bool) -> Tool.Kind {
        if type == "custom" || type == "function" { return .function }
        if clientTypes.contains(where: type.hasPrefix) { return .typed(type) }
        return hasSchema ? .function : .server(type)
    }
}
