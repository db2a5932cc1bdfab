import MartletWire
package import NIOCore

/// A whole (unstreamed) Message.
package enum AnthropicReply {
    /// What the body of a successful reply says. Throws the upstream's own error when it is one all the same.
    package static func events(_ body: ByteBuffer) throws(GatewayError) -> [ReplyEvent] {
        var usage = AnthropicUsage()
        let message: AnthropicEvent
        do throws(JSONError) {
            message = try body.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try AnthropicEvent(&walk, usage: &usage)
            }
        } catch {
            if error.code == .notThisType { throw ChatErrors.read(status: 200, body: body) }
            throw GatewayError(unreadable: DialectError(error))
        }
        guard message.top.content != nil else { throw ChatErrors.read(status: 200, body: body) }
        var reader = AnthropicStreamReader(usage: usage)
        var events: [ReplyEvent] = []
        do throws(DialectError) {
            try reader.takeWhole(message.top, of: body, into: &events)
        } catch {
            throw GatewayError(unreadable: error)
        }
        return events
    }

    /// A whole Message said as a stream, under its own id and model. Nil when it is no JSON object.
    static func streamed(_ whole: ByteBuffer) -> ByteBuffer? {
        guard let parsed = try? JSON(parsing: whole), parsed.object != nil else { return nil }
        var stream = ByteBuffer()
        guard let events = try? events(whole) else {
            stream.writeString("event: error\ndata: ")
            parsed.write(into: &stream)
            stream.writeString("\n\n")
            return stream
        }
        var writer = AnthropicStreamWriter(
            relaying: parsed["model"]?.string ?? "", id: parsed["id"]?.string ?? "",
            stop: parsed["stop_sequence"]?.string)
        for event in events { writer.write(event, into: &stream) }
        writer.finish(into: &stream)
        return stream
    }

    /// The body for an Anthropic client.
    /// - Parameter model: as the client spelled it.
    package static func write(
        _ reply: Reply, model: String, context: ReplyContext = ReplyContext(), ids: inout IDSource
    ) -> ByteBuffer {
        var end = AnthropicEnd(finish: reply.finish, matchedStop: reply.matchedStop, usage: reply.usage)
        var callIDs = CallIDs(context)
        var out = ByteBuffer(
            string: "{\"id\":\"\(ids.message())\",\"type\":\"message\",\"role\":\"assistant\",\"model\":")
        out.writeJSONString(model)
        out.writeString(",\"content\":[")
        var isFirst = true
        var results: [(Int, ByteBuffer)] = []
        func add(_ content: ByteBuffer) {
            if !isFirst { out.writeString(",") }
            isFirst = false
            out.writeImmutableBuffer(content)
        }
        for (place, block) in reply.blocks.enumerated() {
            if let content = content(block, &end, context, &callIDs, &ids) { add(content) }
            if case .toolCall(let head) = block.kind, let run = block.run {
                results.append((block.resultPlace, hostedResult(run, of: head.id)))
            }
            while let (behind, result) = results.first, behind <= place + 1 {
                add(result)
                results.removeFirst()
            }
        }
        out.writeString("],")
        end.writeStop(context, into: &out)
        out.writeString(",\"usage\":")
        end.writeUsage(context, into: &out)
        out.writeString("}")
        return out
    }

    /// What came of a call that was run here.
    static func hostedResult(_ run: ToolRun, of callID: String) -> ByteBuffer {
        var out = ByteBuffer(string: "{\"type\":\"mcp_tool_result\",\"tool_use_id\":\"\(callID)\",\"is_error\":")
        out.writeString("\(run.reason != nil),\"content\":[{\"type\":\"text\",\"text\":")
        out.writeJSONString(run.shown)
        out.writeString("}]}")
        return out
    }

    /// Nil for a block with nothing in it.
    private static func content(
        _ block: ReplyBlock, _ end: inout AnthropicEnd, _ context: ReplyContext, _ callIDs: inout CallIDs,
        _ ids: inout IDSource
    ) -> ByteBuffer? {
        end.bytes += block.text.bytes.readableBytes
        var out = ByteBuffer()
        switch block.kind {
        case .text, .refusal:
            if block.kind == .refusal { end.isRefused = true }
            guard !block.text.isEmpty else { return nil }
            out.writeString("{\"type\":\"text\",\"text\":")
            out.writeEscaped(block.text)
        case .reasoning:
            let blobs = block.blobs.filter { $0.origin == .anthropic }
            // Sealed by another dialect: it travels marked, in whichever place the block has for it.
            let sealed = block.blobs.last { $0.origin != .anthropic }?.marked
            let redacted = blobs.first { $0.kind == .redacted }?.text
            if let redacted = redacted ?? (block.text.isEmpty ? sealed : nil) {
                out.writeString("{\"type\":\"redacted_thinking\",\"data\":")
                out.writeEscaped(redacted)
                break
            }
            let signature = blobs.last { $0.kind == .signature }?.text ?? sealed
            guard !block.text.isEmpty || signature != nil else { return nil }
            var seal = ThinkingSeal()
            seal.take(block.text)
            out.writeString("{\"type\":\"thinking\",\"thinking\":")
            out.writeEscaped(block.text)
            out.writeString(",\"signature\":")
            out.writeEscaped(signature ?? EscapedText(escaping: seal.signature))
        case .toolCall(let head) where head.hosted != nil:
            out.writeString("{\"type\":\"mcp_tool_use\",\"id\":\"\(head.id)\",\"name\":")
            out.writeJSONString(head.name)
            out.writeString(",\"server_name\":")
            out.writeJSONString(head.hosted??.label ?? "")
            out.writeString(",\"input\":")
            out.writeImmutableBuffer(ReplyArguments.object(block.text, isCut: true))
        case .toolCall(let head):
            end.hasCalls = true
            out.writeString("{\"type\":\"tool_use\",\"id\":\"\(callIDs.take(head.id) { ids.toolUse() })\",\"name\":")
            out.writeJSONString(context.toolNames.client(head.name))
            out.writeString(",\"input\":")
            out.writeImmutableBuffer(ReplyArguments.object(block.text, isCut: end.isCut))
        case .opaque(let dialect, let json):
            return dialect == .anthropic ? json.buffer : nil
        }
        out.writeString("}")
        return out
    }
}
