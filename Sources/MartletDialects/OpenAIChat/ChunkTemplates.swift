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
        var call: KnownDelta.CallPlace?
    }

    /// Plain numbers only, so that looking at one touches no reference count.
    private struct Template: Sendable {
        /// In `bytes`: what stands before the text, and behind it.
        var head: Range<Int>
        var tail: Range<Int>
        var block: BlockID
        var call: KnownDelta.CallPlace?
        var shape: Int
    }

    private var templates: [Template] = []
    private var bytes: [UInt8] = []
    private var shapes = 0

    func match(_ frame: SSEFrame) -> KnownDelta? {
        // Nothing but a data line: no name that would change its meaning.
        guard !templates.isEmpty, let data = frame.dataRange, data.lowerBound <= 6,
            frame.bytes.readableBytes - data.upperBound == 2
        else { return nil }
        return frame.bytes.withUnsafeReadableBytes { text in
            bytes.withUnsafeBytes { known in
                for position in templates.indices {
                    let template = templates[position]
                    let start = data.lowerBound + template.head.count
                    let end = data.upperBound - template.tail.count
                    guard start < end,
                        UnsafeRawBufferPointer(rebasing: known[template.head]).begins(text, at: data.lowerBound),
                        UnsafeRawBufferPointer(rebasing: known[template.tail]).begins(text, at: end),
                        JSONScan.closingQuote(in: text, from: start) == end
                    else { continue }
                    return KnownDelta(
                        block: template.block, range: start..<end, shape: template.shape, call: template.call)
                }
                return nil
            }
        }
    }

    mutating func learn(_ chunk: ByteBuffer, _ place: Place, _ block: BlockID) {
        if templates.count == Self.limit { forget() }
        shapes += 1
        let start = bytes.count
        let middle = start + place.text.lowerBound
        bytes += chunk.part(0..<place.text.lowerBound).readableBytesView
        bytes += chunk.part(place.text.upperBound..<chunk.readableBytes).readableBytesView
        templates.append(
            Template(
                head: start..<middle, tail: middle..<bytes.count, block: block, call: place.call, shape: shapes))
    }

    mutating func forget() {
        templates.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
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
