package import NIOCore

/// Byte edits on a checked text, never in place: the result is slices of the original and the new pieces, to be written
/// one after another.
///
/// All ranges and indices are those of the one document the edit is for. Edits may be made in any order.
package struct JSONEdit: Sendable {
    private struct Splice: Sendable {
        var range: Range<Int>
        var bytes: ByteBuffer
    }

    private var splices: [Splice] = []
    /// Where the last of the splices ends: what lies behind it needs no search.
    private var furthest = 0
    /// Members of the outermost object that are left out, by index.
    private var removed: Set<Int> = []
    private var appended: [(key: String, value: ByteBuffer)] = []
    /// Of the document; known once a member is removed or appended.
    private var members: [JSONMember] = []
    private var root = 0..<0

    package init() {}

    package var isEmpty: Bool { splices.isEmpty && removed.isEmpty && appended.isEmpty }

    /// Puts the bytes in the range's place; an empty range inserts. The same range once more replaces the replacement.
    /// What overlaps a range replaced before, or lies in a member that is removed, is dropped.
    package mutating func replace(_ range: Range<Int>, with bytes: ByteBuffer) {
        if range.lowerBound >= furthest {
            splices.append(Splice(range: range, bytes: bytes))
            furthest = range.upperBound
        } else if !range.isEmpty, let known = splices.firstIndex(where: { $0.range == range }) {
            splices[known].bytes = bytes
        } else if !splices.contains(where: { $0.range.overlaps(range) }) {
            splices.append(Splice(range: range, bytes: bytes))
            furthest = max(furthest, range.upperBound)
        }
    }

    /// Leaves out a member of the outermost object, with its comma. An index that is none changes nothing.
    package mutating func remove(_ member: Int, of document: JSONDocument) {
        guard document.members.indices.contains(member) else { return }
        note(document)
        removed.insert(member)
    }

    /// Adds a member before the closing brace of the outermost object. What is no object stays as it is.
    package mutating func append(_ key: String, _ value: ByteBuffer, to document: JSONDocument) {
        guard document.root == .object else { return }
        note(document)
        appended.append((key, value))
    }

    /// Replaces the member's value, or appends the member.
    ///
    /// - Throws: `duplicateKey` when the document has it twice.
    package mutating func set(_ key: String, _ value: ByteBuffer, in document: JSONDocument) throws(JSONError) {
        if let index = try document.index(of: key) {
            removed.remove(index)
            replace(document.members[index].value, with: value)
        } else if let known = appended.firstIndex(where: { $0.key.utf8.elementsEqual(key.utf8) }) {
            appended[known].value = value
        } else {
            append(key, value, to: document)
        }
    }

    /// The edited text in pieces: slices of `text`, which is the document's, and the new bytes.
    package func pieces(of text: ByteBuffer) -> [ByteBuffer] {
        var pieces = [ByteBuffer]()
        var at = 0
        for splice in ordered() where splice.range.lowerBound >= at && splice.range.upperBound <= text.readableBytes {
            if splice.range.lowerBound > at { pieces.append(text.part(at..<splice.range.lowerBound)) }
            if splice.bytes.readableBytes > 0 { pieces.append(splice.bytes) }
            at = splice.range.upperBound
        }
        if at < text.readableBytes { pieces.append(text.part(at..<text.readableBytes)) }
        return pieces
    }

    /// The edited text in one buffer; `text` itself when there is nothing to do.
    package func applied(to text: ByteBuffer) -> ByteBuffer {
        if isEmpty { return text }
        let pieces = pieces(of: text)
        var whole = ByteBuffer()
        whole.reserveCapacity(pieces.reduce(0) { $0 + $1.readableBytes })
        for piece in pieces { whole.writeImmutableBuffer(piece) }
        return whole
    }

    private mutating func note(_ document: JSONDocument) {
        members = document.members
        root = document.range
    }

    /// Every change as a splice, in the order of the text and without overlaps.
    private func ordered() -> [Splice] {
        let holes = holes()
        var all = splices.filter { splice in !holes.contains { $0.range.overlaps(splice.range) } } + holes
        if let addition { all.append(addition) }
        // `sort` is stable: at one place, insertions stand in the order they were made, and before what they precede.
        all.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        return all
    }

    /// The bytes of removed members. Neighbours go as one: with the comma behind them, or the one before if they are
    /// the last.
    private func holes() -> [Splice] {
        var holes = [Splice]()
        var index = 0
        while index < members.count {
            guard removed.contains(index) else {
                index += 1
                continue
            }
            let first = index
            while index < members.count, removed.contains(index) { index += 1 }
            let range: Range<Int> =
                if index < members.count {
                    members[first].key.lowerBound - 1..<members[index].key.lowerBound - 1
                } else if first > 0 {
                    members[first - 1].value.upperBound..<members[index - 1].value.upperBound
                } else {
                    members[first].key.lowerBound - 1..<members[index - 1].value.upperBound
                }
            holes.append(Splice(range: range, bytes: ByteBuffer()))
        }
        return holes
    }

    /// The new members, behind the last one there is.
    private var addition: Splice? {
        guard !appended.isEmpty else { return nil }
        var bytes = ByteBuffer()
        var comma = removed.count < members.count
        for (key, value) in appended {
            if comma { bytes.writeInteger(UInt8(ascii: ",")) }
            bytes.writeJSONString(key)
            bytes.writeInteger(UInt8(ascii: ":"))
            bytes.writeImmutableBuffer(value)
            comma = true
        }
        let place = members.last?.value.upperBound ?? root.lowerBound + 1
        return Splice(range: place..<place, bytes: bytes)
    }
}
