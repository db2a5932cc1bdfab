import MartletWire
import NIOCore

/// Says a whole Response in the events that would have built it up
/// (https://platform.openai.com/docs/api-reference/responses-streaming).
struct ResponsesReplay {
    private(set) var out = ByteBuffer()
    private var number = 0

    /// - Parameter text: the same, as it stood.
    mutating func say(_ response: RawObject, _ text: ByteBuffer) {
        guard response["output"]?.rawKind == .array else {
            // No Response, but what a server sent in its place.
            out.writeString("event: error\n")
            out.writeFrame(data: text)
            return
        }
        var begun = response
        begun.set("status", .rawString("in_progress"))
        begun.set("output", ByteBuffer(string: "[]"))
        for name in ["usage", "error", "incomplete_details", "completed_at"] where begun[name] != nil {
            begun.set(name, .rawNull)
        }
        say("response.created", [("response", begun.text)])
        say("response.in_progress", [("response", begun.text)])
        let items = (try? response["output"]?.rawElements()) ?? []
        for (index, item) in items.enumerated() { say(item: item, at: index) }
        say(Self.ending(response), [("response", text)])
        out.writeString("data: [DONE]\n\n")
    }

    /// The type of the event that ends a stream of this Response.
    static func ending(_ response: RawObject) -> String {
        switch response["status"]?.rawString?.unescaped() {
        case "failed", "cancelled": "response.failed"
        case "incomplete": "response.incomplete"
        default: "response.completed"
        }
    }

    private mutating func say(item text: ByteBuffer, at index: Int) {
        guard let item = try? RawObject(text) else { return }
        let place = ("output_index", ByteBuffer(string: "\(index)"))
        let id = ("item_id", item["id"] ?? .rawString(""))
        say("response.output_item.added", [place, ("item", Self.begun(item).text)])
        switch item["type"]?.rawString?.unescaped() {
        case "message": say(parts: item["content"], of: "output_text", "content", [id, place])
        case "reasoning":
            say(parts: item["summary"], of: "reasoning_summary_text", "summary", [id, place])
            say(parts: item["content"], of: "reasoning_text", "content", [id, place])
        case "function_call": say(all: item["arguments"], "function_call_arguments", "arguments", [id, place])
        case "custom_tool_call": say(all: item["input"], "custom_tool_call_input", "input", [id, place])
        case "mcp_call":
            say("response.mcp_call.in_progress", [id, place])
            say(all: item["arguments"], "mcp_call_arguments", "arguments", [id, place])
            let hasFailed = item["error"].map { $0.rawKind != .null } ?? false
            say("response.mcp_call.\(hasFailed ? "failed" : "completed")", [id, place])
        case "mcp_list_tools":
            say("response.mcp_list_tools.in_progress", [id, place])
            say("response.mcp_list_tools.completed", [id, place])
        default: break
        }
        say("response.output_item.done", [place, ("item", text)])
    }

    /// The item as it was announced.
    private static func begun(_ item: RawObject) -> RawObject {
        var begun = item
        let nothing = ["content": "[]", "summary": "[]", "arguments": "\"\"", "input": "\"\""]
        for (name, value) in nothing where begun[name] != nil { begun.set(name, ByteBuffer(string: value)) }
        if begun["status"] != nil { begun.set("status", .rawString("in_progress")) }
        begun.remove("encrypted_content")
        switch item["type"]?.rawString?.unescaped() {
        case "mcp_call":
            for name in ["output", "error"] where begun[name] != nil { begun.set(name, .rawNull) }
        case "mcp_list_tools": begun.set("tools", ByteBuffer(string: "[]"))
        default: break
        }
        return begun
    }

    private mutating func say(
        parts: ByteBuffer?, of name: String, _ list: String, _ place: [(String, ByteBuffer)]
    ) {
        let parts = (try? parts?.rawElements()) ?? []
        let isSummary = list == "summary"
        for (index, part) in parts.enumerated() {
            guard let members = try? RawObject(part) else { continue }
            let isRefusal = members["type"]?.rawString?.unescaped() == "refusal"
            let member = isRefusal ? "refusal" : "text"
            guard let text = members[member] else { continue }
            let here = place + [("\(list)_index", ByteBuffer(string: "\(index)"))]
            var empty = members
            empty.set(member, .rawString(""))
            let event = isRefusal ? "refusal" : name
            let logprobs = event == "output_text" ? [("logprobs", ByteBuffer(string: "[]"))] : []
            let around = isSummary ? "reasoning_summary_part" : "content_part"
            say("response.\(around).added", here + [("part", empty.text)])
            if text.rawString?.isEmpty == false { say("response.\(event).delta", here + [("delta", text)] + logprobs) }
            say("response.\(event).done", here + [(member, text)] + logprobs)
            say("response.\(around).done", here + [("part", part)])
        }
    }

    private mutating func say(
        all text: ByteBuffer?, _ event: String, _ member: String, _ place: [(String, ByteBuffer)]
    ) {
        guard let text, text.rawKind == .string else { return }
        if text.rawString?.isEmpty == false { say("response.\(event).delta", place + [("delta", text)]) }
        say("response.\(event).done", place + [(member, text)])
    }

    private mutating func say(_ type: String, _ members: [(String, ByteBuffer)]) {
        out.writeString("event: \(type)\ndata: {\"type\":\"\(type)\",\"sequence_number\":\(number)")
        number += 1
        for (name, value) in members {
            out.writeString(",\"\(name)\":")
            out.writeLine(value)
        }
        out.writeString("}\n\n")
    }
}

extension ByteBuffer {
    static var rawNull: ByteBuffer { ByteBuffer(string: "null") }

    /// Writes JSON on one line: line ends between its tokens are white space, and inside strings there are none.
    mutating func writeLine(_ json: ByteBuffer) {
        var json = json
        json.withUnsafeMutableReadableBytes { bytes in
            for place in bytes.indices where bytes[place] == 0x0A || bytes[place] == 0x0D { bytes[place] = 0x20 }
        }
        writeImmutableBuffer(json)
    }

    /// Writes a data line with JSON, and the blank line behind it.
    mutating func writeFrame(data json: ByteBuffer) {
        writeString("data: ")
        writeLine(json)
        writeString("\n\n")
    }
}
