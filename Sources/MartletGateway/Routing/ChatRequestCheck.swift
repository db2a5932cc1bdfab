package import MartletDialects
package import MartletWire
import NIOCore

/// Ranges and kinds of the Chat Completions members that we know, checked before a request goes to an upstream whose own
/// words for a mistake are poor (`repair`). Values outside are refused, never mended. Source: specs 1.2.2.
package enum ChatRequestCheck {
    private static let ranges: [(name: String, low: Double, high: Double)] = [
        ("temperature", 0, 2), ("top_p", 0, 1), ("frequency_penalty", -2, 2), ("presence_penalty", -2, 2),
    ]
    private static let integers: [(name: String, low: Int, high: Int)] = [
        ("max_tokens", -1, Int(Int32.max)), ("max_completion_tokens", -1, Int(Int32.max)), ("n", 1, 128),
        ("top_logprobs", 0, 20),
    ]

    package static func check(_ document: JSONDocument) throws(GatewayError) {
        try checkMessages(document)
        for (name, low, high) in ranges {
            guard let text = try number(name, in: document) else { continue }
            guard let value = Double(text), value >= low, value <= high else {
                throw outside(name, "between \(whole(low)) and \(whole(high))", text)
            }
        }
        for (name, low, high) in integers {
            guard let text = try number(name, in: document) else { continue }
            guard let value = Double(text), value == value.rounded(), value >= Double(low), value <= Double(high) else {
                let wanted =
                    low == -1 ? "a whole number, or -1 for no limit" : "a whole number between \(low) and \(high)"
                throw outside(name, wanted, text)
            }
        }
    }

    private static func checkMessages(_ document: JSONDocument) throws(GatewayError) {
        guard let member = try member("messages", in: document) else {
            throw GatewayError(code: .invalidRequest, message: "messages is required", param: "messages")
        }
        guard member.kind == .array else {
            throw GatewayError(code: .invalidRequest, message: "messages must be an array", param: "messages")
        }
        let inside = document.slice(member.value).readableBytesView.dropFirst().first { !$0.isJSONWhitespace }
        if inside == UInt8(ascii: "]") {
            throw GatewayError(
                code: .invalidRequest, message: "messages must hold at least one message", param: "messages")
        }
    }

    private static func member(_ name: String, in document: JSONDocument) throws(GatewayError) -> JSONMember? {
        do throws(JSONError) {
            return try document.member(name)
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence, param: name)
        }
    }

    private static func number(_ name: String, in document: JSONDocument) throws(GatewayError) -> String? {
        let member = try member(name, in: document)
        guard let member, member.kind != .null else { return nil }
        let text = String(buffer: document.slice(member.value))
        guard member.kind == .number else { throw outside(name, "a number", text) }
        return text
    }

    private static func outside(_ name: String, _ wanted: String, _ got: String) -> GatewayError {
        let shown = got.utf8.count > 40 ? String(got.prefix(40)) + "…" : got
        return GatewayError(code: .invalidRequest, message: "\(name) must be \(wanted) (got \(shown))", param: name)
    }

    private static func whole(_ value: Double) -> String { String(Int(value)) }
}

extension UInt8 {
    fileprivate var isJSONWhitespace: Bool { self == 0x20 || self == 0x09 || self == 0x0A || self == 0x0D }
}
