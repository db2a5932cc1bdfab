import MartletWire
package import NIOCore

/// Finds where two turns of one conversation part, as their upstream gets them: what stands before that
/// place need not be read again there, what stands behind must. Keeps the last request of each
/// conversation; bounded in number and bytes.
package struct PrefixMemory: Sendable {
    /// Conversations.
    static let most = 64
    /// Bytes of all requests kept.
    static let room = 64 << 20

    /// Where a request parts from the one before it.
    package struct Divergence: Sendable, Hashable {
        /// What a prompt is made of, in the order it is read.
        package enum Part: String, Sendable, Hashable { case tools, system, messages }

        package var part: Part
        /// Of the tool, system block or message.
        package var index: Int
        /// Role or type of the message; nil for other parts, and for words that are not among those known.
        package var kind: String?
        /// Bytes of it that are the same.
        package var offset: Int
        /// Where that is in the body that is sent, in bytes.
        package var position: Int
        /// Tells the conversation from others, for as long as this process lives.
        package var conversation: Int
    }

    private struct Turn: Sendable {
        var prompt: Prompt
        var number: Int
    }

    private var turns: [Int: Turn] = [:]
    private var count = 0
    private var bytes = 0

    package init() {}

    /// - Parameters:
    ///   - body: of the request, in any dialect.
    ///   - place: the upstream and its model.
    /// - Returns: nil when it goes on where the one before ended, begins a conversation, or is none.
    package mutating func note(_ body: ByteBuffer, at place: String) -> Divergence? {
        guard let prompt = Prompt(body), let first = prompt.firstUserTurn else { return nil }
        var hasher = Hasher()
        hasher.combine(place)
        hasher.combine(prompt.body.part(first))
        let conversation = hasher.finalize()
        let before = turns.removeValue(forKey: conversation)?.prompt
        bytes -= before?.body.readableBytes ?? 0
        keep(prompt, for: conversation)
        return before.flatMap { prompt.divergence(from: $0, conversation) }
    }

    private mutating func keep(_ prompt: Prompt, for conversation: Int) {
        let size = prompt.body.readableBytes
        guard size <= PrefixMemory.room else { return }
        while turns.count >= PrefixMemory.most || bytes + size > PrefixMemory.room,
            let oldest = turns.min(by: { $0.value.number < $1.value.number })
        {
            turns[oldest.key] = nil
            bytes -= oldest.value.prompt.body.readableBytes
        }
        count += 1
        bytes += size
        turns[conversation] = Turn(prompt: prompt, number: count)
    }
}

/// A request's body, with the places of what its prompt is made of.
private struct Prompt: Sendable {
    /// Words of the dialects. Any other could be a client's own.
    private static let kinds: Set<String> = [
        "user", "assistant", "system", "developer", "tool", "message", "reasoning", "function_call",
        "function_call_output", "custom_tool_call", "custom_tool_call_output",
    ]

    let body: ByteBuffer
    private var parts: [PrefixMemory.Divergence.Part: [Range<Int>]] = [:]

    /// Nil when there are no messages.
    init?(_ body: ByteBuffer) {
        guard let document = try? JSONDocument(checking: body) else { return nil }
        self.body = body
        for (name, part) in [
            ("tools", PrefixMemory.Divergence.Part.tools), ("system", .system), ("instructions", .system),
            ("messages", .messages), ("input", .messages),
        ] {
            guard let member = try? document.member(name), member.kind != .null else { continue }
            parts[part] = elements(of: member)
        }
        guard parts[.messages]?.isEmpty == false else { return nil }
    }

    /// Of a list; anything else is one element.
    private func elements(of member: JSONMember) -> [Range<Int>] {
        guard member.kind == .array else { return [member.value] }
        let list = body.part(member.value)
        let found = try? list.walkJSON(loneSurrogates: true) {
            (walk: inout JSONWalk) throws(JSONError) -> [Range<Int>] in
            var elements: [Range<Int>] = []
            try walk.enterArray()
            while try walk.nextElement() {
                let element = try walk.skip()
                let start = member.value.lowerBound + element.lowerBound
                elements.append(start..<start + element.count)
            }
            return elements
        }
        return found ?? [member.value]
    }

    var firstUserTurn: Range<Int>? {
        let messages = parts[.messages] ?? []
        return messages.first { word("role", of: $0) == "user" } ?? (messages.count == 1 ? messages[0] : nil)
    }

    private func word(_ name: String, of element: Range<Int>) -> String? {
        guard let document = try? JSONDocument(checking: body.part(element)), let member = try? document.member(name)
        else { return nil }
        return document.string(member)
    }

    func divergence(from before: Prompt, _ conversation: Int) -> PrefixMemory.Divergence? {
        for part in [PrefixMemory.Divergence.Part.tools, .system, .messages] {
            let (old, new) = (before.parts[part] ?? [], parts[part] ?? [])
            for (index, (a, b)) in zip(old, new).enumerated() {
                let (a, b) = (before.body.part(a), body.part(b))
                guard a != b else { continue }
                let same = zip(a.readableBytesView, b.readableBytesView).prefix { $0 == $1 }.count
                let kind = part == .messages ? word("role", of: new[index]) ?? word("type", of: new[index]) : nil
                return PrefixMemory.Divergence(
                    part: part, index: index, kind: kind.flatMap { Prompt.kinds.contains($0) ? $0 : nil }, offset: same,
                    position: new[index].lowerBound + same, conversation: conversation)
            }
            // Fewer messages are a beginning of those before; other tools stand before all messages.
            guard part != .messages, old.count != new.count else { continue }
            let index = min(old.count, new.count)
            return PrefixMemory.Divergence(
                part: part, index: index, offset: 0, position: index < new.count ? new[index].lowerBound : 0,
                conversation: conversation)
        }
        return nil
    }
}
