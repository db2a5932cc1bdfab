import MartletWire
package import NIOCore

/// Of which kind the members of a Chat Completions request are, for a request that is relayed and not read. Its
/// sentences are those of the reader. Members and types of parts it does not know are left alone. Source: specs 1.2.
package enum ChatRequestKinds {
    /// One walk over the text, without an allocation for what is right.
    ///
    /// - Parameters:
    ///   - messages: the value of `messages`, a checked JSON array.
    ///   - takesImages: false refuses images.
    ///   - takesAudio: false refuses speech.
    /// - Returns: whether there are images.
    /// - Throws: `invalidRequest` with the path of the first member that cannot be what it should be.
    package static func check(
        messages: ByteBuffer, takesImages: Bool, takesAudio: Bool
    ) throws(GatewayError) -> Bool {
        var images = Images(areTaken: takesImages, takesAudio: takesAudio)
        try check("messages", messages) { (walk: inout JSONWalk) throws(JSONError) in
            try list(&walk) { (walk: inout JSONWalk) throws(JSONError) in try message(&walk, &images) }
        }
        return images.areThere
    }

    private struct Images {
        let areTaken: Bool
        let takesAudio: Bool
        var areThere = false
    }

    /// - Parameter tools: the value of `tools`, a checked JSON array.
    /// - Throws: `invalidRequest`, as for messages.
    package static func check(tools: ByteBuffer) throws(GatewayError) {
        try check("tools", tools) { (walk: inout JSONWalk) throws(JSONError) in
            try list(&walk) { (walk: inout JSONWalk) throws(JSONError) in try tool(&walk) }
        }
    }

    /// - Parameter strings: the value of a member, a checked JSON array.
    /// - Throws: `invalidRequest` when an element is no string.
    package static func check(strings: ByteBuffer, of name: StaticString) throws(GatewayError) {
        try check(name, strings) { (walk: inout JSONWalk) throws(JSONError) in
            try list(&walk) { (walk: inout JSONWalk) throws(JSONError) in
                try take(.string, "a string was expected", &walk)
            }
        }
    }

    private static func check(
        _ name: StaticString, _ text: ByteBuffer, _ body: (inout JSONWalk) throws(JSONError) -> DialectError?
    ) throws(GatewayError) {
        let fault: DialectError?
        do throws(JSONError) {
            fault = try text.walkJSON(body)
        } catch {
            fault = DialectError(error)
        }
        if let fault { throw GatewayError(refusing: fault.inside("\(name)")) }
    }

    private static func list(
        _ walk: inout JSONWalk, _ element: (inout JSONWalk) throws(JSONError) -> DialectError?
    ) throws(JSONError) -> DialectError? {
        try walk.enterArray()
        var index = 0
        while try walk.nextElement() {
            if let fault = try element(&walk) { return fault.inside("[\(index)]") }
            index += 1
        }
        return nil
    }

    /// Steps over a value of that kind; else says what is wrong.
    private static func take(
        _ kind: JSONKind, _ sentence: String, _ walk: inout JSONWalk
    ) throws(JSONError) -> DialectError? {
        guard try walk.kind() == kind else { return DialectError(.unexpected, sentence) }
        _ = try walk.skip()
        return nil
    }

    // MARK: - Messages

    private enum Role {
        case user, assistant, other

        init?(_ walk: JSONWalk, _ range: Range<Int>) {
            if walk.text(range, is: "user") {
                self = .user
            } else if walk.text(range, is: "assistant") {
                self = .assistant
            } else {
                switch walk.text(range) {
                case "user": self = .user
                case "assistant": self = .assistant
                case "system", "developer", "tool", "function": self = .other
                default: return nil
                }
            }
        }
    }

    private static func message(_ walk: inout JSONWalk, _ images: inout Images) throws(JSONError) -> DialectError? {
        guard try walk.kind() == .object else { return DialectError(.unexpected, "an object was expected") }
        try walk.enterObject()
        var role: Role?
        var hasContent = false
        while let key = try walk.nextKey() {
            if walk.key(key, is: "role") {
                if try walk.takeNull() { continue }
                guard try walk.kind() == .string else {
                    return DialectError(.unexpected, at: "role", "a string was expected")
                }
                let word = try walk.string()
                role = Role(walk, word)
                if role == nil { return ChatRequestTurns.unknownRole(walk.text(word)) }
            } else if walk.key(key, is: "content") {
                if try walk.takeNull() { continue }
                hasContent = true
                if let fault = try content(&walk, &images) { return fault.inside("content") }
            } else if walk.key(key, is: "tool_calls") {
                if try walk.takeNull() { continue }
                if let fault = try calls(&walk) { return fault.inside("tool_calls") }
            } else {
                _ = try walk.skip()
            }
        }
        guard let role else { return DialectError(.unexpected, at: "role", "a role is required") }
        guard role != .user || hasContent else {
            return DialectError(.unexpected, at: "content", "a string or a list of parts is required")
        }
        return nil
    }

    private static func content(_ walk: inout JSONWalk, _ images: inout Images) throws(JSONError) -> DialectError? {
        switch try walk.kind() {
        case .string:
            _ = try walk.skip()
            return nil
        case .array:
            return try list(&walk) { (walk: inout JSONWalk) throws(JSONError) in try part(&walk, &images) }
        default: return DialectError(.unexpected, "a string or a list of parts was expected")
        }
    }

    private static func part(_ walk: inout JSONWalk, _ images: inout Images) throws(JSONError) -> DialectError? {
        // Some clients write a text without the part around it.
        if try walk.kind() == .string {
            _ = try walk.skip()
            return nil
        }
        guard try walk.kind() == .object else { return DialectError(.unexpected, "an object was expected") }
        var type: Range<Int>?
        var hasText = false
        var hasImage = false
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                guard try walk.kind() == .string else {
                    return DialectError(.unexpected, at: "type", "a string was expected")
                }
                type = try walk.string()
            } else if walk.key(key, is: "text") {
                if try walk.takeNull() { continue }
                hasText = true
                if let fault = try take(.string, "a string was expected", &walk) { return fault.inside("text") }
            } else if walk.key(key, is: "image_url") {
                if try walk.takeNull() { continue }
                hasImage = true
                if let fault = try address(&walk) { return fault.inside("image_url") }
            } else {
                _ = try walk.skip()
            }
        }
        guard let type else { return DialectError(.unexpected, at: "type", "a part needs a type") }
        if walk.text(type, is: "text"), !hasText { return DialectError(.unexpected, at: "text", "is required") }
        if walk.text(type, is: "input_audio"), !images.takesAudio {
            return DialectError(.unexpected, at: "input_audio", "this model cannot hear")
        }
        guard walk.text(type, is: "image_url") else { return nil }
        guard hasImage else { return DialectError(.unexpected, at: "image_url", "is required") }
        images.areThere = true
        return images.areTaken ? nil : DialectError(.unexpected, at: "image_url", "this model cannot see images")
    }

    /// A string, or an object with one under `url`.
    private static func address(_ walk: inout JSONWalk) throws(JSONError) -> DialectError? {
        guard try walk.kind() == .object else { return try take(.string, "an object was expected", &walk) }
        var hasAddress = false
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "url") { hasAddress = try walk.kind() == .string }
            _ = try walk.skip()
        }
        return hasAddress ? nil : DialectError(.unexpected, at: "url", "an address is required")
    }

    private static func calls(_ walk: inout JSONWalk) throws(JSONError) -> DialectError? {
        guard try walk.kind() == .array else { return DialectError(.unexpected, "a list was expected") }
        return try list(&walk) { (walk: inout JSONWalk) throws(JSONError) in
            try take(.object, "an object was expected", &walk)
        }
    }

    // MARK: - Tools

    private static func tool(_ walk: inout JSONWalk) throws(JSONError) -> DialectError? {
        guard try walk.kind() == .object else { return DialectError(.unexpected, "an object was expected") }
        var isOurs = true
        var hasName = false
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                guard try walk.kind() == .string else {
                    return DialectError(.unexpected, at: "type", "a string was expected")
                }
                let type = try walk.string()
                isOurs = walk.text(type, is: "function") || walk.text(type, is: "custom")
            } else if walk.key(key, is: "function") || walk.key(key, is: "custom") {
                guard try walk.kind() == .object else {
                    return DialectError(.unexpected, at: walk.name(key), "an object was expected")
                }
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if try isName(key, &walk) { hasName = true }
                }
            } else {
                // Some clients write the function's members here.
                if try isName(key, &walk) { hasName = true }
            }
        }
        // Tools of other types are their server's own.
        guard isOurs, !hasName else { return nil }
        return DialectError(.unexpected, at: "function.name", "a name is required")
    }

    /// Steps over a member's value, and says whether it is a name.
    private static func isName(_ key: JSONKey, _ walk: inout JSONWalk) throws(JSONError) -> Bool {
        guard walk.key(key, is: "name"), try walk.kind() == .string else {
            _ = try walk.skip()
            return false
        }
        return try !walk.string().isEmpty
    }
}
