import MartletWire
import NIOCore

/// The frames of one block's deltas where each also has a running number: all alike but for that and their text.
struct NumberedFrame: Sendable {
    private let bytes: [UInt8]
    /// Where the number belongs, and the text.
    private let number: Int
    private let text: Int

    init() { self.init("", "", "") }

    init(_ beforeNumber: String, _ beforeText: String, _ behind: String) {
        bytes = Array((beforeNumber + beforeText + behind).utf8)
        number = beforeNumber.utf8.count
        text = number + beforeText.utf8.count
    }

    func write(_ number: Int, _ content: EscapedText, into out: inout ByteBuffer) {
        content.bytes.withUnsafeReadableBytes { write(number, $0, into: &out) }
    }

    func write(_ value: Int, _ content: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        let digits = Self.digits(value)
        let count = bytes.count + digits + content.count
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            bytes.withUnsafeBytes { bytes in
                var at = 0
                func put(_ piece: UnsafeRawBufferPointer) {
                    UnsafeMutableRawBufferPointer(rebasing: room[at..<at + piece.count]).copyMemory(from: piece)
                    at += piece.count
                }
                put(UnsafeRawBufferPointer(rebasing: bytes[..<number]))
                var rest = value
                for place in stride(from: at + digits - 1, through: at, by: -1) {
                    room[place] = UInt8(ascii: "0") + UInt8(rest % 10)
                    rest /= 10
                }
                at += digits
                put(UnsafeRawBufferPointer(rebasing: bytes[number..<text]))
                put(content)
                put(UnsafeRawBufferPointer(rebasing: bytes[text...]))
            }
            return count
        }
    }

    /// Of a number that is not negative.
    private static func digits(_ value: Int) -> Int {
        var count = 1
        var rest = value / 10
        while rest > 0 {
            count += 1
            rest /= 10
        }
        return count
    }
}
