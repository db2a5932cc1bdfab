import MartletWire
import NIOCore

/// Reads the top level of a Responses request; items and tools have files of their own.
struct ResponsesRequestReader {
    private let document: JSONDocument
    private let seal: ReasoningSeal
    private var members: RequestMembers
    private var settings = Settings()
    private var echo = ResponsesEchoMembers()
    private var unread: [String] = []
    private var includes: Set<String> = []
    private var wantsSummary = false
    private var servedChoice: ServedChoice?
    /// A reference that should have been put in its place before.
    private(set) var missingItem: String?

    init(_ document: JSONDocument, seal: ReasoningSeal) throws(DialectError) {
        self.document = document
        self.seal = seal
        members = try RequestMembers(document)
    }

    mutating func request() throws(DialectError) -> CanonicalRequest {
        let model = try members.string("model")
        try readLimits()
        try readSampling()
        try readReasoning()
        try readText()
        let reader = try readInput()
        missingItem = reader.missingItem
        unread += reader.unread
        var table = ToolTable(reader.tools.tools)
        var items = reader.items
        try readToolChoice(reader.tools.names, &table, &items)
        try readRest()
        for name in ResponsesEchoMembers.names { try echoPlain(name) }
        if !reader.tools.echo.isEmpty { echo.set("tools", .rawArray(reader.tools.echo)) }
        let echo = ResponsesEcho(
            members: echo.text, previousID: nil,
            isStored: try members.boolIfAny("store") ?? true,
            tools: reader.tools.names.tools, wantsSummary: wantsSummary,
            sealsReasoning: includes.contains("reasoning.encrypted_content"))
        var request = CanonicalRequest(
            model: model ?? "", items: items, tools: table, settings: settings, raw: members.rest,
            origin: RequestOrigin(dialect: .responses), unread: unread, echo: echo)
        request.isCompaction = reader.endsInTrigger
        request.listedServers = reader.listedServers
        request.servedChoice = servedChoice
        return request
    }

    /// What an upstream of another family does not need and nobody misses.
    private static let hints = [
        "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
        "service_tier", "stream_options", "client_metadata", "context_management", "background", "instructions",
        "max_output_tokens", "conversation", "prompt", "previous_response_id", "generate",
    ]

    /// The member as it stands; nil when it is absent or null.
    private func raw(_ name: String) throws(DialectError) -> ByteBuffer? {
        do {
            guard let member = try document.member(name), member.kind != .null else { return nil }
            return document.slice(member.value)
        } catch {
            throw DialectError(error, at: name)
        }
    }

    /// Repeats a member as it stands, unless it has been set in another form.
    private mutating func echoPlain(_ name: String) throws(DialectError) {
        guard !["tools", "text", "reasoning"].contains(name) else { return }
        echo.set(name, try raw(name))
    }

    // MARK: - Input

    private mutating func readInput() throws(DialectError) -> ResponsesItemReader {
        var tools = ResponsesToolReader()
        _ = try members.read("tools") { (walk) throws(DialectError) -> Bool? in
            try tools.readTop(&walk)
            return true
        }
        var reader = ResponsesItemReader(tools: tools, seal: seal)
        if let text = try raw("instructions") {
            do {
                try reader.readInstructions(text)
            } catch {
                throw error.inside("instructions")
            }
        }
        let hasInput = try members.read("input") { (walk) throws(DialectError) -> Bool? in
            try reader.read(&walk)
            return true
        }
        if hasInput == nil, reader.items.isEmpty {
            throw DialectError(.unexpected, at: "input", "a text or a list of items is required")
        }
        if reader.endsInTrigger { return reader }
        guard !reader.items.isEmpty || !reader.hasBegun else {
            throw DialectError(.unexpected, at: "input", "at least one message that says something is required")
        }
        // Nothing is asked: the model is to be made ready, and no more.
        let isEmpty = reader.items.allSatisfy { if case .instruction = $0 { true } else { false } }
        if isEmpty, reader.items.isEmpty || settings.maxTokens.map({ $0 <= 1 }) == true { settings.maxTokens = 0 }
        return reader
    }

    // MARK: - Plain settings

    private mutating func readLimits() throws(DialectError) {
        settings.maxTokens = try members.limit("max_output_tokens")
        settings.streams = try members.bool("stream") ?? false
        settings.user = try members.endUser()
        let list = try members.read("include") { (walk) throws(DialectError) -> [String] in
            var list: [String] = []
            guard try walk.kind() == .array else { return list }
            try walk.array { (walk, _) throws(DialectError) in
                if let name = try walk.stringIfAny() { list.append(name) }
            }
            return list
        }
        includes = Set(list ?? [])
    }

