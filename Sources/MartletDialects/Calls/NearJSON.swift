import MartletWire

/// Reads JSON as models write it when they miss: Python's literals and quotes, names without quotes, a comma too many,
/// line ends in strings. What could be meant in two ways is not read.
struct NearJSON {
    enum Failure: Error, Equatable {
        /// The text ends inside the value: more of it may complete it.
        case open
        case broken
    }

    struct Member {
        var name: String
        var value: JSON
        /// Where the value stands in the text.
        var range: Range<Int>
        /// The value is well-formed JSON as it stands.
        var isExact: Bool
    }

    let text: [UInt8]
    private(set) var at: Int
    private let end: Int
    /// Where a closing bracket should stand and this does, the bracket was forgotten.
    private let stop: [UInt8]
    /// Something was no JSON.
    private(set) var isRepaired = false

    init(_ text: [UInt8], from start: Int = 0, to end: Int? = nil, stop: [UInt8] = []) {
        self.text = text
        at = start
        self.end = min(end ?? text.count, text.count)
        self.stop = stop
    }

    /// All of a text as one value; nil when it is none.
    static func whole(_ text: String) -> (value: JSON, isRepaired: Bool)? {
        var near = NearJSON(Array(text.utf8))
        guard let value = try? near.value() else { return nil }
        near.skipSpace()
        return near.at == near.end ? (value, near.isRepaired) : nil
    }

    mutating func value() throws(Failure) -> JSON { try value(depth: 0) }

    /// An object's members, each with its place.
    mutating func members() throws(Failure) -> [Member] {
        skipSpace()
        guard at < end else { throw .open }
        guard text[at] == UInt8(ascii: "{") else { throw .broken }
        return try members(depth: 0)
    }

    mutating func skipSpace() { while at < end, Self.isSpace(text[at]) { at += 1 } }

    /// Steps over bytes the caller has looked at.
    mutating func step(_ count: Int = 1) { at = min(at + count, end) }

    mutating func noteRepair() { isRepaired = true }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "$"): true
        default: false
        }
    }

    private mutating func value(depth: Int) throws(Failure) -> JSON {
        skipSpace()
        guard at < end else { throw .open }
        guard depth < CallLimits.depth else { throw .broken }
        switch text[at] {
        case UInt8(ascii: "{"):
            var object = JSONObject()
            for member in try members(depth: depth) { object[member.name] = member.value }
            return .object(object)
        case UInt8(ascii: "["): return .array(try elements(depth: depth))
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return .string(try string())
        case UInt8(ascii: "-"), 0x30...0x39: return .number(try number())
        default: return try literal()
        }
    }

    private mutating func members(depth: Int) throws(Failure) -> [Member] {
        at += 1
        var members: [Member] = []
        var places: [String: Int] = [:]
        while try !closes(UInt8(ascii: "}"), isFirst: members.isEmpty) {
            let name = try name()
            skipSpace()
            guard at < end else { throw .open }
            guard text[at] == UInt8(ascii: ":") else { throw .broken }
            at += 1
            skipSpace()
            let start = at
            let wasRepaired = isRepaired
            isRepaired = false
            let value = try value(depth: depth + 1)
            let isExact = !isRepaired
            isRepaired = isRepaired || wasRepaired
            if let place = places[name] {
                // Said twice: no harm when it says the same.
                guard members[place].value == value else { throw .broken }
            } else {
                places[name] = members.count
                members.append(Member(name: name, value: value, range: start..<at, isExact: isExact))
            }
        }
        return members
    }

    private mutating func elements(depth: Int) throws(Failure) -> [JSON] {
        at += 1
        var elements: [JSON] = []
        while try !closes(UInt8(ascii: "]"), isFirst: elements.isEmpty) { elements.append(try value(depth: depth + 1)) }
        return elements
    }

    /// Whether the list ends here; else steps to its next entry.
    private mutating func closes(_ bracket: UInt8, isFirst: Bool) throws(Failure) -> Bool {
        skipSpace()
        guard at < end else { throw .open }
        if text[at] == bracket {
            at += 1
            return true
        }
        if !stop.isEmpty, !isFirst {
            let rest = text[at..<end]
            if rest.starts(with: stop) {
                isRepaired = true
                return true
            }
            if stop.starts(with: rest) { throw .open }
        }
        if isFirst { return false }
        guard text[at] == UInt8(ascii: ",") else { throw .broken }
        at += 1
        skipSpace()
        guard at < end else { throw .open }
        guard text[at] == bracket else { return false }
        isRepaired = true
        at += 1
        return true
    }

    private mutating func name() throws(Failure) -> String {
        if text[at] == UInt8(ascii: "\"") || text[at] == UInt8(ascii: "'") { return try string() }
        let start = at
        while at < end, Self.isWord(text[at]) || text[at] == UInt8(ascii: "-") { at += 1 }
        guard at < end else { throw .open }
        guard at > start else { throw .broken }
        isRepaired = true
        return String(decoding: text[start..<at], as: UTF8.self)
    }

    private mutating func number() throws(Failure) -> JSONNumber {
        let start = at
        while at < end, Self.isNumeric(text[at]) { at += 1 }
        guard let number = JSONNumber(literal: String(decoding: text[start..<at], as: UTF8.self)) else {
            throw at == end ? .open : .broken
        }
        return number
    }

    private static func isNumeric(_ byte: UInt8) -> Bool {
        byte >= 0x30 && byte <= 0x39 || byte | 0x20 == UInt8(ascii: "e")
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
    }

    private mutating func literal() throws(Failure) -> JSON {
        let start = at
        while at < end, Self.isWord(text[at]) { at += 1 }
        let value: JSON
        switch String(decoding: text[start..<at], as: UTF8.self) {
        case "true": return true
        case "false": return false
        case "null": return nil
        case "True": value = true
        case "False": value = false
        case "None": value = nil
        case let word:
            let isBegun = ["true", "false", "null", "True", "False", "None"].contains { $0.hasPrefix(word) }
            throw at == end && at > start && isBegun ? .open : .broken
        }
        isRepaired = true
        return value
    }
}

