import MartletWire
package import NIOCore

/// How a reply is told that sums a conversation up
/// (https://platform.openai.com/docs/api-reference/responses/compact).
package enum Compaction: Sendable, Hashable {
    /// As the one item of a Response, for a `compaction_trigger`; behind it as many of the user's last messages go on.
    case item(kept: Int)
    /// As the conversation that goes on from it: messages of the user, each a JSON object's text, and the item.
    case conversation([ByteBuffer])
    /// As the upstream tells it.
    case relayed

    /// How many of the user's last messages go on beside the summary.
    package var kept: Int {
        switch self {
        case .item(let kept): kept
        case .conversation(let messages): messages.count
        case .relayed: 0
        }
    }
}

/// Conversations that are summed up by the model they were held with. The summary travels through the client, sealed.
enum ResponsesCompaction {
    /// Tokens of a summary at most.
    static let summaryLimit = 8192
    /// Tokens of the user's messages that stay beside it, as the API has it.
    private static let keptLimit = 64_000

    /// What the model is asked at the end of the conversation.
    static let prompt = """
        Stop here and write a summary of this conversation. It is about to be replaced by what you write now: whoever \
        goes on with it, a model like you, will know nothing else of it but the user's own messages.

        Write down, in the language of the conversation:
        - what the user wants, and every rule, preference and limit that was given, also by system and developer \
        messages;
        - what has been done and found out so far, with exact names: files, commands, identifiers, numbers, addresses, \
        errors;
        - what was decided and why, and what was tried and did not work;
        - what is still open, and the next step.

        Say only what the conversation shows. Do not go on with the task, call no tool, and speak to nobody: answer \
        with the summary and nothing else.
        """

    /// What stands before the summary when a model reads it.
    static let heading = "Summary of this conversation so far, in place of what was said:\n\n"

    /// Kinds of item that hold a summary.
    static let kinds: Set<String> = ["compaction", "compaction_summary", "context_compaction"]

    /// The user's messages of a request, as the items of the conversation that goes on: as many of the newest as there
    /// is room for, and in any case the last, which the summary leaves to be answered.
    /// - Parameter window: tokens; a quarter of it is room, and half of what the client wants to stay below.
    static func kept(_ document: JSONDocument, window: Int?) throws(GatewayError) -> [ByteBuffer] {
        let threshold = try ResponsesState(document).compactThreshold
        var room = min(keptLimit, window.map { $0 / 4 } ?? .max, threshold.map { $0 / 2 } ?? .max)
        var kept: [ByteBuffer] = []
        for item in try ResponsesRequest.inputItems(document).reversed() {
            guard let (message, tokens) = userMessage(item) else { continue }
            room -= tokens
            guard room >= 0 || kept.isEmpty else { break }
            kept.append(message)
        }
        return kept.reversed()
    }

    /// A message of the user's as a finished item, with its content as a list, and what it costs; nil for any other
    /// item.
    private static func userMessage(_ item: ByteBuffer) -> (ByteBuffer, tokens: Int)? {
        guard let message = read(item), message.kind == "message", message.role == "user",
            let content = message.content, let parts = try? ResponsesContent.parts(content), !parts.isEmpty,
            var members = try? RawObject(item)
        else { return nil }
        if content.rawKind == .string {
            var list = ByteBuffer(string: #"[{"type":"input_text","text":"#)
            list.writeImmutableBuffer(content)
            list.writeString("}]")
            members.set("content", list)
        }
        members.set("type", .rawString("message"))
        members.set("status", .rawString("completed"))
        return (members.text, TokenEstimate.of(.message(.user, parts)))
    }

    private static func read(_ item: ByteBuffer) -> ResponsesInputItem? {
        try? RequestWalk.over(item) { (walk) throws(DialectError) in try ResponsesInputItem.read(&walk) }
    }

    /// Instructions and tools that stand among the items of a conversation.
    static func isFrame(_ item: ByteBuffer) -> Bool {
        guard let item = read(item) else { return false }
        return item.kind == "message" && (item.role == "system" || item.role == "developer")
            || item.kind == "additional_tools"
    }

    static func noSummary(isRefused: Bool = false) -> GatewayError {
        let what = isRefused ? "refused to sum up the conversation" : "answered without a summary of the conversation"
        return GatewayError(code: .upstreamBadReply, message: "the model \(what); ask again, or with another model")
    }
}

extension CanonicalRequest {
    /// Whether there is anything a summary could take the place of.
    package var canBeSummedUp: Bool { !isCompaction && items.contains { !$0.outlivesSummary } }

    /// Asks for a summary of the conversation in place of what is asked in it. The tools are shown as before, which
    /// keeps the prompt's beginning the same, and cannot be called.
    ///
    /// - Throws: `invalidRequest` when nothing has been said.
    mutating func askForSummary(for target: WriteTarget) throws(GatewayError) {
        guard items.contains(where: \.isSaid) else {
            throw GatewayError(
                code: .invalidRequest,
                message: "input: there is nothing to compact; send the conversation, or its previous_response_id",
                param: "input")
        }
        items.append(.message(.user, [Part(.text(EscapedText(escaping: ResponsesCompaction.prompt)))]))
        let hasTools = !tools.isEmpty || items.contains { if case .toolChange = $0 { true } else { false } }
        settings.toolChoice = hasTools ? .never : nil
        settings.parallelCalls = nil
        settings.format = nil
        settings.thinking = .off
        settings.effort = nil
        // What is left out of a prompt that is too long makes room.
        let room = target.promptScale == nil ? target.room(beside: TokenEstimate.of(self)) : nil
        let limits = [settings.maxTokens, target.replyLimit, target.contextWindow.map { $0 / 4 }, room]
        settings.maxTokens = limits.compactMap { $0 }.filter { $0 > 0 }.reduce(ResponsesCompaction.summaryLimit, min)
    }
}

extension Item {
    fileprivate var isSaid: Bool {
        switch self {
        case .message, .reasoning, .toolCall, .toolResult: true
        case .instruction, .toolChange, .opaque: false
        }
    }

    /// Whether it stays when a summary takes the place of what was said before.
    var outlivesSummary: Bool {
        switch self {
        case .instruction, .toolChange, .opaque, .message(.user, _): true
        case .message, .reasoning, .toolCall, .toolResult: false
        }
    }
}

extension Reply {
    /// The reply was to be a summary, and is none.
    func missingSummary(_ context: ReplyContext) -> GatewayError? {
        guard context.compaction != nil else { return nil }
        let hasText = blocks.contains { $0.kind == .text && $0.text.firstVisible != nil }
        guard finish != .contentFilter else { return ResponsesCompaction.noSummary(isRefused: true) }
        return hasText ? nil : ResponsesCompaction.noSummary()
    }
}
