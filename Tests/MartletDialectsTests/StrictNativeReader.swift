import MartletDialects
import MartletWire
import NIOCore

/// Reads a stream of LM Studio's own API as strictly as any client does.
struct StrictNativeReader {
    private(set) var faults: [String] = []
    /// Types of all events, without those that repeat the one before.
    private(set) var types: [String] = []
    /// All of them, in their order.
    private(set) var events: [JSON] = []
    private(set) var result: JSON = .null
    /// What the events came to, as the result has it.
    private var items: [JSON] = []
    private var open: String?
    private var text = ""
    private var progress = 0.0

    init(_ stream: String) {
        var framer = SSEFramer()
        _ = framer.take(ByteBuffer(string: stream))
        while let frame = framer.next() { read(frame) }
        if framer.finish() != nil { fault("bytes behind the last event") }
        if types.last != "chat.end" { fault("no chat.end") }
        if result["output"]?.array != items, !types.contains("error") { fault("the result is not what was told") }
    }

    private mutating func fault(_ text: String) { faults.append("event \(events.count): \(text)") }

    private mutating func read(_ frame: SSEFrame) {
        guard let event = frame.event, event.data.readableBytes > 0 else { return }
        guard let data = try? JSON(parsing: event.data), let type = data["type"]?.string else {
            return fault("not an event")
        }
        if event.name.map({ String(buffer: $0) }) != type { fault("name is not \(type)") }
        if types.isEmpty, type != "chat.start" { fault("before chat.start") }
        if types.last == "chat.end" { fault("behind chat.end") }
        if types.last == "error", type != "chat.end" { fault("behind error") }
        if types.last != type { types.append(type) }
        events.append(data)
        switch type {
        case "chat.start": if data["model_instance_id"]?.string == nil || events.count > 1 { fault("chat.start") }
        case "chat.end": end(data)
        case "error":
            if data["error"]?["type"]?.string == nil || data["error"]?["message"]?.string == nil { fault(type) }
        case let type where type.hasSuffix(".start"): begin(type)
        case "model_load.progress", "prompt_processing.progress": advance(type, data)
        case "model_load.end":
            if data["load_time_seconds"] == nil { fault("no load_time_seconds") }
            close(type)
        case "prompt_processing.end": close(type)
        case "message.delta", "reasoning.delta":
            if open != Self.subject(type) { fault("\(type) of nothing") }
            text += data["content"]?.string ?? ""
        case "message.end", "reasoning.end":
            items.append(["type": .string(Self.subject(type)), "content": .string(text)])
            close(type)
        case "tool_call.arguments", "tool_call.success", "tool_call.failure": call(type, data)
        default: fault("unknown \(type)")
        }
    }

    private static func subject(_ type: String) -> String { String(type.prefix { $0 != "." }) }

    private mutating func begin(_ type: String) {
        let order = ["model_load.start": 0, "prompt_processing.start": 1]
        if let open, open != "told" { fault("\(type) in \(open)") }
        if order[type] == 0, types.contains(where: { $0.hasPrefix("prompt") }) { fault("a load behind the prompt") }
        open = Self.subject(type)
        (text, progress) = ("", 0)
    }

    private mutating func advance(_ type: String, _ data: JSON) {
        guard open == Self.subject(type), let value = data["progress"]?.double, (0...1).contains(value) else {
            return fault(type)
        }
        if value < progress { fault("\(type) goes back") }
        progress = value
    }

    private mutating func close(_ type: String) {
        if open != Self.subject(type) { fault("\(type) of nothing") }
        open = nil
    }

    /// Its arguments may be followed by what it came to.
    private mutating func call(_ type: String, _ data: JSON) {
        var item = data
        if type == "tool_call.failure" {
            if open == "told" { items.removeLast() } else if open != "tool_call" { fault("\(type) of nothing") }
            item["type"] = "invalid_tool_call"
        } else {
            if open != (type == "tool_call.success" ? "told" : "tool_call") { fault("\(type) of nothing") }
            if data["arguments"]?.object == nil { fault("arguments are no object") }
            if type == "tool_call.success" { items.removeLast() }
            item["type"] = "tool_call"
        }
        items.append(item)
        open = type == "tool_call.arguments" ? "told" : nil
    }

    private mutating func end(_ data: JSON) {
        if let open, open != "told", !types.contains("error") { fault("chat.end in \(open)") }
        result = data["result"] ?? .null
        for name in [
            "input_tokens", "total_output_tokens", "reasoning_output_tokens", "tokens_per_second",
            "time_to_first_token_seconds",
        ] where (result["stats"]?[name]?.double ?? -1) < 0 {
            fault("no \(name)")
        }
        if result["model_instance_id"]?.string == nil { fault("no model_instance_id") }
    }
}
