import MartletWire
import NIOCore

/// Arguments of a tool call: what models write, as the JSON object clients take.
enum ReplyArguments {
    /// The text of an object. Nothing, white space and `null` are `{}`; an object in a string is taken out of it; any
    /// other value is `{"value":…}`; what is no JSON is `{"_raw":"…"}`.
    ///
    /// - Parameter isCut: the reply ended at a token limit: a text that only lacks its end gets one.
    static func object(_ text: EscapedText, isCut: Bool) -> ByteBuffer {
        object(ByteBuffer(string: text.unescaped()), isCut: isCut, depth: 0)
    }

    private static func object(_ text: ByteBuffer, isCut: Bool, depth: Int) -> ByteBuffer {
        let text = text.trimmed
        switch kind(text) {
        case .object: return text.withoutRepeats
        case .null: return ByteBuffer(string: "{}")
        case .string:
            guard depth == 0, let inner = text.rawString?.unescaped() else { break }
            let decoded = ByteBuffer(string: inner).trimmed
            if decoded.readableBytes == 0 { return decoded.orEmptyObject }
            if kind(decoded) == .object { return decoded.withoutRepeats }
        case .array, .number, .bool: break
        case nil:
            if text.readableBytes == 0 { return text.orEmptyObject }
            if isCut, let end = ending(of: text) {
                var whole = text
                whole.writeString(end)
                return whole
            }
            var raw = ByteBuffer(string: "{\"_raw\":")
            raw.writeJSONString(String(buffer: text))
            raw.writeString("}")
            return raw
        }
        var value = ByteBuffer(string: "{\"value\":")
        value.writeImmutableBuffer(text)
        value.writeString("}")
        return value
    }

    /// Whether the text begins as an object and is none, so that clients would read
    /// something else than the model meant.
    ///
    /// - Parameter isCut: the reply ended at a token limit: a text that only lacks its end is none of these.
    static func isBroken(_ text: EscapedText, isCut: Bool) -> Bool {
        guard text.firstVisible == UInt8(ascii: "{") else { return false }
        let text = ByteBuffer(string: text.unescaped()).trimmed
        return kind(text) == nil && !(isCut && ending(of: text) != nil)
    }

    /// The model called a tool with what nobody can read: no call is better than another call.
    static func fault(of tool: String) -> GatewayError {
        GatewayError(
            code: .upstreamBadReply,
            message: "the model called \"\(tool.prefix(128))\" with arguments that are no JSON; try again")
    }

    /// It called nothing at all.
    static var namelessCall: GatewayError {
        GatewayError(code: .upstreamBadReply, message: "the model made a call without a tool's name; try again")
    }

    /// Nil when the text is not exactly one JSON value.
    private static func kind(_ text: ByteBuffer) -> JSONKind? {
        try? text.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) -> JSONKind in
            let kind = try walk.kind()
            _ = try walk.skip()
            try walk.end()
            return kind
        }
    }

    /// What may have been cut off before the closing brackets: a value, a member, the rest of a word or number.
    private static let missing =
        ["", ":null", "null", "0", "\"\":null"] + ["e", "ue", "rue", "se", "lse", "alse", "l", "ll", "ull"]

    /// What an object that was cut off lacks: the end of a string, a value, the closing brackets. Nil
    /// when that does not make it one.
    static func ending(of text: ByteBuffer) -> String? {
        let (string, brackets) = openEnds(text)
        guard !brackets.isEmpty, text.readableBytesView.first == UInt8(ascii: "{") else { return nil }
        for value in Self.missing {
            let end = string + value + brackets
            var whole = text
            whole.writeString(end)
            if kind(whole) == .object { return end }
        }
        return nil
    }

    /// How an open string would end, and what closes the open brackets.
    private static func openEnds(_ text: ByteBuffer) -> (string: String, brackets: String) {
        enum State { case outside, inside, escape, digits(Int) }
        var state = State.outside
        var brackets: [Character] = []
        for byte in text.readableBytesView {
            switch state {
            case .outside:
                switch byte {
                case UInt8(ascii: "\""): state = .inside
                case UInt8(ascii: "{"): brackets.append("}")
                case UInt8(ascii: "["): brackets.append("]")
                case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = brackets.popLast()
                default: break
                }
            case .inside:
                if byte == UInt8(ascii: "\"") { state = .outside }
                if byte == UInt8(ascii: "\\") { state = .escape }
            case .escape: state = byte == UInt8(ascii: "u") ? .digits(4) : .inside
            case .digits(let left): state = left == 1 ? .inside : .digits(left - 1)
            }
        }
        let end =
            switch state {
            case .outside: ""
            case .inside: "\""
            case .escape: "\\\""
            case .digits(let left): String(repeating: "0", count: left) + "\""
            }
        return (end, String(brackets.reversed()))
    }
}

