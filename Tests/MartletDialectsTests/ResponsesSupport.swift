import MartletDialects
import MartletWire
import NIOCore
import Testing

// MARK: - Requests

/// A Responses body for a Chat upstream.
func responsesToChat(
    _ body: String, window: Int? = nil, strict: Bool = false, seal: ReasoningSeal = .plain,
    _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    var flags = Capabilities()
    change(&flags)
    return try Translation(responsesRequest(body, to: .chat, flags, window: window, strict: strict, seal: seal))
}

/// A Responses body for an Anthropic upstream.
func responsesToAnthropic(
    _ body: String, seal: ReasoningSeal = .plain, _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    var flags = Capabilities.anthropic
    change(&flags)
    return try Translation(responsesRequest(body, to: .anthropic, flags, window: nil, strict: false, seal: seal))
}

private func responsesRequest(
    _ body: String, to upstream: UpstreamDialect, _ flags: Capabilities, window: Int?, strict: Bool, seal: ReasoningSeal
) throws -> TranslatedRequest {
    let target = WriteTarget(
        model: "local", capabilities: flags, streams: false, contextWindow: window, isStrict: strict)
    return try Dialects.translateRequest(
        JSONDocument(checking: ByteBuffer(string: body)), from: .responses, to: upstream, for: target, seal: seal)
}

/// A body whose input is these items.
func items(_ items: String, _ more: String = "") -> String {
    #"{"model":"m","input":[\#(items)]\#(more.isEmpty ? "" : "," + more)}"#
}

/// What a reply to that request has to be written with.
func responsesContext(_ body: String) throws -> ReplyContext { try responsesToChat(body).request.context }

// MARK: - Replies

func responsesTarget(_ seed: UInt64 = 1, isOpenResponses: Bool = false) -> ReplyTarget {
    ReplyTarget(
        dialect: .responses, model: "m", created: 7, ids: IDSource(seed: seed), requestID: "req_1", clock: { 9 },
        isOpenResponses: isOpenResponses)
}

/// An upstream's stream as a Responses client gets it.
func asResponses(
    _ stream: String, _ context: ReplyContext = ReplyContext(), from upstream: UpstreamDialect = .chat, cut: Int = 0
) -> Relayed {
    run(Dialects.pipe(from: upstream, to: responsesTarget(), context: context), reads(stream, of: cut))
}

/// Reads a Responses stream as strictly as any client does, and as Open Responses' validator reads its objects.
struct StrictResponsesReader {
    private struct Item {
        var added: JSON
        var type: String
        var text = ""
        var isPartOpen = false
        var hadPart = false
        var textDone: String?
        var done: JSON?
    }

    private(set) var faults: [String] = []
    /// Of each event, with its item's index where it has one.
    private(set) var types: [String] = []
    /// The object of the last event.
    private(set) var response: JSON = .null
    private(set) var error: JSON?
    private var items: [Item] = []
    private var isOver = false
    private var isDone = false
    private var id: JSON?

    var output: [JSON] { response["output"]?.array ?? [] }

    private let takesLateDeltas: Bool

    /// - Parameter takesLateDeltas: items may grow when others follow them: calls whose arguments are no JSON do.
    init(_ stream: String, takesLateDeltas: Bool = false) {
        self.takesLateDeltas = takesLateDeltas
        var framer = SSEFramer()
        _ = framer.take(ByteBuffer(string: stream))
        while let frame = framer.next() { read(frame) }
        if framer.finish() != nil { fault("bytes behind the last event") }
        if !isOver { fault("no terminal event") }
        if !isDone { fault("no [DONE]") }
    }

    private mutating func fault(_ text: String) { faults.append("event \(types.count): \(text)") }

    private mutating func read(_ frame: SSEFrame) {
        guard let event = frame.event else { return }  // a comment
        if isDone { fault("behind [DONE]") }
        if event.isDone {
            if event.name != nil { fault("a name for [DONE]") }
            if !isOver { fault("[DONE] before the terminal event") }
            isDone = true
            return
        }
        guard let data = try? JSON(parsing: event.data), let type = data["type"]?.string else {
            return fault("not an event")
        }
        if event.name.map({ String(buffer: $0) }) != type { fault("name is not \(type)") }
        if data["sequence_number"]?.int != types.count { fault("sequence_number") }
        let index = data["output_index"]?.int.map { "[\($0)]" } ?? ""
        types.append(type.replacing("response.", with: "", maxReplacements: 1) + index)
        if isOver { fault("behind the terminal event") }
        if types.count == 1, type != "response.created" { fault("does not begin with response.created") }
        if types.count == 2, type != "response.in_progress" { fault("no response.in_progress") }
        switch type {
        case "response.created", "response.in_progress", "response.completed", "response.incomplete",
            "response.failed":
            readResponse(type, data["response"] ?? .null)
        case "error":
            error = data
            for member in ["code", "message", "param"] where data[member] != data["error"]?[member] {
                fault("the two shapes differ in \(member)")
            }
        case "response.output_item.added": add(data)
        default: readItem(type, data)
        }
    }

