import MartletWire
import NIOCore

/// Repairs one choice of a stream, or of a whole reply.
struct ChatChoiceRepair: Sendable {
    private struct SentCall: Sendable {
        var hasName: Bool
        var hasArguments: Bool
    }

    let choice: Int
    private(set) var isFinished = false
    private var calls = ChatCalls()
    private var sent: [SentCall] = []
    private var ids: Set<String> = []
    private var reasoning: String?
    private var usesFunctionCall = false
    private var logprobs = CompletionLogprobs()

    init(choice: Int) { self.choice = choice }

    mutating func take(_ arguments: EscapedText, slot: Int) {
        guard sent.indices.contains(slot) else { return }
        sent[slot].hasArguments = true
        calls.take(arguments, slot: slot)
    }

    /// - Returns: a delta that has to go out first: arguments of calls that ended without any.
    mutating func repair(_ choice: inout RawObject, ids: inout IDSource) throws(JSONError) -> ByteBuffer? {
        if choice["delta"]?.rawKind != .object {
            if choice["delta"] == nil, choice["message"]?.rawKind == .object {
                choice.rename("message", to: "delta")
            } else {
                choice.set("delta", ByteBuffer(string: "{}"))
            }
        }
        guard let text = choice["delta"] else { return nil }
        var delta = try RawObject(text)
        try repairDelta(&delta, inStream: true, ids: &ids)
        isFinished = repairFinish(&choice)
        var missing = isFinished ? missingArguments() : []
        if !missing.isEmpty, let pieces = try delta["tool_calls"]?.rawElements() {
            // Behind the heads, which may be in this very chunk.
            delta.set("tool_calls", .rawArray(pieces + missing))
            missing = []
        }
        if delta.isChanged { choice.set("delta", delta.text) }
        return missing.isEmpty ? nil : Self.delta(calls: missing)
    }

    /// A choice of legacy Completions in a stream: a text, and at last how it ended.
    mutating func repairText(_ choice: inout RawObject) throws(JSONError) {
        if choice["text"]?.rawKind != .string { choice.set("text", ByteBuffer(string: "\"\"")) }
        if let lists = try logprobs.repaired(choice["logprobs"]) { choice.set("logprobs", lists) }
        isFinished = repairFinish(&choice)
    }

    /// The same for `choices[]` of a whole reply.
    mutating func repairWhole(_ choice: inout RawObject, ids: inout IDSource) throws(JSONError) {
        if let text = choice["message"], text.rawKind == .object {
            var message = try RawObject(text)
            try repairDelta(&message, inStream: false, ids: &ids)
            if message.isChanged { choice.set("message", message.text) }
        }
        endWhole(&choice)
    }

    mutating func repairWholeText(_ choice: inout RawObject) throws(JSONError) {
        try repairText(&choice)
        endWhole(&choice)
    }

    /// A whole reply is over, whether it says how or not.
    private func endWhole(_ choice: inout RawObject) {
        if !repairFinish(&choice) {
            let reason = ChatFinish.agree(.stop, hasCalls: !calls.calls.isEmpty)
            choice.set("finish_reason", .rawString(ChatFinish.word(reason)))
        }
    }

    /// The choice ends without a word of the upstream.
    /// - Returns: a delta that has to go out first.
    mutating func end() -> ByteBuffer? {
        isFinished = true
        let missing = missingArguments()
        return missing.isEmpty ? nil : Self.delta(calls: missing)
    }

    /// `{}` for calls without arguments: clients parse what they are given, and nothing is no JSON.
    private func missingArguments() -> [ByteBuffer] {
        sent.indices.filter { !sent[$0].hasArguments && calls.calls[$0].balance.isEmpty }
            .map { ByteBuffer(string: "{\"index\":\($0),\"function\":{\"arguments\":\"{}\"}}") }
    }

    private static func delta(calls: [ByteBuffer]) -> ByteBuffer {
        var delta = RawObject()
        delta.set("tool_calls", .rawArray(calls))
        return delta.text
    }

    /// Whether the choice has a reason now.
    private func repairFinish(_ choice: inout RawObject) -> Bool {
        guard let word = choice["finish_reason"]?.rawString?.unescaped() else { return false }
        guard !word.isEmpty else {
            choice.set("finish_reason", ByteBuffer(string: "null"))
            return false
        }
        let reason = ChatFinish.agree(ChatFinish.read(word), hasCalls: !calls.calls.isEmpty || usesFunctionCall)
        let isOldCall = usesFunctionCall && reason == .toolCalls
        choice.set("finish_reason", .rawString(isOldCall ? "function_call" : ChatFinish.word(reason)))
        return true
    }

    private mutating func repairDelta(
        _ delta: inout RawObject, inStream: Bool, ids: inout IDSource
    ) throws(JSONError) {
        repairContent(&delta)
        repairReasoning(&delta)
        if delta["function_call"]?.rawKind == .object { usesFunctionCall = true }
        guard let pieces = try delta["tool_calls"]?.rawElements() else { return }
        guard !pieces.isEmpty else { return delta.remove("tool_calls") }
        var repaired: [ByteBuffer] = []
        var isChanged = false
        for (position, text) in pieces.enumerated() {
            guard var piece = try? RawObject(text) else {
                isChanged = true
                continue
            }
            guard try repairCall(&piece, position: position, inStream: inStream, ids: &ids) else {
                isChanged = true
                continue
            }
            isChanged = isChanged || piece.isChanged
            repaired.append(piece.isChanged ? piece.text : text)
        }
        if isChanged { delta.set("tool_calls", .rawArray(repaired)) }
    }

