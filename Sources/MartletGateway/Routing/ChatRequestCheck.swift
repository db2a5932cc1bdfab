package import MartletDialects
package import MartletWire
import NIOCore

/// Ranges and kinds of the members of Chat Completions and of legacy Completions that we know, checked before a
/// request goes to an upstream whose own words for a mistake are poor (`repair`). Values outside are refused,
/// never mended. Source: specs 1.2.2.
package enum ChatRequestCheck {
    private static let ranges: [(name: StaticString, low: Double, high: Double)] = [
        ("temperature", 0, 2), ("top_p", 0, 1), ("frequency_penalty", -2, 2), ("presence_penalty", -2, 2),
    ]
    private static let integers: [(name: StaticString, low: Int, high: Int)] = [
        ("max_tokens", -1, Int(Int32.max)), ("max_completion_tokens", -1, Int(Int32.max)), ("n", 1, 128),
        ("top_logprobs", 0, 20),
    ]
    private static let kinds: [StaticString] = ["tools", "tool_choice", "stop", "seed", "response_format"]
    private static let names = ["messages"] + ranges.map(\.name) + integers.map(\.name) + kinds

    /// - Parameter images: what they have to be.
    package static func check(_ document: JSONDocument, _ images: ImageRequirement) throws(GatewayError) {
        let found = try NamedMembers(names, of: document)
        try checkMessages(found.member(0, of: document), document, images)
        try checkSettings(found, document)
    }

    /// What legacy Completions have in common with Chat.
    package static func checkSettings(_ document: JSONDocument) throws(GatewayError) {
        try checkSettings(NamedMembers(names, of: document), document)
    }

    private static func checkSettings(_ found: NamedMembers, _ document: JSONDocument) throws(GatewayError) {
        for place in kinds.indices {
            let member = found.member(1 + ranges.count + integers.count + place, of: document)
            if let member, member.kind != .null { try checkKind(of: member, kinds[place], document) }
        }
        for (place, (name, low, high)) in ranges.enumerated() {
            guard let member = found.member(1 + place, of: document), member.kind != .null else { continue }
            let text = try number(member, name, in: document)
            guard let value = Double(text), value >= low, value <= high else {
                throw outside(name, "between \(whole(low)) and \(whole(high))", text)
            }
        }
        for (place, (name, low, high)) in integers.enumerated() {
            guard let member = found.member(1 + ranges.count + place, of: document), member.kind != .null else {
                continue
            }
            if let value = document.int(member), low...high ~= value { continue }
            let text = try number(member, name, in: document)
            guard let value = Double(text), value == value.rounded(), value >= Double(low), value <= Double(high) else {
                let wanted =
                    low == -1 ? "a whole number, or -1 for no limit" : "a whole number between \(low) and \(high)"
                throw outside(name, wanted, text)
            }
        }
    }

    private static func checkKind(
        of member: JSONMember, _ name: StaticString, _ document: JSONDocument
    ) throws(GatewayError) {
        func refuse(_ wanted: String) throws(GatewayError) {
            throw outside(name, wanted, String(buffer: document.slice(member.value)))
        }
        switch ("\(name)", member.kind) {
        case ("tools", .array): try ChatRequestKinds.check(tools: document.slice(member.value))
        case ("tools", _): try refuse("a list")
        case ("stop", .array): try ChatRequestKinds.check(strings: document.slice(member.value), of: name)
        case ("tool_choice", .string), ("tool_choice", .object), ("stop", .string), ("response_format", .object): break
        case ("tool_choice", _): try refuse("a string or an object")
        case ("stop", _): try refuse("a string or a list of strings")
        case ("response_format", _): try refuse("an object")
        default: _ = try number(member, name, in: document)
        }
    }

    private static func checkMessages(
        _ member: JSONMember?, _ document: JSONDocument, _ images: ImageRequirement
    ) throws(GatewayError) {
        guard let member else {
            throw GatewayError(code: .invalidRequest, message: "messages is required", param: "messages")
        }
        guard member.kind == .array else {
            throw GatewayError(code: .invalidRequest, message: "messages must be an array", param: "messages")
        }
        let messages = document.slice(member.value)
        let inside = messages.readableBytesView.dropFirst().first { !$0.isJSONWhitespace }
        if inside == UInt8(ascii: "]") {
            throw GatewayError(
                code: .invalidRequest, message: "messages must hold at least one message", param: "messages")
        }
        if try ChatRequestKinds.check(messages: messages, takesImages: images.takesAny, takesAudio: images.takesAudio) {
            try images.check(messages: messages)
        }
    }

    private static func number(
        _ member: JSONMember, _ name: StaticString, in document: JSONDocument
    ) throws(GatewayError) -> String {
        let text = String(buffer: document.slice(member.value))
        guard member.kind == .number else { throw outside(name, "a number", text) }
        return text
    }

    private static func outside(_ name: StaticString, _ wanted: String, _ got: String) -> GatewayError {
        let shown = got.utf8.count > 40 ? String(got.prefix(40)) + "…" : got
        return GatewayError(
            code: .invalidRequest, message: "\(name) must be \(wanted) (got \(shown))", param: "\(name)")
    }

    private static func whole(_ value: Double) -> String { String(Int(value)) }
}

extension UInt8 {
    fileprivate var isJSONWhitespace: Bool { self == 0x20 || self == 0x09 || self == 0x0A || self == 0x0D }
}
