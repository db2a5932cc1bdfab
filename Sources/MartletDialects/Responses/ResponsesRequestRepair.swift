package import MartletWire
package import NIOCore

extension ResponsesUpstreamRequest {
    /// What a relayed conversation must lose before the API takes it: reasoning this gateway sealed for other upstreams,
    /// reasoning without the item it led to, and call ids longer than the API allows, which are cut in call and result
    /// alike.
    ///
    /// - Returns: the value `input` is to be replaced with; nil when the body is fine, or cannot be read: then the API
    ///   says so in its own words.
    package static func repairedInput(_ document: JSONDocument) -> ByteBuffer? {
        guard let member = try? document.member("input"), member.kind == .array else { return nil }
        let input = document.slice(member.value)
        guard let heads = try? ResponsesItemHead.list(input), heads.isRepairNeeded else { return nil }
        guard let items = try? input.rawElements(), items.count == heads.count else { return nil }
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

    private enum Field: String, RequestField {
        case type, role
        case sealed = "encrypted_content"
        case callID = "call_id"
    }

    static func list(_ input: ByteBuffer) throws(DialectError) -> [ResponsesItemHead] {
        var heads: [ResponsesItemHead] = []
        try RequestWalk.over(input) { (walk) throws(DialectError) in
            try walk.array { (walk, _) throws(DialectError) in
                var head = ResponsesItemHead()
                if try walk.kind() == .object {
                    try head.read(&walk)
                } else {
                    _ = try walk.skip()
                }
                heads.append(head)
            }
        }
        return heads
    }

    private mutating func read(_ walk: inout RequestWalk) throws(DialectError) {
        var type: String?
        var role: String?
        var sealed: EscapedText?
        var id: String?
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.stringIfAny()
            case .role: role = try walk.stringIfAny()
            case .sealed: sealed = try walk.escapedIfAny()
            case .callID: id = try walk.stringIfAny()
            }
        }
        isReasoning = type == "reasoning"
        isOutput = (role == nil || role == "assistant") && type?.hasSuffix("_output") != true
        if let sealed, sealed.starts(with: Reasoning.gatewayMark) {
            isSealedHere = true
            if let blob = OpaqueBlob(marked: sealed), blob.origin == .responses { unsealed = blob.text }
        }
        if let id {
            let fitting = Self.rule.fit(id)
            if id.utf8.count > Self.rule.length.upperBound { callID = fitting }
        }
    }

    var needsRepair: Bool { isSealedHere || callID != nil }

    /// Nil: it stays as it is.
    func repaired(_ item: ByteBuffer) -> ByteBuffer? {
        guard needsRepair, var members = try? RawObject(item) else { return nil }
        if let callID { members.set("call_id", .rawString(callID)) }
        if let unsealed {
            var text = ByteBuffer()
            text.writeEscaped(unsealed)
            members.set("encrypted_content", text)
        }
        return members.text
    }
}

extension [ResponsesItemHead] {
    fileprivate var isRepairNeeded: Bool { indices.contains { self[$0].needsRepair || isDropped($0) } }

    fileprivate func isDropped(_ place: Int) -> Bool {
        if self[place].isSealedHere, self[place].unsealed == nil { return true }
        guard self[place].isReasoning else { return false }
        let next = self[(place + 1)...].first { !$0.isReasoning }
        return next.map { !$0.isOutput } ?? true
    }
}
