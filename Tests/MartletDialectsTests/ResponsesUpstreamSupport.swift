import MartletDialects
import MartletWire
import NIOCore

/// One event of a Responses stream, its JSON written with `'` for `"`.
func responsesEvent(_ data: String, named: Bool = true) -> String {
    let data = json(data)
    let type = (try? JSON(parsing: data))?["type"]?.string ?? ""
    return named ? "event: \(type)\ndata: \(data)\n\n" : "data: \(data)\n\n"
}

/// What a Responses upstream's stream means, event by event.
func responsesMeaning(_ stream: String, fast: Bool = true, awaitsDone: Bool = false) -> [String] {
    var framer = SSEFramer()
    var reader = ResponsesStreamReader(readsFast: fast, awaitsDone: awaitsDone)
    var lines: [String] = []
    func read(_ frame: SSEFrame) {
        if let delta = reader.readKnown(frame) {
            return lines.append(describe(.delta(delta.block, delta.text(of: frame))))
        }
        guard let event = frame.event else { return }
        var events: [ReplyEvent] = []
        do {
            try reader.read(event, into: &events)
        } catch {
            lines.append("unreadable: \(error.sentence)")
        }
        lines += events.map(describe)
    }
    _ = framer.take(ByteBuffer(string: stream))
    while let frame = framer.next() { read(frame) }
    if let frame = framer.finish() { read(frame) }
    var events: [ReplyEvent] = []
    do {
        try reader.finish(into: &events)
    } catch {
        lines.append("unfinished: \(error.sentence)")
    }
    return lines + events.map(describe)
}

/// A Responses upstream's stream as a client of another dialect gets it.
func fromResponses(
    _ stream: String, to client: DialectID, _ context: ReplyContext = ReplyContext(),
    usage: ChatFrameEdit.UsagePlacement = .hidden, thinking: Bool = false, cut: Int = 0
) -> Relayed {
    run(
        Dialects.pipe(
            from: .responses, to: replyTarget(client, usage: usage, thinking: thinking), context: context),
        reads(stream, of: cut))
}

/// The same, relayed in its own dialect.
func relayResponses(_ stream: String, _ mode: ChatFrameEdit.Mode = .repair, model: String = "m", cut: Int = 0)
    -> Relayed
{
    var target = replyTarget(.responses, model: model)
    target.mode = mode
    return run(Dialects.pipe(from: .responses, to: target), reads(stream, of: cut))
}

/// An Anthropic body with these messages, for a Responses upstream.
func anthropicToResponses(
    _ messages: String, _ more: String = "", limit: Int = 100, strict: Bool = false,
    _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    try responsesBody(
        #"{"model":"m","max_tokens":\#(limit),"messages":[\#(messages)]\#(more.isEmpty ? "" : "," + more)}"#,
        from: .anthropic, strict: strict, change)
}

/// A Chat body with these messages, for a Responses upstream.
func chatToResponses(
    _ messages: String, _ more: String = "", strict: Bool = false, _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    try responsesBody(
        #"{"model":"m","messages":[\#(messages)]\#(more.isEmpty ? "" : "," + more)}"#, from: .chat, strict: strict,
        change)
}

func responsesBody(
    _ body: String, from client: DialectID, strict: Bool = false, streams: Bool = false,
    _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    var flags = Capabilities.responses
    change(&flags)
    let target = WriteTarget(model: "gpt", capabilities: flags, streams: streams, isStrict: strict)
    let document = try JSONDocument(checking: ByteBuffer(string: body))
    return try Translation(try Dialects.translateRequest(document, from: client, to: .responses, for: target))
}

extension Translation {
    var input: [JSON] { json["input"]?.array ?? [] }
    /// `type`, and the role of a message.
    var inputTypes: [String] {
        input.map { item in
            let type = item["type"]?.string ?? "-"
            return type == "message" ? "\(item["role"]?.string ?? "-")" : type
        }
    }
}

/// Reads a Responses stream as strictly as the strictest client, and as validators do.
struct UpstreamResponsesGrammar {
    private(set) var faults: [String] = []
    private(set) var types: [String] = []
    /// Of the terminal event.
    private(set) var final: JSON = .null
    private var number = 0
    private var id: JSON?
    private var items: [Int: JSON] = [:]
    private var finished: Set<Int> = []
    private var texts: [String: String] = [:]
    private var isDone = false

    static let members = [
        "id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model", "output",
        "usage", "instructions", "previous_response_id", "max_output_tokens", "max_tool_calls", "safety_identifier",
        "prompt_cache_key", "tools", "tool_choice", "parallel_tool_calls", "truncation", "text", "reasoning",
        "metadata", "service_tier", "store", "background", "temperature", "top_p", "presence_penalty",
        "frequency_penalty", "top_logprobs",
    ]

    init(_ stream: String) {
        var framer = SSEFramer()
        _ = framer.take(ByteBuffer(string: stream))
        while let frame = framer.next() { read(frame) }
        if framer.finish() != nil { fault("bytes behind the last event") }
        if !isDone { fault("no [DONE]") }
        if final == .null { fault("no terminal event") }
    }

    private mutating func fault(_ text: String) { faults.append("event \(types.count): \(text)") }

