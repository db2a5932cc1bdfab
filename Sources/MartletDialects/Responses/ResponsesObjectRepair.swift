import MartletWire
import NIOCore

/// Gives a Response the members every Response has to have: validators refuse it without them
/// (https://www.openresponses.org/reference, `ResponseResource`).
struct ResponsesObjectRepair: Sendable {
    /// As a JSON string, with its quotes.
    private let model: ByteBuffer
    /// Of the first Response, else ours: both are the same through a stream.
    private var created: ByteBuffer
    private var id: ByteBuffer?
    private var ids: IDSource
    private let label: ResponseLabel?

    init(model: String, created: Int, ids: IDSource, label: ResponseLabel?) {
        self.label = label
        self.model = .rawString(model)
        self.created = ByteBuffer(string: "\(created)")
        self.ids = ids
    }

    /// - Parameter event: the last word of the event it stands in; empty for a whole reply.
    mutating func complete(_ response: inout RawObject, event: String) {
        if id == nil {
            let given = response["id"]?.rawString?.isEmpty == false ? response["id"] : nil
            id = given ?? .rawString(ids.response())
            if let given = response["created_at"], given.rawKind == .number { created = given }
        }
        if let id { response.set("id", id) }
        response.set("object", .rawString("response"))
        response.set("created_at", created)
        if response["status"]?.rawKind != .string { response.set("status", .rawString(Self.status(event))) }
        if response["status"] == .rawString("incomplete"), response["incomplete_details"]?.rawKind != .object {
            response.set("incomplete_details", ByteBuffer(string: #"{"reason":"max_output_tokens"}"#))
        }
        response.set("model", model)
        if response["output"]?.rawKind != .array { response.set("output", ByteBuffer(string: "[]")) }
        completeUsage(&response)
        for name in Self.nullable where response[name] == nil { response.set(name, .rawNull) }
        for (name, value) in Self.defaults where response[name]?.rawKind ?? .null == .null {
            response.set(name, ByteBuffer(string: value))
        }
        completeTools(&response)
        label?.put(on: &response)
    }

    private static func status(_ event: String) -> String {
        ["queued", "completed", "incomplete", "failed", "cancelled"].contains(event)
            ? event : event.isEmpty ? "completed" : "in_progress"
    }

    private static let nullable = [
        "completed_at", "error", "incomplete_details", "usage", "instructions", "previous_response_id",
        "max_output_tokens", "max_tool_calls", "safety_identifier", "prompt_cache_key",
    ]

    private static let defaults = [
        ("tools", "[]"), ("tool_choice", #""auto""#), ("parallel_tool_calls", "true"), ("truncation", #""disabled""#),
        ("text", #"{"format":{"type":"text"}}"#), ("reasoning", #"{"effort":null,"summary":null}"#),
        ("metadata", "{}"), ("service_tier", #""default""#), ("store", "true"), ("background", "false"),
        ("temperature", "1"), ("top_p", "1"), ("presence_penalty", "0"), ("frequency_penalty", "0"),
        ("top_logprobs", "0"),
    ]

    /// No count is missing beside others.
    private func completeUsage(_ response: inout RawObject) {
        guard let text = response["usage"], text.rawKind == .object, var usage = try? RawObject(text) else { return }
        for name in ["input_tokens", "output_tokens"] where usage[name]?.rawInt == nil {
            usage.set(name, ByteBuffer(string: "0"))
        }
        let counts = [("input_tokens_details", "cached_tokens"), ("output_tokens_details", "reasoning_tokens")]
        for (name, count) in counts {
            var details = usage[name].flatMap { try? RawObject($0) } ?? RawObject()
            if details[count]?.rawInt == nil { details.set(count, ByteBuffer(string: "0")) }
            if details.isChanged { usage.set(name, details.text) }
        }
        if usage["total_tokens"]?.rawInt == nil {
            let counts = (usage["input_tokens"]?.rawInt ?? 0, usage["output_tokens"]?.rawInt ?? 0)
            let (total, overflow) = counts.0.addingReportingOverflow(counts.1)
            usage.set("total_tokens", ByteBuffer(string: "\(overflow ? .max : total)"))
        }
        if usage.isChanged { response.set("usage", usage.text) }
    }

    private func completeTools(_ response: inout RawObject) {
        guard let tools = try? response["tools"]?.rawElements() else { return }
        var isChanged = false
        let completed = tools.map { text -> ByteBuffer in
            guard var tool = try? RawObject(text), tool["type"] == .rawString("function") else { return text }
            for name in ["description", "parameters", "strict"] where tool[name] == nil { tool.set(name, .rawNull) }
            isChanged = isChanged || tool.isChanged
            return tool.isChanged ? tool.text : text
        }
        if isChanged { response.set("tools", .rawArray(completed)) }
    }
}

/// Gives the items of a Response, and the events about them, what they have to have: one id per item everywhere, its
/// number, the lists and texts that may be empty and must not be missing.
struct ResponsesItemRepair: Sendable {
    private struct Item: Sendable {
        var type: String
        var index: Int
        /// As a JSON string.
        var id: ByteBuffer
        /// What else the upstream calls it.
        var others: [ByteBuffer] = []
    }

    /// More than these are left as they are.
    private static let limit = 4096

    private var items: [Item] = []
    private var ids: IDSource

    init(ids: IDSource) { self.ids = ids }

    /// `item` and `output_index` of an event.
    mutating func repair(itemOf top: inout RawObject, isNew: Bool) {
        guard let text = top["item"], var item = try? RawObject(text) else { return }
        let type = item["type"]?.rawString?.unescaped() ?? ""
        let index = top["output_index"]?.rawInt
        let place = isNew ? nil : find(type, [item["id"], item["call_id"]], index)
        let known = place.map { items[$0] } ?? add(type, item, index)
        top.set("output_index", ByteBuffer(string: "\(known.index)"))
        item.set("id", known.id)
        complete(&item, type, status: isNew ? "in_progress" : "completed")
        if item.isChanged { top.set("item", item.text) }
    }

    /// The place of an event about a part.
    mutating func repair(partOf top: inout RawObject, _ part: ResponsesPartEvent) {
        if let place = find(part.item, [top["item_id"]], top["output_index"]?.rawInt) {
            if let given = top["item_id"], given != items[place].id, !items[place].others.contains(given) {
                items[place].others.append(given)
            }
            top.set("item_id", items[place].id)
            top.set("output_index", ByteBuffer(string: "\(items[place].index)"))
        }
        if let name = part.index, top[name]?.rawInt == nil { top.set(name, ByteBuffer(string: "0")) }
        if part.hasLogprobs, top["logprobs"]?.rawKind != .array { top.set("logprobs", ByteBuffer(string: "[]")) }
        guard part.hasPart, let text = top["part"], var content = try? RawObject(text) else { return }
        Self.complete(part: &content)
        if content.isChanged { top.set("part", content.text) }
    }

    /// `output` of a Response.
    mutating func repair(outputOf response: inout RawObject) {
        guard let elements = try? response["output"]?.rawElements(), !elements.isEmpty else { return }
        var isChanged = false
        let repaired = elements.enumerated().map { index, text -> ByteBuffer in
            guard var item = try? RawObject(text) else { return text }
            let type = item["type"]?.rawString?.unescaped() ?? ""
            let place = find(type, [item["id"], item["call_id"]], index, guesses: false)
            item.set("id", (place.map { items[$0] } ?? add(type, item, index)).id)
            complete(&item, type, status: "completed")
            isChanged = isChanged || item.isChanged
            return item.isChanged ? item.text : text
        }
        if isChanged { response.set("output", .rawArray(repaired)) }
    }

    private func find(_ type: String?, _ names: [ByteBuffer?], _ index: Int?, guesses: Bool = true) -> Int? {
        func fits(_ item: Item) -> Bool { type.map { $0 == item.type } ?? true }
        let names = names.compactMap { $0 }.filter { $0.rawString?.isEmpty == false }
        let known = items.lastIndex { fits($0) && (names.contains($0.id) || $0.others.contains(where: names.contains)) }
        if let known { return known }
        if let index, let known = items.lastIndex(where: { fits($0) && $0.index == index }) { return known }
        return guesses ? items.lastIndex(where: fits) : nil
    }

    private mutating func add(_ type: String, _ item: RawObject, _ index: Int?) -> Item {
        let given = item["id"]?.rawString?.isEmpty == false ? item["id"] : nil
        let known = Item(
            type: type, index: index ?? items.count, id: given ?? .rawString(mint(type)),
            others: item["call_id"].map { [$0] } ?? [])
        if items.count < Self.limit { items.append(known) }
        return known
    }

    private mutating func mint(_ type: String) -> String {
        switch type {
        case "message": ids.mintHex("msg_")
        case "function_call": ids.mintHex("fc_")
        case "custom_tool_call": ids.mintHex("ctc_")
        case "reasoning": ids.mintHex("rs_")
        default: ids.mintHex("item_")
        }
    }

    private func complete(_ item: inout RawObject, _ type: String, status: String) {
        func need(_ name: String, _ value: String, _ kind: JSONKind) {
            if item[name]?.rawKind != kind { item.set(name, ByteBuffer(string: value)) }
        }
        switch type {
        case "message":
            need("role", #""assistant""#, .string)
            need("content", "[]", .array)
        case "function_call":
            // Given as a value instead of as a string that holds it.
            let kind = item["arguments"]?.rawKind
            if kind == .object || kind == .array, let value = item["arguments"] {
                item.set("arguments", .rawString(String(buffer: value)))
            }
            need("arguments", #""""#, .string)
        case "custom_tool_call": need("input", #""""#, .string)
        case "reasoning":
            need("summary", "[]", .array)
            return
        default: return
        }
        need("status", "\"\(status)\"", .string)
        if type != "message", item["call_id"]?.rawString?.isEmpty != false, let id = item["id"] {
            item.set("call_id", id)
        }
        guard type == "message", let parts = try? item["content"]?.rawElements() else { return }
        var isChanged = false
        let completed = parts.map { text -> ByteBuffer in
            guard var part = try? RawObject(text) else { return text }
            Self.complete(part: &part)
            isChanged = isChanged || part.isChanged
            return part.isChanged ? part.text : text
        }
        if isChanged { item.set("content", .rawArray(completed)) }
    }

    private static func complete(part: inout RawObject) {
        guard part["type"] == .rawString("output_text") else { return }
        for name in ["annotations", "logprobs"] where part[name]?.rawKind != .array {
            part.set(name, ByteBuffer(string: "[]"))
        }
        if part["text"]?.rawKind != .string { part.set("text", .rawString("")) }
    }
}

extension ResponsesReply {
    /// The body for a client of this dialect, as pieces to be written one after another.
    static func edit(_ body: ByteBuffer, _ target: ReplyTarget, ids: inout IDSource) -> [ByteBuffer] {
        guard target.mode == .repair || target.label != nil, var response = try? RawObject(body) else {
            return ModelSplice.splice(target.model, into: body)
        }
        var object = ResponsesObjectRepair(
            model: target.model, created: target.created, ids: ids, label: target.label)
        if target.mode == .exact {
            target.label?.put(on: &response)
            response.set("model", .rawString(target.model))
            return [response.text]
        }
        var items = ResponsesItemRepair(ids: ids)
        object.complete(&response, event: "")
        items.repair(outputOf: &response)
        return response.isChanged ? [response.text] : [body]
    }
}
