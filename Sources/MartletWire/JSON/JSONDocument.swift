internal import CScan
package import NIOCore

/// A member of an object, as ranges of bytes in the text.
package struct JSONMember: Sendable, Hashable {
    /// Inside the quotes.
    package var key: Range<Int>
    /// The whole value, a string's quotes included.
    package var value: Range<Int>
    package var kind: JSONKind
    /// The key must be unescaped before it is compared.
    package var keyIsEscaped: Bool

    package init(key: Range<Int>, value: Range<Int>, kind: JSONKind, keyIsEscaped: Bool) {
        self.key = key
        self.value = value
        self.kind = kind
        self.keyIsEscaped = keyIsEscaped
    }
}

/// A JSON text that has been checked once, with its top-level members.
///
/// The check is RFC 8259 in full, UTF-8 and paired surrogates included. Names of inner members are not compared.
package struct JSONDocument: Sendable {
    /// The text; ranges count from its `readerIndex`.
    package let bytes: ByteBuffer
    package let root: JSONKind
    /// The value, without the white space around it.
    package let range: Range<Int>
    /// Empty when the root is no object.
    package let members: [JSONMember]

    /// Checks the whole text in one pass.
    ///
    /// - Parameter depth: objects and arrays that may be open at once, at most 1024.
    /// - Throws: the first thing that is wrong. A member that stands twice is no error here, see `member(_:)`.
    package init(checking bytes: ByteBuffer, depth: Int = WireLimits.jsonDepth) throws(JSONError) {
        var found = [JSONMember]()
        let outcome = bytes.withUnsafeReadableBytes { (text) -> Outcome in
            let first = Self.check(text, depth: depth, room: 24, into: &found)
            guard case .more(let count) = first else { return first }
            guard count <= WireLimits.topLevelMembers else { return .wrong(JSONError(.tooManyMembers, at: 0)) }
            return Self.check(text, depth: depth, room: count, into: &found)
        }
        guard case .fine(let range, let root) = outcome else {
            if case .wrong(let error) = outcome { throw error }
            throw JSONError(.tooManyMembers, at: 0)
        }
        self.bytes = bytes
        self.root = root
        self.range = range
        self.members = found
    }

    private enum Outcome {
        case fine(Range<Int>, JSONKind), more(Int), wrong(JSONError)
    }

    private static func check(
        _ text: UnsafeRawBufferPointer, depth: Int, room: Int, into found: inout [JSONMember]
    ) -> Outcome {
        guard let start = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            return .wrong(JSONError(.truncated, at: 0))
        }
        return withUnsafeTemporaryAllocation(of: cscan_member.self, capacity: room) { space in
            var members = cscan_members(room: space.baseAddress, capacity: room, count: 0)
            let result = cscan_document(start, text.count, max(0, depth), &members)
            if result.status == cscan_more_members { return .more(members.count) }
            guard result.status == cscan_ok else { return .wrong(JSONError(result)) }
            let first = cscan_space(start, text.count, 0)
            guard first < text.count, let root = JSONKind(cscan_kind_of(start[first])) else {
                return .wrong(JSONError(.malformed, at: first))
            }
            found.reserveCapacity(members.count)
            for member in space.prefix(members.count) {
                guard let kind = JSONKind(member.kind) else { continue }
                found.append(
                    JSONMember(
                        key: member.key_start..<member.key_end, value: member.value_start..<member.value_end,
                        kind: kind, keyIsEscaped: member.key_escaped != 0))
            }
            return .fine(first..<result.offset, root)
        }
    }

    /// The member of that name; nil when there is none.
    ///
    /// - Throws: `duplicateKey` when it stands twice, in whatever spelling.
    package func member(_ name: String) throws(JSONError) -> JSONMember? {
        guard let index = try index(of: name) else { return nil }
        return members[index]
    }

    /// Where in `members` that name stands; nil when it does not.
    ///
    /// - Throws: `duplicateKey` when it stands twice, in whatever spelling.
    package func index(of name: String) throws(JSONError) -> Int? {
        var name = name
        let (first, second) = name.withUTF8 { wanted in
            bytes.withUnsafeReadableBytes { text -> (Int?, Int?) in
                let wanted = UnsafeRawBufferPointer(wanted)
                var first: Int?
                for index in members.indices {
                    let member = members[index]
                    guard JSONText.isKey(text, member.key, escaped: member.keyIsEscaped, wanted) else { continue }
                    if first != nil { return (first, index) }
                    first = index
                }
                return (first, nil)
            }
        }
        if let second { throw JSONError(.duplicateKey, at: members[second].key.lowerBound, name: name) }
        return first
    }

    /// Where in `members` each of these names stands, in one pass; nil for those that do not.
    ///
    /// - Throws: `duplicateKey` when one stands twice, in whatever spelling.
    package func places(of names: [StaticString]) throws(JSONError) -> [Int?] {
        var places = [Int?](repeating: nil, count: names.count)
        let second = bytes.withUnsafeReadableBytes { text -> (member: Int, name: Int)? in
            for (index, member) in members.enumerated() {
                for (place, name) in names.enumerated() {
                    guard member.keyIsEscaped || member.key.count == name.utf8CodeUnitCount else { continue }
                    let wanted = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
                    guard JSONText.isKey(text, member.key, escaped: member.keyIsEscaped, wanted) else { continue }
                    guard places[place] == nil else { return (index, place) }
                    places[place] = index
                    break
                }
            }
            return nil
        }
        if let second {
            throw JSONError(
                .duplicateKey, at: members[second.member].key.lowerBound, name: String(describing: names[second.name]))
        }
        return places
    }

    /// The bytes of a range, sharing the text's storage. What reaches beyond the text is cut off.
    package func slice(_ range: Range<Int>) -> ByteBuffer { bytes.part(range) }

    /// The member's name, unescaped.
    package func name(_ member: JSONMember) -> String { JSONText.unescaped(bytes, member.key) }

    /// Unescaped; nil when the value is no string.
    package func string(_ member: JSONMember) -> String? {
        guard member.kind == .string, member.value.count >= 2 else { return nil }
        return JSONText.unescaped(bytes, member.value.lowerBound + 1..<member.value.upperBound - 1)
    }

    /// Nil when the value is neither `true` nor `false`.
    package func bool(_ member: JSONMember) -> Bool? {
        guard member.kind == .bool else { return nil }
        return member.value.count == 4
    }

    /// The number when it is an integer in range (`1.0` and `1e2` are), else nil.
    package func int(_ member: JSONMember) -> Int? {
        guard member.kind == .number else { return nil }
        return slice(member.value).withUnsafeReadableBytes { JSONText.integer($0) }
    }
}
