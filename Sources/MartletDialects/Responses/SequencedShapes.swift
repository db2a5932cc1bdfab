import MartletWire
import NIOCore

/// Frames that were read and gave one delta and nothing else. Unlike those of other dialects they differ in more than
/// their text: each has a number of its own, and some servers add letters at random so that nobody can tell its length.
/// A frame with the same bytes everywhere else means the same, until a frame does
/// anything else; then all are forgotten.
struct SequencedShapes: Sendable {
    /// What differs from frame to frame.
    enum Hole: Sendable { case text, number, padding }

    /// Bytes that do not differ, and what comes behind them; nil at the end.
    private struct Piece: Sendable {
        /// In `bytes`.
        var fixed: Range<Int>
        var hole: Hole?
    }

    private struct Shape: Sendable {
        /// In `pieces`.
        var pieces: Range<Int>
        var block: BlockID
        var number: Int
    }

    private static let limit = 4

    private var shapes: [Shape] = []
    private var pieces: [Piece] = []
    private var bytes: [UInt8] = []
    private var numbers = 0

    func match(_ frame: SSEFrame) -> KnownDelta? {
        guard !shapes.isEmpty else { return nil }
        return frame.bytes.withUnsafeReadableBytes { text in
            bytes.withUnsafeBytes { known in
                for shape in shapes {
                    guard let range = textRange(shape, in: text, known) else { continue }
                    return KnownDelta(block: shape.block, range: range, shape: shape.number)
                }
                return nil
            }
        }
    }

    private func textRange(
        _ shape: Shape, in text: UnsafeRawBufferPointer, _ known: UnsafeRawBufferPointer
    ) -> Range<Int>? {
        var at = 0
        var found: Range<Int>?
        for place in shape.pieces {
            let piece = pieces[place]
            let fixed = UnsafeRawBufferPointer(rebasing: known[piece.fixed])
            guard at + fixed.count <= text.count, fixed.begins(text, at: at) else { return nil }
            at += fixed.count
            switch piece.hole {
            case .number:
                let start = at
                while at < text.count, text[at] >= 0x30, text[at] <= 0x39 { at += 1 }
                guard at > start, at == start + 1 || text[start] != 0x30 else { return nil }
            case .text, .padding:
                guard let end = JSONScan.closingQuote(in: text, from: at) else { return nil }
                if piece.hole == .text {
                    guard end > at else { return nil }
                    found = at..<end
                }
                at = end
            case nil: return at == text.count ? found : nil
            }
        }
        return nil
    }

    /// - Parameter holes: where they stand in the frame's data, the text among them.
    mutating func learn(_ frame: SSEFrame, _ holes: [(range: Range<Int>, hole: Hole)], _ block: BlockID) {
        guard let data = frame.dataRange, frame.isClosed else { return forget() }
        if shapes.count == Self.limit { forget() }
        numbers += 1
        let first = pieces.count
        var at = 0
        func fix(upTo end: Int, _ hole: Hole?) {
            let start = bytes.count
            bytes += frame.bytes.part(at..<end).readableBytesView
            pieces.append(Piece(fixed: start..<bytes.count, hole: hole))
        }
        for (range, hole) in holes.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
            fix(upTo: data.lowerBound + range.lowerBound, hole)
            at = data.lowerBound + range.upperBound
        }
        fix(upTo: frame.bytes.readableBytes, nil)
        shapes.append(Shape(pieces: first..<pieces.count, block: block, number: numbers))
    }

    mutating func forget() {
        shapes.removeAll(keepingCapacity: true)
        pieces.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }
}
