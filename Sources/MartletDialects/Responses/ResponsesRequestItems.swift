import MartletWire
import NIOCore

/// Reads `input`: each item by its kind. What nobody knows is noted and is no error.
struct ResponsesItemReader {
    private(set) var items: [Item] = []
    /// What instructions hold beside texts.
    private(set) var unread: [String] = []
    var tools: ResponsesToolReader
    let seal: ReasoningSeal
    /// The first reference to an item that nobody has put in its place.
    private(set) var missingItem: String?
    /// Labels of MCP servers whose tools have been told.
    private(set) var listedServers: Set<String> = []
    /// The last item of the input asks for a summary of those before it.
    private(set) var endsInTrigger = false
    /// Where the user's own messages stand.
    private var spoken: Set<Int> = []
    /// Where summaries stand, and how many of the user's messages before each go on; nil for all.
    private var summaries: [Int: Int?] = [:]
    /// Anything but system text has been said.
    private(set) var hasBegun = false
    /// Calls so far, for those without an id: a pure function of their place.
    private var calls = 0
    /// Calls the reply was cut off in.
    private var cutCalls: Set<String> = []
    private var answered: Set<String> = []

    init(tools: ResponsesToolReader, seal: ReasoningSeal) {
        self.tools = tools
        self.seal = seal
    }

    /// A text, parts of one, or messages, as the Response object may repeat them.
    mutating func readInstructions(_ text: ByteBuffer) throws(DialectError) {
        let elements = (try? text.rawElements()) ?? []
        guard elements.contains(where: { (try? RawObject($0))?["role"] != nil }) else {
            return addInstruction(.system, try ResponsesContent.parts(text))
        }
        try RequestWalk.over(text) { (walk) throws(DialectError) in try read(&walk) }
        endsInTrigger = false
    }

    mutating func read(_ walk: inout RequestWalk) throws(DialectError) {
        if try walk.kind() == .string {
            let text = try walk.escaped()
            if !text.isEmpty { say(.user, [Part(.text(text))]) }
            return
        }
        try walk.array { (walk, index) throws(DialectError) in
            guard index < RequestLimits.messages else {
                throw DialectError(.unexpected, "more than \(RequestLimits.messages) items")
            }
            try add(ResponsesInputItem.read(&walk))
        }
        if endsInTrigger { items.removeLast() }
        endAtSummary()
        // A call that was cut off and never answered is nothing a model should see again.
        let dead = cutCalls.subtracting(answered)
        guard !dead.isEmpty else { return }
        items.removeAll { item in
            if case .toolCall(let call) = item { return dead.contains(call.id) }
            return false
        }
    }

    // MARK: - Kinds

    private mutating func add(_ item: ResponsesInputItem) throws(DialectError) {
        endsInTrigger = item.kind == "compaction_trigger"
        switch item.kind {
        case "message": try addMessage(item)
        case "function_call": try addCall(item, .function)
        case "custom_tool_call": try addCustomCall(item)
        case "local_shell_call": try addBuiltin(item, .localShell, item.action)
        case "shell_call": try addBuiltin(item, .shell, item.action)
        case "apply_patch_call": try addBuiltin(item, .applyPatch, item.operation)
        case "tool_search_call":
            // Without an id the API has run the search itself.
            guard item.callID != nil else { return addOpaque(item) }
            try addBuiltin(item, .search, item.arguments)
        case "function_call_output", "custom_tool_call_output", "local_shell_call_output", "shell_call_output":
            try addResult(item, item.outputParts())
        case "apply_patch_call_output":
            var parts = try item.outputParts()
            if parts.isEmpty { parts = [Part(.text(EscapedText(escaping: item.status ?? "completed")))] }
            try addResult(item, parts, isError: item.status == "failed")
        case "tool_search_output": try addFoundTools(item)
        case "additional_tools":
            guard let list = item.tools else { return }
            do {
                tools.append(try tools.read(list))
            } catch {
                throw error.inside("tools")
            }
        case "reasoning": try addReasoning(item)
        case "mcp_list_tools": if let server = item.server { listedServers.insert(server) }
        case "mcp_call": addServed(item)
        case "agent_message":
            var parts = try item.parts(item.content, at: "content")
            if let author = item.author, !author.isEmpty, let place = parts.firstIndex(where: { $0.text != nil }) {
                let text = parts[place].text ?? EscapedText()
                parts[place] = Part(.text(EscapedText(escaping: "\(author): ") + text))
            }
            say(.user, parts)
        case let kind where ResponsesCompaction.kinds.contains(kind): addCompaction(item)
        case "item_reference": missingItem = missingItem ?? item.id ?? ""
        default: try addUnknown(item)
        }
    }

