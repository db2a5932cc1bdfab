package import MartletWire
package import NIOCore

/// The form of an answer in a Chat request that is relayed to an upstream which cannot be held to it.
extension ChatRequest {
    /// The form such an upstream is asked for in words; nil where the request's own member says it.
    package static func wordedForm(_ document: JSONDocument, _ flags: Capabilities) throws(JSONError) -> AnswerForm? {
        guard flags.jsonSchema != .native || flags.jsonObject == .none,
            let member = try document.member("response_format"), member.kind == .object
        else { return nil }
        let given = try JSON(parsing: document.slice(member.value))
        let format: OutputFormat
        switch given["type"]?.string {
        case "json_object": format = .jsonObject
        case "json_schema":
            guard let schema = given["json_schema"]?["schema"] else { return nil }
            format = .jsonSchema(JSONSchemaFormat(name: "", schema: schema.buffer))
        default: return nil
        }
        let tools = try document.member("tools")
        let hasTools = tools.map { $0.kind == .array && $0.value.count > 2 } ?? false
        guard case .words(let form) = FormatChoice(format, flags, hasTools: hasTools) else { return nil }
        return form
    }

    /// The request's messages with that said in the system text, and behind them what a further attempt is told.
    /// - Returns: nil when the request has no messages.
    package static func messages(
        _ document: JSONDocument, asking form: AnswerForm, after misfit: AnswerMisfit?
    ) throws(JSONError) -> ByteBuffer? {
        guard let member = try document.member("messages"),
            var messages = try document.slice(member.value).rawElements()
        else { return nil }
        if let first = messages.first, let told = try adding(form.demand, to: first) {
            messages[0] = told
        } else {
            messages.insert(message("system", form.demand), at: 0)
        }
        if let misfit {
            messages += [message("assistant", misfit.text), message("user", misfit.complaint)]
        }
        return .rawArray(messages)
    }

    /// Whether the last message is the assistant's, which a reply continues.
    package static func isPrefilled(_ document: JSONDocument) throws(JSONError) -> Bool {
        guard let member = try document.member("messages"),
            let last = try document.slice(member.value).rawElements()?.last, last.rawKind == .object
        else { return false }
        return try RawObject(last)["role"]?.rawString?.unescaped() == "assistant"
    }

    /// A system message with a further paragraph; nil when it is none, or has no text.
    private static func adding(_ demand: EscapedText, to message: ByteBuffer) throws(JSONError) -> ByteBuffer? {
        guard message.rawKind == .object else { return nil }
        var system = try RawObject(message)
        let role = system["role"]?.rawString?.unescaped()
        guard role == "system" || role == "developer", let content = system["content"] else { return nil }
        var told = ByteBuffer()
        if let text = content.rawString {
            told.writeEscaped(TextBuilder.paragraphs([text, demand]))
        } else if let parts = try content.rawElements() {
            var part = RawObject()
            part.set("type", .rawString("text"))
            var text = ByteBuffer()
            text.writeEscaped(EscapedText(escaping: "\n\n") + demand)
            part.set("text", text)
            told = .rawArray(parts + [part.text])
        } else {
            return nil
        }
        system.set("content", told)
        return system.text
    }

    private static func message(_ role: String, _ text: EscapedText) -> ByteBuffer {
        var content = ByteBuffer()
        content.writeEscaped(text)
        var message = RawObject()
        message.set("role", .rawString(role))
        message.set("content", content)
        return message.text
    }
}

extension ChatReply {
    /// A whole reply that is relayed, its answer checked where it was asked for in words; of replies with one choice.
    /// It stays as it is unless there is something around the answer, or an attempt before to be counted.
    static func checked(
        _ body: ByteBuffer, _ context: ReplyContext
    ) throws(GatewayError) -> (body: ByteBuffer, misfit: AnswerMisfit?) {
        guard let form = context.answerForm, try read(body).summary.finishes.count == 1 else { return (body, nil) }
        var wanted = ReplyContext(reasoningOut: context.reasoningOut, wantsJSON: true)
        wanted.splitsThinking = context.splitsThinking
        wanted.startsInsideThinking = context.startsInsideThinking
        var fold = ReplyFold()
        var shown: [ReplyEvent] = []
        let events = try events(body)
        for event in events { fold.take(event) }
        let given = fold.reply
        if var filter = ReplyFilter(wanted) {
            fold = ReplyFold()
            filter.take(events, into: &shown)
            for event in shown { fold.take(event) }
        }
        var reply = fold.reply
        if let misfit = reply.fit(to: form) { return (body, misfit) }
        var said = body
        if reply.blocks != given.blocks { said = rewritten(said, reply) ?? said }
        if let spent = context.spent { said = counting(spent, in: said) ?? said }
        return (said, nil)
    }

    /// The body with its usage and that of an attempt before.
    private static func counting(_ spent: Usage, in body: ByteBuffer) -> ByteBuffer? {
        guard var top = try? RawObject(body), let text = top["usage"], var usage = try? RawObject(text) else {
            return nil
        }
        for (name, count) in [
            ("prompt_tokens", spent.input), ("completion_tokens", spent.output),
            ("total_tokens", spent.input.flatMap { input in spent.output.map { input + $0 } }),
        ] {
            guard let count, let own = usage[name]?.rawInt else { continue }
            usage.set(name, ByteBuffer(string: String(own + count)))
        }
        top.set("usage", usage.text)
        return top.text
    }
}
