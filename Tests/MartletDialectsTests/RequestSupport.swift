import MartletDialects
import MartletWire
import NIOCore
import Testing

/// A request, translated, with what tests ask about it.
struct Translation {
    var request: TranslatedRequest
    var text: String
    var json: JSON

    var messages: [JSON] { json["messages"]?.array ?? [] }
    var roles: [String] { messages.compactMap { $0["role"]?.string } }
    func content(_ index: Int) -> String? { json["messages"]?[index]?["content"]?.string }
    var toolNames: [String] {
        (json["tools"]?.array ?? []).compactMap { ($0["function"]?["name"] ?? $0["name"])?.string }
    }

    init(_ request: TranslatedRequest) throws {
        self.request = request
        text = request.body.string
        json = request.answer == nil ? try JSON(parsing: text) : .null
    }
}

func anthropic(_ body: String) throws -> CanonicalRequest {
    try AnthropicRequest.read(JSONDocument(checking: ByteBuffer(string: body)))
}

func chat(_ body: String) throws -> CanonicalRequest {
    try ChatRequest.read(JSONDocument(checking: ByteBuffer(string: body)))
}

/// An Anthropic body with these messages, for a Chat upstream.
func translatedToChat(
    _ messages: String, _ more: String = "", window: Int? = nil, strict: Bool = false,
    _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    try translatedToChat(
        body: #"{"model":"m","max_tokens":100,"messages":[\#(messages)]\#(more.isEmpty ? "" : "," + more)}"#,
        window: window, strict: strict, change)
}

func translatedToChat(
    body: String, window: Int? = nil, strict: Bool = false, _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    var flags = Capabilities()
    change(&flags)
    let target = WriteTarget(
        model: "local", capabilities: flags, streams: false, contextWindow: window, isStrict: strict)
    return try Translation(try ChatRequest.write(try anthropic(body), for: target))
}

/// A Chat body with these messages, for an Anthropic upstream.
func translatedToAnthropic(
    _ messages: String, _ more: String = "", strict: Bool = false,
    _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    try translatedToAnthropic(
        body: #"{"model":"m","messages":[\#(messages)]\#(more.isEmpty ? "" : "," + more)}"#, strict: strict, change)
}

func translatedToAnthropic(
    body: String, strict: Bool = false, _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    var flags = Capabilities.anthropic
    change(&flags)
    let target = WriteTarget(model: "claude", capabilities: flags, streams: false, isStrict: strict)
    return try Translation(try AnthropicRequest.write(try chat(body), for: target))
}

/// The error a translation is refused with.
func refusal(_ translate: () throws -> Translation) -> GatewayError? {
    do {
        _ = try translate()
        return nil
    } catch {
        return error as? GatewayError
    }
}

let userHi = #"{"role":"user","content":"hi"}"#

/// An assistant's turn with calls of these ids, all to `f`.
func calls(_ ids: String...) -> String {
    let blocks = ids.map { #"{"type":"tool_use","id":"\#($0)","name":"f","input":{}}"# }
    return #"{"role":"assistant","content":[\#(blocks.joined(separator: ","))]}"#
}

func user(_ blocks: String...) -> String { #"{"role":"user","content":[\#(blocks.joined(separator: ","))]}"# }

func text(_ text: String) -> String { #"{"type":"text","text":"\#(text)"}"# }

func result(_ id: String, _ content: String) -> String {
    #"{"type":"tool_result","tool_use_id":"\#(id)","content":\#(content)}"#
}

let pixel = "iVBORw0KGgo="
let pixelBlock = #"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"\#(pixel)"}}"#
