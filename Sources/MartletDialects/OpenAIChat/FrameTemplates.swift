import MartletWire
import NIOCore

/// What an edit made of frames of one shape, before and behind the text of their delta.
///
/// The reader has found them equal but for the text, which the edit never looks at, so it would do the same again.
struct FrameTemplates: Sendable {
    private static let limit = 4

    /// Plain numbers only, so that looking at one touches no reference count.
    private struct Template: Sendable {
        var shape: Int
        /// In `bytes`; nil when the frame goes on as it is.
        var head: Range<Int>?
        var tail: Range<Int>
    }

    private var templates: [Template] = []
    private var bytes: [UInt8] = []

    func position(of shape: Int) -> Int? { templates.firstIndex { $0.shape == shape } }

    /// Writes the frame with what was learned around its text. False when the frame goes on as it is.
    func write(_ position: Int, _ frame: SSEFrame, _ text: Range<Int>, into out: inout ByteBuffer) -> Bool {
        let template = templates[position]
        guard let head = template.head else { return false }
        frame.bytes.withUnsafeReadableBytes { frame in
            bytes.withUnsafeBytes { known in
                let count = head.count + text.count + template.tail.count
                out.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
                    room[..<head.count].copyBytes(from: known[head])
                    room[head.count..<head.count + text.count].copyBytes(from: frame[text])
                    room[head.count + text.count..<count].copyBytes(from: known[template.tail])
                    return count
                }
            }
        }
        return true
    }

    mutating func learn(_ shape: Int, head: ByteBuffer, tail: ByteBuffer) {
        makeRoom()
        let start = bytes.count
        bytes += head.readableBytesView
        let middle = bytes.count
        bytes += tail.readableBytesView
        templates.append(Template(shape: shape, head: start..<middle, tail: middle..<bytes.count))
    }

    mutating func learnUnchanged(_ shape: Int) {
        makeRoom()
        templates.append(Template(shape: shape, head: nil, tail: 0..<0))
    }

    private mutating func makeRoom() {
        guard templates.count == Self.limit else { return }
        templates.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }
}

extension Slice<UnsafeMutableRawBufferPointer> {
    @inline(__always)
    fileprivate func copyBytes(from other: Slice<UnsafeRawBufferPointer>) {
        UnsafeMutableRawBufferPointer(rebasing: self).copyMemory(from: UnsafeRawBufferPointer(rebasing: other))
    }
}