    mutating func addOpaque(_ item: ResponsesInputItem) {
        items.append(.opaque(.responses, name: item.kind))
    }

    private mutating func say(_ role: Role, _ parts: [Part]) {
        hasBegun = true
        if !parts.isEmpty { items.append(.message(role, parts)) }
    }

    private mutating func addInstruction(_ voice: Instruction.Voice, _ parts: [Part]) {
        let parts = parts.asInstruction(omitting: &unread)
        guard !parts.isEmpty else { return }
        items.append(
            .instruction(Instruction(voice: voice, scope: hasBegun ? .positional : .leading, parts: parts)))
    }

    private mutating func addMessage(_ item: ResponsesInputItem) throws(DialectError) {
        let parts = try item.parts(item.content, at: "content")
        switch item.role {
        case "user":
            if !parts.isEmpty { spoken.insert(items.count) }
            say(.user, parts)
        case "assistant": say(.assistant, parts)
        case "system": addInstruction(.system, parts)
        case "developer": addInstruction(.developer, parts)
        case let role?:
            throw DialectError(
                .unexpected, at: "role",
                "\"\(role.prefix(64))\" is not a role; use user, assistant, system or developer")
        case nil: throw DialectError(.unexpected, at: "role", "a role is required")
        }
    }

    /// Text that something newer than this reader has said is kept as the user's, or whose it says it is.
    private mutating func addUnknown(_ item: ResponsesInputItem) throws(DialectError) {
        addOpaque(item)
        guard !Self.traces.contains(where: item.kind.hasPrefix) else { return }
        var parts: [Part] = []
        if let content = item.content { parts = (try? ResponsesContent.parts(content)) ?? [] }
        if let text = item.text, !text.isEmpty { parts.append(Part(.text(text))) }
        parts = parts.filter { $0.text?.isEmpty == false }
        if !parts.isEmpty { say(item.role == "assistant" ? .assistant : .user, parts) }
    }

    /// Traces of tools that the API has run itself.
    private static let traces = [
        "web_search", "file_search", "code_interpreter", "image_generation", "computer", "mcp_", "program",
        "compaction_trigger", "configuration_update", "tool_search",
    ]

    // MARK: - Calls

    private mutating func addCall(_ item: ResponsesInputItem, _ form: ResponsesTool.Form) throws(DialectError) {
        guard let name = item.name, !name.isEmpty else {
            throw DialectError(.unexpected, at: "name", "a name is required")
        }
        let flat = tools.called(ResponsesTool(form, name: name, namespace: item.namespace))
        // A string by the rules; some clients send the object itself.
        let arguments = item.arguments.map { text -> CallArguments in
            text.rawString.map { .text($0) } ?? .json(text)
        }
        append(item, ToolCall(id: "", name: flat, arguments: arguments ?? .text(EscapedText())))
    }

    private mutating func addCustomCall(_ item: ResponsesInputItem) throws(DialectError) {
        guard let name = item.name, !name.isEmpty else {
            throw DialectError(.unexpected, at: "name", "a name is required")
        }
        let flat = tools.called(ResponsesTool(.custom, name: name, namespace: item.namespace))
        append(item, ToolCall(id: "", name: flat, kind: .custom, arguments: .text(item.input ?? EscapedText())))
    }

    private mutating func addBuiltin(
        _ item: ResponsesInputItem, _ form: ResponsesTool.Form, _ action: ByteBuffer?
    ) throws(DialectError) {
        let name: String
        switch form {
        case .localShell: name = "local_shell"
        case .shell: name = "shell"
        case .applyPatch: name = "apply_patch"
        case .search, .function, .custom: name = "tool_search"
        }
        let flat = tools.called(ResponsesTool(form, name: name))
        append(item, ToolCall(id: "", name: flat, arguments: .json(ResponsesBuiltins.arguments(form, action))))
    }

    /// A call and its result at once.
    mutating func add(_ call: ToolCall, _ run: ToolRun) {
        var call = call
        if call.id.isEmpty { call.id = "call_\(calls)" }
        calls += 1
        hasBegun = true
        answered.insert(call.id)
        items += [.toolCall(call), .toolResult(run.result(of: call.id, tool: call.name))]
    }

