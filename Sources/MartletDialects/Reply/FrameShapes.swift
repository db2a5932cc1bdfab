import MartletWire
import NIOCore

/// Frames that were read and gave one delta and nothing else: what stood before and behind its text, event name
/// included. A frame with the same bytes in both places, and a well-formed string's content between them, means the
/// same but for the text, until a frame does anything else; then all are forgotten.
struct FrameShapes: Sendable {
    private struct Shape: Sendable {
        /// In `bytes`: what stands before the text, and behind it.
        var head: Range<Int>
        var tail: Range<Int>
        var block: BlockID
        var number: Int
    }

    private static let limit = 4

    private var shapes: [Shape] = []
    private var bytes: [UInt8] = []
    private var numbers = 0

    func match(_ frame: SSEFrame) -> KnownDelta? {
        guard !shapes.isEmpty else { return nil }
        return frame.bytes.withUnsafeReadableBytes { text in
            bytes.withUnsafeBytes { known in
                for shape in shapes {
                    let start = shape.head.count
                    let end = text.count - shape.tail.count
                    guard start < end, UnsafeRawBufferPointer(rebasing: known[shape.head]).begins(text, at: 0),
                        UnsafeRawBufferPointer(rebasing: known[shape.tail]).begins(text, at: end),
                        JSONScan.closingQuote(in: text, from: start) == end
                    else { continue }
                    return KnownDelta(block: shape.block, range: start..<end, shape: shape.number)
                }
                return nil
            }
        }
    }

    /// - Parameter text: where it stands in the frame's data.
    mutating func learn(_ frame: SSEFrame, _ text: Range<Int>, _ block: BlockID) {
        guard let data = frame.dataRange, frame.isClosed else { return forget() }
        if shapes.count == Self.limit { forget() }
        numbers += 1
        let start = bytes.count
        bytes += frame.bytes.part(0..<data.lowerBound + text.lowerBound).readableBytesView
        let middle = bytes.count
        bytes += frame.bytes.part(data.lowerBound + text.upperBound..<frame.bytes.readableBytes).readableBytesView
        shapes.append(Shape(head: start..<middle, tail: middle..<bytes.count, block: block, number: numbers))
    }

    mutating func forget() {
        shapes.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }
}
