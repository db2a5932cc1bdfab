import MartletWire
import NIOCore

/// Reads what an assistant's message holds beside its content: calls and signed thinking.
enum ChatRequestCalls {
    private enum Field: String, RequestField { case id, type, function, custom }

    private enum BodyField: String, RequestField { case name, arguments, input }

    struct Calls {
        var known: [ToolCall] = []
        /// Types of those that nobody knows.
        var unknown: [String] = []
    }

    static func list(_ walk: inout RequestWalk) throws(DialectError) -> Calls {
        var calls = Calls()
        try walk.array { (walk, _) throws(DialectError) in
            var id: String?
            var type: String?
            var call: ToolCall?
            try walk.object(Field.self) { (walk, field) throws(DialectError) in
                if try walk.takeNull() { return }
                switch field {
                case .id: id = try walk.string()
                case .type: type = try walk.stringIfAny()
                case .function: call = try function(&walk)
                case .custom:
                    call = try function(&walk)
                    call?.kind = .custom
                }
            }
            guard var call else {
                guard let type, type != "function", type != "custom" else {
                    throw DialectError(.unexpected, at: "function", "a function call is required")
                }
                return calls.unknown.append(type)
            }
            call.id = id ?? ""
            calls.known.append(call)
        }
        return calls
    }

    static func function(_ walk: inout RequestWalk) throws(DialectError) -> ToolCall {
        var name: String?
        var arguments = CallArguments.text(EscapedText())
        try walk.object(BodyField.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .name: name = try walk.string()
            case .arguments, .input:
                // A string by the rules; some clients send the object itself.
                arguments = try walk.kind() == .string ? .text(walk.escaped()) : .json(walk.skip())
            }
        }
        guard let name, !name.isEmpty else { throw DialectError(.unexpected, at: "name", "a name is required") }
        return ToolCall(id: "", name: name, arguments: arguments)
    }

    private enum ThinkingField: String, RequestField { case type, thinking, signature, data }

    /// `thinking_blocks`: the form in which signatures travel through clients of this dialect.
    static func thinking(_ walk: inout RequestWalk) throws(DialectError) -> [Reasoning] {
        var all: [Reasoning] = []
        try walk.array { (walk, _) throws(DialectError) in
            var reasoning = Reasoning()
            try walk.object(ThinkingField.self) { (walk, field) throws(DialectError) in
                switch field {
                case .type: _ = try walk.skip()
                case .thinking: reasoning.text = try walk.escapedIfAny() ?? EscapedText()
                case .signature, .data:
                    guard let text = try walk.escapedIfAny(), !text.isEmpty else { return }
                    let kind: OpaqueBlob.Kind = field == .data ? .redacted : .signature
                    reasoning.blobs.append(OpaqueBlob(origin: .anthropic, kind: kind, text: text))
                }
            }
            all.append(reasoning)
        }
        return all
    }
}
