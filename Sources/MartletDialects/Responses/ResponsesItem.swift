import MartletWire
import NIOCore

/// An item of a reply while it is made, and what is said about it.
struct ResponsesItem: Sendable {
    enum Kind: Sendable {
        case message(isRefusal: Bool)
        case reasoning(isSummary: Bool)
        case call(ResponsesTool, callID: String)
        /// A call that is run here.
        case served(label: String, tool: String)
        /// Tools of an MCP server; a JSON array's text.
        case listing(label: String)
        /// A summary of the conversation, beside which so many of the user's last messages go on.
        case compaction(kept: Int)
    }

    /// A block the upstream has opened, and of which nothing has come yet.
    struct Promised: Sendable {
        var block: BlockID
        var kind: Kind
        var blobs: [OpaqueBlob] = []
    }

    enum Status: String, Sendable {
        case inProgress = "in_progress"
        case completed, incomplete, failed
    }

    let block: BlockID
    private(set) var kind: Kind
    private(set) var id: String
    let index: Int
    /// Text or arguments so far, as they stand between quotes; of a custom tool its input.
    var text = ByteBuffer()
    var blobs: [OpaqueBlob] = []
    /// Of a custom tool whose input comes wrapped.
    var input: ResponsesCustomInput?
    var join = SurrogateJoin()
    /// Its deltas.
    var frame = NumberedFrame()
    /// It will not grow any more.
    var isClosed = false
    /// All of its text is written.
    var isComplete = false
    /// It is not in the stream yet: a call before it lacks the end of its arguments. Such items are the last.
    var isHeld = false
    /// Of the arguments up to the index `weighed` of `text`.
    private var balance = ArgumentBalance()
    private var weighed = 0
    /// Of a call that is run here, what became of it.
    var run: ToolRun?
    /// The item as JSON, once it has been said to be done.
    var done: ByteBuffer?

    init(block: BlockID, kind: Kind, id: String, index: Int) {
        self.block = block
        self.kind = kind
        self.id = id
        self.index = index
    }

    /// Deltas may be written as they come, without a look inside.
    var isPlain: Bool {
        switch kind {
        case .message, .reasoning: true
        case .call, .served, .listing, .compaction: false
        }
    }

    var isCall: Bool {
        switch kind {
        case .call, .served: true
        case .message, .reasoning, .listing, .compaction: false
        }
    }

    /// Its arguments are a JSON object's text.
    var isFunction: Bool {
        switch kind {
        case .call(let tool, _): tool.form == .function
        case .served: true
        case .message, .reasoning, .listing, .compaction: false
        }
    }

    /// It is not done before it has been run.
    var awaitsRun: Bool {
        if case .served = kind { return run == nil }
        return false
    }

    /// A call of a tool built in: its arguments come in one, and say whether it is one.
    var isBuiltin: Bool {
        guard case .call(let tool, _) = kind else { return false }
        return tool.form != .function && tool.form != .custom
    }

    /// Makes a call whose arguments a tool built in has no place for one of a function of its name: the model's words
    /// reach the client, who runs nothing else in their place.
    mutating func settleForm() {
        guard case .call(let tool, let callID) = kind, isBuiltin,
            !ResponsesBuiltins.fits(tool.form, EscapedText(text))
        else { return }
        let mark = id.dropFirst(Self.prefix(kind).utf8CodeUnitCount)
        kind = .call(ResponsesTool(.function, name: tool.name), callID: callID)
        id = "\(Self.prefix(kind))\(mark)"
    }

    /// Whether a call may get more of its arguments.
    mutating func isGrowing() -> Bool {
        guard isCall, !isClosed, done == nil else { return false }
        if let input { return !input.isDone }
        if case .call(let tool, _) = kind, tool.form == .custom { return true }
        if let rest = text.getSlice(at: weighed, length: text.writerIndex - weighed) { balance.take(EscapedText(rest)) }
        weighed = text.writerIndex
        return !balance.isComplete
    }

    /// What the reply's end makes of it. What a limit ended is incomplete: the last item, and calls
    /// whose arguments lack their end.
    func status(_ finish: FinishReason?, isLast: Bool) -> Status {
        if case .served = kind { return run.map { $0.reason == nil ? .completed : .failed } ?? .incomplete }
        switch finish {
        case .length, .contextWindow, .contentFilter: break
        case .stop, .toolCalls, .pauseTurn, nil: return .completed
        }
        if let input { return input.isComplete ? .completed : .incomplete }
        guard case .call(let tool, _) = kind, tool.form != .custom else { return isLast ? .incomplete : .completed }
        var balance = ArgumentBalance()
        balance.take(EscapedText(text))
        return balance.isComplete ? .completed : .incomplete
    }

