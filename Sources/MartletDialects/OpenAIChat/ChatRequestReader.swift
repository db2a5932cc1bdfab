import MartletWire
import NIOCore

/// Reads the top level of a Chat Completions request; messages and tools have files of their own.
struct ChatRequestReader {
    private var members: RequestMembers
    private var settings = Settings()

    init(_ document: JSONDocument) throws(DialectError) { members = try RequestMembers(document) }

    mutating func request() throws(DialectError) -> CanonicalRequest {
        let model = try members.string("model")
        let turns = try members.read("messages") { (walk) throws(DialectError) in
            try ChatRequestTurns.read(&walk)
        }
        guard let turns else { throw DialectError(.unexpected, at: "messages", "a list of messages is required") }
        var tools = try members.read("tools") { (walk) throws(DialectError) in try ChatTools.table(&walk) }
        if tools == nil {
            tools = try members.read("functions") { (walk) throws(DialectError) in try ChatTools.functions(&walk) }
        }
        try readLimits()
        try readSampling()
        var table = tools ?? ToolTable()
        try readToolChoice(&table)
        try readFormat()
        try readThinking()
        _ = try members.present(Self.hints)
        return CanonicalRequest(
            model: model ?? "", items: turns.items, tools: table, settings: settings, raw: members.rest,
            origin: RequestOrigin(dialect: .chat), unread: turns.unread)
    }

    /// What an upstream of another family does not need and nobody misses.
    private static let hints = ["function_call", "functions"]

    // MARK: - Plain settings

    private mutating func readLimits() throws(DialectError) {
        let old = try members.int("max_tokens")
        let new = try members.int("max_completion_tokens")
        // -1 is some local servers' word for "no limit".
        settings.maxTokens = (new ?? old).flatMap { $0 >= 0 ? $0 : nil }
        settings.choices = try members.int("n") ?? 1
        settings.streams = try members.bool("stream") ?? false
        settings.includesUsage =
            try members.read("stream_options") { (walk) throws(DialectError) in try Self.usage(&walk) } ?? false
        settings.stops =
            try members.read("stop") { (walk) throws(DialectError) in
                try walk.kind() == .string ? [walk.string()].filter { !$0.isEmpty } : walk.stops()
            } ?? []
        settings.wantsAudio =
            try members.read("modalities") { (walk) throws(DialectError) in
                var hasAudio = false
                try walk.array { (walk, _) throws(DialectError) in
                    if try walk.stringIfAny() == "audio" { hasAudio = true }
                }
                return hasAudio
            } ?? false
        settings.user = try members.endUser()
    }

    private enum StreamField: String, RequestField { case usage = "include_usage" }

    private static func usage(_ walk: inout RequestWalk) throws(DialectError) -> Bool {
        var isAsked = false
        try walk.object(StreamField.self) { (walk, _) throws(DialectError) in
            isAsked = try walk.boolIfAny() ?? false
        }
        return isAsked
    }

    private mutating func readSampling() throws(DialectError) {
        settings.temperature = try members.number("temperature", in: 0...2)
        settings.topP = try members.number("top_p", in: 0...1)
        settings.topK = try members.number("top_k")
        settings.seed = try members.number("seed")
        settings.presencePenalty = try penalty("presence_penalty")
        settings.frequencyPenalty = try penalty("frequency_penalty")
        settings.parallelCalls = try members.boolIfAny("parallel_tool_calls")
    }

    /// Nil for 0, which asks for nothing.
    private mutating func penalty(_ name: String) throws(DialectError) -> JSONNumber? {
        let penalty = try members.number(name)
        return penalty?.double == 0 ? nil : penalty
    }

    // MARK: - Tool choice

    private mutating func readToolChoice(_ tools: inout ToolTable) throws(DialectError) {
        let choice = try members.read("tool_choice") { (walk) throws(DialectError) in try ChatTools.choice(&walk) }
        let old = try members.read("function_call") { (walk) throws(DialectError) in try ChatTools.choice(&walk) }
        guard let choice = choice ?? old else { return }
        settings.toolChoice = choice.choice
        if let allowed = choice.allowed { tools.tools.removeAll { !allowed.contains($0.name) } }
    }

    // MARK: - Format

    private enum FormatField: String, RequestField {
        case type
        case schema = "json_schema"
    }

    private enum SchemaField: String, RequestField { case name, schema, strict, description }

    private mutating func readFormat() throws(DialectError) {
        settings.format = try members.read("response_format") { (walk) throws(DialectError) in try Self.format(&walk) }
        if settings.format == nil { settings.format = try members.serverSchema() }
    }

    /// The value of `response_format`.
    static func format(_ walk: inout RequestWalk) throws(DialectError) -> OutputFormat? {
        var type: String?
        var format: JSONSchemaFormat?
        try walk.object(FormatField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.string()
            case .schema: format = try walk.takeNull() ? nil : try Self.schema(&walk)
            }
        }
        return try .of(type, format, in: "json_schema")
    }

    private static func schema(_ walk: inout RequestWalk) throws(DialectError) -> JSONSchemaFormat {
        var format = JSONSchemaFormat(name: "output", schema: ByteBuffer(string: #"{"type":"object"}"#))
        try walk.object(SchemaField.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .name: format.name = try walk.string()
            case .schema: format.schema = try walk.skip()
            case .strict: format.strict = try walk.boolIfAny()
            case .description: format.description = try walk.escapedIfAny()
            }
        }
        return format
    }

    // MARK: - Thinking

    private enum ReasoningField: String, RequestField {
        case effort, exclude, enabled, type
        case maxTokens = "max_tokens"
        case budget = "budget_tokens"
        case isOn = "enable_thinking"
    }

    /// The spellings of OpenAI and of those who extended it; the first that says something counts.
    private mutating func readThinking() throws(DialectError) {
        settings.effortTurnsOn = true
        if let word = try members.stringIfAny("reasoning_effort") {
            settings.take(effort: word)
        }
        for name in ["reasoning", "thinking", "chat_template_kwargs"] {
            let found = try members.read(name) { (walk) throws(DialectError) in try Self.thinking(&walk) }
            guard let found else { continue }
            if found.hides { settings.hidesReasoning = true }
            guard settings.effort == nil, settings.thinking == nil else { continue }
            if let word = found.effort { settings.take(effort: word) }
            settings.thinking = settings.thinking ?? found.thinking
        }
        let budget = try members.read("thinking_budget_tokens") { (walk) throws(DialectError) in try walk.count() }
        let isOn = try members.boolIfAny("enable_thinking")
        guard settings.effort == nil, settings.thinking == nil else { return }
        if let budget { settings.thinking = budget == 0 ? .off : budget > 0 ? .budget(budget) : nil }
        if isOn == false { settings.thinking = .off }
    }

    private static func thinking(
        _ walk: inout RequestWalk
    ) throws(DialectError) -> (effort: String?, thinking: Thinking?, hides: Bool)? {
        guard try walk.kind() == .object else { return nil }
        var effort: String?
        var budget: Int?
        var type: String?
        var hides = false
        var isOff = false
        try walk.object(ReasoningField.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .effort: effort = try walk.stringIfAny()
            case .maxTokens, .budget: budget = try walk.count()
            case .exclude: hides = try walk.boolIfAny() ?? false
            case .enabled, .isOn: isOff = try walk.boolIfAny() == false
            case .type: type = try walk.stringIfAny()
            }
        }
        if isOff || type == "disabled" { return (nil, .off, hides) }
        if type == "adaptive" { return (effort, .adaptive, hides) }
        return (effort, budget.flatMap { $0 > 0 ? .budget($0) : nil }, hides)
    }
}
