import MartletWire
import NIOCore

/// A JSON object as the bytes of its members: what is not touched is written back as it was.
struct RawObject: Sendable {
    struct Member: Sendable {
        /// Inside the quotes, still escaped.
        var key: ByteBuffer
        var name: String
        var value: ByteBuffer
    }

    private(set) var members: [Member] = []
    /// Something was set, renamed or removed.
    private(set) var isChanged = false

    init() {}

    /// Throws when the text is no object, or anything in it is malformed.
    init(_ text: ByteBuffer) throws(JSONError) {
        var members: [Member] = []
        try text.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
            try walk.enterObject()
            while let key = try walk.nextKey() {
                let name = walk.name(key)
                members.append(Member(key: text.part(key.range), name: name, value: text.part(try walk.skip())))
            }
            try walk.end()
        }
        self.members = members
    }

    /// Of a name that stands twice, the last value, as most parsers have it.
    subscript(name: String) -> ByteBuffer? { members.last { $0.name == name }?.value }

    /// Replaces the value where it stands, or appends the member. An equal value is no change.
    mutating func set(_ name: String, _ value: ByteBuffer) {
        guard let place = members.lastIndex(where: { $0.name == name }) else {
            members.append(Member(key: EscapedText(escaping: name).bytes, name: name, value: value))
            isChanged = true
            return
        }
        if members[place].value != value {
            members[place].value = value
            isChanged = true
        }
    }

    mutating func remove(_ name: String) {
        let count = members.count
        members.removeAll { $0.name == name }
        if members.count != count { isChanged = true }
    }

    /// Of each name that stands twice only the last member stays.
    mutating func keepLasts() {
        var names: Set<String> = []
        let kept = Array(members.reversed().filter { names.insert($0.name).inserted }.reversed())
        guard kept.count < members.count else { return }
        members = kept
        isChanged = true
    }

    mutating func rename(_ name: String, to other: String) {
        for place in members.indices where members[place].name == name {
            members[place].name = other
            members[place].key = EscapedText(escaping: other).bytes
            isChanged = true
        }
    }

    func write(into out: inout ByteBuffer) {
        out.writeString("{")
        for (place, member) in members.enumerated() {
            if place > 0 { out.writeString(",") }
            out.writeEscaped(EscapedText(member.key))
            out.writeString(":")
            out.writeImmutableBuffer(member.value)
        }
        out.writeString("}")
    }

    var text: ByteBuffer {
        var text = ByteBuffer()
        write(into: &text)
        return text
    }
}

extension ByteBuffer {
    /// The elements of an array; nil when this is none.
    func rawElements() throws(JSONError) -> [ByteBuffer]? {
        try walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) -> [ByteBuffer]? in
            guard try walk.kind() == .array else { return nil }
            var elements: [ByteBuffer] = []
            try walk.enterArray()
            while try walk.nextElement() { elements.append(part(try walk.skip())) }
            try walk.end()
            return elements
        }
    }

    /// What kind of value this text begins; nil when it begins none.
    var rawKind: JSONKind? {
        try? walkJSON { (walk: inout JSONWalk) throws(JSONError) -> JSONKind in try walk.kind() }
    }

    /// The content of a string; nil when this is none.
    var rawString: EscapedText? {
        try? walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) -> EscapedText in
            EscapedText(part(try walk.string()))
        }
    }

    var rawInt: Int? { try? walkJSON { (walk: inout JSONWalk) throws(JSONError) -> Int? in try walk.int() } }

    static func rawString(_ text: String) -> ByteBuffer {
        var value = ByteBuffer()
        value.writeJSONString(text)
        return value
    }

    static func rawArray(_ elements: [ByteBuffer]) -> ByteBuffer {
        var value = ByteBuffer(string: "[")
        for (place, element) in elements.enumerated() {
            if place > 0 { value.writeString(",") }
            value.writeImmutableBuffer(element)
        }
        value.writeString("]")
        return value
    }
}
