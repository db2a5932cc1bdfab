import MartletWire
import NIOCore

/// One item of `input`, before its type is looked at: values that depend on the type are still JSON text.
struct ResponsesInputItem {
    var type: String?
    var role: String?
    var id: String?
    var status: String?
    var content: ByteBuffer?
    var callID: String?
    var name: String?
    var namespace: String?
    var arguments: ByteBuffer?
    var input: EscapedText?
    var output: ByteBuffer?
    var summary: ByteBuffer?
    var encrypted: EscapedText?
    var tools: ByteBuffer?
    var action: ByteBuffer?
    var operation: ByteBuffer?
    var author: String?
    var text: EscapedText?
    var server: String?
    var error: ByteBuffer?

    private enum Field: String, RequestField {
        case type, role, id, status, content, name, namespace, arguments, input, output, summary, tools, action
        case operation, author, text, error
        case server = "server_label"
        case callID = "call_id"
        case encrypted = "encrypted_content"
    }

    static func read(_ walk: inout RequestWalk) throws(DialectError) -> ResponsesInputItem {
        var item = ResponsesInputItem()
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .type: item.type = try walk.string()
            case .role: item.role = try walk.string()
            case .id: item.id = try walk.stringIfAny()
            case .status: item.status = try walk.stringIfAny()
            case .content: item.content = try walk.skip()
            case .callID: item.callID = try walk.stringIfAny()
            case .name: item.name = try walk.stringIfAny()
            case .namespace: item.namespace = try walk.stringIfAny()
            case .arguments: item.arguments = try walk.skip()
            case .input: item.input = try walk.escapedIfAny()
            case .output: item.output = try walk.skip()
            case .summary: item.summary = try walk.skip()
            case .encrypted: item.encrypted = try walk.escapedIfAny()
            case .tools: item.tools = try walk.skip()
            case .action: item.action = try walk.skip()
            case .operation: item.operation = try walk.skip()
            case .author: item.author = try walk.stringIfAny()
            case .text: item.text = try walk.escapedIfAny()
            case .server: item.server = try walk.stringIfAny()
            case .error: item.error = try walk.skip()
            }
        }
        return item
    }

    /// What it is; neither a message nor a reference needs a type.
    var kind: String {
        if Self.isReference(type: type, role: role, id: id) { return "item_reference" }
        return type ?? (role == nil ? "item" : "message")
    }

    /// It stands for a stored item.
    static func isReference(type: String?, role: String?, id: String?) -> Bool {
        type == "item_reference" || type == nil && role == nil && id != nil
    }

    /// The reply it comes from ended before it did.
    var isCut: Bool { status == "incomplete" || status == "in_progress" }

    /// - Throws: what is wrong in it, seen from the item.
    func parts(_ content: ByteBuffer?, at name: String) throws(DialectError) -> [Part] {
        guard let content else { return [] }
        do {
            return try ResponsesContent.parts(content)
        } catch {
            throw error.inside(name)
        }
    }

    /// What a tool gave back; a value that is neither text nor a list goes along as its JSON text.
    func outputParts() throws(DialectError) -> [Part] {
        guard let output else { return [] }
        switch output.rawKind {
        case .string, .array: return try parts(output, at: "output")
        default: return [Part(.text(EscapedText(escaping: String(buffer: output))))]
        }
    }
}