    private mutating func readSampling() throws(DialectError) {
        settings.temperature = try members.number("temperature", in: 0...2)
        settings.topP = try members.number("top_p", in: 0...1)
        settings.presencePenalty = try members.number("presence_penalty")
        settings.frequencyPenalty = try members.number("frequency_penalty")
        settings.parallelCalls = try members.boolIfAny("parallel_tool_calls")
    }

    /// Best-effort members with no canonical form; values that ask for nothing are not named.
    private mutating func readRest() throws(DialectError) {
        let logprobs = try members.read("top_logprobs") { (walk) throws(DialectError) in try walk.skip() }
        if let logprobs, String(buffer: logprobs.part(0..<16)) != "0" { unread.append("top_logprobs") }
        settings.maxServerCalls = try members.limit("max_tool_calls")
        if settings.maxServerCalls != nil { unread.append("max_tool_calls") }
        if includes.contains("message.output_text.logprobs"), !unread.contains("top_logprobs") {
            unread.append("top_logprobs")
        }
        settings.truncates =
            try members.stringIfAny("truncation") == "auto"
        _ = try members.present(Self.hints)
    }

    // MARK: - Tool choice

    private mutating func readToolChoice(
        _ names: ResponsesToolNames, _ table: inout ToolTable, _ items: inout [Item]
    ) throws(DialectError) {
        let tools = table.tools
        let choice = try members.read("tool_choice") { (walk) throws(DialectError) in
            try ResponsesChoice.read(&walk, names, tools)
        }
        guard let choice else { return }
        settings.toolChoice = choice.choice
        servedChoice = choice.served
        if choice.isUnknown {
            unread.append("tool_choice")
            settings.toolChoice = tools.contains { !$0.isServer } ? .auto : .never
        }
        guard let allowed = choice.allowed else { return }
        table.tools.removeAll { !allowed.contains($0.name) }
        items.removeAll { item in
            if case .toolChange(.add(let tool)) = item { return !allowed.contains(tool.name) }
            return false
        }
    }

    // MARK: - Reasoning

    private enum ReasoningField: String, RequestField {
        case effort, summary
        case oldSummary = "generate_summary"
    }

    private mutating func readReasoning() throws(DialectError) {
        settings.effortTurnsOn = true
        var effort: String?
        var summary: String?
        let text = try members.read("reasoning") { (walk) throws(DialectError) -> ByteBuffer? in
            guard try walk.kind() == .object else { return nil }
            let text = try walk.skip()
            try RequestWalk.over(text) { (walk) throws(DialectError) in
                try walk.object(ReasoningField.self) { (walk, field) throws(DialectError) in
                    switch field {
                    case .effort: effort = try walk.stringIfAny()
                    case .summary: summary = try walk.stringIfAny() ?? summary
                    case .oldSummary:
                        let old = try walk.stringIfAny()
                        summary = summary ?? old
                    }
                }
            }
            return text
        }
        if let effort { settings.take(effort: effort) }
        wantsSummary = summary.map { $0 != "none" } ?? false
        echo.set("reasoning", text, filledWith: [("effort", "null"), ("summary", "null")])
    }

    // MARK: - Text

    private enum TextField: String, RequestField { case format, verbosity }

    private enum FormatField: String, RequestField { case type, name, schema, strict, description }

    private mutating func readText() throws(DialectError) {
        var verbosity: String?
        settings.format = try members.read("text") { (walk) throws(DialectError) -> OutputFormat? in
            var format: OutputFormat?
            guard try walk.kind() == .object else { return nil }
            try walk.object(TextField.self) { (walk, field) throws(DialectError) in
                if try walk.takeNull() { return }
                switch field {
                case .format: format = try Self.format(&walk)
                case .verbosity: verbosity = try walk.stringIfAny()
                }
            }
            return format
        }
        if let verbosity, verbosity != "medium" { unread.append("text.verbosity") }
        echo.set("text", try raw("text"), filledWith: [("format", #"{"type":"text"}"#)])
    }

    /// Flat, unlike Chat's.
    private static func format(_ walk: inout RequestWalk) throws(DialectError) -> OutputFormat? {
        var type: String?
        var hasSchema = false
        var format = JSONSchemaFormat(name: "output", schema: ByteBuffer())
        try walk.object(FormatField.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .type: type = try walk.string()
            case .name: format.name = try walk.string()
            case .schema:
                format.schema = try walk.skip()
                hasSchema = true
            case .strict: format.strict = try walk.boolIfAny()
            case .description: format.description = try walk.escapedIfAny()
            }
        }
        return try .of(type, hasSchema ? format : nil, in: "schema")
    }
}
