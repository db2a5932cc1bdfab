package import MartletWire

extension Dialects {
    /// A client's request in no dialect's words. Throws as `translateRequest` does.
    package static func readRequest(
        _ document: JSONDocument, from client: DialectID, version: String? = nil, betas: [String] = [],
        seal: ReasoningSeal = .plain
    ) throws(GatewayError) -> CanonicalRequest {
        switch client {
        case .chat: try ChatRequest.read(document)
        case .completions: try CompletionRequest.read(document)
        case .anthropic: try AnthropicRequest.read(document, version: version, betas: betas)
        case .responses: try ResponsesRequest.read(document, seal: seal)
        case .lmstudio: try LMStudioRequest.read(document, seal: seal)
        }
    }

    /// A client's request in an upstream's dialect.
    /// - Parameters:
    ///   - version: the client's `anthropic-version`, where it sent one.
    ///   - betas: its `anthropic-beta` lists.
    ///   - seal: how reasoning was sealed that a client of Responses gives back.
    ///   - served: tools that are run here.
    ///   - misfit: an answer to the request that was not in the form it asks for; it is asked again, told so.
    /// - Throws: `invalidRequest` for what is wrong, or cannot be said in the upstream's dialect.
    package static func translateRequest(
        _ document: JSONDocument, from client: DialectID, to upstream: UpstreamDialect, for target: WriteTarget,
        version: String? = nil, betas: [String] = [], seal: ReasoningSeal = .plain,
        after misfit: AnswerMisfit? = nil, compacts: Bool = false, serving served: ServedTools? = nil
    ) throws(GatewayError) -> TranslatedRequest {
        var request = try readRequest(document, from: client, version: version, betas: betas, seal: seal)
        var table: ServedTable?
        if let served { table = try request.serve(served) }
        var compaction: Compaction?
        if compacts || request.isCompaction {
            let kept = try ResponsesCompaction.kept(document, window: target.contextWindow)
            compaction = compacts ? .conversation(kept) : .item(kept: kept.count)
        }
        if compacts {
            // What limits the answer does not limit the summary before it.
            request.settings.maxTokens = nil
        }
        if compaction != nil { try request.askForSummary(for: target) }
        if let misfit {
            // LM Studio's own API takes no turns of the assistant: there the user quotes it.
            let role = upstream == .lmstudio ? Role.user : .assistant
            request.items += [
                .message(role, [Part(.text(misfit.text))]), .message(.user, [Part(.text(misfit.complaint))]),
            ]
        }
        request.truncate(for: target)
        var translated =
            switch upstream {
            case .chat: try ChatRequest.write(request, for: target)
            case .completions:
                throw GatewayError(
                    code: .invalidRequest, message: "this model's server continues prompts only, at /v1/completions",
                    param: "model")
            case .anthropic: try AnthropicRequest.write(request, for: target)
            case .responses: try ResponsesUpstreamRequest.write(request, for: target)
            case .lmstudio: try LMStudioRequest.write(request, for: target)
            }
        translated.context.echo = request.echo
        if compaction == nil { translated.context.served = table }
        translated.context.spent = misfit?.usage
        translated.context.compaction = compaction
        return translated
    }
}
