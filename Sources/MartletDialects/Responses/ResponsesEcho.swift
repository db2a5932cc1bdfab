import MartletWire
import NIOCore

/// What a reply repeats of its request, and what its writer must know of it. Made once per request and shared: a
/// context that holds it is cheap to copy.
package final class ResponsesEcho: Sendable {
    /// Members of the Response object, from `instructions` on, without `previous_response_id` and `store`; one line.
    let members: ByteBuffer
    package let previousID: String?
    package let isStored: Bool
    /// Every tool the model may call, by its flat name.
    package let tools: [String: ResponsesTool]
    /// Reasoning goes into summaries; else it is text.
    package let wantsSummary: Bool
    /// Reasoning items carry `encrypted_content`.
    package let sealsReasoning: Bool

    init(
        members: ByteBuffer, previousID: String? = nil, isStored: Bool = true, tools: [String: ResponsesTool] = [:],
        wantsSummary: Bool = false, sealsReasoning: Bool = false
    ) {
        self.members = members
        self.previousID = previousID
        self.isStored = isStored
        self.tools = tools
        self.wantsSummary = wantsSummary
        self.sealsReasoning = sealsReasoning
    }

    /// For a reply to a request that said nothing.
    package static let unsaid = ResponsesEcho(members: ResponsesEchoMembers().text)

    /// The same for a request that was expanded from a stored response before it was read, or whose reply is not stored
    /// whatever it asked for.
    package func with(previousID: String?, isStored: Bool) -> ResponsesEcho {
        ResponsesEcho(
            members: members, previousID: previousID, isStored: isStored, tools: tools, wantsSummary: wantsSummary,
            sealsReasoning: sealsReasoning)
    }
}

extension ResponsesEcho: Hashable {
    package static func == (a: ResponsesEcho, b: ResponsesEcho) -> Bool {
        a === b
            || a.members == b.members && a.previousID == b.previousID && a.isStored == b.isStored
                && a.tools == b.tools && a.wantsSummary == b.wantsSummary && a.sealsReasoning == b.sealsReasoning
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(members) }
}

/// Puts the repeated members together (https://platform.openai.com/docs/api-reference/responses/object): every one of
/// them, with its default where the request does not say.
struct ResponsesEchoMembers {
    private static let defaults: [(name: StaticString, value: StaticString)] = [
        ("instructions", "null"), ("max_output_tokens", "null"), ("max_tool_calls", "null"),
        ("safety_identifier", "null"), ("prompt_cache_key", "null"), ("tool_choice", "\"auto\""), ("tools", "[]"),
        ("parallel_tool_calls", "true"), ("truncation", "\"disabled\""), ("text", "{\"format\":{\"type\":\"text\"}}"),
        ("reasoning", "{\"effort\":null,\"summary\":null}"), ("metadata", "{}"), ("service_tier", "\"default\""),
        ("background", "false"), ("temperature", "1"), ("top_p", "1"), ("presence_penalty", "0"),
        ("frequency_penalty", "0"), ("top_logprobs", "0"),
    ]
    /// Only where the request has them.
    private static let others: [StaticString] = ["user", "prompt_cache_retention"]

    private var given: [String: ByteBuffer] = [:]

    /// - Parameter value: JSON text; nil and `null` leave the default.
    mutating func set(_ name: String, _ value: ByteBuffer?) {
        guard let value, value.rawKind != .null else { return }
        given[name] = value
    }

    /// Objects whose clients expect certain members in them.
    mutating func set(_ name: String, _ value: ByteBuffer?, filledWith defaults: [(String, StaticString)]) {
        guard let value, var object = try? RawObject(value) else { return }
        for (name, text) in defaults where object[name] == nil { object.set(name, ByteBuffer(string: "\(text)")) }
        given[name] = object.text
    }

    static var names: [String] { defaults.map { "\($0.name)" } + others.map { "\($0)" } }

    var text: ByteBuffer {
        var out = ByteBuffer()
        for (place, member) in Self.defaults.enumerated() {
            if place > 0 { out.writeString(",") }
            out.writeString("\"\(member.name)\":")
            if let value = given["\(member.name)"] {
                out.writeImmutableBuffer(value)
            } else {
                out.writeStaticString(member.value)
            }
        }
        for name in Self.others {
            guard let value = given["\(name)"] else { continue }
            out.writeString(",\"\(name)\":")
            out.writeImmutableBuffer(value)
        }
        return out.onOneLine
    }
}

extension ByteBuffer {
    /// A JSON text without line ends, which can only be white space between its tokens: fit for one `data:` line.
    var onOneLine: ByteBuffer {
        guard readableBytesView.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return self }
        var line = self
        line.withUnsafeMutableReadableBytes { bytes in
            for place in bytes.indices where bytes[place] == 0x0A || bytes[place] == 0x0D { bytes[place] = 0x20 }
        }
        return line
    }
}