    private mutating func read(_ frame: SSEFrame) {
        guard let event = frame.event else { return }
        if isDone { return fault("behind [DONE]") }
        if event.isDone { return isDone = true }
        guard let data = try? JSON(parsing: event.data), let type = data["type"]?.string else {
            return fault("not an event")
        }
        types.append(type)
        if event.name.map({ String(buffer: $0) }) != type { fault("name is not \(type)") }
        if data["sequence_number"]?.int != number { fault("number is not \(number)") }
        number += 1
        if let response = data["response"] { check(response, type) }
        if type == "response.output_item.added" || type == "response.output_item.done" { check(item: data, type) }
        if let id = data["item_id"] {
            let index = data["output_index"]?.int ?? -1
            if items[index]?["id"] != id { fault("\(type): item \(id.text) at \(index)") }
        }
        let isPart = ["text", "part", "refusal"].contains { type.contains($0) } && type != "response.in_progress"
        if isPart, data["item_id"] != nil, data["content_index"]?.int == nil, data["summary_index"]?.int == nil {
            fault("\(type): no index")
        }
        if type == "response.output_text.delta", data["logprobs"]?.array == nil { fault("no logprobs") }
    }

    private mutating func check(_ response: JSON, _ type: String) {
        for name in Self.members where response[name] == nil { fault("\(type): no \(name)") }
        for name in ["temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs"] {
            if response[name]?.number == nil { fault("\(type): \(name)") }
        }
        id = id ?? response["id"]
        if response["id"] != id { fault("another id") }
        if types.count == 1, type != "response.created" { fault("does not begin with response.created") }
        guard ["response.completed", "response.incomplete", "response.failed"].contains(type) else { return }
        final = response
        if let usage = response["usage"], usage != .null {
            for name in ["input_tokens", "output_tokens", "total_tokens"] where usage[name]?.int == nil {
                fault("usage: \(name)")
            }
            if usage["input_tokens_details"]?["cached_tokens"]?.int == nil { fault("usage: cached_tokens") }
            if usage["output_tokens_details"]?["reasoning_tokens"]?.int == nil { fault("usage: reasoning_tokens") }
        }
        for (index, item) in (response["output"]?.array ?? []).enumerated() {
            if let known = items[index], known["id"] != item["id"] { fault("final item \(index) has another id") }
        }
    }

    private mutating func check(item data: JSON, _ type: String) {
        guard let index = data["output_index"]?.int, let item = data["item"] else { return fault("\(type): no item") }
        if item["id"]?.string?.isEmpty != false { fault("\(type): no id") }
        if type == "response.output_item.added" {
            if items[index] != nil { fault("item \(index) added twice") }
            items[index] = item
        } else {
            for name in ["id", "type", "call_id"] where items[index]?[name] != item[name] {
                fault("item \(index): \(name) changed")
            }
            finished.insert(index)
        }
    }
}

extension JSON {
    var number: JSONNumber? { if case .number(let number) = self { number } else { nil } }
}

/// The events of a plain Responses stream, for tables.
enum RStream {
    static func response(_ status: String, _ more: String = "") -> String {
        "{'id':'resp_1','object':'response','created_at':5,'status':'\(status)','model':'up','output':[]\(more)}"
    }

    static let created =
        responsesEvent("{'type':'response.created','sequence_number':0,'response':\(response("in_progress"))}")

    static func added(_ index: Int, _ item: String) -> String {
        responsesEvent("{'type':'response.output_item.added','output_index':\(index),'item':\(item)}")
    }

    static func done(_ index: Int, _ item: String) -> String {
        responsesEvent("{'type':'response.output_item.done','output_index':\(index),'item':\(item)}")
    }

    static func delta(_ name: String, _ index: Int, _ id: String, _ text: String, part: String = "content_index")
        -> String
    {
        let part = name.contains("arguments") || name.contains("input") ? "" : ",'\(part)':0"
        return responsesEvent(
            "{'type':'response.\(name).delta','item_id':'\(id)','output_index':\(index)\(part),'delta':'\(text)'}")
    }

    static func text(_ text: String, _ index: Int = 0, _ id: String = "msg_1") -> String {
        delta("output_text", index, id, text)
    }

    static let message = "{'id':'msg_1','type':'message','role':'assistant','status':'in_progress','content':[]}"

    static func message(_ text: String) -> String {
        "{'id':'msg_1','type':'message','role':'assistant','status':'completed',"
            + "'content':[{'type':'output_text','text':'\(text)','annotations':[]}]}"
    }

    static func call(_ index: Int, _ arguments: String = "", name: String = "f") -> String {
        "{'id':'fc_\(index)','type':'function_call','call_id':'call_\(index)','name':'\(name)','arguments':'\(arguments)'}"
    }

    static func end(_ status: String = "completed", _ more: String = "") -> String {
        responsesEvent("{'type':'response.\(status)','response':\(response(status, more))}")
    }

    static let usage =
        ",'usage':{'input_tokens':9,'input_tokens_details':{'cached_tokens':4},'output_tokens':3,"
        + "'output_tokens_details':{'reasoning_tokens':1},'total_tokens':12}"
}
