import MartletWire
import NIOCore

/// Byte edits of `input`: what was stored goes in before what is new, and nothing else is touched.
enum ResponsesSplice {
    /// The items of an input, each as it stands; a text as the message it is.
    static func items(_ document: JSONDocument) throws(JSONError) -> [ByteBuffer] {
        guard let member = try document.member("input") else { return [] }
        let value = document.slice(member.value)
        switch member.kind {
        case .string: return value.readableBytes > 2 ? [message(value)] : []
        case .array: return try value.rawElements() ?? []
        default: return []
        }
    }

    static func message(_ text: EscapedText) -> ByteBuffer {
        var string = ByteBuffer()
        string.writeEscaped(text)
        return message(string)
    }

    /// `{"type":"message","role":"user",…}` of a text.
    /// - Parameter text: a JSON string.
    private static func message(_ text: ByteBuffer) -> ByteBuffer {
        var item = ByteBuffer(
            string: #"{"type":"message","role":"user","content":[{"type":"input_text","text":"#)
        item.writeImmutableBuffer(text)
        item.writeString("}]}")
        return item
    }

    static func expanded(
        _ document: JSONDocument, with stored: [ByteBuffer], resolving references: [String: ByteBuffer]
    ) throws(JSONError) -> ByteBuffer {
        var items = stored
        for item in try self.items(document) {
            if let id = reference(item), let known = references[id] {
                items.append(known)
            } else {
                items.append(item)
            }
        }
        var edit = JSONEdit()
        try edit.set("input", .rawArray(items), in: document)
        if let place = try document.index(of: "previous_response_id") { edit.remove(place, of: document) }
        return edit.applied(to: document.bytes)
    }

    /// A message that tells the model what to be.
    static func isInstruction(_ item: ByteBuffer) -> Bool {
        guard let head = head(item), head.type ?? "message" == "message" else { return false }
        return head.role == "system" || head.role == "developer"
    }

    /// A message of the user.
    static func isUsers(_ item: ByteBuffer) -> Bool {
        guard let head = head(item) else { return false }
        return head.type ?? "message" == "message" && head.role == "user"
    }

    private enum Field: String, RequestField {
        case type, role, id
        case callID = "call_id"
    }

    /// The id a reference stands for; nil for any other item.
    static func reference(_ item: ByteBuffer) -> String? {
        guard let head = head(item),
            ResponsesInputItem.isReference(type: head.type, role: head.role, id: head.id)
        else { return nil }
        return head.id ?? ""
    }

    static func type(_ item: ByteBuffer) -> String? { head(item)?.type }

    /// The `call_id` of the first output of a call that is not there; nil where each has its call. What
    /// was compacted may hold any call.
    static func orphan(_ own: [ByteBuffer], after before: [ByteBuffer]) -> String? {
        let heads = own.compactMap(head)
        guard heads.contains(where: { $0.isOutput }) else { return nil }
        var calls: Set<String> = []
        for head in before.compactMap(head) + heads {
            if head.type.map(ResponsesCompaction.kinds.contains) == true
                || ResponsesInputItem.isReference(type: head.type, role: head.role, id: head.id)
            {
                return nil
            }
            if !head.isOutput, let id = head.callID { calls.insert(id) }
        }
        return heads.lazy.compactMap { $0.isOutput ? $0.callID : nil }.first { !calls.contains($0) }
    }

    private struct Head {
        var type: String?
        var role: String?
        var id: String?
        var callID: String?

        var isOutput: Bool { type?.hasSuffix("_output") == true }
    }

    private static func head(_ item: ByteBuffer) -> Head? {
        try? RequestWalk.over(item) { (walk) throws(DialectError) in
            var head = Head()
            guard try walk.kind() == .object else { return head }
            try walk.object(Field.self) { (walk, field) throws(DialectError) in
                switch field {
                case .type: head.type = try walk.stringIfAny()
                case .role: head.role = try walk.stringIfAny()
                case .id: head.id = try walk.stringIfAny()
                case .callID: head.callID = try walk.stringIfAny()
                }
            }
            return head
        }
    }

    /// The item with an id of its own, as lists of stored items have them.
    static func identified(_ item: ByteBuffer, _ ids: inout IDSource) -> ByteBuffer {
        guard let head = head(item), head.id == nil || head.type == nil && head.role != nil,
            var object = try? RawObject(item)
        else { return item }
        if head.id == nil { object.set("id", .rawString(ids.mintHex(prefix(ofType: head.type ?? "message")))) }
        if head.type == nil { object.set("type", .rawString("message")) }
        return object.text
    }

    private static func prefix(ofType type: String) -> StaticString {
        switch type {
        case "message", "agent_message": "msg_"
        case "reasoning": "rs_"
        case "function_call": "fc_"
        case "custom_tool_call": "ctc_"
        case "function_call_output": "fco_"
        case "custom_tool_call_output": "ctco_"
        default: "item_"
        }
    }
}
