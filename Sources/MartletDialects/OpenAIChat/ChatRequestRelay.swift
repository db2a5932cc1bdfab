package import MartletWire
import NIOCore

/// What a Chat request that is relayed says in words its upstream does not know.
extension ChatRequest {
    /// The request with words the upstream knows in their places: `system` for `developer`; for a choice that names one
    /// function that tool alone, and `required`; the nearest effort there is. Every other byte
    /// stays. Nil: nothing to change.
    package static func fitted(_ document: JSONDocument, _ flags: Capabilities) throws(JSONError) -> JSONDocument? {
        var edit = JSONEdit()
        if !flags.developerRole, let messages = try withoutDeveloper(document) {
            try edit.set("messages", messages, in: document)
        }
        if flags.toolChoice == .strings, let tool = try namedTool(document) {
            try edit.set("tools", tool, in: document)
            try edit.set("tool_choice", .rawString("required"), in: document)
        }
        if flags.thinkingControl == .effort, let effort = try nearestEffort(document, flags.efforts) {
            try edit.set("reasoning_effort", .rawString(effort.rawValue), in: document)
        }
        return edit.isEmpty ? nil : try JSONDocument(checking: edit.applied(to: document.bytes))
    }

    private static func withoutDeveloper(_ document: JSONDocument) throws(JSONError) -> ByteBuffer? {
        guard let member = try document.member("messages"), member.kind == .array else { return nil }
        let messages = document.slice(member.value)
        let places = try messages.walkJSON { (walk: inout JSONWalk) throws(JSONError) in try developers(&walk) }
        guard !places.isEmpty else { return nil }
        var changed = ByteBuffer()
        changed.reserveCapacity(messages.readableBytes)
        var copied = 0
        for place in places {
            changed.writeImmutableBuffer(messages.part(copied..<place.lowerBound))
            changed.writeStaticString("system")
            copied = place.upperBound
        }
        changed.writeImmutableBuffer(messages.part(copied..<messages.readableBytes))
        return changed
    }

    /// Where the word stands as a message's role.
    private static func developers(_ walk: inout JSONWalk) throws(JSONError) -> [Range<Int>] {
        var places: [Range<Int>] = []
        try walk.enterArray()
        while try walk.nextElement() {
            guard try walk.kind() == .object else {
                _ = try walk.skip()
                continue
            }
            try walk.enterObject()
            while let key = try walk.nextKey() {
                if walk.key(key, is: "role"), let role = try walk.stringOrSkip() {
                    if walk.text(role, is: "developer") { places.append(role) }
                } else if !walk.key(key, is: "role") {
                    _ = try walk.skip()
                }
            }
        }
        return places
    }

    /// A list of the one tool that must be called. Nil where none is named, or none that is offered has the name: what
    /// is wrong then, the upstream says.
    private static func namedTool(_ document: JSONDocument) throws(JSONError) -> ByteBuffer? {
        guard let choice = try document.member("tool_choice"), choice.kind == .object,
            let name = try JSON(parsing: document.slice(choice.value))["function"]?["name"]?.string,
            let member = try document.member("tools"),
            let tools = try JSON(parsing: document.slice(member.value)).array,
            let tool = tools.first(where: { $0["function"]?["name"]?.string == name })
        else { return nil }
        return JSON.array([tool]).buffer
    }

    private static func nearestEffort(
        _ document: JSONDocument, _ known: Set<Effort>
    ) throws(JSONError) -> Effort? {
        guard let member = try document.member("reasoning_effort"), let word = document.string(member),
            let effort = Effort(rawValue: word), !known.contains(effort)
        else { return nil }
        return effort.nearest(in: known)
    }
}
