package import MartletWire
package import NIOCore

extension ResponsesUpstreamRequest {
    /// What a relayed conversation must lose before the API takes it: reasoning this gateway sealed for other
    /// upstreams, what a summary it sealed stands for, reasoning without the item it led to, and call ids longer than
    /// the API allows, which are cut in call and result alike. The summary becomes a message. Of a conversation that is
    /// kept here also the ids the API would look for in its own store, and reasoning that is nowhere but there.
    ///
    /// - Returns: the value `input` is to be replaced with; nil when the body is fine, or cannot be read: then the API
    ///   says so in its own words.
    /// - Throws: `notFound` for a reference to an item nobody has put in its place: what the API's own store holds
    ///   under our key may be another client's.
    package static func repairedInput(
        _ document: JSONDocument, isKeptHere: Bool = false, seal: ReasoningSeal = .plain
    ) throws(GatewayError) -> ByteBuffer? {
        guard let member = try? document.member("input"), member.kind == .array else { return nil }
        let input = document.slice(member.value)
        guard var heads = try? ResponsesItemHead.list(input, seal) else { return nil }
        if let missing = heads.first(where: { $0.reference != nil })?.reference { throw .itemNotFound(missing) }
        if isKeptHere {
            for place in heads.indices { heads[place].isKeptHere = true }
        }
        heads.endAtSummary()
        guard heads.isRepairNeeded, let items = try? input.rawElements(), items.count == heads.count else { return nil }
        var kept: [ByteBuffer] = []
        for (place, item) in items.enumerated() where !heads.isDropped(place) {
            kept.append(heads[place].repaired(item) ?? item)
        }
        return .rawArray(kept)
    }
}

/// What tells whether an item of the input can go on as it is.
private struct ResponsesItemHead {
    private static let rule = CallIDRule()

    var isReasoning = false
    /// Of the model's own making, so that reasoning can have led to it.
    var isOutput = true
    /// `encrypted_content` bears this gateway's mark.
    var isSealedHere = false
    /// It bears the mark, and is this dialect's own all the same.
    var unsealed: EscapedText?
    /// The call's id, where it has to be another one.
    var callID: String?
    /// The id a reference stands for.
    var reference: String?
    /// Of a summary that was sealed here, and how many of the user's messages go on beside it; nil for all.
    var summary: (text: EscapedText, kept: Int?)?
    /// What the user says.
    var isSpoken = false
    /// What the model is told to be and to have.
    var isFrame = false
    /// It asked for a summary.
    var isTrigger = false
    /// A summary stands for it.
    var isSummedUp = false
    /// The conversation is kept here, and nothing of it there.
    var isKeptHere = false
    private var hasSealed = false
    private var hasID = false

    /// Items whose id means nothing but their place in the API's store.
    private static let identified: Set<String?> = [
        nil, "message", "function_call", "custom_tool_call", "function_call_output", "custom_tool_call_output",
    ]
    private var isIdentified = false

    private enum Field: String, RequestField {
        case type, role, id
        case sealed = "encrypted_content"
        case callID = "call_id"
    }

    static func list(_ input: ByteBuffer, _ seal: ReasoningSeal) throws(DialectError) -> [ResponsesItemHead] {
        var heads: [ResponsesItemHead] = []
        try RequestWalk.over(input) { (walk) throws(DialectError) in
            try walk.array { (walk, _) throws(DialectError) in
                var head = ResponsesItemHead()
                if try walk.kind() == .object {
                    try head.read(&walk, seal)
                } else {
                    _ = try walk.skip()
                }
                heads.append(head)
            }
        }
        return heads
    }

    private mutating func read(_ walk: inout RequestWalk, _ seal: ReasoningSeal) throws(DialectError) {
        var type: String?
        var role: String?
        var sealed: EscapedText?
        var id: String?
        var itemID: String?
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.stringIfAny()
            case .role: role = try walk.stringIfAny()
            case .id: itemID = try walk.stringIfAny()
            case .sealed: sealed = try walk.escapedIfAny()
            case .callID: id = try walk.stringIfAny()
            }
        }
        isReasoning = type == "reasoning"
        if ResponsesInputItem.isReference(type: type, role: role, id: itemID) { reference = itemID ?? "" }
        hasSealed = sealed?.isEmpty == false
        hasID = itemID != nil
        isIdentified = Self.identified.contains(type)
        isTrigger = type == "compaction_trigger"
        let isMessage = (type ?? "message") == "message"
        isSpoken = isMessage && role == "user"
        isFrame = type == "additional_tools" || isMessage && (role == "system" || role == "developer")
        isOutput = (role == nil || role == "assistant") && type?.hasSuffix("_output") != true
        if let sealed, sealed.starts(with: Reasoning.gatewayMark) {
            isSealedHere = true
            if let blob = OpaqueBlob(marked: sealed), blob.origin == .responses { unsealed = blob.text }
            if let type, ResponsesCompaction.kinds.contains(type) { summary = seal.openedSummary(sealed) }
        }
        if let id {
            let fitting = Self.rule.fit(id)
            if id.utf8.count > Self.rule.length.upperBound { callID = fitting }
        }
    }

    var needsRepair: Bool { isSealedHere || callID != nil || losesID }

    private var losesID: Bool { isKeptHere && hasID && isIdentified }

    /// Reasoning that can only be read where it is kept.
    fileprivate var isElsewhere: Bool { isKeptHere && isReasoning && !hasSealed }

    /// Nil: it stays as it is.
    func repaired(_ item: ByteBuffer) -> ByteBuffer? {
        if let summary { return ResponsesSplice.message(summary.text) }
        guard needsRepair, var members = try? RawObject(item) else { return nil }
        if let callID { members.set("call_id", .rawString(callID)) }
        if losesID { members.remove("id") }
        if let unsealed {
            var text = ByteBuffer()
            text.writeEscaped(unsealed)
            members.set("encrypted_content", text)
        }
        return members.text
    }
}

extension [ResponsesItemHead] {
    /// What summaries stand for.
    fileprivate mutating func endAtSummary() {
        var room: Int?
        for place in indices.reversed() {
            if let summary = self[place].summary {
                self[place].isSummedUp = room != nil
                room = Swift.min(room ?? .max, summary.kept ?? .max)
            } else if let left = room, !self[place].isFrame {
                self[place].isSummedUp = !self[place].isSpoken || left <= 0
                if self[place].isSpoken { room = left - 1 }
            }
        }
    }

    fileprivate var isRepairNeeded: Bool { indices.contains { self[$0].needsRepair || isDropped($0) } }

    fileprivate func isDropped(_ place: Int) -> Bool {
        if self[place].isSummedUp { return true }
        if self[place].summary != nil { return false }
        if self[place].isSealedHere, self[place].unsealed == nil { return true }
        if self[place].isElsewhere { return true }
        // One that has been answered: the API takes none but the last.
        if self[place].isTrigger, self[place].isKeptHere, place < count - 1 { return true }
        guard self[place].isReasoning else { return false }
        let next = self[(place + 1)...].first { !$0.isReasoning }
        return next.map { !$0.isOutput } ?? true
    }
}