    private mutating func append(_ item: ResponsesInputItem, _ call: ToolCall) {
        var call = call
        call.id = item.callID ?? item.id ?? "call_\(calls)"
        calls += 1
        hasBegun = true
        if item.isCut { cutCalls.insert(call.id) }
        items.append(.toolCall(call))
    }

    private mutating func addResult(
        _ item: ResponsesInputItem, _ parts: [Part], isError: Bool = false
    ) throws(DialectError) {
        guard let id = item.callID ?? item.id else {
            throw DialectError(.unexpected, at: "call_id", "the id of a call is required")
        }
        hasBegun = true
        answered.insert(id)
        items.append(.toolResult(ToolResult(callID: id, parts: parts, isError: isError)))
    }

    /// The result names the tools that were found; from here on they are offered.
    private mutating func addFoundTools(_ item: ResponsesInputItem) throws(DialectError) {
        var found: [Tool] = []
        if let list = item.tools {
            do {
                found = try tools.read(list)
            } catch {
                throw error.inside("tools")
            }
        }
        guard item.callID != nil else {
            addOpaque(item)
            items += found.map { .toolChange(.add($0)) }
            return
        }
        var parts = found.map { Part(.toolReference(name: $0.name)) }
        if parts.isEmpty { parts = [Part(.text(EscapedText(escaping: "No tool was found.")))] }
        try addResult(item, parts)
        items += found.map { .toolChange(.add($0)) }
    }

    // MARK: - Reasoning

    /// Its own text, else what this gateway sealed into it, else its summary. What others have encrypted goes along as
    /// it is, and no further than to them; what bears our mark and cannot be opened goes nowhere.
    private mutating func addReasoning(_ item: ResponsesInputItem) throws(DialectError) {
        hasBegun = true
        var reasoning = Reasoning()
        if let encrypted = item.encrypted, !encrypted.isEmpty {
            if let opened = seal.opened(encrypted) {
                reasoning = opened
            } else {
                items.append(.opaque(.responses, name: "reasoning.encrypted_content"))
                if !encrypted.starts(with: Reasoning.gatewayMark) {
                    reasoning.blobs = [OpaqueBlob(origin: .responses, kind: .encrypted, text: encrypted)]
                }
            }
        }
        let texts = try item.content.map { (text) throws(DialectError) in try ResponsesContent.texts(text) } ?? []
        // A signature is good for the text it was made for, and for no other.
        if !texts.isEmpty, !reasoning.isGenuine {
            reasoning.text = Self.joined(texts, "\\n")
        } else if reasoning.text.isEmpty, !reasoning.isGenuine, let summary = item.summary {
            reasoning.text = TextBuilder.paragraphs(try ResponsesContent.texts(summary))
        }
        guard !reasoning.text.isEmpty || !reasoning.blobs.isEmpty else { return }
        items.append(.reasoning(reasoning))
    }

    private static func joined(_ texts: [EscapedText], _ separator: String) -> EscapedText {
        guard texts.count > 1 else { return texts.first ?? EscapedText() }
        var bytes = ByteBuffer()
        for (place, text) in texts.enumerated() {
            if place > 0 { bytes.writeString(separator) }
            bytes.writeImmutableBuffer(text.bytes)
        }
        return EscapedText(bytes)
    }

    /// Another's summary nobody can read.
    private mutating func addCompaction(_ item: ResponsesInputItem) {
        guard let (text, kept) = item.encrypted.flatMap(seal.openedSummary) else { return addOpaque(item) }
        summaries[items.count] = .some(kept)
        say(.user, [Part(.text(text))])
    }

    /// The last summary stands for all before it but instructions, tools and what the user has said, as far as there was
    /// room for that.
    private mutating func endAtSummary() {
        guard !summaries.isEmpty else { return }
        var room: Int?
        var rest: [Item] = []
        for (place, item) in items.enumerated().reversed() {
            if let kept = summaries[place] {
                if room == nil { rest.append(item) }
                room = min(room ?? .max, kept ?? .max)
                continue
            }
            switch item {
            case .instruction, .toolChange: rest.append(item)
            case _ where room == nil: rest.append(item)
            case .message where spoken.contains(place):
                if let left = room, left > 0 { rest.append(item) }
                room = room.map { $0 - 1 }
            default: continue
            }
        }
        items = rest.reversed()
        (spoken, summaries) = ([], [:])
    }
}