    /// What the client is to keep of reasoning, the upstream's own or this gateway's seal over the text, and of a
    /// summary.
    /// - Parameter keepsReasoning: it wants to.
    func sealed(_ seal: ReasoningSeal, keepsReasoning: Bool) -> EscapedText? {
        switch kind {
        case .reasoning where keepsReasoning:
            if let own = blobs.last(where: { $0.origin == .responses && $0.kind == .encrypted }) { return own.text }
            return seal.sealed(Reasoning(text: EscapedText(text), blobs: blobs))
        case .compaction(let kept):
            let heading = EscapedText(escaping: ResponsesCompaction.heading)
            return seal.sealed(Reasoning(text: heading + EscapedText(text)), keeping: kept)
        case .message, .reasoning, .call, .served, .listing: return nil
        }
    }

    /// `,"item_id":…,"output_index":…` and, where there are parts, which of them.
    func place(_ names: ResponsesEventNames) -> String {
        let part = names.partIndex.map { ",\"\($0)\":0" } ?? ""
        return ",\"item_id\":\"\(id)\",\"output_index\":\(index)\(part)"
    }

    // MARK: - As JSON

    /// - Parameters:
    ///   - sealed: `encrypted_content`; nil leaves it out.
    ///   - status: `inProgress` writes the item as it begins, with nothing in it.
    func json(_ status: Status, sealed: EscapedText? = nil) -> ByteBuffer {
        let isBegun = status == .inProgress
        if case .compaction = kind {
            var out = ByteBuffer(string: "{\"id\":\"\(id)\",\"type\":\"compaction\",\"encrypted_content\":")
            out.writeEscaped(sealed ?? EscapedText())
            out.writeString("}")
            return out
        }
        var out = ByteBuffer(string: "{\"id\":\"\(id)\",\"type\":\"\(type)\",\"status\":\"\(status.rawValue)\",")
        switch kind {
        case .message:
            out.writeString("\"role\":\"assistant\",\"content\":[")
            if !isBegun { writePart(into: &out) }
            out.writeString("]")
        case .reasoning(let isSummary):
            out.writeString("\"summary\":[")
            if isSummary, !isBegun, text.readableBytes > 0 { writePart(into: &out) }
            out.writeString("]")
            if !isSummary {
                out.writeString(",\"content\":[")
                if !isBegun, text.readableBytes > 0 { writePart(into: &out) }
                out.writeString("]")
            }
            if let sealed {
                out.writeString(",\"encrypted_content\":")
                out.writeEscaped(sealed)
            }
        case .call(let tool, let callID):
            out.writeString("\"call_id\":\"\(callID)\",")
            writeCall(tool, isBegun: isBegun, isCut: status == .incomplete, into: &out)
        case .served(let label, let tool): writeServed(label, tool, isBegun: isBegun, into: &out)
        case .listing, .compaction: break
        }
        out.writeString("}")
        return out
    }

    private func writeServed(_ label: String, _ tool: String, isBegun: Bool, into out: inout ByteBuffer) {
        out.writeString("\"server_label\":")
        out.writeJSONString(label)
        out.writeString(",\"name\":")
        out.writeJSONString(tool)
        out.writeString(",\"arguments\":\"")
        if !isBegun { out.writeImmutableBuffer(text) }
        out.writeString("\",\"approval_request_id\":null,\"output\":")
        ChatErrors.writeOrNull(run?.reason == nil ? run?.shown : nil, into: &out)
        out.writeString(",\"error\":")
        ChatErrors.writeOrNull(run?.reason, into: &out)
    }

    /// The tools of a server, as the first of its events has them, and as the last.
    static func listing(_ id: String, _ label: String, _ tools: [ServedTool]) -> ByteBuffer {
        var out = JSONOut(capacity: 1024)
        out.openObject()
        out.key("id")
        out.value(id)
        out.key("type")
        out.value("mcp_list_tools")
        out.key("server_label")
        out.value(label)
        out.key("tools")
        out.openArray()
        for tool in tools {
            out.openObject()
            out.key("name")
            out.value(tool.name)
            out.key("description")
            if let description = tool.description { out.value(description) } else { out.null() }
            out.key("input_schema")
            out.value(json: (tool.schema ?? ByteBuffer(string: "{}")).onOneLine)
            out.key("annotations")
            out.null()
            out.closeObject()
        }
        out.closeArray()
        out.key("error")
        out.null()
        out.closeObject()
        return out.bytes
    }