extension Reply {
    /// A call that clients would read as another one.
    func brokenCall(_ context: ReplyContext) -> GatewayError? {
        let isCut = finish == .length || finish == .contextWindow
        for block in blocks {
            guard case .toolCall(let head) = block.kind, block.run == nil else { continue }
            if head.name.isEmpty { return ReplyArguments.namelessCall }
            guard ReplyArguments.isBroken(block.text, isCut: isCut) else { continue }
            return ReplyArguments.fault(of: context.toolNames.client(head.name))
        }
        return nil
    }
}

/// The arguments of a call whose fragments are passed on as they come. What turns out to be no object is held back, and
/// given as one at the end.
struct ArgumentFlow: Sendable {
    private enum Mode: Sendable { case undecided, flowing, held }

    private var mode = Mode.undecided
    private var text = EscapedText()
    /// Bytes of `text` that have been passed on.
    private var passed = 0
    private var balance = ArgumentBalance()

    var isEmpty: Bool { text.isEmpty }
    /// One whole value, as its brackets and quotes say.
    var isComplete: Bool { balance.isComplete }

    /// - Returns: what can be passed on now; nil for nothing yet.
    mutating func take(_ fragment: EscapedText) -> EscapedText? {
        balance.take(fragment)
        let isWhole = text.isEmpty
        text.append(isWhole ? EscapedText(fragment.bytes.copy(0..<fragment.bytes.readableBytes)) : fragment)
        if case .undecided = mode {
            guard let first = text.firstVisible else { return nil }
            mode = first == UInt8(ascii: "{") ? .flowing : .held
        }
        guard case .flowing = mode else { return nil }
        // The other half of a character comes with the next fragment.
        let end = text.bytes.readableBytes - (text.endsInHighSurrogate ? 6 : 0)
        guard end > passed else { return nil }
        defer { passed = end }
        return EscapedText(text.bytes.part(passed..<end))
    }

    func isBroken(isCut: Bool) -> Bool { ReplyArguments.isBroken(text, isCut: isCut) }

    /// What is still to be passed on when nothing follows; nil for nothing.
    mutating func end(isCut: Bool) -> EscapedText? {
        switch mode {
        case .undecided: return nil
        case .held:
            let object = ReplyArguments.object(text, isCut: isCut)
            return object == ByteBuffer(string: "{}") ? nil : EscapedText(escaping: String(buffer: object))
        case .flowing:
            var rest = EscapedText(text.bytes.part(passed..<text.bytes.readableBytes))
            if isCut, !balance.isComplete, let end = ReplyArguments.ending(of: ByteBuffer(string: text.unescaped())) {
                rest.append(EscapedText(escaping: end))
            }
            return rest.isEmpty ? nil : rest
        }
    }
}

extension EscapedText {
    /// The first byte that is no white space, escaped or not.
    var firstVisible: UInt8? {
        bytes.withUnsafeReadableBytes { text in
            var at = 0
            while at < text.count {
                switch text[at] {
                case UInt8(ascii: " "): at += 1
                case UInt8(ascii: "\\"):
                    guard at + 1 < text.count else { return text[at] }
                    switch text[at + 1] {
                    case UInt8(ascii: "n"), UInt8(ascii: "t"), UInt8(ascii: "r"): at += 2
                    default: return text[at]
                    }
                default: return text[at]
                }
            }
            return nil
        }
    }
}

extension ByteBuffer {
    /// Without JSON's white space at both ends.
    fileprivate var trimmed: ByteBuffer {
        withUnsafeReadableBytes { bytes in
            func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
            var low = 0
            var high = bytes.count
            while low < high, isSpace(bytes[low]) { low += 1 }
            while high > low, isSpace(bytes[high - 1]) { high -= 1 }
            return part(low..<high)
        }
    }

    fileprivate var orEmptyObject: ByteBuffer { readableBytes == 0 ? ByteBuffer(string: "{}") : self }
}

extension ByteBuffer {
    /// An object whose members all have names of their own: of two of one name the last is meant, as most parsers have
    /// it, and those that refuse such an object shall not have to.
    fileprivate var withoutRepeats: ByteBuffer {
        guard var object = try? RawObject(self) else { return self }
        object.keepLasts()
        return object.isChanged ? object.text : self
    }
}
