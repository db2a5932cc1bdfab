import MartletWire
import NIOCore

extension ChatReply {
    /// The reply with the calls, messages and thinking of its text, and mended arguments, where they belong; every other
    /// member stays as it is. Nil when there is nothing to be done, or to be told. Of the first choice only.
    func takingCalls(_ context: ReplyContext) -> (body: ByteBuffer, tally: CallTally)? {
        var wanted = ReplyContext()
        if let tools = context.tools, !tools.isEmpty, context.findsCalls || context.mendsArguments {
            wanted.tools = tools
            wanted.findsCalls = context.findsCalls
            wanted.mendsArguments = context.mendsArguments
            wanted.wantsJSON = context.wantsJSON
        }
        if context.startsInsideThinking || beginsWithTag {
            wanted.reasoningOut = context.reasoningOut
            wanted.splitsThinking = context.splitsThinking
            wanted.startsInsideThinking = context.startsInsideThinking
        }
        let splits = wanted.splitter != nil
        guard wanted.tools != nil || splits, var filter = ReplyFilter(wanted), let events = try? Self.events(body)
        else {
            return nil
        }
        var given = ReplyFold(choice: 0)
        for event in events { given.take(event) }
        var fold = ReplyFold(choice: 0)
        var shown: [ReplyEvent] = []
        filter.take(events, into: &shown)
        for event in shown { fold.take(event) }
        let tally = filter.callTally
        // Thinking, or Harmony's messages without a call.
        let isSplit = (splits || filter.hasFoundMarker) && fold.reply.blocks != given.reply.blocks
        guard isSplit || !tally.isEmpty else { return nil }
        guard isSplit || tally.calls > 0 || tally.repaired > 0 || tally.coerced > 0 else { return (body, tally) }
        return (Self.rewritten(body, fold.reply) ?? body, tally)
    }

    /// The body with the text, thinking and calls of this reply in its first choice; every other member stays as it is.
    static func rewritten(_ body: ByteBuffer, _ reply: Reply) -> ByteBuffer? {
        guard var top = try? RawObject(body), var choices = try? top["choices"]?.rawElements(),
            case (let place, var choice)? = firstChoice(of: choices), let text = choice["message"],
            var message = try? RawObject(text)
        else { return nil }
        let native = (try? message["tool_calls"]?.rawElements()) ?? []
        message.set("content", string(of: reply, .text))
        let reasoning = string(of: reply, .reasoning)
        // Servers that have one of these in every message have null there when they have not found any thinking.
        let own = ["reasoning_content", "reasoning"].filter { message[$0]?.rawKind == .string }
        for name in own { message.set(name, reasoning) }
        if own.isEmpty, reasoning.rawKind == .string { message.set("reasoning_content", reasoning) }
        let calls = calls(of: reply, native)
        if !calls.isEmpty || !native.isEmpty { message.set("tool_calls", .rawArray(calls)) }
        choice.set("message", message.text)
        if reply.finish == .toolCalls { choice.set("finish_reason", .rawString("tool_calls")) }
        choices[place] = choice.text
        top.set("choices", .rawArray(choices))
        return top.text
    }

    /// Choices come in any order.
    private static func firstChoice(of choices: [ByteBuffer]) -> (Int, RawObject)? {
        for (place, choice) in choices.enumerated() {
            if let choice = try? RawObject(choice), choice["index"]?.rawInt ?? 0 == 0 { return (place, choice) }
        }
        return nil
    }

    private static func string(of reply: Reply, _ kind: BlockKind) -> ByteBuffer {
        var text = EscapedText()
        for block in reply.blocks where block.kind == kind { text.append(block.text) }
        guard !text.isEmpty else { return ByteBuffer(string: "null") }
        var value = ByteBuffer()
        value.writeEscaped(text)
        return value
    }

    /// Calls of the upstream's own keep the members they have.
    private static func calls(of reply: Reply, _ native: [ByteBuffer]) -> [ByteBuffer] {
        var native = native[...]
        var calls: [ByteBuffer] = []
        for block in reply.blocks {
            guard case .toolCall(let head) = block.kind else { continue }
            var call = RawObject()
            if let next = native.first, let given = try? RawObject(next), isSame(given, head) {
                native = native.dropFirst()
                call = given
            }
            var function = call["function"].flatMap { try? RawObject($0) } ?? RawObject()
            if call["id"] == nil, !head.id.isEmpty { call.set("id", .rawString(head.id)) }
            if call["custom"] == nil {
                call.set("type", .rawString("function"))
                function.set("name", .rawString(head.name))
                var arguments = ByteBuffer()
                arguments.writeEscaped(block.text)
                function.set("arguments", arguments)
                call.set("function", function.text)
            }
            calls.append(call.text)
        }
        return calls
    }

    private static func isSame(_ call: RawObject, _ head: ToolCallHead) -> Bool {
        let body = call["function"] ?? call["custom"]
        let name = body.flatMap { try? RawObject($0) }?["name"]?.rawString?.unescaped() ?? ""
        return name == head.name && (call["id"]?.rawString?.unescaped() ?? "") == head.id
    }
}
