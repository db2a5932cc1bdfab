import MartletWire
import NIOCore

/// One item of the output of LM Studio's own API while it grows.
struct LMStudioItem: Sendable {
    enum Kind: Sendable {
        case message, reasoning
        /// Of a tool of the client, by its name there.
        case call(tool: String, id: String)
        /// Of a tool that is run here; without a provider there is none of that name.
        case hosted(tool: String, ToolProvider?)
    }

    let kind: Kind
    /// Still escaped.
    var text = ByteBuffer()
    var balance = ArgumentBalance()
    /// Its first event has been written.
    var isTold = false
    /// Nothing more comes for it.
    var isClosed = false
    /// It is known why the reply ended.
    var isSettled = false
    /// It is being run here.
    var isCalled = false
    /// Its arguments have been written.
    var hasArguments = false
    /// Of a call that was run here.
    var run: ToolRun?

    init(_ kind: Kind) { self.kind = kind }

    /// `message`, `reasoning`, `tool_call`: what its events are called.
    var name: String {
        switch kind {
        case .message: "message"
        case .reasoning: "reasoning"
        case .call, .hosted: "tool_call"
        }
    }

    var isCall: Bool {
        switch kind {
        case .message, .reasoning: false
        case .call, .hosted: true
        }
    }

    /// It has all it will get, as far as can be seen: a call that stays open may still have its arguments whole, and one
    /// that lacks their end may have been cut off by a limit, which is known at the end only. One that is run here is
    /// over when it has been run.
    var isDone: Bool {
        switch kind {
        case .message, .reasoning: isClosed
        case .call:
            balance.isComplete || isClosed && (isSettled || !ReplyArguments.isBroken(EscapedText(text), isCut: false))
        case .hosted: run != nil
        }
    }

    mutating func grow(_ piece: EscapedText) {
        text.writeImmutableBuffer(piece.bytes)
        if isCall { balance.take(piece) }
    }

    private var tool: String {
        switch kind {
        case .message, .reasoning: ""
        case .call(let tool, _), .hosted(let tool, _): tool
        }
    }

    private enum Fault { case name(String), arguments(String) }

    /// Why the call cannot be made; nil when it can be.
    /// - Parameter isCut: the reply ended at a token limit.
    private func fault(isCut: Bool) -> Fault? {
        switch run?.outcome {
        case .invalidName(let reason): return .name(reason)
        case .invalidArguments(let reason): return .arguments(reason)
        case .output, .failed: return nil
        case nil: break
        }
        if tool.isEmpty { return .name("The model made a call without a tool's name.") }
        guard ReplyArguments.isBroken(EscapedText(text), isCut: isCut) else { return nil }
        return .arguments("The arguments for \(tool) are no JSON object.")
    }

    // MARK: - What the client gets

    /// `"tool":…` and whose it is. What the client answers a call of its own by is `call_id`, which is ours.
    func writeHead(into out: inout ByteBuffer) { writeCall(arguments: nil, output: nil, into: &out) }

    private func writeCall(arguments: ByteBuffer?, output: String?, into out: inout ByteBuffer) {
        out.writeString("\"tool\":")
        out.writeJSONString(tool)
        if let arguments {
            out.writeString(",\"arguments\":")
            out.writeImmutableBuffer(arguments)
        }
        if let output {
            out.writeString(",\"output\":")
            out.writeJSONString(output)
        }
        writeProvider(into: &out)
        guard case .call(_, let id) = kind else { return }
        out.writeString(",\"call_id\":")
        out.writeJSONString(id)
    }

    private func writeProvider(into out: inout ByteBuffer) {
        switch kind {
        case .message, .reasoning, .hosted(_, nil): break
        case .call: out.writeString(",\"provider_info\":{\"type\":\"caller\"}")
        case .hosted(_, .plugin(let id)?):
            out.writeString(",\"provider_info\":{\"type\":\"plugin\",\"plugin_id\":")
            out.writeJSONString(id)
            out.writeString("}")
        case .hosted(_, .ephemeral(let label)?):
            out.writeString(",\"provider_info\":{\"type\":\"ephemeral_mcp\",\"server_label\":")
            out.writeJSONString(label)
            out.writeString("}")
        }
    }

    private func arguments(isCut: Bool) -> ByteBuffer {
        ReplyArguments.object(EscapedText(text), isCut: isCut).onOneLine
    }

    /// What a call came to; nil while it is to be run by the client. That it went wrong is told as a tool would tell it.
    private var output: String? {
        switch run?.outcome {
        case .output(let content): content
        case .failed(let reason): (["type": "text", "text": .string(reason)] as JSON).inArray
        case .invalidName, .invalidArguments, nil: nil
        }
    }

    /// `"reason":…,"metadata":{…}`
    private func writeFailure(_ fault: Fault, into out: inout ByteBuffer) {
        let (reason, isName) =
            switch fault {
            case .name(let reason): (reason, true)
            case .arguments(let reason): (reason, false)
            }
        out.writeString("\"reason\":")
        out.writeJSONString(reason)
        out.writeString(",\"metadata\":{\"type\":\"\(isName ? "invalid_name" : "invalid_arguments")\",\"tool_name\":")
        out.writeJSONString(tool)
        if !isName {
            out.writeString(",\"arguments\":")
            out.writeImmutableBuffer(arguments(isCut: false))
            writeProvider(into: &out)
        }
        out.writeString("}")
    }

    private func written(_ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
        var out = ByteBuffer(string: ",")
        write(&out)
        return out
    }

    /// What a call's event says of its arguments, behind the type.
    func made(isCut: Bool) -> ByteBuffer {
        written { writeCall(arguments: arguments(isCut: isCut), output: nil, into: &$0) }
    }

    /// The last events of a call: their names, and what they say behind the type.
    func endings(isCut: Bool) -> [(name: String, body: ByteBuffer)] {
        if let fault = fault(isCut: isCut) {
            return [("tool_call.failure", written { writeFailure(fault, into: &$0) })]
        }
        let before = hasArguments ? [] : [("tool_call.arguments", made(isCut: isCut))]
        guard let output else { return before }
        let run = written { writeCall(arguments: arguments(isCut: isCut), output: output, into: &$0) }
        return before + [("tool_call.success", run)]
    }

    /// The item; nil for one that says nothing.
    func json(isCut: Bool) -> ByteBuffer? {
        var out = ByteBuffer(string: "{\"type\":")
        switch kind {
        case .message, .reasoning:
            guard text.readableBytes > 0 else { return nil }
            out.writeString("\"\(name)\",\"content\":")
            out.writeEscaped(EscapedText(text))
        case .call, .hosted:
            if let fault = fault(isCut: isCut) {
                out.writeString("\"invalid_tool_call\",")
                writeFailure(fault, into: &out)
            } else {
                out.writeString("\"tool_call\",")
                writeCall(arguments: arguments(isCut: isCut), output: output, into: &out)
            }
        }
        out.writeString("}")
        return out
    }
}

extension JSON {
    /// The text of a list of just this.
    fileprivate var inArray: String { JSON.array([self]).text }
}
