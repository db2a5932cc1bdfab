import MartletWire
import NIOCore

/// The frames of one block's deltas: all alike but for their text.
struct DeltaFrame: Sendable {
    private let head: [UInt8]
    private let tail: [UInt8]

    init() { self.init(before: "", behind: "") }

    init(before: String, behind: String) {
        head = Array(before.utf8)
        tail = Array(behind.utf8)
    }

    init(before: ByteBuffer, behind: String) {
        head = Array(before.readableBytesView)
        tail = Array(behind.utf8)
    }

    func write(_ text: EscapedText, into out: inout ByteBuffer) {
        text.bytes.withUnsafeReadableBytes { write($0, into: &out) }
    }

    /// - Parameter range: where the text stands in the frame's bytes.
    func write(_ range: Range<Int>, of frame: SSEFrame, into out: inout ByteBuffer) {
        frame.bytes.withUnsafeReadableBytes { write(UnsafeRawBufferPointer(rebasing: $0[range]), into: &out) }
    }

    private func write(_ text: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        let count = head.count + text.count + tail.count
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            head.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: room[..<$0.count]).copyMemory(from: $0) }
            let middle = room[head.count..<head.count + text.count]
            UnsafeMutableRawBufferPointer(rebasing: middle).copyMemory(from: text)
            tail.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: room[(head.count + text.count)..<count]).copyMemory(from: $0)
            }
            return count
        }
    }
}
