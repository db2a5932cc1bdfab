import MartletWire
import NIOCore

/// Chunks that were walked and gave one delta and nothing else: what stood before and behind its text.
///
/// A chunk with the same bytes in both places, and a well-formed string's content between them, has the same meaning
/// but for the text. That holds until a chunk does anything else (opens, closes, finishes); then all are forgotten.
struct ChunkTemplates: Sendable {
    /// Several choices, or text beside reasoning, take turns.
    private static let limit = 4

    /// Where the text of a chunk's only delta stands, and which tool call it belongs to.
    struct Place: Sendable {
        var text: Range<Int>
        var call: CallPlace?
    }

    struct CallPlace: Sendable {
        /// Position in the reader's list of choices, not the choice's number.
        var choice: Int
        var slot: Int
    }

    struct Hit {
        var block: BlockID
        var text: EscapedText
        var call: CallPlace?
    }

    private struct Template: Sendable {
        var head: ByteBuffer
        var tail: ByteBuffer
        var block: BlockID
        var call: CallPlace?
    }

    private var templates: [Template] = []

    mutating func match(_ chunk: ByteBuffer) -> Hit? {
        for position in templates.indices {
            guard let range = chunk.between(templates[position].head, templates[position].tail),
                let text = EscapedText(checking: chunk.part(range))
            else { continue }
            return Hit(block: templates[position].block, text: text, call: templates[position].call)
        }
        return nil
    }

    mutating func learn(_ chunk: ByteBuffer, _ place: Place, _ block: BlockID) {
        if templates.count == Self.limit { templates.removeLast() }
        let head = chunk.copy(0..<place.text.lowerBound)
        let tail = chunk.copy(place.text.upperBound..<chunk.readableBytes)
        templates.insert(Template(head: head, tail: tail, block: block, call: place.call), at: 0)
    }

    mutating func forget() { templates.removeAll(keepingCapacity: true) }
}

extension ByteBuffer {
    /// The range between the two, when the buffer begins with one, ends with the other, and has something between them.
    func between(_ head: ByteBuffer, _ tail: ByteBuffer) -> Range<Int>? {
        let length = readableBytes - head.readableBytes - tail.readableBytes
        guard length > 0 else { return nil }
        let isSame = withUnsafeReadableBytes { bytes in
            head.withUnsafeReadableBytes { $0.begins(bytes, at: 0) }
                && tail.withUnsafeReadableBytes { $0.begins(bytes, at: bytes.count - $0.count) }
        }
        return isSame ? head.readableBytes..<head.readableBytes + length : nil
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes stand at that offset of the other text, which reaches far enough.
    @inline(__always)
    func begins(_ other: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        precondition(offset >= 0 && offset + count <= other.count)
        var at = 0
        while at + 8 <= count {
            let mine = loadUnaligned(fromByteOffset: at, as: UInt64.self)
            guard mine == other.loadUnaligned(fromByteOffset: offset + at, as: UInt64.self) else { return false }
            at += 8
        }
        while at < count {
            guard self[at] == other[offset + at] else { return false }
            at += 1
        }
        return true
    }
}