    // MARK: - The object

    static let members = [
        "id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model", "output",
        "usage", "instructions", "previous_response_id", "max_output_tokens", "max_tool_calls", "safety_identifier",
        "prompt_cache_key", "tools", "tool_choice", "parallel_tool_calls", "truncation", "text", "reasoning",
        "metadata", "service_tier", "store", "background", "temperature", "top_p", "presence_penalty",
        "frequency_penalty", "top_logprobs",
    ]

    /// What is wrong with an object that stands by itself.
    static func faults(of response: JSON) -> [String] {
        var faults: [String] = []
        for name in members where response[name] == nil { faults.append("no \(name)") }
        for name in ["temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "created_at"]
        where response[name]?.double == nil { faults.append("\(name) is no number") }
        if response["object"] != "response" { faults.append("object") }
        if response["id"]?.string?.wholeMatch(of: /resp_[0-9a-f]{48}/) == nil { faults.append("id") }
        for tool in response["tools"]?.array ?? [] where tool["type"] == "function" {
            for name in ["strict", "parameters", "description"] where tool[name] == nil {
                faults.append("tool \(name)")
            }
        }
        if response["text"]?["format"]?["type"] == nil { faults.append("text.format") }
        for name in ["effort", "summary"] where response["reasoning"]?[name] == nil { faults.append("reasoning") }
        let status = response["status"]?.string ?? ""
        let isOver = ["completed", "incomplete"].contains(status)
        if isOver {
            let usage = response["usage"]
            let counts = [
                usage?["input_tokens"], usage?["output_tokens"], usage?["total_tokens"],
                usage?["input_tokens_details"]?["cached_tokens"],
                usage?["input_tokens_details"]?["cache_write_tokens"],
                usage?["output_tokens_details"]?["reasoning_tokens"],
            ]
            if counts.contains(where: { ($0?.int ?? -1) < 0 }) { faults.append("usage") }
            if response["completed_at"]?.int == nil { faults.append("completed_at") }
        }
        if (response["error"]?.isNull == false) != (status == "failed") { faults.append("error") }
        if (response["incomplete_details"]?.isNull == false) != (status == "incomplete") {
            faults.append("incomplete_details")
        }
        for item in response["output"]?.array ?? [] {
            let third = ["compaction": "encrypted_content", "mcp_list_tools": "server_label"]
            for name in ["id", "type", third[item["type"]?.string ?? ""] ?? "status"]
            where item[name]?.string?.isEmpty != false {
                faults.append("item without \(name)")
            }
            for part in item["content"]?.array ?? [] where part["type"] == "output_text" {
                if part["annotations"] != [] || part["logprobs"] != [] { faults.append("output_text") }
            }
        }
        return faults
    }

    private mutating func readResponse(_ type: String, _ given: JSON) {
        for text in Self.faults(of: given) { fault(text) }
        let status = given["status"]?.string ?? ""
        let wanted = type == "response.created" ? "in_progress" : String(type.dropFirst("response.".count))
        if status != wanted { fault("status \(status)") }
        if let id, id != given["id"] { fault("another id") }
        id = given["id"]
        if wanted == "in_progress" {
            if given["output"] != [] || given["usage"]?.isNull != true { fault("not empty at its beginning") }
            if !response.isNull, given != response { fault("created and in_progress differ") }
        } else {
            isOver = true
            let output = given["output"]?.array ?? []
            if output.count != items.count { fault("\(output.count) items of \(items.count)") }
            for (item, final) in zip(items, output) {
                if let done = item.done, done != final { fault("an item differs from its done event") }
                if item.done == nil, status != "failed" { fault("an item was never done") }
                compare(item.added, final)
            }
            if status == "failed", error == nil { fault("failed without an error event") }
        }
        response = given
    }

    private mutating func compare(_ added: JSON, _ later: JSON) {
        for name in ["id", "type", "call_id", "name", "namespace", "role"] where added[name] != later[name] {
            fault("\(name) changed")
        }
    }

    // MARK: - Items

    private mutating func add(_ data: JSON) {
        guard let item = data["item"], let type = item["type"]?.string, data["output_index"]?.int == items.count else {
            return fault("output_index")
        }
        if item["status"] != (["compaction", "mcp_list_tools"].contains(type) ? nil : "in_progress") {
            fault("added with status \(item["status"]?.text ?? "-")")
        }
        let empties: [String: (String, JSON)] = [
            "message": ("content", []), "reasoning": ("summary", []), "function_call": ("arguments", ""),
            "custom_tool_call": ("input", ""), "compaction": ("encrypted_content", ""),
            "mcp_call": ("arguments", ""), "mcp_list_tools": ("tools", []),
        ]
        if let (name, empty) = empties[type], item[name] != empty { fault("added with \(name)") }
        // Text and reasoning stand open alone; only calls do so side by side.
        if items.contains(where: { $0.done == nil && !$0.type.hasSuffix("_call") }) { fault("text is still open") }
        items.append(Item(added: item, type: type))
    }

    private mutating func readItem(_ type: String, _ data: JSON) {
        guard let index = data["output_index"]?.int, items.indices.contains(index) else {
            return fault("\(type) of no item")
        }
        if items[index].done != nil { fault("\(type) behind the item's end") }
        if type == "response.output_item.done" { return end(index, data["item"] ?? .null) }
        if data["item_id"] != items[index].added["id"] { fault("item_id") }
        let name = type.dropFirst("response.".count)
        if name == "compaction.compacting", items[index].type == "compaction" { return }
        let kind = items[index].type
        if ["in_progress", "completed", "failed"].contains(where: { name == "\(kind).\($0)" }) { return }
        // LangChain takes it for a piece of yet another item.
        if name.hasSuffix(".delta"), index + 1 < items.count, !takesLateDeltas { fault("a delta of an earlier item") }
        let allowed: [String: [String]] = [
            "message": ["output_text", "refusal"], "function_call": ["function_call_arguments"],
            "mcp_call": ["mcp_call_arguments"],
            "custom_tool_call": ["custom_tool_call_input"],
            "reasoning": ["reasoning_summary_text", "reasoning_text", "reasoning"],
        ]
        let kinds = allowed[items[index].type] ?? []
        let hasParts = ["message", "reasoning"].contains(items[index].type)
        let counter = name.hasPrefix("reasoning_summary") ? "summary_index" : "content_index"
        if hasParts, data[counter] != 0 { fault(counter) }
        switch name {
        case "content_part.added", "reasoning_summary_part.added":
            if !hasParts || items[index].hadPart { fault("a second part") }
            items[index].isPartOpen = true
            items[index].hadPart = true
            if text(of: data["part"]) != "" { fault("a part that is not empty") }
        case "content_part.done", "reasoning_summary_part.done":
            if !items[index].isPartOpen || items[index].textDone == nil { fault("part.done out of place") }
            items[index].isPartOpen = false
            if text(of: data["part"]) != items[index].text { fault("the part's text differs") }
        default:
            guard let kind = kinds.first(where: { name == $0 + ".delta" || name == $0 + ".done" }) else {
                return fault("\(type) in \(items[index].type)")
            }
            if hasParts, !items[index].isPartOpen { fault("\(type) outside of a part") }
            if kind == "output_text", data["logprobs"] != [] { fault("logprobs") }
            if name.hasSuffix(".delta") {
                guard let delta = data["delta"]?.string, !delta.isEmpty else { return fault("empty delta") }
                if items[index].textDone != nil { fault("delta behind done") }
                items[index].text += delta
            } else {
                let member = [
                    "function_call_arguments": "arguments", "mcp_call_arguments": "arguments",
                    "custom_tool_call_input": "input",
                ][kind]
                let text = data[member ?? (kind == "refusal" ? "refusal" : "text")]?.string
                if text != items[index].text { fault("done is not the sum of its deltas") }
                items[index].textDone = text ?? ""
            }
        }
    }

    private func text(of part: JSON?) -> String? {
        part?[part?["type"] == "refusal" ? "refusal" : "text"]?.string
    }

    private mutating func end(_ index: Int, _ item: JSON) {
        compare(items[index].added, item)
        if items[index].isPartOpen { fault("an open part") }
        let streams = ["message", "function_call", "custom_tool_call"].contains(items[index].type)
        if streams, items[index].textDone == nil { fault("no done event of its text") }
        let texts = (item["content"]?.array ?? []) + (item["summary"]?.array ?? [])
        let said = item["arguments"]?.string ?? item["input"]?.string ?? texts.compactMap { text(of: $0) }.joined()
        if items[index].textDone != nil, said != items[index].text { fault("the item's text differs") }
        items[index].done = item
    }
}
