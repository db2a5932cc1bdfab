import MartletWire
import NIOCore

/// One event of a Messages stream, or one whole Message, as ranges of its text. Members it does not know are checked
/// and skipped; members of an unexpected kind count as absent.
struct AnthropicEvent {
    var type: Range<Int>?
    var index: Int?
    var block: AnthropicContent?
    var delta = Delta()
    var message: Message?
    /// A whole Message stands at the top itself.
    var top = Message()

    struct Message {
        var id: Range<Int>?
        var model: Range<Int>?
        var stopReason: Range<Int>?
        var stopSequence: Range<Int>?
        var content: [AnthropicContent]?
    }

    struct Delta {
        enum Kind { case text, thinking, signature, json, other }

        var kind = Kind.other
        var text: Range<Int>?
        var stopReason: Range<Int>?
        var stopSequence: Range<Int>?
    }

    init(_ walk: inout JSONWalk, usage: inout AnthropicUsage) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                type = try walk.stringOrSkip()
            } else if walk.key(key, is: "index") {
                index = try walk.intOrSkip()
            } else if walk.key(key, is: "delta"), try walk.kind() == .object {
                delta = try Delta(&walk)
            } else if walk.key(key, is: "content_block"), try walk.kind() == .object {
                block = try AnthropicContent(&walk)
            } else if walk.key(key, is: "message"), try walk.kind() == .object {
                var message = Message()
                try walk.enterObject()
                while let key = try walk.nextKey() { try message.read(key, &walk, usage: &usage) }
                self.message = message
            } else {
                try top.read(key, &walk, usage: &usage)
            }
        }
        try walk.end()
    }
}

extension AnthropicEvent.Message {
    fileprivate mutating func read(
        _ key: JSONKey, _ walk: inout JSONWalk, usage: inout AnthropicUsage
    ) throws(JSONError) {
        if walk.key(key, is: "id") {
            id = try walk.stringOrSkip()
        } else if walk.key(key, is: "model") {
            model = try walk.stringOrSkip()
        } else if walk.key(key, is: "stop_reason") {
            stopReason = try walk.stringOrSkip()
        } else if walk.key(key, is: "stop_sequence") {
            stopSequence = try walk.stringOrSkip()
        } else if walk.key(key, is: "usage") {
            try usage.read(&walk)
        } else if walk.key(key, is: "content"), try walk.kind() == .array {
            var blocks: [AnthropicContent] = []
            try walk.enterArray()
            while try walk.nextObject() { blocks.append(try AnthropicContent(&walk)) }
            content = blocks
        } else {
            _ = try walk.skip()
        }
    }
}

extension AnthropicEvent.Delta {
    fileprivate init(_ walk: inout JSONWalk) throws(JSONError) {
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                guard let type = try walk.stringOrSkip() else { continue }
                if walk.text(type, is: "text_delta") { kind = .text }
                if walk.text(type, is: "thinking_delta") { kind = .thinking }
                if walk.text(type, is: "signature_delta") { kind = .signature }
                if walk.text(type, is: "input_json_delta") { kind = .json }
            } else if walk.key(key, is: "text") || walk.key(key, is: "thinking") || walk.key(key, is: "signature")
                || walk.key(key, is: "partial_json")
            {
                text = try walk.stringOrSkip() ?? text
            } else if walk.key(key, is: "stop_reason") {
                stopReason = try walk.stringOrSkip()
            } else if walk.key(key, is: "stop_sequence") {
                stopSequence = try walk.stringOrSkip()
            } else {
                _ = try walk.skip()
            }
        }
    }
}

/// A content block, as it begins in a stream or stands in a Message.
struct AnthropicContent {
    enum Kind { case text, thinking, redacted, toolUse, other }

    var kind = Kind.other
    var range: Range<Int>
    /// Text, thinking or redacted data.
    var text: Range<Int>?
    var signature: Range<Int>?
    var id: Range<Int>?
    var name: Range<Int>?
    /// A JSON value.
    var input: Range<Int>?

    init(_ walk: inout JSONWalk) throws(JSONError) {
        let start = walk.offset
        range = start..<start
        try walk.enterObject()
        while let key = try walk.nextKey() {
            if walk.key(key, is: "type") {
                guard let type = try walk.stringOrSkip() else { continue }
                if walk.text(type, is: "text") { kind = .text }
                if walk.text(type, is: "thinking") { kind = .thinking }
                if walk.text(type, is: "redacted_thinking") { kind = .redacted }
                if walk.text(type, is: "tool_use") { kind = .toolUse }
            } else if walk.key(key, is: "text") || walk.key(key, is: "thinking") || walk.key(key, is: "data") {
                text = try walk.stringOrSkip() ?? text
            } else if walk.key(key, is: "signature") {
                signature = try walk.stringOrSkip()
            } else if walk.key(key, is: "id") {
                id = try walk.stringOrSkip()
            } else if walk.key(key, is: "name") {
                name = try walk.stringOrSkip()
            } else if walk.key(key, is: "input") {
                input = try walk.skip()
            } else {
                _ = try walk.skip()
            }
        }
        range = start..<walk.offset
    }
}
