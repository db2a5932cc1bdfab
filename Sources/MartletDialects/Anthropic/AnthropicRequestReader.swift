import MartletWire
import NIOCore

/// Reads the top level of a Messages request; turns and tools have files of their own.
struct AnthropicRequestReader {
    private var members: RequestMembers
    private var settings = Settings()
    private var unread: [String] = []

    init(_ document: JSONDocument) throws(DialectError) { members = try RequestMembers(document) }

    mutating func request() throws(DialectError) -> CanonicalRequest {
        let model = try members.string("model")
        var items = try system()
        let turns = try members.read("messages") { (walk) throws(DialectError) in
            try AnthropicTurns.read(&walk)
        }
        guard let turns else { throw DialectError(.unexpected, at: "messages", "a list of messages is required") }
        items += turns.items
        let tools = try members.read("tools") { (walk) throws(DialectError) in try AnthropicTools.table(&walk) }
        try readLimits()
        try readSampling()
        try readToolChoice()
        try readThinking()
        try readOutput()
        if let effort = turns.effort { settings.take(effort: effort) }
        settings.user = try members.read("metadata") { (walk) throws(DialectError) in try Self.user(&walk) }
        _ = try members.present(Self.hints)
        return CanonicalRequest(
            model: model ?? "", items: items, tools: tools ?? ToolTable(), settings: settings, raw: members.rest,
            origin: RequestOrigin(dialect: .anthropic), unread: unread + turns.unread)
    }

    /// What an upstream of another family does not need and nobody misses.
    private static let hints = [
        "cache_control", "service_tier", "container", "context_management", "betas", "speed", "inference_geo",
        "diagnostics", "fallbacks", "compaction", "anthropic_version", "anthropic_beta",
    ]

    private mutating func system() throws(DialectError) -> [Item] {
        let blocks = try members.read("system") { (walk) throws(DialectError) in try AnthropicBlock.list(&walk) }
        let parts = (blocks ?? []).compactMap(\.part).asInstruction(omitting: &unread)
        guard !parts.isEmpty else { return [] }
        return [.instruction(Instruction(voice: .system, scope: .leading, parts: parts))]
    }

    private mutating func readLimits() throws(DialectError) {
        settings.maxTokens = try members.limit("max_tokens")
        settings.streams = try members.bool("stream") ?? false
        settings.stops =
            try members.read("stop_sequences") { (walk) throws(DialectError) in try walk.stops() } ?? []
    }

    private mutating func readSampling() throws(DialectError) {
        settings.temperature = try members.number("temperature", in: 0...2)
        settings.topP = try members.number("top_p", in: 0...1)
        settings.topK = try members.number("top_k")
    }

    private enum Choice: String, RequestField {
        case type, name
        case isSingle = "disable_parallel_tool_use"
    }

    private mutating func readToolChoice() throws(DialectError) {
        var isSingle = false
        settings.toolChoice = try members.read("tool_choice") { (walk) throws(DialectError) -> ToolChoice? in
            var type: String?
            var name: String?
            try walk.object(Choice.self) { (walk, field) throws(DialectError) in
                switch field {
                case .type: type = try walk.stringIfAny()
                case .name: name = try walk.stringIfAny()
                case .isSingle: isSingle = try walk.boolIfAny() ?? false
                }
            }
            switch type {
            case "auto": return .auto
            case "any": return .required
            case "none": return .never
            case "tool":
                guard let name else { throw DialectError(.unexpected, at: "name", "a string was expected") }
                return .tool(name: name)
            default: return nil
            }
        }
        if isSingle { settings.parallelCalls = false }
    }

    private enum ThinkingField: String, RequestField {
        case type
        case budget = "budget_tokens"
    }

    private mutating func readThinking() throws(DialectError) {
        settings.thinking = try members.read("thinking") { (walk) throws(DialectError) -> Thinking? in
            var type: String?
            var budget: Int?
            try walk.object(ThinkingField.self) { (walk, field) throws(DialectError) in
                switch field {
                case .type: type = try walk.stringIfAny()
                case .budget: budget = try walk.count()
                }
            }
            switch type {
            case "disabled": return .off
            case "enabled": return budget.map { .budget($0) } ?? .adaptive
            case "adaptive", "between_tools": return .adaptive
            default: return nil
            }
        }
    }

    private enum OutputField: String, RequestField { case effort, format }

    private mutating func readOutput() throws(DialectError) {
        var effort: String?
        let format = try members.read("output_config") { (walk) throws(DialectError) -> OutputFormat? in
            var format: OutputFormat?
            try walk.object(OutputField.self) { (walk, field) throws(DialectError) in
                switch field {
                case .effort: effort = try walk.stringIfAny()
                case .format: format = try Self.format(&walk)
                }
            }
            return format
        }
        let older = try members.read("output_format") { (walk) throws(DialectError) in try Self.format(&walk) }
        if let effort { settings.take(effort: effort) }
        settings.format = format ?? older
    }

    private enum FormatField: String, RequestField { case type, schema }

    private static func format(_ walk: inout RequestWalk) throws(DialectError) -> OutputFormat? {
        if try walk.takeNull() { return nil }
        var type: String?
        var schema: ByteBuffer?
        try walk.object(FormatField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.string()
            case .schema: schema = try walk.skip()
            }
        }
        switch type {
        case "json_schema":
            guard let schema else { throw DialectError(.unexpected, at: "schema", "a JSON Schema is required") }
            return .jsonSchema(JSONSchemaFormat(name: "output", schema: schema))
        case nil, "text": return nil
        case let type?: throw DialectError(.unexpected, at: "type", "\"\(type.prefix(64))\" is not supported")
        }
    }

    private enum MetadataField: String, RequestField { case user = "user_id" }

    private static func user(_ walk: inout RequestWalk) throws(DialectError) -> EscapedText? {
        var user: EscapedText?
        guard try walk.kind() == .object else { return nil }
        try walk.object(MetadataField.self) { (walk, _) throws(DialectError) in user = try walk.escapedIfAny() }
        return user
    }
}