    private func writeCall(_ tool: ResponsesTool, isBegun: Bool, isCut: Bool, into out: inout ByteBuffer) {
        switch tool.form {
        case .function, .custom:
            out.writeString("\"name\":")
            out.writeJSONString(tool.name)
            out.writeString(tool.form == .custom ? ",\"input\":\"" : ",\"arguments\":\"")
            if !isBegun { out.writeImmutableBuffer(text) }
            out.writeString("\"")
            if let namespace = tool.namespace {
                out.writeString(",\"namespace\":")
                out.writeJSONString(namespace)
            }
        case .localShell, .shell, .applyPatch, .search:
            let arguments = isBegun ? nil : ReplyArguments.object(EscapedText(text), isCut: isCut)
            out.writeImmutableBuffer(ResponsesBuiltins.body(tool.form, arguments))
        }
    }

    private var type: String {
        switch kind {
        case .message: "message"
        case .reasoning: "reasoning"
        case .compaction: "compaction"
        case .served: "mcp_call"
        case .listing: "mcp_list_tools"
        case .call(let tool, _):
            switch tool.form {
            case .function: "function_call"
            case .custom: "custom_tool_call"
            case .localShell: "local_shell_call"
            case .shell: "shell_call"
            case .applyPatch: "apply_patch_call"
            case .search: "tool_search_call"
            }
        }
    }

    /// - Parameter isEmpty: the part as it begins.
    func writePart(isEmpty: Bool = false, into out: inout ByteBuffer) {
        switch kind {
        case .message(isRefusal: false):
            out.writeString("{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"")
        case .message(isRefusal: true): out.writeString("{\"type\":\"refusal\",\"refusal\":\"")
        case .reasoning(isSummary: true): out.writeString("{\"type\":\"summary_text\",\"text\":\"")
        case .reasoning(isSummary: false): out.writeString("{\"type\":\"reasoning_text\",\"text\":\"")
        case .call, .served, .listing, .compaction: return
        }
        if !isEmpty { out.writeImmutableBuffer(text) }
        out.writeString("\"}")
    }

    /// The members of the event that ends its text.
    func writeDone(_ names: ResponsesEventNames, into out: inout ByteBuffer) {
        out.writeString(",\"\(names.member)\":\"")
        out.writeImmutableBuffer(text)
        out.writeString("\"")
        if names.text == "output_text" { out.writeString(",\"logprobs\":[]") }
        if case .call(let tool, _) = kind, tool.form == .function {
            out.writeString(",\"name\":")
            out.writeJSONString(tool.name)
        }
    }

    static func prefix(_ kind: Kind) -> StaticString {
        switch kind {
        case .message: "msg_"
        case .reasoning: "rs_"
        case .compaction: "cmp_"
        case .served: "mcp_"
        case .listing: "mcpl_"
        case .call(let tool, _):
            switch tool.form {
            case .function: "fc_"
            case .custom: "ctc_"
            case .localShell: "lsh_"
            case .shell: "sh_"
            case .applyPatch: "apc_"
            case .search: "tsc_"
            }
        }
    }
}

/// The names of the events of one kind of item.
struct ResponsesEventNames {
    /// `content_part` or `reasoning_summary_part`; nil where an item has no parts.
    var part: String?
    /// Before `.delta` and `.done`; nil where its text does not stream.
    var text: String?
    /// The member that counts the parts.
    var partIndex: String?
    /// What the text is called in the `.done` event.
    var member: String

    init(_ kind: ResponsesItem.Kind, isOpenResponses: Bool) {
        switch kind {
        case .message(let isRefusal):
            part = "content_part"
            text = isRefusal ? "refusal" : "output_text"
            partIndex = "content_index"
            member = isRefusal ? "refusal" : "text"
        case .reasoning(isSummary: true):
            part = "reasoning_summary_part"
            text = "reasoning_summary_text"
            partIndex = "summary_index"
            member = "text"
        case .reasoning(isSummary: false):
            part = "content_part"
            text = isOpenResponses ? "reasoning" : "reasoning_text"
            partIndex = "content_index"
            member = "text"
        case .call(let tool, _):
            switch tool.form {
            case .function: text = "function_call_arguments"
            case .custom: text = "custom_tool_call_input"
            case .localShell, .shell, .applyPatch, .search: text = nil
            }
            member = tool.form == .custom ? "input" : "arguments"
        case .served:
            text = "mcp_call_arguments"
            member = "arguments"
        case .listing: member = "tools"
        case .compaction: member = "encrypted_content"
        }
    }
}