    /// A string, as clients join it: some servers give a list of parts, thinking among them.
    private func repairContent(_ delta: inout RawObject) {
        guard let parts = try? delta["content"]?.rawElements() else { return }
        var text = EscapedText()
        var thinking = EscapedText()
        for part in parts {
            guard let object = try? RawObject(part) else { return }
            if let more = object["text"]?.rawString {
                text.append(more)
            } else if let more = object["thinking"].flatMap({ $0.rawString ?? $0.rawTexts }) {
                thinking.append(more)
            } else {
                return
            }
        }
        var value = ByteBuffer()
        value.writeEscaped(text)
        delta.set("content", value)
        guard !thinking.isEmpty, delta["reasoning_content"]?.rawKind != .string else { return }
        value = ByteBuffer()
        value.writeEscaped(thinking)
        delta.set("reasoning_content", value)
    }

    /// One field, called `reasoning_content`. Servers that send two send the same text twice.
    private mutating func repairReasoning(_ delta: inout RawObject) {
        let names = ["reasoning_content", "reasoning", "thinking"]
        if reasoning == nil {
            reasoning = names.first { delta[$0]?.rawString?.isEmpty == false }
            if reasoning == nil, delta["reasoning_details"]?.isRawNothing == false { reasoning = "reasoning_details" }
        }
        guard let reasoning else { return }
        if reasoning == "reasoning_details" {
            guard let text = delta["reasoning_details"]?.rawTexts, !text.isEmpty else { return }
            var value = ByteBuffer()
            value.writeEscaped(text)
            return delta.set("reasoning_content", value)
        }
        for name in names where name != reasoning && delta[name]?.rawKind == .string { delta.remove(name) }
        if reasoning != names[0], delta[reasoning]?.rawKind == .string { delta.rename(reasoning, to: names[0]) }
    }

    /// - Returns: false when there are too many calls.
    private mutating func repairCall(
        _ piece: inout RawObject, position: Int, inStream: Bool, ids: inout IDSource
    ) throws(JSONError) -> Bool {
        let body = piece["custom"]?.rawKind == .object ? "custom" : "function"
        var function = piece[body]?.rawKind == .object ? try RawObject(piece[body] ?? ByteBuffer()) : RawObject()
        let id = piece["id"]?.rawString?.unescaped() ?? ""
        let name = function["name"]?.rawString?.unescaped() ?? ""
        let found = calls.slot(index: piece["index"]?.rawInt, id: id, name: name, position: position)
        guard let (slot, isNew, addedName) = found else { return false }
        if inStream { piece.set("index", ByteBuffer(string: "\(slot)")) }
        if isNew {
            sent.append(SentCall(hasName: false, hasArguments: false))
            if !isUsable(id) { piece.set("id", .rawString(ids.chatCall())) }
            self.ids.insert(id)
            if piece["type"]?.rawString?.isEmpty != false { piece.set("type", .rawString(body)) }
        } else {
            piece.remove("id")
            piece.remove("type")
        }
        if addedName.isEmpty {
            if sent[slot].hasName || function["name"]?.rawKind == .null { function.remove("name") }
        } else if addedName != name {
            function.set("name", .rawString(addedName))
        }
        if !name.isEmpty { sent[slot].hasName = true }
        repairArguments(&function, body == "custom" ? "input" : "arguments", slot: slot, inStream: inStream)
        if function.isChanged || piece[body] == nil { piece.set(body, function.text) }
        return true
    }

    private mutating func repairArguments(_ function: inout RawObject, _ name: String, slot: Int, inStream: Bool) {
        let value = function[name]
        var text = value?.rawString
        if text == nil, let value, value.rawKind != .null {
            // Given as a value instead of as a string that holds it.
            text = EscapedText(escaping: String(buffer: value))
        }
        let arguments = text ?? EscapedText()
        if !arguments.isEmpty { sent[slot].hasArguments = true }
        calls.take(arguments, slot: slot)
        if arguments.isEmpty, !inStream, name == "arguments" {
            function.set(name, ByteBuffer(string: "\"{}\""))
        } else if value?.rawKind != .string {
            var string = ByteBuffer()
            string.writeEscaped(arguments)
            function.set(name, string)
        }
    }

    /// Ids go into the conversation for good, and other dialects accept no others.
    private func isUsable(_ id: String) -> Bool {
        guard !id.isEmpty, id.utf8.count <= 64, !ids.contains(id) else { return false }
        return id.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
    }
}

extension ByteBuffer {
    /// An empty list, an empty string or null.
    fileprivate var isRawNothing: Bool { rawTexts?.isEmpty ?? true }

    /// The `text` members of an array of parts, joined.
    fileprivate var rawTexts: EscapedText? {
        guard let parts = try? rawElements() else { return nil }
        var joined = EscapedText()
        for part in parts {
            guard let object = try? RawObject(part), let text = object["text"]?.rawString else { continue }
            joined.append(text)
        }
        return joined
    }
}
