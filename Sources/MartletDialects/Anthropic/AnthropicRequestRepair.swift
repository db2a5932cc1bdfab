package import MartletWire
package import NIOCore

extension AnthropicRequest {
    /// What a relayed conversation must lose before Anthropic's own API takes it: thinking this gateway made for other
    /// upstreams, whose signature means nothing there, and call ids of other engines (`functions.read:0`), which would
    /// be refused for ever.
    ///
    /// - Returns: the value `messages` is to be replaced with; nil when the body is fine, or cannot be read: then the
    ///   API says so in its own words.
    package static func repairedMessages(_ document: JSONDocument) -> ByteBuffer? {
        guard let member = try? document.member("messages"), member.kind == .array else { return nil }
        let messages = document.slice(member.value)
        guard (try? AnthropicRepair.isNeeded(messages)) == true else { return nil }
        return try? AnthropicRepair.repaired(messages)
    }
}

private enum AnthropicRepair {
    private static let rule = CallIDRule(length: 1...256)

    // MARK: - Looking

    private enum MessageField: String, RequestField { case content }

    private enum BlockField: String, RequestField {
        case id, signature, data
        case callID = "tool_use_id"
    }

    static func isNeeded(_ messages: ByteBuffer) throws(DialectError) -> Bool {
        var isNeeded = false
        try RequestWalk.over(messages) { (walk) throws(DialectError) in
            try walk.array { (walk, _) throws(DialectError) in
                guard try walk.kind() == .object else { return try step(&walk) }
                try walk.object(MessageField.self) { (walk, _) throws(DialectError) in
                    guard try walk.kind() == .array else { return try step(&walk) }
                    try walk.array { (walk, _) throws(DialectError) in
                        guard try walk.kind() == .object else { return try step(&walk) }
                        try walk.object(BlockField.self) { (walk, field) throws(DialectError) in
                            guard try walk.kind() == .string else { return try step(&walk) }
                            switch field {
                            case .signature, .data: if try isOurs(walk.escaped()) { isNeeded = true }
                            case .id, .callID:
                                let id = try walk.string()
                                if rule.fit(id) != id { isNeeded = true }
                            }
                        }
                    }
                }
            }
        }
        return isNeeded
    }

    private static func step(_ walk: inout RequestWalk) throws(DialectError) { _ = try walk.skip() }

    private static func isOurs(_ signature: EscapedText) -> Bool { signature.starts(with: Reasoning.gatewayMark) }

    // MARK: - Changing

    static func repaired(_ messages: ByteBuffer) throws(JSONError) -> ByteBuffer {
        var kept: [ByteBuffer] = []
        for message in try messages.rawElements() ?? [] {
            guard message.rawKind == .object else {
                kept.append(message)
                continue
            }
            var members = try RawObject(message)
            guard let content = members["content"], let blocks = try content.rawElements() else {
                kept.append(message)
                continue
            }
            var left: [ByteBuffer] = []
            for block in blocks {
                if let block = try repaired(block: block) { left.append(block) }
            }
            // A turn of nothing but our thinking: a message without blocks is refused.
            if left.isEmpty, !blocks.isEmpty { continue }
            if left != blocks { members.set("content", .rawArray(left)) }
            kept.append(members.isChanged ? members.text : message)
        }
        return .rawArray(kept)
    }

    /// Nil: the block goes.
    private static func repaired(block: ByteBuffer) throws(JSONError) -> ByteBuffer? {
        guard block.rawKind == .object else { return block }
        var members = try RawObject(block)
        for name in ["signature", "data"] {
            if let seal = members[name]?.rawString, isOurs(seal) { return nil }
        }
        for name in ["id", "tool_use_id"] {
            guard let id = members[name]?.rawString?.unescaped() else { continue }
            let fitting = rule.fit(id)
            if fitting != id { members.set(name, .rawString(fitting)) }
        }
        return members.isChanged ? members.text : block
    }
}