// MARK: - Strings

extension NearJSON {
    private mutating func string() throws(Failure) -> String {
        let quote = text[at]
        if quote != UInt8(ascii: "\"") { isRepaired = true }
        at += 1
        var content: [UInt8] = []
        var start = at
        while at < end {
            switch text[at] {
            case quote:
                content += text[start..<at]
                at += 1
                return String(decoding: content, as: UTF8.self)
            case UInt8(ascii: "\\"):
                content += text[start..<at]
                try escape(into: &content)
                start = at
            case 0..<0x20:
                isRepaired = true
                at += 1
            default: at += 1
            }
        }
        throw .open
    }

    private mutating func escape(into content: inout [UInt8]) throws(Failure) {
        guard at + 1 < end else { throw .open }
        let escape = text[at + 1]
        at += 2
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(escape)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "u"): try unicode(into: &content)
        case UInt8(ascii: "'"):
            isRepaired = true
            content.append(escape)
        default:
            // No escape of JSON's: the backslash of a path or a pattern, which should have been two.
            isRepaired = true
            content += [UInt8(ascii: "\\"), escape]
        }
    }

    private mutating func unicode(into content: inout [UInt8]) throws(Failure) {
        guard end - at >= 4 else { throw .open }
        guard let first = hex(at) else {
            isRepaired = true
            content += [UInt8(ascii: "\\"), UInt8(ascii: "u")]
            return
        }
        at += 4
        var scalar = first
        if (0xD800..<0xDC00).contains(first) {
            guard end - at >= 6 else { throw .open }
            let isPair = text[at] == UInt8(ascii: "\\") && text[at + 1] == UInt8(ascii: "u")
            if isPair, let second = hex(at + 2), (0xDC00..<0xE000).contains(second) {
                at += 6
                scalar = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
            }
        }
        if scalar == first, (0xD800..<0xE000).contains(first) { isRepaired = true }
        content += String(Character(Unicode.Scalar(scalar) ?? "\u{FFFD}")).utf8
    }

    private func hex(_ start: Int) -> UInt32? {
        var value: UInt32 = 0
        for byte in text[start..<start + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 + UInt32(digit)
        }
        return value
    }
}
