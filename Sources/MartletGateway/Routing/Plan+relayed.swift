import MartletDialects
import MartletWire
import NIOCore

/// The request as an upstream gets it that speaks the client's own dialect: the client's
/// bytes, with as few edits as can be.
extension Plan {
    func relayed(
        to candidate: Candidate, _ rung: SchemaRung?, _ misfit: AnswerMisfit?, _ simplified: [String]
    ) throws(GatewayError) -> UpstreamRequest {
        var edit = JSONEdit()
        if dialect == .completions, candidate.upstream.mode == .repair {
            let features = candidate.capabilities.completions ?? []
            try CompletionRequest.repair(document, for: features, with: &edit)
        }
        let input = try dialect == .responses ? keptInput() : nil
        let (form, isPrefilled): (AnswerForm?, Bool)
        var context: ReplyContext
        var document = document
        do throws(JSONError) {
            if dialect == .chat, candidate.upstream.mode == .repair {
                document = try ChatRequest.fitted(document, candidate.capabilities) ?? document
            }
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence)
        }
        let unlisted = try leaveOut(of: document, for: candidate, with: &edit)
        let body: [ByteBuffer]
        do throws(JSONError) {
            form = try wordedForm(candidate, rung)
            isPrefilled = form == nil ? false : try ChatRequest.isPrefilled(document)
            context = try relayContext(candidate)
            body = try relayedBody(document, for: candidate, rung, form, misfit, edit, input: input)
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence)
        }
        if form != nil, streams, candidate.upstream.isStrict { throw unchecked }
        if !streams, !isPrefilled, let form {
            context.answerForm = form
        }
        context.spent = misfit?.usage
        return UpstreamRequest(
            dialect: UpstreamDialect(dialect), body: body,
            dropped: unlisted + simplified + (form != nil && streams ? [OutputFormat.member(of: dialect)] : []),
            context: context, isLegacy: isLegacy(at: candidate))
    }

    /// Takes out what a request may not hand to this upstream.
    /// - Returns: the names of what asked for something.
    private func leaveOut(
        of document: JSONDocument, for candidate: Candidate, with edit: inout JSONEdit
    ) throws(GatewayError) -> [String] {
        guard candidate.upstream.profile.takesListedOnly else { return [] }
        let sifted = try EngineMembers.sift(document, of: dialect)
        for place in sifted.removed { edit.remove(place, of: document) }
        for (place, name) in sifted.renamed {
            edit.replace(document.members[place].key, with: ByteBuffer(string: name))
        }
        return sifted.dropped
    }

    /// What the repair of a relayed reply has to know of its request.
    private func relayContext(_ candidate: Candidate) throws(JSONError) -> ReplyContext {
        let flags = candidate.capabilities
        var context = ReplyContext(hidesProgress: try asksForProgress(candidate))
        guard candidate.upstream.mode == .repair else { return context }
        context.relayed = RelayedRequest(dialect: dialect, body: document.bytes)
        guard dialect == .chat else { return context }
        context.expectReasoning(flags)
        guard flags.textCalls || flags.garblesArguments || flags.misplacesJSON else { return context }
        context.tools = try ChatRequest.offeredTools(document)
        context.findsCalls = flags.textCalls
        context.mendsArguments = flags.garblesArguments
        if let format = try document.member("response_format") { context.wantsJSON = format.kind == .object }
        context.misplacesJSON = flags.misplacesJSON
        return context
    }

    /// Slices of the original with `model` spliced and configured defaults added, and in `repair` mode a request for
    /// usage, which the reply's edit hides again. Never in place: a retry needs the original.
    /// - Parameters:
    ///   - document: the request in words the upstream knows; the edit is for it.
    ///   - input: of Responses, where it has to be another one.
    private func relayedBody(
        _ document: JSONDocument, for candidate: Candidate, _ rung: SchemaRung?, _ form: AnswerForm?,
        _ misfit: AnswerMisfit?, _ edit: JSONEdit,
        input: ByteBuffer?
    ) throws(JSONError) -> [ByteBuffer] {
        var edit = edit
        try setModel(candidate, of: document, in: &edit)
        if dialect == .anthropic, let messages = AnthropicRequest.repairedMessages(document) {
            try edit.set("messages", messages, in: document)
        }
        if dialect == .responses { try stayHere(&edit, input) }
        if let form, let place = try document.index(of: "response_format") {
            edit.remove(place, of: document)
            if let messages = try ChatRequest.messages(document, asking: form, after: misfit) {
                try edit.set("messages", messages, in: document)
            }
        } else if dialect == .chat, candidate.upstream.mode == .repair, candidate.capabilities.jsonObject == .none,
            let format = try ChatRequest.objectFormat(document)
        {
            try edit.set("response_format", format, in: document)
        }
        if dialect == .chat, candidate.upstream.mode == .repair, let limit = try unreadLimit(candidate) {
            try edit.set("max_tokens", limit, in: document)
        }
        if let rung, dialect == .chat {
            let own = candidate.capabilities.schemaProfile
            for (name, value) in try ChatRequest.refitted(document, rung, own) {
                try edit.set(name, value, in: document)
            }
        }
        if let temperature = defaults.temperature, try isAbsent("temperature") {
            try edit.set("temperature", ByteBuffer(string: JSON.double(temperature).text), in: document)
        }
        let limit = dialect == .responses ? "max_output_tokens" : "max_tokens"
        if let maxTokens = defaults.maxTokens, try isAbsent(limit), try isAbsent("max_completion_tokens") {
            try edit.set(limit, ByteBuffer(string: String(maxTokens)), in: document)
        }
        if asksForUsage(candidate) { try edit.set("stream_options", usageOptions(), in: document) }
        if try asksForProgress(candidate) {
            edit.append("return_progress", ByteBuffer(string: "true"), to: document)
        }
        return edit.isEmpty ? [document.bytes] : edit.pieces(of: document.bytes)
    }

    func setModel(
        _ candidate: Candidate, of document: JSONDocument, in edit: inout JSONEdit
    ) throws(JSONError) {
        guard clientModel != candidate.model else { return }
        var value = ByteBuffer()
        value.writeJSONString(candidate.model)
        try edit.set("model", value, in: document)
    }

    /// The limit that an upstream would not read where it stands: the reply would be without one.
    private func unreadLimit(_ candidate: Candidate) throws(JSONError) -> ByteBuffer? {
        guard candidate.capabilities.maxTokensField == .maxTokens, try isAbsent("max_tokens"),
            try !isAbsent("max_completion_tokens"), let limit = try document.member("max_completion_tokens")
        else { return nil }
        return document.slice(limit.value)
    }

    private func isAbsent(_ name: String) throws(JSONError) -> Bool {
        guard let member = try document.member(name) else { return true }
        return member.kind == .null
    }

    /// Whether usage is asked for on our own account.
    private func asksForUsage(_ candidate: Candidate) -> Bool {
        guard streams, dialect.hasUsageOption, usage != .asked else { return false }
        return usage == .finalChunk
            || (candidate.upstream.mode == .repair || isLegacy) && candidate.capabilities.usage == .streamOptions
    }

    /// Whether progress is asked for on our own account; a client that has a word about it is left alone.
    private func asksForProgress(_ candidate: Candidate) throws(JSONError) -> Bool {
        let upstream = candidate.upstream
        guard streams, dialect == .chat, upstream.mode == .repair, candidate.capabilities.promptProgress else {
            return false
        }
        return try document.member("return_progress") == nil
    }

    private func usageOptions() throws(JSONError) -> ByteBuffer {
        var options: JSONObject = [:]
        if let member = try document.member("stream_options"),
            case .object(let given) = try JSON(parsing: document.slice(member.value))
        {
            options = given
        }
        options["include_usage"] = true
        return JSON.object(options).buffer
    }
}
