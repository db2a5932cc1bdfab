import MartletWire
import NIOCore

/// Sets right what compatible servers get wrong in a Responses stream, event by event. Members it does not know stay
/// byte for byte.
struct ResponsesStreamRepair: Sendable {
    struct Event {
        var type: String
        var data: ByteBuffer
        var isChanged: Bool
        /// `response.completed` or `response.incomplete`.
        var isTerminal: Bool
    }

    /// Of the next event.
    private(set) var number = 0
    /// The Response as the stream has told it, every member of it there.
    private(set) var response: RawObject?
    private var object: ResponsesObjectRepair
    private var items: ResponsesItemRepair
    /// As they stood when they were done, by their number.
    private var done: [Int: ByteBuffer] = [:]

    /// The Response with the items that are done so far.
    var soFar: RawObject? {
        guard var whole = response, !done.isEmpty else { return response }
        whole.set("output", .rawArray(done.keys.sorted().compactMap { done[$0] }))
        return whole
    }

    init(model: String, created: Int, ids: IDSource, label: ResponseLabel?) {
        object = ResponsesObjectRepair(model: model, created: created, ids: ids, label: label)
        items = ResponsesItemRepair(ids: ids)
    }

    /// An event went by as it was.
    mutating func step() { number += 1 }

    /// The last event went by to nobody.
    mutating func stepBack() { number -= 1 }

    /// Nil for what is no event of this dialect.
    mutating func repair(_ event: SSEEvent) -> Event? {
        guard var top = try? RawObject(event.data) else { return nil }
        let name = event.name.map { String(buffer: $0) }
        guard let type = top["type"]?.rawString?.unescaped() ?? name else { return nil }
        top.set("type", .rawString(type))
        if let text = top["response"], text.rawKind == .object, var whole = try? RawObject(text) {
            object.complete(&whole, event: String(type.dropFirst("response.".count)))
            items.repair(outputOf: &whole)
            response = whole
            if whole.isChanged { top.set("response", whole.text) }
        } else if type.hasPrefix("response.output_item.") {
            items.repair(itemOf: &top, isNew: type.hasSuffix(".added"))
            if type.hasSuffix(".done"), let index = top["output_index"]?.rawInt { done[index] = top["item"] }
        } else if let word = ResponsesPartEvent(type) {
            items.repair(partOf: &top, word)
        }
        top.set("sequence_number", ByteBuffer(string: "\(number)"))
        number += 1
        return Event(
            type: type, data: top.isChanged ? top.text : event.data, isChanged: top.isChanged,
            isTerminal: type == "response.completed" || type == "response.incomplete")
    }

    /// The terminal event, when the stream's end came without one.
    /// - Parameter events: of the end; an inferred reason is among them.
    mutating func owed(_ events: [ReplyEvent]) -> Event? {
        guard events.contains(where: { if case .finished = $0 { true } else { false } }) else { return nil }
        var whole = response ?? RawObject()
        whole.set("output", .rawArray(done.keys.sorted().compactMap { done[$0] }))
        whole.set("status", .rawString("completed"))
        object.complete(&whole, event: "completed")
        response = whole
        var top = RawObject()
        top.set("type", .rawString("response.completed"))
        top.set("sequence_number", ByteBuffer(string: "\(number)"))
        top.set("response", whole.text)
        number += 1
        return Event(type: "response.completed", data: top.text, isChanged: true, isTerminal: true)
    }
}

/// Where an event about a part of an item belongs.
struct ResponsesPartEvent {
    /// `type` of its item.
    var item: String?
    /// The member that numbers the part; nil for calls.
    var index: String?
    /// It has to have `logprobs`.
    var hasLogprobs = false
    /// The event tells a part's text as it is: `part`.
    var hasPart = false

    init?(_ type: String) {
        guard type.hasPrefix("response."), let dot = type.lastIndex(of: ".") else { return nil }
        switch type[..<dot].dropFirst("response.".count) {
        case "output_text":
            (item, index) = ("message", "content_index")
            hasLogprobs = true
        case "output_text.annotation", "refusal": (item, index) = ("message", "content_index")
        case "content_part":
            index = "content_index"
            hasPart = true
        case "reasoning_text", "reasoning", "reasoning_content": (item, index) = ("reasoning", "content_index")
        case "reasoning_summary_text", "reasoning_summary_part", "reasoning_summary":
            (item, index) = ("reasoning", "summary_index")
        case "function_call_arguments": item = "function_call"
        case "custom_tool_call_input": item = "custom_tool_call"
        default: return nil
        }
    }
}
