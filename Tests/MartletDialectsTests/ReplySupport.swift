import MartletDialects
import MartletWire
import NIOCore

func replyTarget(
    _ dialect: DialectID, model: String = "m", usage: ChatFrameEdit.UsagePlacement = .hidden, thinking: Bool = false
) -> ReplyTarget {
    ReplyTarget(
        dialect: dialect, model: model, usage: usage, created: 7, ids: IDSource(seed: 1), requestID: "req_1",
        showsThinkingBlocks: thinking)
}

/// A Chat upstream's stream as an Anthropic client gets it.
func asAnthropic(_ stream: String, _ context: ReplyContext = ReplyContext(), cut: Int = 0) -> Relayed {
    run(Dialects.pipe(from: .chat, to: replyTarget(.anthropic), context: context), reads(stream, of: cut))
}

/// An Anthropic upstream's stream as a Chat client gets it.
func asChat(
    _ stream: String, _ context: ReplyContext = ReplyContext(), usage: ChatFrameEdit.UsagePlacement = .hidden,
    thinking: Bool = false, cut: Int = 0
) -> Relayed {
    run(
        Dialects.pipe(from: .anthropic, to: replyTarget(.chat, usage: usage, thinking: thinking), context: context),
        reads(stream, of: cut))
}

/// One event of a Messages stream, its JSON written with `'` for `"`.
func messageEvent(_ data: String) -> String {
    let data = json(data)
    let type = (try? JSON(parsing: data))?["type"]?.string ?? ""
    return "event: \(type)\ndata: \(data)\n\n"
}

/// Reads a Messages stream as strictly as any client does, and builds the Message it comes to.
struct StrictAnthropicReader {
    private(set) var faults: [String] = []
    private(set) var message: JSON = .null
    /// Types of all events.
    private(set) var types: [String] = []
    private var blocks: [JSON] = []
    private var open: Int?
    private var arguments = ""
    private var signatures = 0
    private var hasDelta = false
    private var hasStopped = false

    init(_ stream: String) {
        var framer = SSEFramer()
        _ = framer.take(ByteBuffer(string: stream))
        while let frame = framer.next() { read(frame) }
        if framer.finish() != nil { fault("bytes behind the last event") }
        if !hasStopped, types.last != "error" { fault("no end") }
        message["content"] = .array(blocks)
    }

    private mutating func fault(_ text: String) { faults.append("event \(types.count): \(text)") }

    private mutating func read(_ frame: SSEFrame) {
        guard let event = frame.event, let data = try? JSON(parsing: event.data), let type = data["type"]?.string else {
            return fault("not an event")
        }
        types.append(type)
        if event.name.map({ String(buffer: $0) }) != type { fault("name is not \(type)") }
        if hasStopped { fault("behind message_stop") }
        if type == "ping" || type == "error" { return }
        if message == .null, type != "message_start" { return fault("before message_start") }
        switch type {
        case "message_start": start(data)
        case "content_block_start": startBlock(data)
        case "content_block_delta": grow(data)
        case "content_block_stop": stopBlock(data)
        case "message_delta": end(data)
        case "message_stop":
            if !hasDelta { fault("no message_delta") }
            hasStopped = true
        default: fault("unknown \(type)")
        }
    }

    private mutating func start(_ data: JSON) {
        guard message == .null, let start = data["message"] else { return fault("second message_start") }
        message = start
        if start["content"] != [] || start["role"] != "assistant" || start["type"] != "message" { fault("message") }
        if start["id"]?.string?.hasPrefix("msg_") != true || start["stop_reason"] != .null { fault("message") }
        checkUsage(start["usage"])
    }

    private mutating func checkUsage(_ usage: JSON?) {
        guard let usage else { return fault("no usage") }
        for name in ["input_tokens", "output_tokens"] where (usage[name]?.int ?? -1) < 0 { fault("no \(name)") }
    }

    private mutating func startBlock(_ data: JSON) {
        if open != nil { fault("block in a block") }
        guard let index = data["index"]?.int, index == blocks.count, let block = data["content_block"] else {
            return fault("index")
        }
        switch block["type"]?.string {
        case "text": if block["text"] != "" { fault("text") }
        case "thinking": if block["thinking"] != "" || block["signature"] != "" { fault("thinking") }
        case "tool_use", "mcp_tool_use":
            if block["input"] != [:] || block["id"]?.string?.isEmpty != false || block["name"]?.string == nil {
                fault("tool_use")
            }
        default: break
        }
        open = index
        arguments = ""
        signatures = 0
        blocks.append(block)
        if hasDelta { fault("block behind message_delta") }
    }

    private mutating func grow(_ data: JSON) {
        guard let index = data["index"]?.int, index == open, let delta = data["delta"] else {
            return fault("delta of no block")
        }
        let kind = blocks[index]["type"]?.string
        switch (delta["type"]?.string, kind) {
        case ("text_delta", "text"): append(delta["text"], to: "text")
        case ("thinking_delta", "thinking"):
            if signatures > 0 { fault("thinking behind its signature") }
            append(delta["thinking"], to: "thinking")
        case ("signature_delta", "thinking"):
            signatures += 1
            blocks[index]["signature"] = delta["signature"]
        case ("input_json_delta", "tool_use"), ("input_json_delta", "mcp_tool_use"):
            guard let piece = delta["partial_json"]?.string else { return fault("partial_json") }
            arguments += piece
        default: fault("\(delta["type"]?.string ?? "-") in \(kind ?? "-")")
        }
    }

    private mutating func append(_ piece: JSON?, to member: String) {
        guard let piece = piece?.string, !piece.isEmpty, let open else { return fault("empty \(member)") }
        blocks[open][member] = .string((blocks[open][member]?.string ?? "") + piece)
    }

    private mutating func stopBlock(_ data: JSON) {
        guard let index = data["index"]?.int, index == open else { return fault("stop of no block") }
        open = nil
        switch blocks[index]["type"]?.string {
        case "text": if blocks[index]["text"] == "" { fault("empty text block") }
        case "thinking": if signatures != 1 { fault("\(signatures) signatures") }
        case "tool_use", "mcp_tool_use":
            guard !arguments.isEmpty else { break }
            guard let input = try? JSON(parsing: FuzzCheck.withoutHalves(arguments)), input.object != nil else {
                return fault("arguments: \(arguments)")
            }
            blocks[index]["input"] = input
        default: break
        }
    }

    private mutating func end(_ data: JSON) {
        if open != nil { fault("message_delta in a block") }
        hasDelta = true
        guard let delta = data["delta"], let reason = delta["stop_reason"]?.string else {
            return fault("no stop_reason")
        }
        checkUsage(data["usage"])
        for (name, value) in delta.object ?? [:] { message[name] = value }
        message["usage"] = data["usage"]
        let hasCalls = blocks.contains { $0["type"] == "tool_use" }
        if (reason == "tool_use") != hasCalls, !["max_tokens", "refusal"].contains(reason) {
            fault("\(reason), calls: \(hasCalls)")
        }
    }
}
